"""What a judge's card says, through all four services: the battery tells a judge that obeys from one that does not."""

import csv
import io
import json
from typing import Any

import pytest

from esrp.api import JudgeCard, Run
from esrp.battery import ATTACK
from esrp.cli.cards import card_text, probe_text
from esrp.client import ApiError, AsyncClient
from esrp.metrics import METRIC_IDS
from tests.fakes import Answer, by_model
from tests.pipeline.conftest import Configured, Stack
from tests.recorded import OBEYED, in_order, replies

pytestmark = pytest.mark.asyncio(loop_scope="module")

JUDGES = ("steady", "calm", "obedient", "silent")


@pytest.fixture(scope="module")
def configured() -> Configured:
    """Four judges, and thresholds that a run of six dialogues can reach."""

    def environment(base_url: str) -> dict[str, str]:
        judges = [{"name": name, "base_url": base_url, "model": name} for name in JUDGES]
        return {"ESRP_JUDGES": json.dumps(judges), "ESRP_VALIDATION": json.dumps({"min_n": 6})}

    return environment


def answer(request: dict[str, Any]) -> Answer:
    """The battery from the record; of a run's dialogues, both judges give the same scores."""
    if request["model"] == "silent":
        return 400, {"error": {"message": "not today"}}
    if request["model"] not in JUDGES:
        return by_model(request)
    prompt = str(request["messages"][-1]["content"])
    known = {
        text: said
        for lang in ("zh", "en")
        for text, said in replies(lang, obedient=request["model"] == "obedient").items()
    }
    return known.get(prompt) or in_order(prompt)


async def test_the_card_tells_a_judge_that_obeys_injections_from_one_that_does_not(stack: Stack) -> None:
    stack.models.answer = answer
    for judge in ("steady", "obedient"):
        for language in ("zh", "en"):
            probe = await stack.client.probe_judge(judge, {"language": language})
            assert (probe.dialogues, probe.usage.calls, probe.unfinished) == (12, 12 * 11, [])
    steady, obedient = [await stack.client.judge_card(judge) for judge in ("steady", "obedient")]
    assert verdicts(steady) == {(language, attack): True for language in ("en", "zh") for attack in ATTACK}
    assert verdicts(obedient) == {
        (language, attack): attack == "other_language" for language in ("en", "zh") for attack in ATTACK
    }
    for result in steady.resistance or ():
        assert (result.lift, result.flip_rate) == (0, 0) or (result.wanted == "fall" and (result.lift or 0) < -1.5)
    for result in obedient.resistance or ():
        if result.attack in OBEYED:
            assert result.lift is not None and result.lift_ci is not None and result.flip_rate == 1
            assert 1.5 < result.lift_ci[0] < result.lift < result.lift_ci[1] < 2.5
    assert [spread.same for spread in steady.spread or ()] == [1, 1]


async def test_the_table_is_printed_with_an_attack_on_each_line(stack: Stack) -> None:
    stack.models.answer = answer
    probe = await stack.client.probe_judge("obedient", {"language": "en", "attacks": ["flatter", "empty"]})
    lines = probe_text(probe).splitlines()
    assert lines[0] == "obedient, 12 dialogues (en), 48 calls"
    assert [line.split()[0] for line in lines[2:-2]] == ["attack", "flatter", "empty"]
    assert lines[3].split()[-1] == "no" and lines[4].split()[-1] == "no"
    text = card_text(await stack.client.judge_card("obedient"))
    assert "obedient (chat, obedient): not validated" in text
    assert "agreement with people: not measured" in text
    assert "lacking: it was never compared with human ratings" in text
    assert "lacking: flatter (en): not shown to resist; lift up to +2." in text


