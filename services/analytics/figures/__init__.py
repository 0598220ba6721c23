"""Breakdowns, comparisons and leaderboards."""
