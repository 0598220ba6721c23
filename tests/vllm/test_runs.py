"""Whole runs that the LoRA judge rates, from the public API to the report: undisturbed, and with its engine killed."""

import asyncio
import os
import signal
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import orjson
import pytest
import pytest_asyncio

from esrp.api import Run
from esrp.client import AsyncClient
from esrp.metrics import METRIC_IDS
from esrp.prompts.judging import JUDGE_SEES
from esrp.prompts.lora import LORA_VERSION
from esrp.suite import bundled
from services.judge.lora.data import read_corpus, read_suite
from services.kit.ids import decode
from tests.builders import a_run_request
from tests.fakes import Models, rated, serve_models
from tests.pipeline.conftest import KEY, Stack
from tests.vllm.service import STARTED, JudgeService, free_port

pytestmark = pytest.mark.asyncio(loop_scope="module")

OTHERS = ("generator", "analytics", "gateway")
CHARACTERS, SCENARIOS = 3, 5
DIALOGUES = CHARACTERS * SCENARIOS  # a batch of ten replies for each character

Rated = dict[tuple[str, str | None], dict[tuple[str, str], int]]
"""The score of each rater and metric, by character and scenario."""


def cast(request: dict[str, Any]) -> str:
    """A chat judge, a simulator, and bots that always say the same; one bot's words are in no other's dialogues."""
    model, messages = request["model"], request["messages"]
    said = messages[-1]["content"]
    if model == "judge":
        return rated(request)
    if model == "simulator":
        return f"那你会怎么做？已经说了{len(said)}个字。"
    return f"{model}：{messages[0]['content'][-80:]}。你说“{said[:40]}”，换作是我也一样。"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(service: JudgeService, valkey: str) -> AsyncIterator[Stack]:
    """The other services beside the judge service, and its vLLM ready."""
    with tempfile.TemporaryDirectory(prefix="esrp", dir="/tmp") as home:
        async with serve_models(Models(cast), service.models_port) as models:
            port = free_port()
            environment = {
                **service.settings,
                "RUN": home,
                "PORT": str(port),
                "ESRP_BOOTSTRAP_KEY": KEY,
                "ESRP_ALLOWED_NETWORKS": '["127.0.0.0/8"]',
                "ESRP_SIMULATOR": orjson.dumps({"base_url": models.base_url, "model": "simulator"}).decode(),
                **{f"ESRP_SERVICES__{name.upper()}": f"unix:{home}/{name}.sock" for name in OTHERS[:-1]},
            }
            url = f"http://127.0.0.1:{port}"
            async with AsyncClient(url, KEY) as client:
                found = Stack(environment, url, client, models, valkey, os.environ["ESRP_PYTHON"])
                await found.start(*OTHERS)
                try:
                    await found.ready()
                    await until(lambda: service.ready()[0] == 200)
                    await client.upload_suite(a_few_of_esrp_zh())
                    yield found
                finally:
                    for process in found.processes.values():
                        with suppress(ProcessLookupError):
                            process.terminate()
                        await process.wait()


async def test_a_run_is_judged_by_the_lora_judge_from_the_public_api_to_the_report(
    stack: Stack, service: JudgeService, base: Path
) -> None:
    started = time.monotonic()
    run = await finished(stack, await begun(stack, "bot-a", "lora"))
    seconds = time.monotonic() - started
    report = await stack.client.report(run.id)
    rated = await ratings(stack, run)
    print(f"\n{DIALOGUES} dialogues × 9 judged on the CPU: the run took {seconds:.1f} s")

    assert (run.status, run.error) == ("succeeded", None)
    assert (run.progress.generated, run.progress.judged, run.progress.failed) == (DIALOGUES, DIALOGUES, 0)
    assert len(rated) == DIALOGUES
    assert all(scores.keys() == {("lora", metric) for metric in METRIC_IDS} for scores in rated.values())
    assert len({score for scores in rated.values() for score in scores.values()}) > 1, "it says the same of all"
    assert report.coverage.model_dump() == {"dialogues": DIALOGUES, "scored": DIALOGUES, "missing": {}}
    assert report.overall.ratings == len(METRIC_IDS) * DIALOGUES
    prompts, sees = [LORA_VERSION], list(JUDGE_SEES)
    assert report.manifest["judges"] == [
        {"kind": "lora", "model": service.model, "base": base.name, "prompts": prompts, "sees": sees}
    ]
    assert run.plan.judge_calls == run.usage.judge.calls == DIALOGUES
    assert report.manifest["diversity"] is None and await batches(stack, run) == []


async def test_of_a_chat_judge_and_a_lora_judge_only_the_chat_judge_is_asked_for_diversity(stack: Stack) -> None:
    run = await finished(stack, await begun(stack, "bot-b", "panel", "lora"))
    report = await stack.client.report(run.id)
    assert run.plan.judge_calls == run.usage.judge.calls == 2 * DIALOGUES + CHARACTERS
    assert (report.overall.ratings, report.coverage.scored) == (2 * len(METRIC_IDS) * DIALOGUES, DIALOGUES)
    assert await batches(stack, run) == CHARACTERS * ["panel"]


