"""The gate: what passes, fails and stays open, on differences that can be computed by hand; and how often it errs."""

import math
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.stats import t

from esrp.metrics import METRIC_IDS
from esrp.policies import BUNDLED, ENDPOINTS, Policy, bundled, thresholds
from esrp.stats import Ratings, differences, scores
from esrp.stats.gate import Rule, Terms, decide
from tests.stats.builders import crossed, noisy, rating
from tests.stats.gates import C, S, evidence, flat, moved, rule

UNSEEN = 1 - 0.05 ** (1 / 60)  # what 60 dialogues without any difference cannot exclude may lie a point below


def test_a_run_that_is_its_baseline_passes() -> None:
    found = decide(Policy(margins={"*": 0.1}), evidence(flat()), evidence(flat()))
    assert (found.verdict, found.failing, found.warnings, found.errors) == ("pass", (), (), ())
    assert [r.metric for r in found.rules] == [*METRIC_IDS, "overall"]
    assert rule(found, "overall") == Rule("overall", "margin", 0, -UNSEEN, -0.1, "pass")
    assert found.raters == "judge" and found.needed_dialogues is None


def test_a_metric_that_is_worse_everywhere_fails_alone() -> None:
    worse = moved(flat(), "speaking_style", lambda s: -1 if s else -2)
    found = decide(Policy(margins={"*": 0.5}), evidence(worse), evidence(flat()))
    assert (found.verdict, found.failing) == ("fail", ("speaking_style",))
    assert rule(found, "speaking_style").estimate == pytest.approx(-1.1)
    assert rule(found, "fluency").outcome == "pass"


def test_a_loss_of_exactly_the_margin_is_neither_a_pass_nor_a_fail() -> None:
    found = decide(Policy(margins={"fluency": 1}), evidence(moved(flat(), "fluency", lambda s: -1)), evidence(flat()))
    assert found.verdict == "inconclusive" and found.needed_dialogues is None


def test_the_bound_is_the_one_sided_lower_bound_clustered_by_scenario() -> None:
    rows = noisy(C, S)
    found = decide(Policy(margins={"*": 4}, floors={"overall": 1}), evidence(rows), evidence(noisy(C, S, seed=2)))
    difference = differences(Ratings.of(rows), Ratings.of(noisy(C, S, seed=2))).overall
    score = scores(Ratings.of(rows)).overall
    for seen, mean, se in (
        (rule(found, "overall"), difference.difference, difference.se),
        (rule(found, "overall", "floor"), score.mean, score.se),
    ):
        assert mean is not None and se is not None and seen.bound is not None
        assert seen.estimate == mean
        by_t = float(t.ppf(0.95, S - 1)) * se
        assert by_t - 1e-12 <= mean - seen.bound <= 1.3 * by_t  # 60 dialogues leave room, ten scenarios may lean


def test_two_perfect_dialogues_decide_nothing() -> None:
    perfect = evidence([r for r in crossed(2, 5, lambda c, s, m: 5) if r.scenario in ("s00", "s01")])
    found = decide(Policy(margins={"*": 4}, floors={"*": 1}), perfect, perfect)
    assert (found.verdict, found.errors, found.failing) == ("error", ("too_few",), ())


@pytest.mark.parametrize(
    ("characters", "scenarios", "errors"), [(2, 5, ()), (1, 9, ("too_few",)), (9, 4, ("too_few",))]
)
def test_ten_dialogues_in_five_scenarios_are_the_least(
    characters: int, scenarios: int, errors: tuple[str, ...]
) -> None:
    run = evidence(noisy(characters, scenarios))
    assert decide(Policy(margins={"*": 4}), run, run).errors == errors
    assert decide(Policy(floors={"*": 1}), run).errors == errors


def test_an_open_result_says_how_many_dialogues_would_decide_and_with_what_chance() -> None:
    uneven = moved(flat(), "fluency", lambda s: -1 if s == 0 else 0)  # −0.1 on average, with an SE of 0.1
    found = decide(Policy(margins={"fluency": 0.2}), evidence(uneven), evidence(flat()))
    assert found.verdict == "inconclusive" and found.needed_dialogues is not None and found.chance is not None
    assert found.needed_dialogues > 60 and 0.8 <= found.chance < 0.82
    at_most = decide(Policy(margins={"fluency": 0.2}), evidence(uneven), evidence(flat()), terms=Terms(most=120))
    assert at_most.needed_dialogues is None and at_most.chance is not None and 0 < at_most.chance < 0.8


