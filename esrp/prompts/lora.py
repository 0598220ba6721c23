"""What the LoRA judge is sent: character, dialogue, then one metric, so that nine prompts share one cached prefix.

Training and serving both take their token ids from here, so that the judge is asked as it was taught.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from esrp.dialogue import Character, Dialogue, Turn
from esrp.metrics import METRIC_IDS, METRICS, SCORES, Language, Metric
from esrp.prompts import Prompt
from esrp.prompts.fence import fence, transcript

Encode = Callable[[str], Sequence[int]]


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a prompt: ours, where chat markup counts, or somebody's text, where it is only text."""

    text: str
    trusted: bool


@dataclass(frozen=True)
class LoraPrompt:
    """The prompt for one metric; the next token after it is the score's digit.

    ``segments`` are the prefix, the same for all metrics of a dialogue; ``suffix`` is all ours.
    """

    metric: str
    segments: tuple[Segment, ...]
    suffix: str

    @property
    def prefix(self) -> str:
        """Character and dialogue, as text."""
        return "".join(segment.text for segment in self.segments)

    @property
    def text(self) -> str:
        """The whole prompt, for a person to read: only ``token_ids`` keeps markup in a dialogue from counting."""
        return self.prefix + self.suffix


def lora_prompts(dialogue: Dialogue, language: Language, metrics: Sequence[str] = METRIC_IDS) -> list[LoraPrompt]:
    """A prompt for each metric, in the order asked for, in Qwen's chat markup with thinking off.

    ``KeyError`` if one of ``metrics`` is none of the nine.
    """
    segments, ending = _prefix(dialogue, language), _template(language).text.split(_ITEM, 1)[1]
    return [LoraPrompt(id, segments, _item(_METRIC[id], language) + ending + AFTER_THINKING) for id in metrics]


def token_ids(prompt: LoraPrompt, encode: Encode) -> list[int]:
    """The prompt's token ids: those of the prefix, then those of the suffix, each encoded by itself.

    ``encode`` turns text into ids and adds nothing (``add_special_tokens=False``).
    """
    return prefix_ids(prompt, encode) + list(encode(prompt.suffix))


def prefix_ids(prompt: LoraPrompt, encode: Encode) -> list[int]:
    """The token ids of the prefix: to be made once for the nine prompts of a dialogue.

    Somebody's text is cut after every ``<`` and each piece encoded by itself. Every markup token of the tokenizers
    that ``require_tokenizer`` lets pass begins with ``<`` and goes on, so none can come out of such a text: neither
    ``<|im_end|>`` nor, what a tokenizer's ``split_special_tokens`` would let through, ``</think>``.
    """
    return [id for segment in prompt.segments for piece in _pieces(segment) for id in encode(piece)]


def score_ids(encode: Encode) -> tuple[int, ...]:
    """The ids of the tokens "1" to "5"; ``ValueError`` where a digit is not one token of its own."""
    encoded = [list(encode(str(score))) for score in SCORES]
    ids = tuple(ids[0] for ids in encoded if len(ids) == 1)
    if len(set(ids)) < len(SCORES):
        raise ValueError("The tokenizer does not write each of the digits 1 to 5 as one token of its own.")
    return ids


def require_tokenizer(added_tokens: Iterable[str]) -> None:
    """``ValueError`` if a dialogue could write one of the tokenizer's added tokens (``get_added_vocab()``)."""
    odd = sorted(token for token in added_tokens if len(token) < 2 or not token.startswith("<"))
    if odd:
        raise ValueError(f"Dialogues could write markup of this tokenizer, which is not Qwen's: {odd[:5]}")


# --- how a prompt is put together -------------------------------------------------------------------------------------

AFTER_THINKING = "\n\n"  # between the empty thought and the answer, as Qwen3's own template has it
_ITEM = "{item}"
_METRIC = {metric.id: metric for metric in METRICS}


def _prefix(dialogue: Dialogue, language: Language) -> tuple[Segment, ...]:
    character = dialogue.character
    values = {
        "name": fence(character.name),
        "work": fence(character.work),
        "profile": fence(character.profile),
        "dialogue": transcript(dialogue.turns, language),
    }
    # No text can hold U+0000 (esrp.dialogue.storable), so it marks where theirs goes into ours.
    marked = {name: f"\0{name}\0" if value else None for name, value in values.items()}
    ours = Prompt(_template(language).text.split(_ITEM, 1)[0]).render(**marked)
    parts = (
        Segment(part if n % 2 == 0 else values[part], trusted=n % 2 == 0) for n, part in enumerate(ours.split("\0"))
    )
    return tuple(part for part in parts if part.text)


@cache
def _template(language: Language) -> Prompt:
    return Prompt(files("esrp.prompts").joinpath(f"lora.{language}.txt").read_text("utf-8").strip("\n"))


def _item(metric: Metric, language: Language) -> str:
    words = metric.wording(language)
    if language == "zh":
        return f"{words.name}。{words.question}1–2分：{words.low}；3分：{words.middle}；4–5分：{words.high}。"
    return f"{words.name}. {words.question} 1–2: {words.low}; 3: {words.middle}; 4–5: {words.high}."


def _pieces(segment: Segment) -> list[str]:
    return [segment.text] if segment.trusted else [piece for piece in _CUT.split(segment.text) if piece]


_CUT = re.compile("(?<=<)")


def _version() -> str:
    """The hash of what a known dialogue becomes: it changes with every text and rule that shapes a prompt."""
    someone = Character(id="x", name="name", work="work", profile="profile <|im_end|>")
    known = Dialogue(character=someone, scenario=None, turns=(Turn(user="user", assistant="assistant"),))
    prompts = [prompt for language in ("zh", "en") for prompt in lora_prompts(known, language)]
    pieces = [[*(piece for s in prompt.segments for piece in _pieces(s)), prompt.suffix] for prompt in prompts]
    return hashlib.sha256(repr(pieces).encode()).hexdigest()[:12]


LORA_VERSION: str = _version()
"""Names the form of the prompt, as 12 hex digits: an adapter is served only with the form that it was trained on."""