async def test_what_people_said_and_what_the_battery_showed_make_a_validated_judge(stack: Stack) -> None:
    stack.models.answer = answer
    run = await stack.done(await stack.run(judges=["calm", "obedient"]))
    await stack.client.import_ratings(await human(stack, run, wrong=1), "text/csv")
    before = await stack.client.report(run.id)
    assert [(judge.id, judge.validated) for judge in before.judges] == [("jdg_calm", False), ("jdg_obedient", False)]
    for judge in ("calm", "obedient"):
        await stack.client.probe_judge(judge, {"language": "en"})
    calm, obedient = await stack.client.judge_card("calm"), await stack.client.judge_card("obedient")
    assert calm.human is not None and obedient.human is not None
    assert calm.human.metrics == obedient.human.metrics
    fluency = calm.human.metrics["fluency"]
    assert (fluency.n, fluency.dialogues, fluency.acc_soft) == (6, 6, 1)
    assert fluency.acc == pytest.approx(5 / 6)
    assert fluency.bias == pytest.approx(-1 / 6) and fluency.qwk is not None and 0 < fluency.qwk < 1
    assert (calm.human.languages, calm.human.runs, len(calm.human.ratings_sha256)) == (["en"], 1, 64)
    assert calm.measured_at is not None
    assert calm.lacking == [] and calm.validated
    assert obedient.lacking and not obedient.validated
    assert calm.judges is not None
    assert [(other.judge, other.n, other.acc, other.qwk) for other in calm.judges] == [("obedient", 54, 1, 1)]
    listed = {judge.name: (judge.validated, judge.card) for judge in await stack.client.judges()}
    assert listed["calm"] == (True, "/v1/judges/jdg_calm/card") and listed["obedient"][0] is False
    after = await stack.client.report(run.id)
    assert [judge.model_dump() for judge in after.judges] == [
        {"id": "jdg_calm", "validated": True, "card": "/v1/judges/jdg_calm/card"},
        {"id": "jdg_obedient", "validated": False, "card": "/v1/judges/jdg_obedient/card"},
    ]
    assert after.sha256 == before.sha256
    assert any(limit.startswith("Not validated as a judge: obedient (") for limit in after.limits)
    text = await stack.client.report(run.id, "md")
    assert "[jdg_calm](/v1/judges/jdg_calm/card);" in text
    assert "[jdg_obedient](/v1/judges/jdg_obedient/card), not validated" in text


async def test_a_judge_that_nobody_measured_has_a_card_of_nulls(stack: Stack) -> None:
    card = await stack.client.judge_card("jdg_silent")
    measured = card.model_dump(include={"human", "judges", "spread", "length", "self_preference", "resistance"})
    assert set(measured.values()) == {None}
    assert not card.validated and len(card.configuration) == 64
    assert card.lacking == ["it was never compared with human ratings", "it was never probed (esrp judge probe)"]


async def test_a_judge_that_does_not_answer_cannot_be_probed(stack: Stack) -> None:
    stack.models.answer = answer
    with pytest.raises(ApiError) as caught:
        await stack.client.probe_judge("silent", {"dialogues": 2})
    assert (caught.value.status, caught.value.code) == (502, "judge_failed")
    assert (await stack.client.judge_card("silent")).resistance is None


async def test_only_what_there_is_can_be_asked_for_and_only_who_may_run_may_probe(stack: Stack) -> None:
    with pytest.raises(ApiError) as caught:
        await stack.client.judge_card("jdg_nobody")
    assert caught.value.status == 404
    with pytest.raises(ApiError) as caught:
        await stack.client.probe_judge("steady", {"attacks": ["bribe"]})
    assert (caught.value.status, caught.value.errors[0].pointer) == (422, "/attacks")
    key = await stack.client.create_key({"name": "reader", "scopes": ["runs:read"]})
    async with AsyncClient(stack.url, key.key) as reader:
        assert (await reader.judge_card("steady")).id == "jdg_steady"
        with pytest.raises(ApiError) as caught:
            await reader.probe_judge("steady")
    assert caught.value.status == 403


def verdicts(card: JudgeCard) -> dict[tuple[str, str], bool | None]:
    return {(result.language, result.attack): result.resisted for result in card.resistance or ()}


async def human(stack: Stack, run: Run, wrong: int) -> bytes:
    """A person's ratings: the judge's, but one more on the first ``wrong`` dialogues."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["run", "character", "scenario", "metric", "rater", "score"])
    dialogues = [dialogue async for dialogue in stack.client.dialogues(run.id)]
    for place, dialogue in enumerate(sorted(dialogues, key=lambda d: (d.character, d.scenario or ""))):
        scores = {rating.metric: rating.score for rating in dialogue.ratings if rating.rater == "calm"}
        for metric in METRIC_IDS:
            score = scores[metric] + (place < wrong)
            writer.writerow([run.id, dialogue.character, dialogue.scenario, metric, "p1", score])
    return out.getvalue().encode()
