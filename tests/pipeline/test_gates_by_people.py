"""A verdict over ratings that were imported, beside a calculation of its own."""

from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import t

from esrp.metrics import METRIC_IDS
from tests.builders import a_suite
from tests.pipeline.conftest import Stack
from tests.pipeline.test_gates import outcomes
from tests.pipeline.unseen_by_hand import lower_bound

pytestmark = pytest.mark.asyncio(loop_scope="module")

C, S = 4, 10


async def rated_by_people(stack: Stack, name: str, scores: NDArray[np.float64]) -> str:
    """A finished run over a transcript; ``scores`` of (rater, character, scenario, metric), NaN where there is none."""
    cells = [(c, s) for c in range(C) for s in range(S)]
    dialogues: list[Any] = [
        {"character": f"c{c + 1}", "scenario": f"s{s + 1}", "turns": [{"user": "Hi", "assistant": f"{name} {c} {s}"}]}
        for c, s in cells
    ]
    transcript = await stack.client.import_transcript(name, "rated", dialogues)
    candidate = {"kind": "transcript", "transcript": transcript.id}
    run = await stack.client.create_run({"suite": "rated", "candidate": candidate, "judges": []})
    await stack.done(run)
    lines = [
        f"{run.id},c{c + 1},s{s + 1},{metric},r{r},{scores[r, c, s, m]:.0f}"
        for (c, s), (m, metric), r in product(cells, enumerate(METRIC_IDS), range(2))
        if not np.isnan(scores[r, c, s, m])
    ]
    table = "\n".join(["run,character,scenario,metric,rater,score", *lines])
    await stack.client.import_ratings(table.encode(), "text/csv")
    return run.id


async def test_the_verdict_over_imported_ratings_is_that_of_an_independent_calculation(stack: Stack) -> None:
    await stack.client.upload_suite(a_suite(C, S, name="rated").model_dump(mode="json"))
    chance = np.random.default_rng(11)
    scores = np.clip(np.rint(3.7 + chance.normal(0, 0.9, (2, 2, C, S, 9))), 1, 5)
    scores[1, ..., 4] = np.maximum(1, scores[1, ..., 4] - 1)
    scores[chance.random(scores.shape) < 0.01] = np.nan
    old, new = [await rated_by_people(stack, f"release-{n}", scores[n]) for n in range(2)]

    found = await stack.client.gate(new, {"baseline": old, "margins": {"*": 0.2}, "max_missing": 0.05})

    expected = _bounds(np.nanmean(scores[1], axis=0) - np.nanmean(scores[0], axis=0))
    assert {rule.metric: (rule.estimate, rule.bound) for rule in found.rules} == {
        metric: pytest.approx(numbers, abs=1e-9) for metric, numbers in expected.items()
    }
    assert (found.verdict, found.failing, found.raters) == ("fail", ["speaking_style"], "human")
    assert outcomes(found) == {
        metric: "fail" if metric == "speaking_style" else "pass" if bound > -0.2 else "inconclusive"
        for metric, (_, bound) in expected.items()
    }


def _bounds(apart: NDArray[np.float64]) -> dict[str, tuple[float, float]]:
    """Mean and one-sided 95 % lower bound of differences of (character, scenario, metric), clustered by scenario."""
    there = ~np.isnan(apart)
    counts, sums = there.sum(axis=(0, 1)), np.where(there, apart, 0).sum(axis=(0, 1))
    means = sums / counts
    residuals = (np.where(there, apart - means, 0)).sum(axis=0) / counts  # of (scenario, metric)
    found = {metric: (means[m], residuals[:, m], apart[..., m]) for m, metric in enumerate(METRIC_IDS)}
    found["overall"] = (means.mean(), residuals.mean(axis=1), apart.mean(axis=2))
    return {
        name: (float(mean), lower_bound(float(mean), _half(influence), values[~np.isnan(values)].tolist()))
        for name, (mean, influence, values) in found.items()
    }


def _half(influence: NDArray[np.float64]) -> float:
    """Student's half width, corrected as Johnson (1978) does for a lean to below beyond half of its chance error."""
    squares, times = float((influence**2).sum()), float(t.ppf(0.95, S - 1))
    lean = max(0.0, -float((influence**3).sum()) / squares**1.5 - 0.5 * np.sqrt(6 / S) / np.sqrt(S))
    return float((times + lean * (1 + 2 * times**2) / 6) * np.sqrt(S / (S - 1) * squares))
