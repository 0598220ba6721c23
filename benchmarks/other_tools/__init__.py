"""The same dialogues in other tools. Each runs in an environment of its own, so nothing here imports our packages."""
