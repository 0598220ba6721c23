"""How many tokens a plan will take, before anything is spent: from the suite's own texts, or from a pilot."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean, stdev

import numpy as np

from esrp.api import EndpointCandidate, Price, Prices, RunRequest, Span, Usage
from esrp.dialogue import Dialogue, Turn
from esrp.diversity import BATCH, SMALLEST
from esrp.prompts import fill, load
from esrp.prompts.diversity import diversity_messages
from esrp.prompts.judging import JUDGE_PARAMS, judge_messages
from esrp.suite import Suite

# Tokens a character: from the thriftiest to the most wasteful of today's vocabularies, as their papers state them.
WIDE = (0.5, 1.4)  # Chinese, Japanese, Korean
NARROW = (0.2, 0.45)
MARKUP = 8  # tokens a message of the chat format itself, at most
REPLY = (40, 256)  # tokens of a reply that nobody limits: 50 to 150 characters or words are asked for
VERDICT = (250, 1500)  # nine scores, each with a sentence
BATCH_VERDICT = (20, 200)  # one score with a sentence
# A pilot's mean is known to two standard errors, and a later endpoint day to a tenth.
ERRORS, DRIFT = 2.0, 0.1


@dataclass(frozen=True, slots=True)
class Calls:
    """How many calls each role gets; of the judges', ``batches`` are about the diversity of some replies."""

    candidate: int
    simulator: int
    judge: int
    batches: int = 0


@dataclass(frozen=True, slots=True)
class Side:
    """Tokens of one role over the whole run: asked and said, each from at least to at most."""

    asked: tuple[float, float] = (0, 0)
    said: tuple[float, float] = (0, 0)


@dataclass(frozen=True)
class Tokens:
    """Tokens by role."""

    sides: Mapping[str, Side] = field(default_factory=dict)

    @property
    def span(self) -> Span:
        """All roles together."""
        ends = [sum(side.asked[end] + side.said[end] for side in self.sides.values()) for end in (0, 1)]
        return Span(low=math.floor(ends[0]), high=math.ceil(ends[1]))

    def cost(self, prices: Prices | None) -> Span | None:
        """In the currency of the prices; ``None`` without prices."""
        if prices is None:
            return None
        low, high = (sum(self._cost(prices, role, end) for role in self.sides) for end in (0, 1))
        return Span(low=round(low, 6), high=round(high, 6))

    def _cost(self, prices: Prices, role: str, end: int) -> float:
        price: Price | None = getattr(prices, role)
        if price is None:
            return 0.0
        side = self.sides[role]
        return (side.asked[end] * price.prompt_per_million + side.said[end] * price.completion_per_million) / 1e6


def estimated(request: RunRequest, suite: Suite, calls: Calls) -> Tokens:
    """From the texts that will be sent, averaged over the suite's characters and scenarios."""
    reply = _reply_length(request)
    question = _average(scenario.question for scenario in suite.scenarios)
    rounds = request.rounds
    sides = {}
    if calls.candidate:
        system = _average(_system_messages(request, suite))
        # Round k is asked with k questions and k - 1 answers before it.
        asked = _sum(
            _times(system, rounds),
            _times(question, rounds * (rounds + 1) / 2),
            _times(reply, rounds * (rounds - 1) / 2),
            (0, MARKUP * rounds * (rounds + 1)),
        )
        dialogues = calls.candidate / rounds
        sides["candidate"] = Side(_times(asked, dialogues), _times(reply, calls.candidate))
    if calls.simulator:
        material = _average([load("simulator", suite.language).text])
        event = _average(scenario.event or "" for scenario in suite.scenarios)
        spoken = _times(_sum(question, reply), rounds / 2)  # on the average of its calls
        asked = _sum(material, event, spoken, (0, MARKUP * 2))
        sides["simulator"] = Side(_times(asked, calls.simulator), _times(REPLY, calls.simulator))
    if calls.judge:
        prompt = _average(_judge_prompts(suite))
        asked = _sum(prompt, _times(_sum(question, reply), rounds), (0, MARKUP * 3))
        most = float(JUDGE_PARAMS.get("max_tokens") or VERDICT[1])
        said = (VERDICT[0], min(VERDICT[1], most))
        verdicts = calls.judge - calls.batches
        of_batches = _batches_asked(suite, reply)
        sides["judge"] = Side(
            _sum(_times(asked, verdicts), _times(of_batches, calls.batches)),
            _sum(_times(said, verdicts), _times(BATCH_VERDICT, calls.batches)),
        )
    return Tokens(sides)


