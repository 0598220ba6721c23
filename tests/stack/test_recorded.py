from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from esrp.dialogue import Dialogue
from esrp.diversity import Reply, batches
from esrp.metrics import METRIC_IDS, SCORES
from esrp.prompts import load as load_prompt
from esrp.prompts.diversity import diversity_messages
from esrp.prompts.judging import judge_messages
from services.judge.diversity import score_in
from services.judge.rating import Score
from services.stack.recorded import JUDGE, RELEASES, SIMULATOR, Recording, Recordings, latency, load, serving

RECORDINGS = load()
ALL = [(release, recording) for release in RELEASES for recording in RECORDINGS.releases[release]]


@pytest.fixture
async def server() -> AsyncIterator[httpx2.AsyncClient]:
    async with serving(RECORDINGS) as url, httpx2.AsyncClient(base_url=url, timeout=30) as client:
        yield client


async def say(server: httpx2.AsyncClient, model: str, messages: list[dict[str, str]]) -> str:
    answer = await server.post("/chat/completions", json={"model": model, "messages": messages})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    assert body["usage"]["total_tokens"] > 0
    reply: str = body["choices"][0]["message"]["content"]
    return reply


def system(recordings: Recordings, recording: Recording) -> dict[str, str]:
    character = recordings.suite.character(recording.character)
    role = load_prompt("role", recordings.suite.language)
    return {
        "role": "system",
        "content": role.render(name=character.name, work=character.work, profile=character.profile),
    }


def test_every_release_has_a_dialogue_for_each_character_in_each_scenario() -> None:
    suite = RECORDINGS.suite
    pairs = {(character.id, scenario.id) for character in suite.characters for scenario in suite.scenarios}

    for release in RELEASES:
        recorded = [(recording.character, recording.scenario) for recording in RECORDINGS.releases[release]]
        assert len(recorded) == len(pairs) == 24
        assert set(recorded) == pairs


def test_recordings_ask_what_the_suite_asks_and_score_all_nine_metrics() -> None:
    for _, recording in ALL:
        scenario = RECORDINGS.suite.scenario(recording.scenario)
        assert recording.turns[0].user == scenario.question
        assert len(recording.turns) == 2
        assert set(recording.verdict) == set(METRIC_IDS)
        assert {score.score for score in recording.verdict.values()} <= set(SCORES)


def test_first_replies_tell_all_dialogues_apart() -> None:
    replies = [recording.turns[0].assistant for _, recording in ALL]

    assert [[other for other in replies if reply in other] for reply in replies] == [[reply] for reply in replies]


def test_a_candidate_gives_the_recorded_replies_to_the_prompts_of_the_suite() -> None:
    for release, recording in ALL:
        first, second = recording.turns
        messages = [system(RECORDINGS, recording), {"role": "user", "content": first.user}]
        assert RECORDINGS.candidate(release, messages) == first.assistant
        messages += [{"role": "assistant", "content": first.assistant}, {"role": "user", "content": second.user}]
        assert RECORDINGS.candidate(release, messages) == second.assistant


def test_a_judge_gives_the_recorded_verdict_on_the_replies_of_each_character_and_release() -> None:
    places = {scenario.id: place for place, scenario in enumerate(RECORDINGS.suite.scenarios)}
    for release in RELEASES:
        replies = [
            Reply(recording.character, places[recording.scenario], round, turn.assistant)
            for recording in RECORDINGS.releases[release]
            for round, turn in enumerate(recording.turns, start=1)
        ]
        made = batches(replies)
        assert [(batch.character, batch.number) for batch in made] == [
            (id, 1) for id in sorted(character.id for character in RECORDINGS.suite.characters)
        ]
        for batch in made:
            character = RECORDINGS.suite.character(batch.character)
            messages = diversity_messages(character, batch.texts, RECORDINGS.suite.language)
            text = RECORDINGS.judge("\n".join(message["content"] for message in messages))
            assert text is not None
            recorded = RECORDINGS.diversity[release][batch.character]
            assert score_in(text) == Score(recorded.score, recorded.explanation)


def test_a_judge_gives_the_recorded_verdict_on_the_prompts_of_the_panel() -> None:
    for _, recording in ALL:
        dialogue = Dialogue(
            character=RECORDINGS.suite.character(recording.character),
            scenario=RECORDINGS.suite.scenario(recording.scenario),
            turns=recording.turns,
        )
        messages = judge_messages(dialogue, RECORDINGS.suite.language)
        found = RECORDINGS.judge("\n".join(message["content"] for message in messages))
        assert found is not None
        assert found.startswith('{"consistency": {"score": ' + str(recording.verdict["consistency"].score))


async def test_the_server_plays_a_dialogue_of_each_release(server: httpx2.AsyncClient) -> None:
    for release in RELEASES:
        recording = RECORDINGS.releases[release][0]
        first, second = recording.turns
        messages = [system(RECORDINGS, recording), {"role": "user", "content": first.user}]

        assert await say(server, release, messages) == first.assistant
        sees_reply = [{"role": "user", "content": f"so far:\n{first.assistant}\ngo on"}]
        assert await say(server, SIMULATOR, sees_reply) == second.user
        assert '"demand_matching"' in await say(server, JUDGE, sees_reply)


async def test_what_was_not_recorded_is_404_with_the_reason(server: httpx2.AsyncClient) -> None:
    messages = [{"role": "user", "content": "Who are you?"}]
    for model, code in ((RELEASES[0], "not_recorded"), (JUDGE, "not_recorded"), ("gpt", "model_not_found")):
        answer = await server.post("/chat/completions", json={"model": model, "messages": messages})

        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == code


async def test_a_body_that_is_no_request_is_400(server: httpx2.AsyncClient) -> None:
    for body in (b"", b"[]", b'{"model": "release-a"}'):
        answer = await server.post("/chat/completions", content=body)

        assert answer.status_code == 400


async def test_the_models_are_listed(server: httpx2.AsyncClient) -> None:
    answer = (await server.get("/models")).json()

    assert [model["id"] for model in answer["data"]] == [*RELEASES, SIMULATOR, JUDGE]


def test_a_reply_takes_the_same_short_time_whenever_it_is_given() -> None:
    found = [latency(turn.assistant) for _, recording in ALL for turn in recording.turns]

    assert min(found) >= 0.05 and max(found) <= 0.15
    assert latency("same") == latency("same")