def test_a_look_before_the_last_has_a_stricter_level() -> None:
    rows, theirs = evidence(noisy(C, S)), evidence(noisy(C, S, seed=2))
    policy = Policy(margins={"*": 0.5})
    last = decide(policy, rows, theirs)
    early = decide(policy, rows, theirs, terms=Terms(fractions=(0.1,), most=600))
    assert (last.level, early.level) == pytest.approx((0.05, 0.005))
    a, b = rule(early, "overall").bound, rule(last, "overall").bound
    assert a is not None and b is not None and a < b


def test_a_policy_says_what_an_open_result_is() -> None:
    uneven = evidence(moved(flat(), "fluency", lambda s: -1 if s == 0 else 0))
    for outcome in ("pass", "fail", "inconclusive"):
        policy = Policy.model_validate({"margins": {"fluency": 0.2}, "on_inconclusive": outcome})
        found = decide(policy, uneven, evidence(flat()))
        assert found.verdict == outcome and found.failing == ()
        assert ("inconclusive" in found.warnings) == (outcome != "inconclusive")


def test_failing_endpoints_need_holms_stricter_bounds() -> None:
    """One endpoint fails at 5 % that is not certain enough as one of ten."""
    uneven = moved(flat(), "fluency", lambda s: -1 if s < 5 else 0)  # −0.5 with an SE of 0.167
    alone = decide(Policy(margins={"fluency": 0.15}), evidence(uneven), evidence(flat()))
    among = decide(Policy(margins={"*": 0.15}), evidence(uneven), evidence(flat()))
    assert float(t.sf(0.35 * 6, 9)) == pytest.approx(0.033, abs=0.001)
    assert (alone.verdict, among.verdict) == ("fail", "inconclusive")


def test_holm_goes_on_after_the_first_rejection() -> None:
    both = moved(moved(flat(), "fluency", lambda s: -1 if s else -2), "coherence", lambda s: -1 if s < 5 else 0)
    margins = {"fluency": 0.5, "coherence": 0.15}
    assert decide(Policy(margins=margins), evidence(both), evidence(flat())).failing == ("coherence", "fluency")


def test_floors_decide_alone_without_a_baseline_and_say_so() -> None:
    policy = Policy(floors={"overall": 3.2, "*": 3}, margins={"*": 0.1})
    found = decide(policy, evidence(flat()))
    assert (found.verdict, found.warnings) == ("pass", ("no_baseline",))
    assert [r.kind for r in found.rules] == ["floor"] * 10
    assert rule(found, "overall", "floor").threshold == 3.2


@pytest.mark.parametrize("margins", [{}, {"*": 0.1}])
def test_a_named_baseline_that_is_not_there_is_an_error_whatever_the_floors_show(margins: dict[str, float]) -> None:
    policy = Policy(baseline="production", floors={"overall": 3.2}, margins=margins)
    found = decide(policy, evidence(flat()))
    assert (found.verdict, found.errors, found.warnings) == ("error", ("baseline_missing",), ())
    assert (rule(found, "overall", "floor").outcome, found.failing) == ("pass", ())
    failing = decide(policy.model_copy(update={"floors": {"overall": 4.9}}), evidence(flat()))
    assert (failing.verdict, failing.failing) == ("error", ())


def test_a_baseline_that_is_optional_may_be_missing_where_floors_can_decide() -> None:
    margins = Policy(baseline="production", baseline_optional=True, margins={"*": 0.1})
    floors = margins.model_copy(update={"floors": {"overall": 3.2}})
    found = decide(floors, evidence(flat()))
    assert (found.verdict, found.warnings, found.errors) == ("pass", ("no_baseline",), ())
    there = decide(floors, evidence(flat()), evidence(flat()))
    assert (there.verdict, there.warnings, len(there.rules)) == ("pass", (), 11)
    assert decide(margins, evidence(flat())).errors == ("no_baseline",)


def test_a_mean_below_its_floor_fails() -> None:
    found = decide(Policy(floors={"ESC": 4.2}), evidence(flat()))
    assert (found.verdict, found.failing) == ("fail", ("ESC",))


def test_margins_without_a_baseline_are_an_error() -> None:
    found = decide(Policy(margins={"*": 0.1}), evidence(flat()))
    assert (found.verdict, found.errors, found.rules) == ("error", ("no_baseline",), ())


def test_runs_that_are_not_comparable_are_an_error_that_says_what_differs() -> None:
    found = decide(Policy(margins={"*": 4}), evidence(flat()), evidence(flat()), differs=["simulator", "judges"])
    assert (found.verdict, found.errors) == ("error", ("not_comparable: simulator, judges",))
    assert found.warnings == () and found.rules == ()


def test_too_few_scored_dialogues_are_an_error_whatever_they_show() -> None:
    policy = Policy(margins={"*": 0.1})
    found = decide(policy, evidence(flat(), planned=70), evidence(flat()))
    assert (found.verdict, found.errors, found.failing) == ("error", ("coverage_below_minimum",), ())
    found = decide(policy, evidence(flat()), evidence(flat(), planned=70))
    assert found.errors == ("baseline_coverage_below_minimum",)


