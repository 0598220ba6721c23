"""Small suites, scenes and requests to arrange tests with."""

from typing import Any

from esrp.dialogue import Character, Scenario
from esrp.suite import Suite
from services.generator.roleplay import Scene


def a_suite(characters: int = 2, scenarios: int = 3, **fields: Any) -> Suite:
    """A suite `tiny` in English: c1, c2, … × s1, s2, …, with secrets in every label that the candidate may not see."""
    return Suite(
        name=fields.pop("name", "tiny"),
        language=fields.pop("language", "en"),
        characters=tuple(
            Character(id=f"c{n}", name=f"Name {n}", work=f"Work {n}", profile=f"Profile of number {n}.")
            for n in range(1, characters + 1)
        ),
        scenarios=tuple(
            Scenario(
                id=f"s{n}",
                persona=f"PERSONA-{n}",
                emotion=f"EMOTION-{n}",
                location=f"LOCATION-{n}",
                event=f"EVENT-{n} happened.",
                question=f"Question number {n}?",
            )
            for n in range(1, scenarios + 1)
        ),
        **fields,
    )


def a_scene(**fields: Any) -> Scene:
    """The first dialogue of `a_suite`, two rounds."""
    suite = a_suite()
    given = {
        "character": suite.characters[0],
        "scenario": suite.scenarios[0],
        "replicate": 1,
        "rounds": 2,
        "language": suite.language,
    }
    return Scene(**{**given, **fields})


def a_run_request(base_url: str = "http://127.0.0.1:1/v1", **fields: Any) -> dict[str, Any]:
    """The body of `POST /v1/runs` for the suite `tiny`."""
    candidate = {"base_url": base_url, "model": "bot", **fields.pop("candidate", {})}
    return {"suite": "tiny", "candidate": candidate, **fields}
