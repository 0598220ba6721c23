"""The LoRA judge: nine prompts a dialogue, one token each, and of that token the odds of "1" to "5" (paper, 5.3)."""

import asyncio
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import orjson

from esrp.dialogue import Dialogue
from esrp.metrics import SCORES, Language
from services.judge.lora.serving import Launch, UnusableAdapter, engine_running
from services.judge.lora.tokenizing import Asked, JudgeTokenizer, UnusableTokenizer, load_tokenizer
from services.judge.rating import Fault, Rater, Score, Unserved, Verdict
from services.kit.answer import storable
from services.kit.chat import Attempt, ChatClient, Door, Stopped
from services.kit.endpoint import ChatError, Endpoint, Reply, Usage
from services.kit.settings import JudgeSettings
from services.work.budget import Errand
from services.work.seats import Seats

LOOK = 0.2  # seconds between looks at an engine that is starting
LONGEST_AWAY = 600.0  # seconds that an engine is waited for; a start takes 30 to 140


class TokenBudget:
    """Lets in as many prompts as fit into ``limit`` tokens, first come first served; one larger than all goes alone."""

    def __init__(self, limit: int) -> None:
        self._limit = self._free = limit
        self._door, self._freed = asyncio.Lock(), asyncio.Event()

    @asynccontextmanager
    async def of(self, tokens: int) -> AsyncIterator[None]:
        """Have ``tokens`` of it for the length of the block."""
        tokens = min(tokens, self._limit)
        async with self._door:
            while self._free < tokens:
                self._freed.clear()
                await self._freed.wait()
            self._free -= tokens
        try:
            yield
        finally:
            self._free += tokens
            self._freed.set()


class Served(Protocol):
    """A vLLM that we run ourselves."""

    @property
    def is_ready(self) -> bool:
        """Whether it answers now."""

    @property
    def away(self) -> float:
        """Seconds since it last did."""


@dataclass(frozen=True)
class LoraRater:
    """An adapter on vLLM. ``engine`` is the vLLM that we run ourselves, if we do."""

    judge: JudgeSettings
    endpoint: Endpoint
    client: ChatClient
    tokenizer: JudgeTokenizer
    budget: TokenBudget
    seats: Seats | None = None
    engine: Served | None = None

    @property
    def max_concurrency(self) -> int:
        """How many dialogues it holds: some wait at its seats, so that none is empty while one is saved."""
        seats = self.judge.max_concurrency
        return seats if self.seats is None else seats + seats // 2 + 1

    @property
    def is_ready(self) -> bool:
        """Whether it can rate now, as far as that is in our hands."""
        return self.engine is None or self.engine.is_ready

    async def rate(self, dialogue: Dialogue, language: Language, errand: Errand) -> Verdict:
        """Ask for nine distributions in one request; a metric without all five log-probabilities has no score."""
        asked = self.tokenizer.asked(dialogue, language)
        body = request_body(self.judge.model, asked, self.tokenizer.score_ids)
        entrance = Entrance(self.engine, self.budget, asked.tokens, errand.door(self.seats, body, "judge"))
        try:
            reply = await self.client.insist(self.endpoint, body, stopped=errand.stopped, door=entrance)
        except Stopped as stop:
            return Verdict(stopped=True, usage=stop.billed)
        except ChatError as error:
            message = f"The judge {self.judge.name}: {error.message}"
            return Verdict(error=Fault(error.code, message, error.retryable), usage=error.billed or Usage())
        usage = Usage(reply.calls, reply.prompt_tokens, reply.completion_tokens)
        return Verdict(scores_in(reply.text, asked.metrics, self.tokenizer.score_ids), reply.text, usage=usage)


@dataclass(frozen=True, slots=True)
class Entrance:
    """What each attempt has to wait for: that our vLLM is up, that its tokens have room, then the usual door."""

    engine: Served | None
    budget: TokenBudget
    tokens: int
    door: Door | None

    async def call(self, attempt: Attempt, stopped: asyncio.Event | None) -> Reply:
        """Make the attempt once it may begin; ``Stopped`` if it may not any more."""
        await self._engine_is_up(stopped)
        async with self.budget.of(self.tokens):
            if stopped is not None and stopped.is_set():
                raise Stopped
            return await (attempt() if self.door is None else self.door.call(attempt, stopped))

    async def _engine_is_up(self, stopped: asyncio.Event | None) -> None:
        """An engine that starts again is waited for: that is no fault of the dialogue's."""
        while self.engine is not None and not self.engine.is_ready:
            if stopped is not None and stopped.is_set():
                raise Stopped
            if (away := self.engine.away) > LONGEST_AWAY:
                message = f"vLLM has not been ready for {away / 60:.0f} minutes; its log says why"
                raise ChatError("engine_not_ready", message, retryable=True)
            await asyncio.sleep(LOOK)


