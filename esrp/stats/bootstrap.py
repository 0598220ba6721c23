"""The dialogue bootstrap: fast, and the same bytes every time (STATISTICS 3)."""

import hashlib

import numpy as np

from esrp.stats.ratings import Floats, Integers, Units

VERSION = "esrp-bootstrap-1"  # changes whenever the same ratings would give other numbers
REPLICATES = 5000
HELD = 64 * 2**20  # bytes of weights that are drawn at once, of however many units
CHUNK = 500  # replicates at once: 5 MB of weights for a full study; the numbers do not depend on it


def key(*ratings_sha256: str) -> str:
    """The seed that follows from the ratings and this method's version, and from nothing else: 64 hex digits."""
    return hashlib.sha256("\n".join((VERSION, *ratings_sha256)).encode()).hexdigest()


def resampled(units: Units, seed: str, *, replicates: int = REPLICATES, chunk: int = CHUNK) -> Floats:
    """Each metric's sum ÷ count in resamples of the units: replicates × metrics, ``nan`` where a count is 0.

    Weights and sums are integers, so the products are exact in float64 and the result does not depend on BLAS,
    threads or ``chunk``.
    """
    both = np.hstack([units.sums, units.counts]).astype(np.float64)
    metrics = units.sums.shape[1]
    found = np.empty((replicates, metrics))
    chunk = max(1, min(chunk, HELD // (8 * max(1, len(units)))))
    for start in range(0, replicates, chunk):
        stop = min(start + chunk, replicates)
        totals = weights(seed, len(units), start, stop).astype(np.float64) @ both
        sums, counts = totals[:, :metrics], totals[:, metrics:]
        found[start:stop] = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
    return found / units.scale


def weights(seed: str, units: int, start: int, stop: int) -> Integers:
    """How often each unit is drawn in the replicates ``start`` to ``stop``: replicates × units.

    Replicate r owns its own blocks of the counter, eight draws of 32 bits a block, so it is the same in every chunk.
    The raw words of a bit generator are stable over numpy's versions where its distributions are not (NEP 19); a draw
    is mapped by multiply-shift, whose bias is below units / 2³².
    """
    blocks = -(-units // 8)
    generator = np.random.Philox(key=int(seed[:32], 16), counter=start * blocks)
    words = generator.random_raw((stop - start) * blocks * 4).astype("<u8", copy=False).view("<u4")
    draws = words.reshape(stop - start, blocks * 8)[:, :units].astype(np.uint64)
    draws *= np.uint64(units)
    draws >>= np.uint64(32)
    drawn = draws.view(np.int64)
    drawn += np.arange(stop - start, dtype=np.int64)[:, None] * units
    return np.bincount(drawn.ravel(), minlength=(stop - start) * units).reshape(stop - start, units)
