"""Judges alone and corrected by people, beside what people say: one figure, as SVG."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from esrp.stats.intervals import Interval

WIDTH, LEFT, RIGHT, TOP, STEP = 860, 190, 40, 96, 62
ALONE, CORRECTED, TRUTH = "#c2571a", "#1f6f8b", "#2b2b2b"


@dataclass(frozen=True, slots=True)
class Line:
    """A judge: what people say on average, what it says, its own interval and the corrected one."""

    judge: str
    truth: float
    mean: float
    own: Interval
    corrected: Interval


def figure(attribute: str, lines: Sequence[Line]) -> str:
    """The drawing."""
    height = TOP + STEP * len(lines) + 70
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"'
            ' font-family="system-ui, sans-serif" font-size="14">',
            f"<title>Mean {escape(attribute)} of one chatbot by four judges, alone and corrected by people</title>",
            f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
            *_legend(attribute),
            *_scale(TOP + STEP * len(lines)),
            *(part for place, line in enumerate(lines) for part in _judge(line, TOP + STEP * place)),
            "</svg>",
            "",
        ]
    )


def _x(score: float) -> float:
    return LEFT + (score - 1) / 4 * (WIDTH - LEFT - RIGHT)


def _legend(attribute: str) -> Iterator[str]:
    yield f'<text x="20" y="30" font-size="17" font-weight="600">Mean {escape(attribute)} of one chatbot, 1 to 5</text>'
    entries = (
        (20, TRUTH, "what a clinician says"),
        (220, ALONE, "what the judge says alone"),
        (450, CORRECTED, "corrected by 100 of the clinician's ratings"),
    )
    for x, colour, words in entries:
        yield f'<rect x="{x}" y="50" width="14" height="14" fill="{colour}"/>'
        yield f'<text x="{x + 20}" y="62">{words}</text>'


def _scale(bottom: float) -> Iterator[str]:
    for score in range(1, 6):
        yield f'<line x1="{_x(score):.1f}" x2="{_x(score):.1f}" y1="{TOP - 10}" y2="{bottom}" stroke="#ddd"/>'
        yield f'<text x="{_x(score):.1f}" y="{bottom + 22}" text-anchor="middle" fill="#555">{score}</text>'


def _judge(line: Line, top: float) -> Iterator[str]:
    yield f'<text x="20" y="{top + 26}">{escape(line.judge)}</text>'
    yield from _bar(line.own, top + 8, ALONE)
    yield f'<circle cx="{_x(line.mean):.1f}" cy="{top + 12}" r="4" fill="{ALONE}"/>'
    yield from _bar(line.corrected, top + 28, CORRECTED)
    truth = _x(line.truth)
    yield f'<line x1="{truth:.1f}" x2="{truth:.1f}" y1="{top}" y2="{top + 44}" stroke="{TRUTH}" stroke-width="3"/>'


def _bar(found: Interval, top: float, colour: str) -> Iterator[str]:
    width = max(3.0, _x(found.high) - _x(found.low))
    yield f'<rect x="{_x(found.low):.1f}" y="{top}" width="{width:.1f}" height="9" rx="2" fill="{colour}"/>'
