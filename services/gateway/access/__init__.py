"""Who may ask: keys, their tenants and scopes, and how often."""