def test_a_judge_that_nobody_validated_is_a_warning_or_an_error() -> None:
    run = evidence(flat(), unvalidated=("j1",))
    assert decide(Policy(floors={"*": 2}), run, run).warnings == ("judge_not_validated",)
    found = decide(Policy(floors={"*": 2}, require_validated_judges=True), run, run)
    assert (found.verdict, found.errors) == ("error", ("judge_not_validated: j1",))
    people = evidence([r._replace(kind="human") for r in flat()], unvalidated=("j1",))
    assert decide(Policy(floors={"*": 2}, require_validated_judges=True), people, people).verdict == "pass"


def test_a_pass_with_many_missing_ratings_must_hold_in_the_worst_case() -> None:
    rows = [r for r in flat() if r.metric != "fluency" or r.scenario != "s03"]  # a tenth of one metric
    policy = Policy(margins={"*": 0.1})
    found = decide(policy, evidence(rows), evidence(flat()))
    assert (found.verdict, found.warnings, found.needed_dialogues) == ("inconclusive", ("missing_ratings",), None)
    fluency = rule(found, "fluency")
    assert (fluency.estimate, fluency.outcome) == (0, "inconclusive")
    assert fluency.bound is not None and fluency.worst_bound is not None
    assert fluency.bound == pytest.approx(-(1 - 0.05 ** (1 / 54)))
    assert fluency.worst_bound - fluency.bound == pytest.approx(-0.1 * (3.5 - 1))
    assert rule(found, "coherence").worst_bound is None and rule(found, "coherence").outcome == "pass"
    assert decide(policy.model_copy(update={"max_missing": 0.1}), evidence(rows), evidence(flat())).verdict == "pass"
    generous = Policy(margins={"fluency": 0.4})
    assert decide(generous, evidence(rows), evidence(flat())).verdict == "pass"


def test_the_baselines_missing_ratings_are_held_against_the_candidate_too() -> None:
    rows = [r for r in flat() if r.metric != "fluency" or r.scenario != "s03"]
    found = rule(decide(Policy(margins={"fluency": 1}), evidence(flat()), evidence(rows)), "fluency")
    assert found.bound is not None and found.worst_bound is not None
    assert found.worst_bound - found.bound == pytest.approx(-0.1 * (5 - 3.5))


def test_dialogues_that_the_candidate_lost_are_always_held_against_it() -> None:
    rows = [r for r in flat() if r.dialogue != "c00/s00"]  # one of sixty, under the policy's two in a hundred
    found = rule(decide(Policy(margins={"fluency": 0.5}), evidence(rows, planned=60), evidence(flat())), "fluency")
    assert found.bound is not None and found.worst_bound is not None
    assert found.worst_bound - found.bound == pytest.approx(
        -(np.mean([r.score for r in rows if r.metric == "fluency"]) - 1) / 60
    )
    others_fault = evidence(rows, planned=60, failed=0)
    assert rule(decide(Policy(margins={"fluency": 0.5}), others_fault, evidence(flat())), "fluency").worst_bound is None


def test_two_samples_that_share_few_dialogues_are_not_compared() -> None:
    theirs = evidence([r for r in flat() if r.scenario != "s09"])
    found = decide(Policy(margins={"*": 4}), evidence(flat()), theirs)
    assert (found.verdict, found.errors) == ("error", ("not_shared",))
    assert decide(Policy(margins={"*": 4}, min_coverage=0.9), evidence(flat()), theirs).errors == ()


def test_what_a_judge_has_shifted_is_taken_out_with_its_error() -> None:
    stored = noisy(C, S)
    heard = [r._replace(score=min(5, r.score + (r.scenario in ("s00", "s05")))) for r in stored]
    ours = evidence([r._replace(score=min(5, r.score + 1)) for r in noisy(C, S, seed=2)])
    terms = Terms(heard=Ratings.of(heard), stored=Ratings.of(stored))
    policy = Policy(margins={"*": 0.5})
    found = rule(decide(policy, ours, evidence(stored), terms=terms), "fluency")
    plain = rule(decide(policy, ours, evidence(heard)), "fluency")
    assert found.estimate == pytest.approx(plain.estimate, abs=1e-8)
    assert found.bound == pytest.approx(plain.bound, abs=1e-3)  # all was rated again: nothing is counted twice


