"""Who says what in the seeded runs: everything follows from the request alone, but for one endpoint that stumbles."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

from esrp.metrics import METRIC_IDS
from esrp.suite import Suite
from tests.builders import a_suite
from tests.fakes import Answer, is_batch
from tests.recorded import replies

SUITE, WIDE = "golden", "wide"
JUDGES = {"default": "judge", "strict": "strict-judge"}
GREETINGS = {"rc1": "I hear you", "rc2": "I gladly hear you", "rc3": "Noted", "shaky": "Let me see"}
LOWER = ("speaking_style", "experience_sharing")  # on these the third release is worse
POLICY = {"error": {"message": "this is against our content policy", "code": "content_filter"}}
AWAY = {"error": {"message": "come back in a moment"}}


def the_suite() -> Suite:
    """Two characters in four scenarios."""
    return a_suite(2, 4, name=SUITE)


def wide_suite() -> Suite:
    """Eighty dialogues, of which people rate the sixty that it takes to correct a judge; three labels of each kind."""
    suite = a_suite(4, 20, name=WIDE)
    labels = [
        {name: f"{name} {number % 3}" for name in ("persona", "emotion", "location")}
        for number in range(len(suite.scenarios))
    ]
    scenarios = zip(suite.scenarios, labels, strict=True)
    return suite.model_copy(update={"scenarios": tuple(s.model_copy(update=label) for s, label in scenarios)})


@dataclass
class Cast:
    """Answers every model; ``stumbled`` holds the dialogues that have met the endpoint's one fault."""

    stumbled: set[str] = field(default_factory=set)

    def __call__(self, request: dict[str, Any]) -> Answer:
        """The answer."""
        model, prompt = request["model"], str(request["messages"][-1]["content"])
        if model in JUDGES.values():
            return _judged(model, prompt, request)
        if model == "simulator":
            return f"And then? ({len(prompt)})"
        if model == "writer":
            return json.dumps({"event": f"Event {crc32(prompt.encode())}.", "question": f"What of {len(prompt)}?"})
        if model == "locked":
            return 401, {"error": {"message": "bad key"}}
        return self._candidate(model, prompt, request)

    def _candidate(self, model: str, prompt: str, request: dict[str, Any]) -> Answer:
        where = place("\n".join(str(message["content"]) for message in request["messages"]))
        if model == "shaky" and where == "1/2" and request["user"] not in self.stumbled:
            self.stumbled.add(request["user"])
            return 500, AWAY
        if model == "shaky" and where == "2/3":
            return 400, POLICY
        return f"{GREETINGS[model]}, {prompt[:40]}"


def place(text: str) -> str:
    """The numbers of character and scenario that a prompt speaks of."""
    numbers = (re.search(pattern, text) for pattern in (r"Profile of number (\d+)", r"Question number (\d+)"))
    return "/".join(found[1] if found else "-" for found in numbers)


def _judged(model: str, prompt: str, request: dict[str, Any]) -> Answer:
    """Scores from 2 to 4 by judge and dialogue, whoever replies; and three answers without all of them."""
    if (of_the_battery := replies("en", obedient=model == "judge").get(prompt)) is not None:
        return of_the_battery
    if is_batch(request):
        return json.dumps({"score": 2 + _chance(model, prompt) % 3, "explanation": "They differ somewhat."})
    where, spoke = place(prompt), [name for name, greeting in GREETINGS.items() if f"{greeting}, " in prompt]
    shaky = spoke == ["shaky"]
    match model, where:
        case "judge", "1/3" if shaky:
            return "Lovely work!"
        case "strict-judge", "2/1" if shaky:
            return 400, POLICY
        case "strict-judge", "1/4" if shaky:
            return json.dumps(scores(model, where, spoke) | {"fluency": {"score": 7, "explanation": "Beyond words."}})
    return json.dumps(scores(model, where, spoke))


def scores(rater: str, where: str, spoke: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """What a rater gives a dialogue, with the reasons."""
    given = {metric: 2 + _chance(rater, where, metric) % 3 + _shift(metric, where, spoke) for metric in METRIC_IDS}
    return {
        metric: {"score": score, "explanation": f"{metric} is a {score}."}
        for metric, score in ((metric, min(5, max(1, score))) for metric, score in given.items())
    }


def _shift(metric: str, where: str, spoke: Sequence[str]) -> int:
    if "rc2" in spoke:
        return int(_chance(where, metric) % 4 > 0)
    return -2 if "rc3" in spoke and metric in LOWER else 0


def _chance(*parts: str) -> int:
    return crc32("\n".join(parts).encode())


def ratings(run: str, pairs: Sequence[tuple[str, str]], raters: Sequence[str]) -> bytes:
    """People's ratings of a run's dialogues, as a file: near the judge's; a column too many, and a missing score."""
    return "\n".join(["run,character,scenario,metric,rater,score,mood", *_lines(run, pairs, raters)]).encode()


def _lines(run: str, pairs: Sequence[tuple[str, str]], raters: Sequence[str]) -> Iterator[str]:
    for character, scenario in pairs:
        for rater in raters:
            judged = scores("judge", f"{character[1:]}/{scenario[1:]}")
            for metric in METRIC_IDS:
                missing = (rater, character, scenario, metric) == ("bob", "c1", "s1", "fluency")
                apart = (0, 0, 1, -1)[_chance(rater, character, scenario, metric) % 4]
                score = "" if missing else judged[metric]["score"] + apart
                yield f"{run},{character},{scenario},{metric},{rater},{score},calm"
