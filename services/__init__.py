"""The services: each does one thing, and none imports another."""