@asynccontextmanager
async def lora_rater(judge: JudgeSettings, client: ChatClient, seats: Seats | None) -> AsyncIterator[Rater]:
    """The rater for a configured judge of kind ``lora``, and with it its vLLM if that is ours to run."""
    try:
        tokenizer = await asyncio.to_thread(load_tokenizer, _tokenizer_path(judge))
        launch = await asyncio.to_thread(_launch, judge)
    except (UnusableTokenizer, UnusableAdapter) as error:
        yield Unserved("judge_not_usable", f"The judge {judge.name}: {error}")
        return
    base_url = judge.base_url if launch is None else launch.base_url
    endpoint = Endpoint(base_url, judge.model, judge.key(), path="completions", read=read_completion)
    rater = LoraRater(judge, endpoint, client, tokenizer, TokenBudget(judge.max_tokens_in_flight), seats)
    if launch is None:
        yield rater
        return
    async with engine_running(launch, f"vllm {judge.name}") as engine:
        yield replace(rater, engine=engine)


def request_body(model: str, asked: Asked, score_ids: Sequence[int]) -> dict[str, Any]:
    """What is sent: a pure function of adapter and dialogue. The most likely token is of no interest, only the five."""
    return {
        "model": model,
        "prompt": asked.prompts,
        "max_tokens": 1,
        "temperature": 0,
        "logprobs": 1,
        "logprob_token_ids": list(score_ids),
        "return_tokens_as_token_ids": True,
    }


# --- reading the reply ------------------------------------------------------------------------------------------------


def read_completion(endpoint: Endpoint, _: Mapping[str, str], data: bytes, seconds: float) -> Reply:
    """The answer of ``/v1/completions`` as it came; ``ChatError`` if it is none."""
    text = storable(data.decode("utf-8", "replace"))
    answer = _parsed(text)
    if not isinstance(answer, dict) or not isinstance(answer.get("choices"), list):
        message = f"{endpoint.shown} does not answer as vLLM's completions do"
        raise ChatError("bad_response", message, retryable=True)
    return Reply(text, None, _tokens(answer, "prompt_tokens"), _tokens(answer, "completion_tokens"), seconds)


def scores_in(text: str, metrics: Sequence[str], score_ids: Sequence[int]) -> dict[str, Score]:
    """The scores by metric, as far as the answer has all five log-probabilities for it."""
    choices = _choices(_parsed(text))
    found = {metric: _logprobs(choices[place], score_ids) for place, metric in enumerate(metrics) if place in choices}
    return {metric: _score(logprobs) for metric, logprobs in found.items() if logprobs is not None}


def softmax(logprobs: Sequence[float]) -> tuple[float, ...]:
    """The five as a distribution of their own: what the model gives to other tokens does not count."""
    most = max(logprobs)
    odds = [math.exp(one - most) for one in logprobs]
    return tuple(one / sum(odds) for one in odds)


def _score(logprobs: Sequence[float]) -> Score:
    """The most probable class; of equals the lower one."""
    distribution = softmax(logprobs)
    return Score(SCORES[distribution.index(max(distribution))], None, distribution)


def _choices(answer: Any) -> dict[int, Mapping[str, Any]]:
    """The answer's choices by the place of their prompt; a place that is there twice is nobody's."""
    choices = answer.get("choices") if isinstance(answer, dict) else None
    found: dict[int, Mapping[str, Any]] = {}
    twice = set()
    for choice in choices if isinstance(choices, list) else []:
        place = choice.get("index") if isinstance(choice, dict) else None
        if isinstance(place, int) and place >= 0:
            twice |= {place} & found.keys()
            found[place] = choice
    return {place: choice for place, choice in found.items() if place not in twice}


def _logprobs(choice: Mapping[str, Any], score_ids: Sequence[int]) -> list[float] | None:
    match choice.get("logprobs"):
        case {"top_logprobs": [{} as first, *_]}:
            found = [first.get(f"token_id:{id}") for id in score_ids]
            return [float(one) for one in found if _is_logprob(one)] if all(map(_is_logprob, found)) else None
    return None


def _is_logprob(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _parsed(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _tokens(answer: Mapping[str, Any], name: str) -> int:
    usage = answer.get("usage")
    count = usage.get(name) if isinstance(usage, dict) else None
    return count if isinstance(count, int) and 0 <= count <= 10_000_000 else 0


# --- what is configured -----------------------------------------------------------------------------------------------


def _tokenizer_path(judge: JudgeSettings) -> Path:
    named = judge.tokenizer or (judge.serve and judge.serve.model)
    if not named:
        raise UnusableTokenizer("it needs `tokenizer: PATH`, the base model's tokenizer.json")
    return Path(named)


def _launch(judge: JudgeSettings) -> Launch | None:
    serve = judge.serve
    if serve is None:
        return None
    return Launch.of(
        serve.model, {judge.model: serve.adapter}, python=serve.python, port=serve.port, cpu=serve.cpu, pinned=True
    )
