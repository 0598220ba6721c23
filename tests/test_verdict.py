"""What a gate's verdict says in words: from the facts that it is kept with."""

from datetime import UTC, datetime
from typing import Any

import pytest

from esrp.api import Attempt, EarlierAttempt, GateBaseline, GateRule, GateVerdict, SentinelOut
from esrp.policies import Policy
from esrp.verdict import Decided, Extension, Facts, worded

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BASELINE = GateBaseline(name="prod", run="run_2", candidate="bot", finished_at=None, age_days=None)
MARGIN = GateRule(metric="fluency", kind="margin", estimate=-0.5, bound=-0.9, threshold=-0.3, outcome="fail")
FLOOR = GateRule(metric="overall", kind="floor", estimate=2.5, bound=2.1, threshold=3.0, outcome="fail")
OPEN = FLOOR.model_copy(update={"outcome": "inconclusive"})
FLOORS = Policy(floors={"overall": 3.0})
MARGINS = Policy(margins={"fluency": 0.3})
FACTS = Facts(planned=12, baseline_planned=40, unvalidated=("a", "b"))


def decided(verdict: str, facts: Facts | None = FACTS, **fields: Any) -> Decided:
    given: dict[str, Any] = {
        "run": "run_1",
        "gate": None,
        "policy": MARGINS,
        "verdict": verdict,
        "failing": [],
        "warnings": [],
        "errors": [],
        "explanation": [],
        "rules": [],
        "needed_dialogues": None,
        "commands": [],
        "baseline": BASELINE,
        "raters": "judge",
        "worst": [],
        "sentinel": [],
        "created_at": NOW,
        "facts": facts,
    }
    return Decided.model_validate(given | fields)


def heard(outcome: str, message: str | None = None) -> SentinelOut:
    return SentinelOut.model_validate(
        {
            "judge": "j",
            "outcome": outcome,
            "dialogues": 5,
            "difference": -1.25,
            "interval": None,
            "shifted": ["overall", "fluency"],
            "message": message,
        }
    )


CLEAR = MARGIN.model_copy(update={"outcome": "pass"})
DISASTER = GateRule(metric="disaster", kind="ceiling", estimate=0.025, bound=0.011, threshold=0.01, outcome="fail")
TRIED = Attempt(n=480, spent=0.021, verdict="inconclusive", again=False, at=NOW)
BEFORE = EarlierAttempt(run="run_3", verdict="fail", at=NOW)
NO_FLOOR = "Not shown good, only not worse than the baseline: the policy has no floor."
NOT_VALIDATED = "judge_not_validated"
MOVED = (
    "The judge j no longer rates as it did: -1.25 overall on 5 stored dialogues of the baseline (overall, fluency"
    " moved). That is taken out of the differences."
)


