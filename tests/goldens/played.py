"""The seeded runs, one after the other, and what is kept of each."""

import asyncio
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

from prometheus_client.parser import text_string_to_metric_families

from esrp.api import GroupBy, Run
from tests.goldens.cast import SUITE, WIDE, Cast, ratings, the_suite, wide_suite
from tests.goldens.record import Record, listed
from tests.pipeline.conftest import SERVICES

PAIRS = [(character, scenario) for character in ("c1", "c2") for scenario in ("s1", "s2", "s3", "s4")]
PANEL = ["default", "strict"]
OPEN = {"baseline": "production", "margins": {"fluency": 0.05, "speaking_style": 0.1}}


async def play(record: Record) -> None:
    """All of it."""
    record.stack.models.answer = Cast()
    record.json("suite", await record.client.upload_suite(the_suite().model_dump(mode="json")))
    await record.client.upload_suite(wide_suite().model_dump(mode="json"))
    await before_a_run(record)
    shaky = await endpoint_with_failures(record)
    await people(record, shaky)
    await figures(record, shaky)
    await rejudged(record, shaky)
    await locked(record)
    releases = await released(record)
    await gates(record, releases)
    await transcripts(record)
    await calibrated(record)
    await side_by_side(record, releases)
    await scenarios(record)
    await shortlist(record)
    await cards(record, shaky)
    await lists(record)


async def before_a_run(record: Record) -> None:
    """The plan, and one dialogue that is tried; nothing is stored."""
    asked = {"suite": SUITE, "candidate": {"base_url": record.stack.models.base_url, "model": "rc1"}}
    record.json("plan", await record.client.dry_run({**asked, "judges": PANEL, "sample": {"dialogues": 6, "seed": 3}}))
    record.json("check", await record.client.check(asked))


async def endpoint_with_failures(record: Record) -> Run:
    """Two judges over a bot that fails once, refuses once, and has replies that judges cannot rate."""
    asked = {"suite": SUITE, "candidate": {"model": "shaky"}, "judges": PANEL, "labels": {"commit": "c7f1"}}
    run = await record.finish(await record.start("shaky", **asked))
    await record.run(run)
    await record.esrp("report", "report", run.id)
    return run


async def people(record: Record, run: Run) -> None:
    """People rate a part of it: stored, stored again, contradicted, replaced; and its batches."""
    folder, client = "shaky/people", record.client
    file = ratings(run.id, PAIRS[:5], ("ann", "bob"))
    record.json(f"{folder}/stored", await client.import_ratings(file, "text/csv"))
    record.json(f"{folder}/again", await client.import_ratings(file, "text/csv"))
    changed = f"run,character,scenario,metric,rater,score\n{run.id},c1,s2,fluency,ann,5\n".encode()
    await record.refused(f"{folder}/contradicted", client.import_ratings(changed, "text/csv"))
    record.json(f"{folder}/replaced", await client.import_ratings(changed, "text/csv", replace=True))
    wrong = f"run,character,scenario,metric,rater,score\n{run.id},c9,s1,fluency,ann,4\n{run.id},c1,s1,wit,ann,6\n"
    await record.refused(f"{folder}/wrong", client.import_ratings(wrong.encode(), "text/csv"))
    batches = f"run,character,batch,rater,score\n{run.id},c1,1,ann,2\n{run.id},c2,1,ann,5\n".encode()
    record.json(f"{folder}/diversity", await client.import_diversity(batches, "text/csv"))
    for raters in ("auto", "human", "calibrated"):
        await record.report(run, f"{folder}/report-{raters}", raters)
    record.json(f"{folder}/dialogues", await listed(client.dialogues(run.id, character="c1", scenario="s2")))


async def figures(record: Record, run: Run) -> None:
    """Every rating as a file, and the scores by every group."""
    folder, client = "shaky", record.client
    for kind in ("csv", "jsonl"):
        record.text(f"{folder}/exports/ratings.{kind}", await client.export_ratings(run.id, kind))
        record.text(f"{folder}/exports/diversity.{kind}", await client.export_diversity(run.id, kind))
    record.parquet(f"{folder}/exports/ratings", await client.export_ratings(run.id, "parquet"))
    record.parquet(f"{folder}/exports/diversity", await client.export_diversity(run.id, "parquet"))
    for by in get_args(GroupBy):
        record.json(f"{folder}/metrics/{by}", await client.metrics(run.id, by))
    record.json(f"{folder}/metrics/rater-human", await client.metrics(run.id, "rater", "human"))
    record.text(f"{folder}/metrics/persona.csv", await client.metrics_table(run.id, "persona", "csv"))
    record.parquet(f"{folder}/metrics/persona", await client.metrics_table(run.id, "persona", "parquet"))
    await record.esrp("metrics", "metrics", run.id, "--by", "character")


async def rejudged(record: Record, source: Run) -> None:
    """The same dialogues before one of the judges."""
    run = await record.client.rejudge(source.id, ["strict"], name="anew")
    record.masks.name(run.id, "run_anew")
    await record.run(await record.finish(run))


