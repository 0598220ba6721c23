"""Who may ask, what was asked, how far it is."""
