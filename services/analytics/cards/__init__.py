"""What is measured of judges."""
