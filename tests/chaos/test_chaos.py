"""A run while everything that it stands on is killed, emptied or stopped."""

import asyncio
from collections import Counter
from pathlib import Path

from esrp.metrics import METRIC_IDS
from tests.builders import a_run_request, a_suite
from tests.chaos.harness import Survived, models_environment, stack, survive
from tests.chaos.models import FaultyModels, serve
from tests.chaos.schedule import TARGETS, schedule

CHARACTERS, SCENARIOS = 6, 8
DIALOGUES = CHARACTERS * SCENARIOS
BATCHES = 2 * CHARACTERS  # of each one's sixteen replies ten, and the six that are left
CALLS = 4 * DIALOGUES + BATCHES  # two answers, the follow-up between them, the verdict; then the batches'
IN_FLIGHT = 16
SEED = 1


async def test_a_run_outlives_kills_flushes_and_stopped_workers_and_its_report_is_the_same(tmp_path: Path) -> None:
    async with serve(FaultyModels(SEED)) as models:
        seats = {"base_url": models.base_url, "max_concurrency": IN_FLIGHT}
        environment = models_environment(
            {**seats, "model": "simulator"}, {**seats, "model": "judge"}, first_byte=5, total=10
        )
        request = a_run_request(models.base_url, candidate={"max_concurrency": IN_FLIGHT})
        async with asyncio.timeout(240), stack(tmp_path, environment) as esrp:
            await esrp.client.upload_suite(a_suite(CHARACTERS, SCENARIOS).model_dump(mode="json"))
            calm = await survive(esrp, models, request, CALLS, [])
            calm_report = await esrp.client.report(calm.run.id)
            models.forget()
            models.faults = {"429": 0.05, "500": 0.03, "drop": 0.03, "hang": 0.02}

            actions = schedule(SEED, kills=8, flushes=1, stops=1)
            chaos = await survive(esrp, models, request, CALLS, actions, SEED)

            report = await esrp.client.report(chaos.run.id)
            dialogues = [dialogue async for dialogue in esrp.client.dialogues(chaos.run.id)]
            print(told(chaos))
    assert (calm.seen.answered, calm.seen.again) == (CALLS, 0)
    assert sorted(done.action for done in chaos.done) == actions
    assert {done.action.target for done in chaos.done} == set(TARGETS)
    assert set(models.met) == {"429", "500", "drop", "hang"}
    assert (chaos.run.status, chaos.run.progress.judged, chaos.run.progress.failed) == ("succeeded", DIALOGUES, 0)
    assert len({(dialogue.character, dialogue.scenario) for dialogue in dialogues}) == len(dialogues) == DIALOGUES
    assert {len(dialogue.turns) for dialogue in dialogues} == {2}
    assert all(sorted(rating.metric for rating in dialogue.ratings) == sorted(METRIC_IDS) for dialogue in dialogues)
    assert report.sha256 == calm_report.sha256
    assert chaos.seen.answered - chaos.seen.again == CALLS
    assert chaos.seen.again <= chaos.in_flight
    assert "dialogue.crashed" not in esrp.logs()
    assert "verdict.crashed" not in esrp.logs()


def told(chaos: Survived) -> str:
    """What was done and what it cost, for who runs this with ``-s``."""
    kinds = Counter(f"{done.action.kind} {done.action.target}" for done in chaos.done)
    return f"{chaos.seconds:.1f} s, {dict(kinds)}, {chaos.seen.again} paid again of {chaos.in_flight} in flight"
