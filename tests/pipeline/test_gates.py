"""Release gates on two recorded releases: what passes, what fails, what stays open, and why."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest
from junitparser import Error, Failure, JUnitXml

from esrp.api import GateVerdict
from esrp.client import ApiError
from esrp.metrics import METRIC_IDS
from services.stack.recorded import load
from tests.fakes import Answer, verdict
from tests.pipeline.conftest import KEY, Releases, Stack, of_release, recorded

pytestmark = pytest.mark.asyncio(loop_scope="module")

ESRP = Path(sys.executable).with_name("esrp")


async def esrp(stack: Stack, *arguments: object) -> "subprocess.CompletedProcess[str]":
    """The installed command against the stack."""
    environment = {**os.environ, "ESRP_URL": stack.url, "ESRP_API_KEY": KEY}
    command = [str(ESRP), *map(str, arguments)]
    return await asyncio.to_thread(
        subprocess.run, command, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def outcomes(found: GateVerdict) -> dict[str, str]:
    return {rule.metric: rule.outcome for rule in found.rules}


# --- pass, fail, inconclusive -----------------------------------------------------------------------------------------


async def test_a_release_that_is_as_good_passes(stack: Stack, releases: Releases) -> None:
    found = await stack.client.gate(releases.again.id, "smoke")

    assert (found.verdict, found.failing, found.errors) == ("pass", [], [])
    assert outcomes(found) == dict.fromkeys((*METRIC_IDS, "overall"), "pass")
    assert found.warnings == ["judge_not_validated"]
    assert found.baseline is not None
    assert (found.baseline.name, found.baseline.run) == ("production", releases.a.id)
    assert found.baseline.age_days is not None and 0 <= found.baseline.age_days < 1


async def test_diversity_is_a_rule_where_the_policy_names_it(stack: Stack, releases: Releases) -> None:
    """Four characters that were as varied as before leave as much unseen as four units do: 1 − 0.05^(1/4)."""
    stack.models.answer = recorded(load())
    new = await stack.done(await stack.run(**of_release("release-a")))
    policy = {"baseline": "production", "margins": {"*": 0.3, "diversity": 0.6}, "max_dialogues": 24}

    found = await stack.client.gate(new.id, policy)
    tight = await stack.client.gate(new.id, "release-default")

    rules = [(one.rules[-1].metric, one.rules[-1].estimate, one.rules[-1].threshold) for one in (found, tight)]
    assert rules == [("diversity", 0, -0.6), ("diversity", 0, -0.3)]
    assert (found.verdict, tight.verdict, tight.failing) == ("pass", "inconclusive", [])
    assert found.rules[-1].bound == tight.rules[-1].bound == pytest.approx(0.05**0.25 - 1)
    assert outcomes(tight)["diversity"] == "inconclusive"


async def test_a_runs_own_gate_is_its_verdict_before_it_is_finished(stack: Stack, releases: Releases) -> None:
    assert (releases.b.gate, releases.b.verdict, releases.b.status) == ("smoke@1", "fail", "succeeded")
    events = [event async for event in stack.client.events(releases.b.id)]
    kinds = [event.type for event in events if event.type in ("run.verdict", "run.finished")]
    assert kinds == ["run.verdict", "run.finished"]


async def test_a_failed_metric_shows_its_three_worst_pairs_with_reasons_and_links(
    stack: Stack, releases: Releases
) -> None:
    found = await stack.client.verdict(releases.b.id)

    assert (found.verdict, found.failing) == ("fail", ["experience_sharing", "speaking_style"])
    style = next(rule for rule in found.rules if rule.metric == "speaking_style")
    assert (style.kind, style.threshold) == ("margin", -0.3)
    assert style.estimate == pytest.approx(-2.125)
    assert style.bound is not None and style.bound < -2.125
    assert "speaking_style is 2.12 below the baseline; the policy allows 0.3." in found.explanation
    assert [pair.metric for pair in found.worst] == ["speaking_style"] * 3 + ["experience_sharing"] * 3
    worst = found.worst[0]
    assert (worst.difference, worst.candidate.score) == (-3, 2)
    assert worst.baseline is not None and worst.baseline.score == 5
    [given] = worst.candidate.ratings
    assert (given.metric, given.rater, given.score) == ("speaking_style", "default", 2)
    assert given.explanation
    async with httpx2.AsyncClient(base_url=stack.url, headers={"Authorization": f"Bearer {KEY}"}) as http:
        dialogue = (await http.get(worst.candidate.link)).json()
    assert (dialogue["character"], dialogue["scenario"]) == (worst.character, worst.scenario)
    assert given.explanation in {rating["explanation"] for rating in dialogue["ratings"]}


async def test_what_stays_open_says_how_to_go_on_and_that_decides_it(stack: Stack, releases: Releases) -> None:
    stack.models.answer = recorded(load())
    policy = {"baseline": "production", "margins": {"character_knowledge": 0.3}, "max_dialogues": 24}
    asked = {**of_release("release-b"), "sample": {"dialogues": 10, "seed": 3}, "gate": policy}
    few = await stack.done(await stack.run(**asked))

    found = await stack.client.verdict(few.id)

    assert (few.verdict, found.verdict) == ("inconclusive", "inconclusive")
    assert found.needed_dialogues is not None and 10 < found.needed_dialogues <= 24
    assert found.chance is not None and found.chance >= 0.8
    assert found.commands == [f"esrp extend {few.id} --dialogues {found.needed_dialogues}"]
    extended = await esrp(stack, *found.commands[0].split()[1:])
    assert extended.returncode == 0, extended.stderr
    more = await stack.done(few)
    assert (more.progress.judged, more.verdict) == (found.needed_dialogues, "fail")
    assert (await esrp(stack, "wait", few.id)).returncode == 1
    looks = [(look.n, look.verdict) for look in (await stack.client.verdict(few.id)).attempts]
    assert looks == [(10, "inconclusive"), (found.needed_dialogues, "fail")]


async def test_six_dialogues_decide_nothing_however_far_apart(stack: Stack, releases: Releases) -> None:
    stack.models.answer = recorded(load())
    policy = {"baseline": "production", "margins": {"*": 0.3}, "max_dialogues": 24}
    asked = {**of_release("release-b"), "sample": {"dialogues": 6, "seed": 1}, "gate": policy}
    few = await stack.done(await stack.run(**asked))

    found = await stack.client.verdict(few.id)

    assert (few.verdict, found.errors, found.failing) == ("error", ["too_few"], [])
    assert (found.shared_pairs, found.attempts, found.left) == (6, [], 0.05)
    assert (
        found.explanation[0] == "Fewer than ten shared dialogues or five scenarios show nothing, whatever their scores."
    )


@pytest.mark.parametrize("decision", ["pass", "fail"])
async def test_the_policy_says_what_an_open_result_counts_for(stack: Stack, releases: Releases, decision: Any) -> None:
    policy = {"baseline": "production", "margins": {"fluency": 0.3}, "on_inconclusive": decision}

    found = await stack.client.gate(releases.b.id, policy)

    assert (found.verdict, found.failing) == (decision, [])
    assert "inconclusive" in found.warnings
    assert found.needed_dialogues is not None and 24 < found.needed_dialogues <= 120
    assert found.chance is not None and found.chance >= 0.8
    assert found.commands[0].startswith(f"esrp extend {releases.b.id} --replicates")
    assert f"The policy makes of that: {decision}." in found.explanation


# --- baselines and policies -------------------------------------------------------------------------------------------


async def test_an_optional_baseline_leaves_the_floors_to_decide_alone_and_that_is_said(
    stack: Stack, releases: Releases
) -> None:
    floors = {"overall": 3.0, "fluency": 4.99}
    policy = {"baseline": "nobody", "baseline_optional": True, "margins": {"*": 0.1}, "floors": floors}

    found = await stack.client.gate(releases.a.id, policy)

    assert (found.verdict, found.failing, found.baseline) == ("fail", ["fluency"], None)
    assert [(rule.metric, rule.kind) for rule in found.rules] == [("fluency", "floor"), ("overall", "floor")]
    assert "no_baseline" in found.warnings
    assert found.explanation[0] == "There is no baseline 'nobody': the floors alone decide."
    assert all(pair.baseline is None and pair.difference is None for pair in found.worst)


@pytest.mark.parametrize("policy", [{"margins": {"*": 4}}, {"floors": {"*": 1}}, {"margins": {"*": 4}, "sentinel": 20}])
@pytest.mark.parametrize("baseline", ["prodcution", "run_01a1fd3f9a2d7ed4b7f0c0ffee000000", "run_x"])
async def test_a_baseline_that_is_misspelt_or_gone_lets_nothing_pass(
    stack: Stack, releases: Releases, baseline: str, policy: dict[str, Any]
) -> None:
    found = await stack.client.gate(releases.a.id, {"on_inconclusive": "pass", **policy, "baseline": baseline})

    assert (found.verdict, found.errors, found.baseline) == ("error", ["baseline_missing"], None)
    assert baseline in found.explanation[0]


async def test_margins_alone_cannot_do_without_a_baseline(stack: Stack, releases: Releases) -> None:
    optional = {"baseline": "nobody", "baseline_optional": True, "margins": {"*": 0.1}}
    found = [await stack.client.gate(releases.a.id, policy) for policy in ({"margins": {"*": 0.1}}, optional)]

    assert [(one.verdict, one.errors) for one in found] == [("error", ["no_baseline"])] * 2
    assert [one.explanation[0].rpartition(" and ")[2] for one in found] == ["it names none.", "there is no 'nobody'."]


async def test_the_first_release_is_told_how_it_becomes_the_baseline_and_that_command_does_it(
    stack: Stack, releases: Releases
) -> None:
    stack.models.answer = recorded(load())
    policy = {"baseline": "first", "margins": {"*": 0.3}}
    first = await stack.done(await stack.run(**of_release("release-a"), gate=policy))

    said = await esrp(stack, "wait", first.id)
    verdict = await stack.client.verdict(first.id)

    assert (first.verdict, said.returncode, verdict.errors) == ("error", 3, ["baseline_missing"])
    command = f"esrp baseline set first {first.id}"
    assert f"`{command}`" in said.stdout
    assert (await esrp(stack, *command.split()[1:])).returncode == 0
    assert (await stack.client.gate(releases.again.id, policy)).verdict == "pass"


async def test_runs_that_were_measured_otherwise_are_not_compared(stack: Stack, releases: Releases) -> None:
    stack.models.answer = recorded(load())
    short = await stack.done(await stack.run(**of_release("release-b"), rounds=1))

    found = await stack.client.gate(short.id, "smoke")

    assert (found.verdict, found.rules) == ("error", [])
    assert found.errors == ["not_comparable: simulator, rounds"]


async def test_judges_that_nobody_validated_can_be_refused(stack: Stack, releases: Releases) -> None:
    policy = {"baseline": "production", "margins": {"*": 0.3}, "require_validated_judges": True}

    found = await stack.client.gate(releases.again.id, policy)

    assert (found.verdict, found.errors) == ("error", ["judge_not_validated: default"])


async def test_after_a_pass_the_run_becomes_the_baseline_and_older_verdicts_stay(
    stack: Stack, releases: Releases
) -> None:
    policy = {"baseline": "candidate-of-the-week", "margins": {"*": 0.3}}
    await stack.client.set_baseline("candidate-of-the-week", releases.a.id)
    before = await stack.client.gate(releases.again.id, policy)

    promoted = await stack.client.set_baseline("candidate-of-the-week", releases.again.id)

    after = await stack.client.gate(releases.again.id, policy)
    assert (before.verdict, promoted.run, after.verdict) == ("pass", releases.again.id, "pass")
    assert "baseline_is_the_run" in after.warnings
    assert {"candidate-of-the-week", "production"} <= {item.name async for item in stack.client.baselines()}


async def test_a_run_that_has_not_succeeded_is_no_baseline(stack: Stack, releases: Releases) -> None:
    stack.models.opened.clear()
    waiting = await stack.run(**of_release("release-a"))
    with pytest.raises(ApiError) as refused:
        await stack.client.set_baseline("production", waiting.id)
    with pytest.raises(ApiError) as too_early:
        await stack.client.gate(waiting.id, "smoke")
    stack.models.opened.set()
    await stack.client.cancel(waiting.id)

    assert (refused.value.status, too_early.value.status) == (409, 409)


# --- the sentinel -----------------------------------------------------------------------------------------------------

SENTINEL = {"baseline": "production", "margins": {"*": 0.3}, "sentinel": 20}


async def test_a_judge_that_rates_as_before_leaves_the_verdict_as_it_is(stack: Stack, releases: Releases) -> None:
    stack.models.answer = recorded(load())

    found = await stack.client.gate(releases.again.id, SENTINEL)

    assert found.verdict == "pass"
    [heard] = found.sentinel
    assert (heard.judge, heard.outcome, heard.dialogues, heard.difference) == ("default", "steady", 20, 0)
    assert len(stack.models.sent_to("judge")) == 20


async def test_what_a_judge_said_for_the_same_runs_is_not_paid_for_again(stack: Stack, releases: Releases) -> None:
    stack.models.answer = recorded(load())
    first = await stack.client.gate(releases.again.id, SENTINEL)
    stack.models.requests.clear()

    second = await stack.client.gate(releases.again.id, SENTINEL)

    assert second.sentinel == first.sentinel
    assert stack.models.sent_to("judge") == []


@pytest.mark.parametrize(("says", "decision"), [(3, "inconclusive"), (5, "fail")])
async def test_what_a_judge_has_moved_is_taken_out_of_the_difference(
    stack: Stack, releases: Releases, says: int, decision: str
) -> None:
    """All of the baseline is rated again, with one score: what is left is how far the run is from that score."""
    usual = recorded(load())
    stack.models.answer = usual
    new = await stack.done(await stack.run(**of_release("release-b")))

    def moved(request: dict[str, Any]) -> Answer:
        return verdict(says) if request["model"] == "judge" else usual(request)

    stack.models.answer = moved

    found = await stack.client.gate(new.id, {**SENTINEL, "sentinel": "all", "max_dialogues": 24})

    report, before = [await stack.client.report(run.id) for run in (new, releases.a)]
    means = {name: of.mean for name, of in report.metrics.items()} | {"overall": report.overall.mean}
    assert {rule.metric: rule.estimate for rule in found.rules} == {
        name: pytest.approx(mean - says, abs=1e-6) for name, mean in means.items() if mean is not None
    }
    assert (found.verdict, bool(found.failing), bool(found.worst)) == (decision, decision == "fail", decision == "fail")
    assert "judge_shifted: default" in found.warnings
    [heard] = found.sentinel
    assert (heard.outcome, heard.dialogues) == ("shifted", 24) and "overall" in heard.shifted
    assert before.overall.mean is not None and heard.difference == pytest.approx(says - before.overall.mean, abs=1e-6)
    assert heard.interval is not None and heard.interval[0] * heard.interval[1] > 0
    assert found.explanation[0].startswith(f"The judge default no longer rates as it did: {heard.difference:+.2f} over")
    assert found.explanation[0].endswith("That is taken out of the differences.")


async def test_a_judge_that_cannot_be_heard_leaves_the_verdict_open(stack: Stack, releases: Releases) -> None:
    usual = recorded(load())
    stack.models.answer = lambda request: (401, {"error": {}}) if request["model"] == "judge" else usual(request)

    found = await stack.client.gate(releases.again.id, {**SENTINEL, "sentinel": 10, "on_inconclusive": "pass"})

    assert (found.verdict, found.sentinel[0].outcome) == ("inconclusive", "failed")
    assert "sentinel_failed: default" in found.warnings


# --- the command line -------------------------------------------------------------------------------------------------


async def test_the_command_ends_with_the_verdict_and_a_ci_parser_reads_it(
    stack: Stack, releases: Releases, tmp_path: Path
) -> None:
    open_ = tmp_path / "open.yaml"
    open_.write_text("baseline: production\nmargins: {fluency: 0.3}\n")
    elsewhere = tmp_path / "elsewhere.json"
    elsewhere.write_text(json.dumps({"baseline": "nobody", "margins": {"*": 0.1}}))
    junit, summary = tmp_path / "gate.xml", tmp_path / "gate.md"
    files = ("--junit", junit, "--summary", summary)

    passed = await esrp(stack, "gate", releases.again.id, "--gate", "smoke", *files)
    price = f"run:{releases.again.id}: these ratings were looked at; again spends nothing, 0.0400 is left.\n"
    assert (passed.returncode, passed.stderr) == (0, price)
    [suite] = JUnitXml.fromfile(str(junit))
    assert (suite.tests, suite.failures, suite.errors) == (10, 0, 0)

    failed = await esrp(stack, "gate", releases.b.id, "--gate", "smoke@1", *files)
    assert failed.returncode == 1
    [suite] = JUnitXml.fromfile(str(junit))
    assert (suite.tests, suite.failures, suite.errors) == (10, 2, 0)
    [case] = [case for case in suite if case.name == "speaking_style margin"]
    assert isinstance(case.result[0], Failure)
    assert "speaking_style: where it is worst" in summary.read_text("utf-8")

    undecided = await esrp(stack, "gate", releases.b.id, "--policy", open_, *files)
    assert undecided.returncode == 2
    [[case]] = JUnitXml.fromfile(str(junit))
    assert isinstance(case.result[0], Error)
    assert f"esrp extend {releases.b.id} --replicates" in summary.read_text("utf-8")

    error = await esrp(stack, "gate", releases.b.id, "--policy", elsewhere, *files)
    assert error.returncode == 3


async def test_a_run_from_the_command_line_ends_with_its_gates_verdict(
    stack: Stack, releases: Releases, tmp_path: Path
) -> None:
    stack.models.answer = recorded(load())
    bot = ("--base-url", stack.models.base_url, "--suite", "esrp-demo", "--model")
    labels = ("--label", "commit=c7f1")

    good = await esrp(stack, "run", *bot, "release-a", *labels, "--gate", "smoke", "--junit", tmp_path / "a.xml")
    calls = len(stack.models.requests)
    again = await esrp(stack, "run", *bot, "release-a", *labels, "--gate", "smoke")
    promoted = await esrp(stack, "baseline", "set", "staging", good.stdout.split("\n")[1].split(",")[0])
    bad = await esrp(stack, "run", *bot, "release-b", *labels, "--gate", "smoke")

    assert (good.returncode, again.returncode, promoted.returncode, bad.returncode) == (0, 0, 0, 1)
    assert "gate smoke@1: PASS" in good.stdout and "gate smoke@1: FAIL" in bad.stdout
    assert len(stack.models.sent_to("release-a")) == 48 and calls > 48


async def test_a_verdict_goes_with_its_run(stack: Stack, releases: Releases) -> None:
    gone = await stack.done(await stack.run(judges=[], gate={"floors": {"overall": 3.0}}))
    assert gone.verdict == "error"  # nobody has rated it
    await stack.client.set_baseline("gone", gone.id)

    async with httpx2.AsyncClient(base_url=stack.url, headers={"Authorization": f"Bearer {KEY}"}) as http:
        refused = await http.delete(f"/v1/runs/{gone.id}")
        assert (refused.status_code, refused.json()["baselines"]) == (409, ["gone"])
        await stack.client.delete_baseline("gone")
        assert (await http.delete(f"/v1/runs/{gone.id}")).status_code == 204

    assert "gone" not in [item.name async for item in stack.client.baselines()]
    with pytest.raises(ApiError):
        await stack.client.verdict(gone.id)
