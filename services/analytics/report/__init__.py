"""The ESRP report of a run."""
