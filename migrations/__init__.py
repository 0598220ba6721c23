"""One Alembic history for all four services."""

HEAD = "0020"  # the newest revision; a test holds it against the history
