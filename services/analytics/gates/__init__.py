"""A release gate's verdict on a run."""
