"""What people and programs read: pure functions of a report, a leaderboard, a shortlist or a breakdown."""
