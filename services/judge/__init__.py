"""One dialogue in, nine scores out."""
