"""Which runs may be held against each other: those that were measured alike (STATISTICS 6)."""

from collections.abc import Mapping
from typing import Any

from esrp.canonical import digest

SAME = ("suite", "simulator", "judges", "rounds")  # of the manifest


def differs(manifest: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """What makes two runs not comparable, by their manifests; nothing: they are."""
    return [name for name in SAME if manifest.get(name) != other.get(name)]


def way(manifest: Mapping[str, Any]) -> str:
    """A hash of how a run was measured: the same for runs that are comparable."""
    return digest([manifest.get(name) for name in SAME])