async def locked(record: Record) -> None:
    """An endpoint that lets nobody in."""
    asked = {"suite": SUITE, "candidate": {"model": "locked"}, "sample": {"dialogues": 2, "seed": 1}}
    await record.run(await record.finish(await record.start("locked", **asked)))


async def released(record: Record) -> list[Run]:
    """Three releases: the one in production, one that is no worse, and one that is, with its gate."""
    asked: dict[str, Any] = {"suite": WIDE, "judges": PANEL}
    started = [await record.start(name, **asked, candidate={"model": name}) for name in ("rc1", "rc2")]
    runs = [await record.finish(run) for run in started]
    for run in runs:
        await record.report(run, f"{run.name}/report")
    record.json("gates/baseline", await record.client.set_baseline("production", runs[0].id))
    await two_runs_are_compared(record, asked)
    gate = {"gate": "smoke", "rounds": 2}
    runs.append(await record.finish(await record.start("rc3", **asked, **gate, candidate={"model": "rc3"})))
    await record.run(runs[-1])
    return runs


async def two_runs_are_compared(record: Record, asked: dict[str, Any]) -> None:
    """Plans know from two runs what they can show, as soon as agreement was computed."""
    candidate = {"base_url": record.stack.models.base_url, "model": "rc3"}
    for _ in range(600):
        found = (await record.client.dry_run({**asked, "candidate": candidate})).plan.detectable
        if found is not None and not found.assumed:
            return
        await asyncio.sleep(0.1)
    raise AssertionError("how the two runs differ was not measured within a minute")


async def gates(record: Record, runs: Sequence[Run]) -> None:
    """What passes, fails, stays open and cannot be decided; by name, as given, on the command line."""
    _, better, worse = runs
    client = record.client
    record.json("gates/created", await client.create_gate("strict-style", OPEN))
    record.json("gates/fail-by-its-own", await client.verdict(worse.id))
    record.json("gates/fail-by-a-floor", await client.gate(worse.id, {"floors": {"overall": 2.5, "speaking_style": 4}}))
    record.json("gates/pass", await client.gate(better.id, "smoke"))
    record.json(
        "gates/pass-with-a-sentinel", await client.gate(better.id, {**OPEN, "sentinel": "all", "margins": {"*": 1}})
    )
    record.json("gates/inconclusive", await client.gate(better.id, {**OPEN, "margins": {"diversity": 0.01}}))
    record.json("gates/error", await client.gate(better.id, {**OPEN, "require_validated_judges": True}))
    record.json("gates/no-baseline", await client.gate(better.id, {**OPEN, "baseline": "nobody"}))
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, "gate.xml"), Path(folder, "gate.md")]
        for name, run, policy in (("gate-pass", better, "smoke"), ("gate-fail", worse, "strict-style@1")):
            written = ["--junit", str(files[0]), "--summary", str(files[1])]
            await record.esrp(name, "gate", run.id, "--gate", policy, *written, files=files)


async def transcripts(record: Record) -> None:
    """Recorded conversations, also without a scenario: before a judge, and before people alone."""
    turns = [{"user": "Question number 1?", "assistant": "Recorded, twice over."}]
    said = [{"character": c, "scenario": s, "turns": turns} for c, s in PAIRS if s != "s4"]
    own = [{"user": "And?", "assistant": "This is from an own log."}]
    said += [{"character": c, "turns": [*turns, *own]} for c in ("c1", "c2")]
    transcript = await record.client.import_transcript("logs", SUITE, said)
    record.json("transcript", transcript)
    candidate = {"kind": "transcript", "transcript": transcript.id}
    for name, judges in (("logs", ["default"]), ("rated", [])):
        run = await record.client.create_run({"suite": SUITE, "name": name, "candidate": candidate, "judges": judges})
        record.masks.name(run.id, f"run_{name}")
        run = await record.finish(run)
        if not judges:
            await record.report(run, f"{name}/report-before")
            file = ratings(run.id, [pair for pair in PAIRS if pair[1] != "s4"], ("ann", "cleo"))
            record.json(f"{name}/stored", await record.client.import_ratings(file, "text/csv", sampling="random"))
        await record.run(run)


async def calibrated(record: Record) -> None:
    """A judge over eighty recorded dialogues, of which somebody has rated sixty too: people correct it."""
    suite, client = wide_suite(), record.client
    pairs = [(character.id, scenario) for character in suite.characters for scenario in suite.scenarios]
    said = [
        {"character": c, "scenario": s.id, "turns": [{"user": s.question, "assistant": f"{c} hears you."}]}
        for c, s in pairs
    ]
    transcript = await client.import_transcript("wide", "wide", said)
    candidate = {"kind": "transcript", "transcript": transcript.id}
    run = await client.create_run({"suite": "wide", "name": "wide", "candidate": candidate})
    record.masks.name(run.id, "run_wide")
    run = await record.finish(run)
    drawn = [(character, scenario.id) for place, (character, scenario) in enumerate(pairs) if place % 4]
    await client.import_ratings(ratings(run.id, drawn, ("ann",)), "text/csv", sampling="random")
    await record.report(run, "wide/report")