async def test_what_judges_said_in_a_run_is_exported_as_evaluate_reads_it(stack: Stack, tmp_path: Path) -> None:
    run = await finished(stack, await begun(stack, "bot-b", "panel", "lora"))
    dialogues, scores, suite = tmp_path / "dialogues.jsonl", tmp_path / "ratings.csv", tmp_path / "suite.yaml"
    kept = {"run", "character", "scenario", "replicate", "turns"}
    lines = [one.model_dump_json(include=kept) async for one in stack.client.dialogues(run.id, state="done")]
    dialogues.write_text("\n".join(lines))
    scores.write_bytes(await stack.client.export_ratings(run.id))
    suite.write_bytes(orjson.dumps(a_few_of_esrp_zh()))
    corpus = read_corpus([dialogues], read_suite(str(suite)))
    assert Counter(one.rater for one in corpus.panel([scores]).rated) == dict.fromkeys(("panel", "lora"), 9 * DIALOGUES)
    assert corpus.human([scores]).rated == ()


async def test_a_run_whose_engine_is_killed_in_its_middle_gives_the_report_of_a_calm_one(
    stack: Stack, service: JudgeService
) -> None:
    run = await begun(stack, "bot-c", "lora", "pointed")
    pids = service.engine_pids()
    given, asked = await until_in_the_middle(stack, run)
    killed = time.monotonic()
    os.kill(pids[0], signal.SIGKILL)

    await until(lambda: service.ready() == (503, {"postgres": True, "redis": True, "lora": False}))
    meanwhile = await stack.client.run(run.id)
    assert service.http.get("/healthz").status_code == 200
    await stack.ready()
    await until(lambda: service.ready()[0] == 200)
    away = time.monotonic() - killed
    run = await finished(stack, run)
    calm = await finished(stack, await begun(stack, "bot-c", "lora", "pointed"))
    tries = await attempts(stack, run)
    print(f"\nengine killed with {given} verdicts given and {asked} asked for, ready again after {away:.1f} s")
    print(f"attempts: {tries}")

    assert meanwhile.finished_at is None
    assert service.process.poll() is None and not set(pids) & set(service.engine_pids())
    assert (run.status, run.progress.judged, run.progress.failed) == ("succeeded", DIALOGUES, 0)
    log = service.log.read_text("utf-8", "replace")
    assert "starting it again in" in log and "verdict.crashed" not in log
    assert tries["lora"] == {1: DIALOGUES}, "waiting for an engine of our own is no attempt"
    assert run.manifest.sha256 == calm.manifest.sha256
    assert await ratings(stack, run) == await ratings(stack, calm)
    assert (await stack.client.report(run.id)).sha256 == (await stack.client.report(calm.id)).sha256


def a_few_of_esrp_zh() -> dict[str, Any]:
    """Its first characters and scenarios as a suite `tiny`."""
    suite = bundled("esrp-zh")
    parts = {"characters": suite.characters[:CHARACTERS], "scenarios": suite.scenarios[:SCENARIOS]}
    return suite.model_copy(update={"name": "tiny", **parts}).model_dump(mode="json")


async def begun(stack: Stack, bot: str, *judges: str) -> Run:
    """A run of the suite."""
    request = a_run_request(stack.models.base_url, candidate={"model": bot}, judges=list(judges))
    return await stack.client.create_run(request)


async def finished(stack: Stack, run: Run) -> Run:
    """The run once it is final."""
    async with asyncio.timeout(STARTED):
        return await stack.client.wait(run.id)


async def ratings(stack: Stack, run: Run) -> Rated:
    """All ratings of the run's dialogues; none is given twice."""
    dialogues = [dialogue async for dialogue in stack.client.dialogues(run.id)]
    found = {
        (one.character, one.scenario): {(rating.rater, rating.metric): rating.score for rating in one.ratings}
        for one in dialogues
    }
    assert sum(map(len, found.values())) == sum(len(one.ratings) for one in dialogues)
    return found


async def batches(stack: Stack, run: Run) -> list[str]:
    """Who rated each batch of replies."""
    async with httpx2.AsyncClient(base_url=stack.url, headers={"Authorization": f"Bearer {KEY}"}) as http:
        answer = await http.get(f"/v1/runs/{run.id}/batches")
    return [verdict["judge"] for batch in answer.json()["data"] for verdict in batch["verdicts"]]


async def attempts(stack: Stack, run: Run) -> dict[str, Counter[int]]:
    """For each judge, how many verdicts took how many attempts."""
    found: dict[str, Counter[int]] = {}
    for row in await verdicts(stack, run):
        found.setdefault(row["judge"], Counter())[row["attempts"]] += 1
    return found


async def until_in_the_middle(stack: Stack, run: Run) -> tuple[int, int]:
    """Wait until some verdicts are given and others asked for; how many of each."""
    async with asyncio.timeout(STARTED):
        while True:
            states = Counter(row["state"] for row in await verdicts(stack, run))
            assert states["done"] < DIALOGUES, "it went too fast to be disturbed"
            if states["done"] and states["rating"]:
                return states["done"], states["rating"]
            await asyncio.sleep(0.05)


async def until(true: Callable[[], bool]) -> None:
    """Wait; the scripted models answer meanwhile."""
    async with asyncio.timeout(STARTED):
        while not await asyncio.to_thread(true):
            await asyncio.sleep(0.1)


async def verdicts(stack: Stack, run: Run) -> list[asyncpg.Record]:
    """How far each verdict of the run is."""
    connection = await asyncpg.connect(stack.environment["ESRP_DATABASE_URL"].replace("+asyncpg", ""))
    try:
        sql = "SELECT judge, state, attempts FROM judge.verdicts WHERE run_id = $1"
        return list(await connection.fetch(sql, decode("run", run.id)))
    finally:
        await connection.close()