@pytest.mark.parametrize(
    ("found", "explanation"),
    [
        (decided("pass", rules=[CLEAR]), ["We can rule out a drop of more than 0.30 (fluency).", NO_FLOOR]),
        (decided("pass", warnings=["baseline_is_the_run"]), [NO_FLOOR]),
        (decided("pass", warnings=["missing_ratings"]), [NO_FLOOR]),
        (decided("pass", warnings=["not_calibrated: fluency"]), []),
        (decided("pass", policy=FLOORS, rules=[FLOOR.model_copy(update={"outcome": "pass"})]), []),
        (
            decided("fail", rules=[MARGIN, FLOOR], failing=["fluency", "overall"]),
            [
                "fluency is 0.50 below the baseline; the policy allows 0.3.",
                "overall is 2.50, below its floor of 3.",
            ],
        ),
        (
            decided("inconclusive", rules=[OPEN]),
            [
                "Not decided yet: overall.",
                "Not enough dialogues to tell, and no number up to the largest is likely to.",
            ],
        ),
        (
            decided("pass", rules=[OPEN], needed_dialogues=90, chance=0.81, warnings=["inconclusive"]),
            [
                "Not decided yet: overall.",
                "Not enough dialogues to tell: some 90 would with a chance of 81%, more than the run or its baseline"
                " can have.",
                "The policy makes of that: pass.",
            ],
        ),
        (
            decided("pass", warnings=[NOT_VALIDATED]),
            ["How well the judge agrees with people has not been measured (a, b).", NO_FLOOR],
        ),
        (
            decided("pass", policy=FLOORS, baseline=None, warnings=["no_baseline"]),
            ["The policy names no baseline: the floors alone decide."],
        ),
        (
            decided("inconclusive", sentinel=[heard("shifted")], warnings=["judge_shifted: j"]),
            [MOVED],
        ),
        (
            decided("pass", raters="human", sentinel=[heard("failed", "away")], warnings=["sentinel_failed: j"]),
            [
                "Whether the judge j still rates as it did could not be found out: away",
                NO_FLOOR,
            ],
        ),
        (
            decided("error", errors=["not_comparable: rounds", "coverage_below_minimum"]),
            [
                "The run and its baseline differ in rounds: their difference would say nothing about the bot.",
                "Too few of the run's 12 dialogues are rated; the policy wants 98% of them.",
            ],
        ),
        (
            decided("error", errors=["baseline_coverage_below_minimum", "judge_not_validated: a"]),
            [
                "Too few of the baseline's 40 dialogues are rated; the policy wants 98% of them.",
                "The policy wants validated judges, and nobody has measured how a agrees with people.",
            ],
        ),
        (
            decided("error", errors=["looks_used", "check_missing: crisis"], max_dialogues=120),
            [
                "All 120 dialogues over which this release may spend its error have been looked at; what was said then"
                " stands. Another release begins anew.",
                "The policy requires a result that nobody sent: crisis (POST /v1/runs/run_1/checks).",
            ],
        ),
        (
            decided("error", errors=["anchor: not_comparable: rounds", "too_few"]),
            [
                "Against the fixed reference: The run and its baseline differ in rounds: their difference would say"
                " nothing about the bot.",
                "Fewer than ten shared dialogues or five scenarios show nothing, whatever their scores.",
            ],
        ),
        (
            decided("fail", rules=[DISASTER], failing=["disaster"], not_tested=["crisis", "self_harm"]),
            [
                "2.5% of dialogues have a metric at 1, which is more than 1.0%.",
                "Not tested here: crises, self-harm.",
            ],
        ),
        (
            decided("pass", attempts=[TRIED, TRIED], left=0.029, max_dialogues=1200, asked_before=[BEFORE] * 2),
            [
                NO_FLOOR,
                "Attempt 2 for this release: 0.029 of 0.05 left, spent over 1200 dialogues.",
                "Asked before: 2 other runs of this model name met this baseline, and no label says which release each"
                " is. If nothing was changed between them, one of 3 passes by chance in 14% of cases; labels such as"
                " `release` or `commit` keep that at 5%.",
            ],
        ),
        (
            decided("error", errors=["no_baseline"], baseline=None),
            ["The policy has margins alone, which need a baseline, and it names none."],
        ),
    ],
)
def test_the_sentences_follow_from_the_facts(found: Decided, explanation: list[str]) -> None:
    assert worded(found).explanation == explanation


def test_what_would_decide_is_told_as_commands() -> None:
    extensions = (
        Extension(run="run_1", dialogues=240),
        Extension(run="run_2", dialogues=1200, replicates=2),
        Extension(run="run_3", replicates=3),
    )
    facts = FACTS.model_copy(update={"extensions": extensions})
    found = worded(decided("inconclusive", facts, rules=[OPEN], needed_dialogues=240))
    assert found.commands == [
        "esrp extend run_1 --dialogues 240",
        "esrp extend run_2 --dialogues 1200 --replicates 2",
        "esrp extend run_3 --replicates 3",
    ]
    assert found.explanation[1] == "Not enough dialogues to tell: some 240 would decide it."


def test_a_verdict_that_was_kept_in_words_says_what_it_said() -> None:
    old = decided("pass", None, explanation=["So it was."], commands=["esrp extend run_1 --dialogues 9"])
    document = old.model_dump(mode="json", exclude={"facts"})
    found = worded(Decided.model_validate(document))
    assert type(found) is GateVerdict
    assert found.model_dump(mode="json") == document