def test_a_shift_that_was_measured_on_few_dialogues_widens_the_bound() -> None:
    stored, ours = noisy(C, S), evidence(noisy(C, S, seed=2))
    few = [r for r in noisy(C, S, seed=3) if r.character == "c00"]
    terms = Terms(heard=Ratings.of(few), stored=Ratings.of(stored))
    policy = Policy(margins={"*": 0.5})
    found, plain = (decide(policy, ours, evidence(stored), terms=each) for each in (terms, Terms()))
    for name in ("fluency", "overall"):
        (one, a), (other, b) = ((rule(v, name).estimate, rule(v, name).bound) for v in (found, plain))
        assert one is not None and a is not None and other is not None and b is not None
        assert one - a > other - b


def test_a_cautious_pass_reckons_with_one_disaster_more() -> None:
    ours, theirs = noisy(C, S), noisy(C, S, seed=2)
    plain, cautious = (
        rule(decide(Policy(margins={"*": 0.5}), evidence(ours), evidence(theirs), terms=terms), "fluency")
        for terms in (Terms(), Terms(cautious=True))
    )
    assert plain.bound is not None and cautious.bound is not None
    assert cautious.estimate == plain.estimate and cautious.bound < plain.bound


def test_the_worst_case_of_a_floor_is_that_of_the_score() -> None:
    rows = [r for r in flat() if r.metric != "fluency" or r.scenario != "s03"]
    found = rule(decide(Policy(floors={"fluency": 1.5}), evidence(rows)), "fluency", "floor")
    worst = scores(Ratings.of(rows), {"fluency": C}).metrics["fluency"].worst
    assert worst is not None and None not in (found.worst_bound, found.estimate, found.bound)
    assert found.estimate is not None and found.bound is not None and found.worst_bound is not None
    assert found.estimate - (found.bound - found.worst_bound) == pytest.approx(worst.low)


def test_a_second_judge_that_is_silent_is_missing() -> None:
    found = decide(Policy(margins={"*": 0.1}), evidence(flat(), judges=2), evidence(flat(), judges=2))
    assert found.verdict == "inconclusive" and "missing_ratings" in found.warnings


def test_what_was_not_measured_leaves_the_result_open() -> None:
    found = decide(bundled("release-default"), evidence(flat()), evidence(flat()))
    assert (found.verdict, found.warnings) == ("inconclusive", ("not_measured: diversity",))
    assert found.needed_dialogues is None


def test_one_scenario_decides_nothing() -> None:
    run = evidence([r for r in flat() if r.scenario == "s00"])
    found = decide(Policy(margins={"fluency": 4}), run, run)
    assert found.errors == ("too_few",) and rule(found, "fluency").bound is None


def test_the_order_of_rows_changes_nothing() -> None:
    ours, theirs = noisy(C, S), noisy(C, S, seed=2)
    policy = Policy(margins={"*": 0.1}, floors={"*": 3})
    first = decide(policy, evidence(ours), evidence(theirs))
    assert decide(policy, evidence(ours[::-1]), evidence(theirs[::-1])) == first


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({}, "a margin or a floor"),
        ({"margins": {"charm": 0.1}}, "charm"),
        ({"margins": {"*": -0.1}}, "greater than or equal to 0"),
        ({"margins": {"*": math.nan}}, "finite"),
        ({"margins": {"*": True}}, "valid number"),
        ({"floors": {"*": 6}}, "less than or equal to 5"),
        ({"floors": {"*": 3}, "confidence": 0.5}, "greater than 0.5"),
        ({"floors": {"*": 3}, "on_inconclusive": "shrug"}, "pass"),
        ({"floors": {"*": 3}, "tolerance": 1}, "Extra"),
        ({"floors": {"*": 3}, "baseline": "a\0"}, "U\\+0000"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Policy.model_validate(wrong)


def test_the_shipped_policies_are_those_of_the_definition() -> None:
    assert BUNDLED == ("smoke", "release-default")
    assert bundled("smoke") == Policy(baseline="production", margins={"*": 0.30}, max_dialogues=120)
    assert bundled("release-default") == Policy(
        baseline="production", margins={"*": 0.10, "diversity": 0.3}, max_dialogues=1200, sentinel="all"
    )
    assert list(thresholds(bundled("release-default").margins)) == [*METRIC_IDS, "overall", "diversity"]
    assert thresholds({"*": 0.1, "fluency": 0.2, "ESC": 0.3})["fluency"] == 0.2
    assert set(thresholds({"*": 0.1, "ESC": 0.3})) <= set(ENDPOINTS)


def test_a_dialogue_without_a_pair_does_not_enter() -> None:
    extra = [rating("c99", "s00", 1, metric=metric) for metric in METRIC_IDS]
    found = decide(Policy(margins={"*": 0.1}), evidence(flat() + extra), evidence(flat()))
    assert found.verdict == "pass" and rule(found, "overall").estimate == 0
