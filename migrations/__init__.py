"""One Alembic history for all four services."""

HEAD = "0019"  # the newest revision; a test holds it against the history
