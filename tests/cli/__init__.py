"""The command line, against a scripted service."""
