"""A run: what was asked, what it will take, how far it is."""
