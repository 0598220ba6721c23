"""`esrp judge probe` and `esrp judge card`: what is asked for, and how it reads."""

import json
from typing import Any

from esrp.metrics import METRIC_IDS
from tests.cli.conftest import Esrp
from tests.client.fake_api import Answer, FakeApi, problem

AT = "2026-05-01T10:00:00Z"
SPREAD = {"language": "zh", "n": 108, "sd": 0.123, "same": 0.97, "measured_at": AT}


def attack(attack: str = "flatter", **fields: Any) -> dict[str, Any]:
    numbers = {"asked": 12, "n": 108, "dialogues": 12, "room": 90, "lift": 1.25, "lift_ci": [0.75, 1.75]}
    shares = {"flip_rate": 0.5, "flip_ci": [0.25, 0.75], "lost": 0.0, "resisted": False, "measured_at": AT}
    return {"attack": attack, "language": "zh", "wanted": "no_rise", **numbers, **shares, **fields}


def probe(**fields: Any) -> dict[str, Any]:
    usage = {"calls": 24, "prompt_tokens": 1, "completion_tokens": 1}
    found = {"judge": "default", "language": "zh", "dialogues": 12, "resistance": [attack()], "spread": SPREAD}
    return {**found, "unfinished": [], "usage": usage, "card": "/v1/judges/jdg_default/card", **fields}


def card(**fields: Any) -> dict[str, Any]:
    nothing = dict.fromkeys(("human", "judges", "spread", "length", "self_preference", "resistance", "measured_at"))
    judge = {"id": "jdg_default", "name": "default", "kind": "chat", "model": "m", "configuration": "c" * 64}
    return {**judge, "validated": False, "lacking": ["it was never probed"], "thresholds": {}, **nothing, **fields}


def test_a_probe_asks_for_what_was_asked_of_it_and_prints_a_line_an_attack(api: FakeApi, esrp: Esrp) -> None:
    api.on("POST", "/v1/judges/default/probe", Answer(probe(unfinished=["repeat"])))

    result = esrp("judge", "probe", "default", "--language", "en", "--attack", "flatter", "--attack", "repeat")

    assert result.exit_code == 0
    assert api.asked[0].json() == {"language": "en", "dialogues": 12, "attacks": ["flatter", "repeat"]}
    lines = result.stdout.splitlines()
    assert lines[0] == "default, 12 dialogues (zh), 24 calls"
    assert lines[3].split() == [
        *("flatter", "zh", "+1.25", "[+0.75,", "+1.75]", "0.50", "[0.25,", "0.75]", "0.00", "no", "rise", "no")
    ]
    assert lines[-2] == "run-to-run spread (zh): sd 0.12, 97% of scores the same when asked again"
    assert lines[-1] == "unfinished (probe them again): repeat"


def test_without_attacks_named_all_are_asked_for(api: FakeApi, esrp: Esrp) -> None:
    api.on("POST", "/v1/judges/default/probe", Answer(probe()))

    assert json.loads(esrp("judge", "probe", "default", "--json").stdout) == probe()
    assert api.asked[0].json() == {"language": "zh", "dialogues": 12}


def test_a_card_says_of_each_thing_whether_it_was_measured(api: FakeApi, esrp: Esrp) -> None:
    api.on("GET", "/v1/judges/default/card", Answer(card()))

    assert esrp("judge", "card", "default").stdout.splitlines() == [
        "default (chat, m): not validated",
        "configuration cccccccccccc",
        "",
        "agreement with people: not measured",
        "",
        "beside other judges: not measured",
        "run-to-run spread: not measured",
        "length: not measured",
        "self-preference: not measured",
        "",
        "injection: not measured",
        "lacking: it was never probed",
    ]


def test_a_measured_card_is_printed_with_all_its_figures(api: FakeApi, esrp: Esrp) -> None:
    one = {"n": 120, "acc": 0.5, "acc_soft": 0.9, "bias": -0.25, "qwk": None}
    metrics = {id: {**one, "dialogues": 60} for id in METRIC_IDS}
    human = {"metrics": metrics, "languages": ["zh"], "runs": 2, "ratings_sha256": "d" * 64}
    slope = {"language": "en", "per_100": 0.5, "ci": [0.25, 0.75], "dialogues": 40}
    own = {"family": "qwen", "difference": 0.25, "ci": None, "pairs": 9}
    measured = {"human": human, "judges": [{"judge": "other", **one}], "spread": [SPREAD], "measured_at": AT}
    found = card(validated=True, lacking=[], length=[slope], self_preference=own, resistance=[attack()], **measured)
    api.on("GET", "/v1/judges/default/card", Answer(found))

    lines = esrp("judge", "card", "default").stdout.splitlines()

    assert lines[0] == "default (chat, m): validated"
    assert [line.split()[0] for line in lines[4:13]] == list(METRIC_IDS)
    assert lines[4].split() == ["consistency", "120", "60", "0.50", "0.90", "–", "-0.25"]
    assert lines[13:19] == [
        "measured 2026-05-01 on 2 runs, ratings dddddddddddd",
        "",
        "beside other: n 120, acc 0.50, acc_soft 0.90, qwk –, bias -0.25",
        "run-to-run spread (zh): sd 0.12, 97% of scores the same when asked again",
        "length (en): +0.50 [+0.25, +0.75] with 100 more words a reply, 40 dialogues",
        "self-preference (qwen): +0.25 –, 9 pairs",
    ]


def test_a_judge_that_is_not_there_is_said_to_be(api: FakeApi, esrp: Esrp) -> None:
    api.on("GET", "/v1/judges/nobody/card", problem(404, "not_found", "There is no judge nobody."))

    result = esrp("judge", "card", "nobody")

    assert (result.exit_code, result.stderr) == (6, "esrp: There is no judge nobody.\n")
