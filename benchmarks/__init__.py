"""Measurements that anyone can repeat; each prints a ratio against a limit or a peer in the same run."""
