"""Emotionally Supportive Role-Playing: the science, the SDK and the command line."""

__version__ = "0.1.0"