def probed(pilot: Mapping[str, Sequence[Usage]], calls: Calls) -> Tokens:
    """From the usage of each of a pilot's calls, by role: the mean of a call, to two standard errors and a tenth.

    A pilot is too small for batches: their calls, a few in a hundred, are taken to cost what verdicts do.
    """
    sides = {}
    for role, uses in pilot.items():
        if uses and (n := getattr(calls, role)):
            asked = _spread([use.prompt_tokens / max(1, use.calls) for use in uses])
            said = _spread([use.completion_tokens / max(1, use.calls) for use in uses])
            sides[role] = Side(_times(asked, n), _times(said, n))
    return Tokens(sides)


def tokens_of(text: str) -> tuple[float, float]:
    """How many tokens a text has, from at least to at most."""
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    wide = int(np.count_nonzero(points > 0x2E7F))  # a suite may have 20 million characters
    narrow = len(text) - wide
    return wide * WIDE[0] + narrow * NARROW[0], wide * WIDE[1] + narrow * NARROW[1]


def _reply_length(request: RunRequest) -> tuple[float, float]:
    candidate = request.candidate
    limit = candidate.params.max_tokens if isinstance(candidate, EndpointCandidate) else None
    most = float(limit or REPLY[1])
    return min(REPLY[0], most), most


def _system_messages(request: RunRequest, suite: Suite) -> Iterable[str]:
    candidate = request.candidate
    if not isinstance(candidate, EndpointCandidate) or candidate.prompt == "none":
        return [""]
    template = load("role", suite.language).text if candidate.prompt == "suite" else candidate.prompt
    return [fill(template, {"name": c.name, "work": c.work, "profile": c.profile}) for c in suite.characters]


def _judge_prompts(suite: Suite) -> Iterable[str]:
    scenario = suite.scenarios[0]
    for character in suite.characters:
        dialogue = Dialogue(character=character, scenario=scenario, turns=(Turn(user="?", assistant="."),))
        yield "".join(str(message["content"]) for message in judge_messages(dialogue, suite.language))


def _batches_asked(suite: Suite, reply: tuple[float, float]) -> tuple[float, float]:
    """Tokens of a question about a batch, from the smallest batch to the full one."""
    empty = (diversity_messages(character, [""] * BATCH, suite.language) for character in suite.characters)
    prompt = _average("".join(message["content"] for message in messages) for messages in empty)
    return prompt[0] + SMALLEST * reply[0], prompt[1] + BATCH * reply[1] + 3 * MARKUP


def _average(texts: Iterable[str]) -> tuple[float, float]:
    counted = [tokens_of(text) for text in texts]
    return mean(low for low, _ in counted), mean(high for _, high in counted)


def _spread(values: Sequence[float]) -> tuple[float, float]:
    middle = mean(values)
    error = ERRORS * stdev(values) / math.sqrt(len(values)) if len(values) > 1 else middle
    return max(0.0, (middle - error) * (1 - DRIFT)), (middle + error) * (1 + DRIFT)


def _sum(*parts: tuple[float, float]) -> tuple[float, float]:
    return sum(low for low, _ in parts), sum(high for _, high in parts)


def _times(part: tuple[float, float], factor: float) -> tuple[float, float]:
    return part[0] * factor, part[1] * factor
