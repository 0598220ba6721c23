"""How alike texts are by the characters they share: near-duplicates among generated scenarios.

Two texts are as alike as the Jaccard index of their sets of character 3-grams says, after NFKC: 0 shares nothing, 1 is
the same text. No model, no word boundaries, so that Chinese and English are measured alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from esrp.dialogue import normalise

SIZE = 3  # characters of a gram
# From here on two texts are near-duplicates. Pairs of texts that people kept as different reach 0.07 in Chinese (the 60
# published questions of ChatAnime, the suite esrp-zh) and 0.23 in English (esrp-en); a sentence that was lightly
# reworded keeps 0.4 to 0.7.
NEAR = 0.35


@dataclass(frozen=True, slots=True)
class Likeness:
    """The earlier item that is most like this one: ``of`` is its place, ``None`` where none is a near-duplicate."""

    of: int | None
    similarity: float


def grams(text: str) -> frozenset[str]:
    """The character 3-grams of the NFKC text; a text of fewer characters is one gram, an empty one has none."""
    plain = normalise(text)
    return frozenset(plain[i : i + SIZE] for i in range(max(1, len(plain) - SIZE + 1))) - {""}


def similarity(first: str, second: str) -> float:
    """The Jaccard index of two texts' grams, 0 to 1; 0 where one of them has none."""
    ours, theirs = grams(first), grams(second)
    return len(ours & theirs) / len(ours | theirs) if ours and theirs else 0.0


def similarities(texts: Sequence[str]) -> NDArray[np.float64]:
    """``similarity`` of every two of the n texts, as an n × n matrix."""
    sets = [grams(text) for text in texts]
    number = {gram: place for place, gram in enumerate(sorted(frozenset().union(*sets)))}
    if not number:
        return np.zeros((len(texts), len(texts)))
    owners = [row for row, found in enumerate(sets) for _ in found]
    members = [number[gram] for found in sets for gram in found]
    has = csr_array((np.ones(len(owners)), (owners, members)), shape=(len(texts), len(number)))
    shared = (has @ has.T).toarray()
    sizes = np.array([len(found) for found in sets], dtype=float)
    together = sizes[:, None] + sizes[None, :] - shared
    alike: NDArray[np.float64] = np.divide(shared, together, out=np.zeros_like(together), where=together > 0)
    return alike


def likenesses(items: Sequence[Sequence[str]], near: float = NEAR) -> list[Likeness]:
    """For each item the earlier one that it is most like, the first of equals; the first item is like nothing.

    An item is some texts, the same number for all: two items are as alike as the most alike of their texts at one
    place, so that one question under two different events is found.
    """
    if not items:
        return []
    alike = np.maximum.reduce([similarities(column) for column in zip(*items, strict=True)])
    found = [Likeness(None, 0.0)]
    for place in range(1, len(items)):
        earlier = alike[place, :place]
        of = int(earlier.argmax())
        found.append(Likeness(of if earlier[of] >= near else None, float(earlier[of])))
    return found
