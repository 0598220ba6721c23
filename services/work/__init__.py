"""How work is shared out over workers: leases, seats, pace, budgets; and what the services publish to each other."""
