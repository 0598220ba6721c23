"""Two-round dialogues between a simulated user and the candidate."""