async def side_by_side(record: Record, runs: Sequence[Run]) -> None:
    """Runs against each other and over time."""
    client, (first, second, third) = record.client, runs
    record.json("comparison", await client.compare(first.id, second.id))
    logs = next(id for id, name in record.masks.known.items() if name == "run_logs")
    await record.refused("not-comparable", client.compare(first.id, logs))
    record.json("leaderboard", await client.leaderboard(WIDE))
    record.text("leaderboard.md", await client.leaderboard_table(WIDE, "md"))
    record.text("leaderboard.csv", await client.leaderboard_table(WIDE, "csv", reference=third.id))
    record.parquet("leaderboard", await client.leaderboard_table(WIDE, "parquet"))
    record.json("series", await client.series(suite=WIDE))
    await record.esrp("compare", "compare", first.id, third.id)
    await record.esrp("leaderboard", "leaderboard", "--suite", WIDE)


async def scenarios(record: Record) -> None:
    """Scenarios written over a small grid, chosen, and where they come from."""
    grid = {"personas": ["nurse"], "emotions": ["calm", "sad"], "locations": ["ward"], "per_cell": 1}
    made = await record.client.create_scenario_set({"name": "small", "language": "en", **grid})
    written = await record.client.wait_for_scenarios(made.id)
    record.json("scenarios/set", written)
    drafts = [draft async for draft in record.client.scenarios(made.id)]
    record.json("scenarios/drafts", [draft.model_dump(mode="json") for draft in drafts])
    suite = await record.client.select_scenarios(made.id, "chosen", [draft.id for draft in drafts], SUITE)
    record.json("scenarios/suite", suite)
    record.json("scenarios/provenance", await record.client.provenance("chosen"))


async def shortlist(record: Record) -> None:
    """A panel over two candidates."""
    bots = [{"base_url": record.stack.models.base_url, "model": model} for model in ("rc3", "rc2")]
    asked = {"suite": SUITE, "candidates": bots, "judges": PANEL, "keep": 1, "sample": {"dialogues": 4, "seed": 5}}
    made = await record.client.create_shortlist(asked)
    for row in made.rows:
        record.masks.name(row.run, f"run_short_{row.candidate}")
        await record.finish(await record.client.run(row.run))
    record.json("shortlist", await record.client.shortlist(made.id))
    for kind in ("md", "csv"):
        record.text(f"shortlist.{kind}", await record.client.shortlist(made.id, kind))


async def cards(record: Record, rated: Run) -> None:
    """The battery against a judge, and what was measured of all."""
    # An import marks the judges to be measured anew, so the cards are of all that came before.
    await record.client.import_ratings(ratings(rated.id, PAIRS[:1], ("dora",)), "text/csv")
    record.json("cards/unprobed", await record.client.judge_card("strict"))
    for judge in PANEL:
        probe = await record.client.probe_judge(judge, {"language": "en", "attacks": ["flatter", "empty"]})
        record.json(f"cards/probe-{judge}", probe)
    for judge in PANEL:
        record.json(f"cards/{judge}", await record.client.judge_card(judge))


async def lists(record: Record) -> None:
    """What there is, as a client and as the command line lists it."""
    record.json("lists/judges", [judge.model_dump(mode="json") for judge in await record.client.judges()])
    record.json("lists/gates", await listed(record.client.gates()))
    record.json("lists/baselines", await listed(record.client.baselines()))
    record.json("lists/suites", await listed(record.client.suites()))
    await record.esrp("runs", "runs")
    await record.esrp("judges", "judges")
    await record.esrp("baselines", "baseline", "list")


# --- what the services say of themselves ------------------------------------------------------------------------------


async def documents(record: Record) -> dict[str, str]:
    """The OpenAPI document of each service."""
    answers = {service: await record.of_service(service, "/openapi.json") for service in SERVICES}
    return {f"{service}.json": record.masks.json(answer.json()) for service, answer in answers.items()}


async def metric_names(record: Record) -> dict[str, str]:
    """Our own metrics of each service: kind, name, labels, and what it says of itself."""
    files = {}
    for service in SERVICES:
        found = text_string_to_metric_families((await record.of_service(service, "/metrics")).text)
        ours = [line for family in found if family.name.startswith("esrp_") for line in _described(family)]
        files[f"{service}.txt"] = "".join(sorted(ours))
    return files


def _described(family: Any) -> Iterator[str]:
    """A line for each name that the metric has on the wire; not for when it began, which the library adds."""
    labels: dict[str, set[str]] = {}
    for sample in family.samples:
        labels.setdefault(sample.name, set()).update(sample.labels)
    for name in labels or {family.name: set[str]()}:
        if not name.endswith("_created"):
            yield f"{family.type} {name}{{{', '.join(sorted(labels.get(name, ())))}}} {family.documentation}\n"
