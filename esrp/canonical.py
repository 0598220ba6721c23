"""Canonical JSON and its hash: what is the same has the same bytes."""

import hashlib
import json
from typing import Any

from esrp.dialogue import normalise


def digest(value: Any) -> str:
    """SHA-256, as 64 hex digits, of ``value`` as canonical JSON: sorted keys, no spaces, text in NFKC."""
    text = json.dumps(_normalised(value), ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _normalised(value: Any) -> Any:
    if isinstance(value, str):
        return normalise(value)
    if isinstance(value, dict):
        return {key: _normalised(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_normalised(item) for item in value]
    return value
