"""How any server runs; knows no metric."""
