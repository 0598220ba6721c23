"""Whose ratings a gate goes by: judges', people's, both, and of batches."""

import math
from typing import Any

import numpy as np
import pytest
from scipy.stats import t

from esrp.policies import Policy, thresholds
from esrp.stats import Rating, Ratings
from esrp.stats.calibration import calibrations
from esrp.stats.diversity import BatchRating, rated_diversity
from esrp.stats.evidence import Evidence
from esrp.stats.gate import decide
from esrp.stats.unseen import ROOM
from tests.stats.builders import crossed, noisy
from tests.stats.gates import batches, evidence, flat, rule


def test_diversity_is_clustered_by_batch_and_enters_only_when_named() -> None:
    ours = batches(lambda n: 3 + n % 2)
    theirs = [*batches(lambda n: 3), BatchRating("b", 0, "j", "judge", 1)]
    policy = Policy(margins={"*": 0.1, "diversity": 0.3})
    found = decide(policy, evidence(flat(), diversity=ours), evidence(flat(), diversity=theirs))
    seen = rule(found, "diversity")
    assert seen.estimate == 0.5
    by_t = float(t.ppf(0.95, 11)) * float(np.std([0, 1] * 6, ddof=1)) / math.sqrt(12)
    assert seen.bound == pytest.approx(0.5 - max(by_t, 1.5 * (1 - 0.05 ** (1 / 12))))
    assert found.verdict == "pass"
    assert "diversity" not in thresholds({"*": 0.1})


def test_the_floor_of_diversity_is_under_the_mean_that_a_report_gives() -> None:
    rows = [*batches(lambda n: 3 + n % 2), *batches(lambda n: 5, "second")[:4]]  # one judge rated but four
    found = decide(Policy(floors={"diversity": 1}), evidence(flat(), diversity=rows))
    score = rated_diversity(rows)
    seen = rule(found, "diversity", "floor")
    assert score.mean is not None and score.se is not None
    assert seen.estimate == score.mean == pytest.approx((12 * 3.5 + 4 * 5) / 16)
    unseen = (score.mean - 2) * (1 - 0.05 ** (1 / 12))  # a point below 3, the lowest batch
    assert seen.bound == pytest.approx(score.mean - max(float(t.ppf(0.95, 11)) * score.se, unseen))


def test_diversity_is_compared_as_the_same_kind_of_rater_saw_it() -> None:
    judges, people = batches(lambda n: 4), batches(lambda n: 2 + n % 2, "p", "human")
    policy = Policy(margins={"diversity": 0.3})

    def found(ours: list[BatchRating], theirs: list[BatchRating], **changes: Any) -> float | None:
        asked = policy.model_copy(update=changes)
        verdict = decide(asked, evidence(flat(), diversity=ours), evidence(flat(), diversity=theirs))
        return rule(verdict, "diversity").estimate

    assert found(judges + people, batches(lambda n: 2) + people) == 2
    assert found(judges + people, people) == 0
    assert found(judges + people, judges + people, raters="human") == 0
    assert found(judges, people) is None


def labelled(seed: int, *, worse: int = 0, share: float = 0.5) -> list[Rating]:
    """Judges who rate everything, people who rate a random part of it and are stricter by one."""
    chance = np.random.default_rng(seed)
    judges = [r._replace(score=max(2, r.score - worse), rater="j") for r in crossed(12, 20, lambda c, s, m: 4)]
    chosen = {f"c{c:02}/s{s:02}" for c in range(12) for s in range(20) if chance.random() < share}
    people = [r._replace(rater="p", kind="human", score=r.score - 1) for r in judges if r.dialogue in chosen]
    return judges + people


def corrected(rows: list[Rating]) -> Evidence:
    """Judges' ratings, and people's of dialogues that are a fair sample."""
    return evidence(rows, corrected=Ratings.of(rows))


def test_calibrated_means_come_first_then_peoples_if_no_judge_rated_then_judges() -> None:
    rows = labelled(1)
    people = [r for r in rows if r.kind == "human"]
    policy = Policy(margins={"*": 0.1}, floors={"overall": 2.5})
    sampled = decide(policy, corrected(rows), corrected(labelled(2)))
    assert (sampled.raters, sampled.verdict) == ("calibrated", "pass")
    assert rule(sampled, "overall", "floor").estimate == 3
    chosen = decide(policy, evidence(rows), evidence(labelled(2)))
    assert (chosen.raters, rule(chosen, "overall", "floor").estimate) == ("judge", 4)
    alone = decide(policy, evidence(people), evidence(people))
    assert (alone.raters, rule(alone, "overall", "floor").estimate) == ("human", 3)
    by_people = policy.model_copy(update={"raters": "human"})
    named = decide(by_people, evidence(people, unvalidated=("j",)), evidence(people))
    assert named.raters == "human" and named.warnings == ()


def test_calibrated_numbers_are_those_of_the_report() -> None:
    noise = np.random.default_rng(3)
    rows = [r._replace(score=int(np.clip(r.score + noise.integers(-1, 2), 1, 5))) for r in labelled(1)]
    found = decide(Policy(floors={"*": 1}, raters="calibrated"), corrected(rows))
    calibrated = calibrations(Ratings.of(rows)).overall
    assert calibrated is not None and calibrated.se is not None
    seen = rule(found, "overall", "floor")
    assert seen.estimate == calibrated.mean
    by_t = float(t.ppf(0.95, calibrated.clusters - 2)) * calibrated.se
    assert seen.bound is not None and by_t - 1e-12 <= calibrated.mean - seen.bound <= (1 + ROOM) * by_t


def test_calibrated_means_that_are_not_there_are_an_error_when_named() -> None:
    policy = Policy(floors={"*": 1}, raters="calibrated")
    few = corrected(labelled(1, share=0.1))
    assert decide(policy, few).errors == ("calibrated_not_available",)
    assert decide(policy, evidence(labelled(1))).errors == ("calibrated_not_available",)


def test_a_claim_about_judges_like_these_is_wider_and_takes_two() -> None:
    rows = [r._replace(rater=rater, score=r.score) for r in noisy(6, 10) for rater in ("a", "b")]
    severe = [r._replace(score=max(1, r.score - (r.rater == "b"))) for r in rows]
    policies = [Policy(floors={"overall": 2}, judges=judges) for judges in ("fixed", "random")]
    fixed, random = (decide(policy, Evidence(Ratings.of(severe), 60, 2)).rules[0] for policy in policies)
    assert fixed.bound is not None and random.bound is not None and random.estimate == fixed.estimate
    assert random.bound < fixed.bound - 0.5
    alone = decide(policies[1], Evidence(Ratings.of(noisy(6, 10)), 60))
    assert (alone.verdict, alone.errors) == ("error", ("too_few: judges",))
