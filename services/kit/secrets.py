"""Candidates' keys at rest, and the token by which the services know each other; both from one file."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from cryptography.fernet import Fernet, MultiFernet


class KeyFile:
    """One Fernet key a line, the newest first: new secrets take the first, old ones are read with any."""

    def __init__(self, path: Path) -> None:
        keys = [line.strip() for line in path.read_text("ascii").splitlines() if line.strip()]
        if not keys:
            raise ValueError(f"{path} holds no key; write one with {KeyFile.__name__}.create")
        self._fernet = MultiFernet([Fernet(key) for key in keys])
        self.internal_token = hashlib.sha256(f"internal:{keys[0]}".encode()).hexdigest()

    def seal(self, secret: str) -> bytes:
        """The secret as it may lie in the database."""
        return self._fernet.encrypt(secret.encode())

    def open(self, sealed: bytes) -> str:
        """The secret again; ``cryptography.fernet.InvalidToken`` if no key of the file fits."""
        return self._fernet.decrypt(sealed).decode()

    @staticmethod
    def create(path: Path) -> None:
        """Make the file, readable by its owner only, unless it is there."""
        if path.exists():
            return
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_bytes(Fernet.generate_key() + b"\n")
        with suppress(FileExistsError):
            os.link(draft, path)  # whole or not at all; who came first stays
        draft.unlink()
