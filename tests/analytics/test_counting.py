"""What is counted of replies, as they come, against all of them at once."""

import json
from collections.abc import Sequence
from uuid import UUID

import pytest

from esrp.diversity import Reply, batches, form, opening_diversity
from services.analytics.report.counting import PAGE
from services.analytics.worker import handlers
from services.jobs import CountReplies
from tests.analytics.conftest import World

WORDS = ("I am here", "Tell me more", "That sounds hard 😊", "(nods) Go on", "You did well", "Rest a while")


async def played(world: World, characters: int, scenarios: int) -> UUID:
    """An open run whose replies differ from one another; two of each five are blank or missing."""
    run = await world.run(characters, scenarios)
    await world.db.execute(
        """UPDATE generator.dialogues SET turns = jsonb_build_array(
            jsonb_build_object('user', 'u', 'assistant', ($2::text[])[1 + (position * 7) % 6] || ' ' || position % 11),
            jsonb_build_object('user', 'u', 'assistant', CASE position % 5 WHEN 0 THEN ' ' WHEN 1 THEN NULL
                ELSE ($2::text[])[1 + position % 6] END))
        WHERE run_id = $1""",
        run,
        WORDS,
    )
    return run


async def said(world: World, run: UUID) -> list[Reply]:
    found = await world.db.fetch(
        "SELECT character, position, replicate, turns FROM generator.dialogues WHERE run_id = $1", run
    )
    return [
        Reply(d["character"], d["position"], n, turn["assistant"], d["replicate"])
        for d in found
        for n, turn in enumerate(json.loads(d["turns"]), start=1)
    ]


async def counts(world: World, run: UUID) -> Sequence[str]:
    found = await world.db.fetch(
        "SELECT counted::text FROM analytics.replies WHERE run_id = $1 ORDER BY dialogue_id", run
    )
    return [row["counted"] for row in found]


async def test_replies_counted_by_dialogue_are_what_all_of_them_are_at_once(world: World) -> None:
    run = await played(world, 3, 17)
    await world.db.execute("UPDATE gateway.runs SET status = 'succeeded', phase = NULL WHERE id = $1", run)
    replies = await said(world, run)

    found = await world.report(run)

    opening = opening_diversity(batches(replies), "en")
    looks = form([reply.text for reply in replies if reply.text is not None], "en")
    assert found["form"] == {
        "emoji": pytest.approx(looks.emoji, abs=1e-4),
        "stage_directions": pytest.approx(looks.stage_directions, abs=1e-4),
        "repeated_openings": pytest.approx(opening.repeated, abs=1e-4),
        "opening_diversity": pytest.approx(opening.mean, abs=1e-4),
    }
    assert found["lengths"] == {
        "replies": looks.replies,
        "inside": pytest.approx(looks.inside, abs=1e-4),
        "median": looks.median,
    }


async def test_a_run_of_many_pages_is_counted_whole_and_what_changes_later_anew(world: World) -> None:
    run = await played(world, 3, PAGE // 2)
    await handlers(world.resources)[CountReplies](run)
    first = await counts(world, run)
    assert len(first) == 3 * (PAGE // 2)

    await world.db.execute(
        'UPDATE generator.dialogues SET turns = \'[{"user": "u", "assistant": "Else"}]\''
        " WHERE id = (SELECT id FROM generator.dialogues WHERE run_id = $1 ORDER BY id LIMIT 1)",
        run,
    )
    await handlers(world.resources)[CountReplies](run)
    second = await counts(world, run)
    assert second[0] == '[[1,false,false,"el",["else"]]]'
    assert second[1:] == first[1:]
