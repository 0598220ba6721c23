"""What the writer of scenarios is sent: a pure function of the cell, the number in it, the try and the language."""

from esrp.canonical import digest
from esrp.grid import Cell
from esrp.metrics import Language
from esrp.prompts import load
from esrp.prompts.fence import fence
from esrp.prompts.labels import CHINESE, worded

# The scenarios of one cell are asked for one by one, so each looks somewhere else (paper 1: work pressure,
# relationships, self-identity, meaning of life).
_ANGLES: dict[Language, tuple[str, ...]] = {
    "zh": (
        "手头的事情，例如学业、工作、生意或钱。",
        "身边的人，例如家人、朋友、同事、顾客或陌生人。",
        "自己，例如习惯、能力、身体，或别人眼中的自己。",
        "往后的日子，例如选择、梦想、得失，或什么才算值得。",
    ),
    "en": (
        "the matter in hand, such as studies, work, business or money.",
        "the people around them, such as family, friends, colleagues, customers or strangers.",
        "the user's own self, such as habits, abilities, health, or how others see them.",
        "the days to come, such as a choice, a dream, a gain or a loss, or what is worth the effort.",
    ),
}
_AGAIN: dict[Language, str] = {
    "zh": "注意：这是第{attempt}次请求，前一次的回答无法使用。请务必只输出一个完整的JSON对象，"
    "只含event和question两个键，值都是不为空的字符串；不要代码框，不要解释，写短一些。",
    "en": "Note: this is request number {attempt}; the answer before could not be used. Give exactly one complete JSON"
    " object with the two keys event and question, each a string that is not empty; no code fence, no remarks, and"
    " keep it short.",
}


def writer_messages(cell: Cell, number: int, attempt: int, language: Language) -> list[dict[str, str]]:
    """The request for the ``number``-th scenario of the cell; from the second ``attempt`` on it says what was wrong."""
    angles = _ANGLES[language]
    labels = {name: fence(worded(label, language) or "") for name, label in cell.model_dump().items()}
    angle = angles[(number - 1) % len(angles)]
    text = load("writer", language).render(**labels, number=str(number), angle=angle)
    if attempt > 1:
        text += "\n\n" + _AGAIN[language].replace("{attempt}", str(attempt))
    return [{"role": "user", "content": text}]


def writer_hashes(language: Language) -> list[str]:
    """For a suite's provenance: the hash of the prompt, and that of every other word that is put into it."""
    wording = [_ANGLES[language], _AGAIN[language], CHINESE if language == "zh" else None]
    return [load("writer", language).sha256, digest(wording)]
