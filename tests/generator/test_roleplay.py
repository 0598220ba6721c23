"""How a dialogue is played, and who sees what."""

import json
from collections.abc import Sequence

from esrp.api import EndpointCandidate
from services.generator.roleplay import Failure, Halt, OpenTurn, Said, Scene, candidate_request, play, simulator_request
from services.kit.endpoint import ChatError
from services.work.budget import Errand
from tests.builders import a_scene
from tests.fakes import Scripted

BOT = EndpointCandidate(base_url="http://bot/v1", model="bot")
FIRST = OpenTurn("Question number 1?", "First answer.")


async def played(
    scene: Scene,
    turns: Sequence[OpenTurn],
    candidate: Scripted,
    simulator: Scripted,
    errand: Errand | None = None,
) -> tuple[list[Said], Failure | Halt | None]:
    saved: list[Said] = []

    async def save(said: Said) -> None:
        saved.append(said)

    failure = await play(scene, turns, candidate, simulator, save, errand or Errand())
    return saved, failure


async def test_two_rounds_are_question_answer_question_answer() -> None:
    saved, failure = await played(a_scene(), (), Scripted(["First answer.", "Second answer."]), Scripted(["And?"]))
    assert failure is None
    assert [said.role for said in saved] == ["candidate", "simulator", "candidate"]
    assert saved[-1].turns == (FIRST, OpenTurn("And?", "Second answer."))


async def test_a_dialogue_goes_on_from_its_last_saved_turn() -> None:
    candidate, simulator = Scripted(["Second answer."]), Scripted([])
    saved, _ = await played(a_scene(), (FIRST, OpenTurn("And?")), candidate, simulator)
    assert [said.turns for said in saved] == [(FIRST, OpenTurn("And?", "Second answer."))]
    assert simulator.heard == []


async def test_a_finished_dialogue_asks_nobody() -> None:
    saved, failure = await played(a_scene(rounds=1), (FIRST,), Scripted([]), Scripted([]))
    assert (saved, failure) == ([], None)


async def test_who_fails_and_why_is_told() -> None:
    broken = ChatError("unauthorized", "the endpoint refused the key")
    saved, failure = await played(a_scene(), (), Scripted([broken]), Scripted([]))
    assert saved == []
    assert isinstance(failure, Failure)
    assert (failure.role, failure.error) == ("candidate", broken)


async def test_once_stopped_no_new_call_starts() -> None:
    errand = Errand()
    errand.stopped.set()
    saved, failure = await played(a_scene(), (), Scripted([]), Scripted([]), errand)
    assert (saved, failure) == ([], None)


def test_the_candidate_sees_prompt_profile_and_the_users_words_and_nothing_else() -> None:
    request = candidate_request(BOT, a_scene(), (FIRST, OpenTurn("And?")))
    system, *talk = request["messages"]
    assert system["role"] == "system"
    assert "Profile of number 1." in system["content"]
    assert "Name 1" in system["content"]
    assert talk == [
        {"role": "user", "content": "Question number 1?"},
        {"role": "assistant", "content": "First answer."},
        {"role": "user", "content": "And?"},
    ]
    for hidden in ("PERSONA", "EMOTION", "LOCATION", "EVENT"):
        assert hidden not in json.dumps(request)


def test_the_simulator_sees_the_scenario_and_the_first_round() -> None:
    request = simulator_request("sim", {"temperature": 0.7}, a_scene(), (FIRST,))
    text = request["messages"][0]["content"]
    for seen in ("PERSONA-1", "EMOTION-1", "LOCATION-1", "EVENT-1", "Question number 1?", "First answer."):
        assert seen in text
    assert "Profile of number 1." not in text


def test_a_chinese_simulator_reads_labels_in_chinese_and_others_as_they_are() -> None:
    scenario = a_scene().scenario.model_copy(update={"persona": "self-employed", "emotion": "sad", "location": "月球"})
    request = simulator_request("sim", {}, a_scene(language="zh", scenario=scenario), (FIRST,))
    for worded in ("身份：个体经营者", "心情：悲伤", "地点：月球"):
        assert worded in request["messages"][0]["content"]


def test_what_is_sent_is_a_pure_function_of_the_scene() -> None:
    assert candidate_request(BOT, a_scene(), (FIRST,)) == candidate_request(BOT, a_scene(), (FIRST,))


def test_every_dialogue_has_its_own_opaque_user_value() -> None:
    users = {candidate_request(BOT, a_scene(replicate=n), ())["user"] for n in (1, 2)}
    assert len(users) == 2
    assert all("c1" not in user and len(user) == 32 for user in users)


def test_the_papers_parameters_are_the_default() -> None:
    request = candidate_request(BOT, a_scene(), (FIRST,))
    assert (request["temperature"], request["top_p"], request["max_tokens"]) == (0.7, 0.95, 256)


def test_a_bot_with_its_own_persona_gets_no_system_message() -> None:
    bot = BOT.model_copy(update={"prompt": "none"})
    assert [m["role"] for m in candidate_request(bot, a_scene(), (OpenTurn("Hi"),))["messages"]] == ["user"]


def test_a_prompt_template_is_filled_in_and_leaves_other_braces_alone() -> None:
    bot = BOT.model_copy(update={"prompt": "You are {name} of {work}. {profile} {other}"})
    system = candidate_request(bot, a_scene(), (OpenTurn("Hi"),))["messages"][0]["content"]
    assert system == "You are Name 1 of Work 1. Profile of number 1. {other}"


def test_a_character_can_have_a_model_of_its_own_and_extra_fields_are_sent() -> None:
    bot = BOT.model_copy(update={"models": {"c1": "bot-c1"}, "extra_body": {"safety": "on"}})
    request = candidate_request(bot, a_scene(), (OpenTurn("Hi"),))
    assert (request["model"], request["safety"]) == ("bot-c1", "on")
