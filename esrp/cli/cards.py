"""`esrp judge probe` and `esrp judge card`: what was measured of a judge, as text."""

import json
from collections.abc import Iterable
from typing import Annotated

import typer

from esrp.api import JudgeCard, Probe, Resistance
from esrp.cli.options import DEFAULT_URL, ApiKey, AsJson, Url, connect
from esrp.cli.text import table
from esrp.metrics import Language
from esrp.text import NONE, interval, number

Judge = Annotated[str, typer.Argument(metavar="JUDGE", help="Its name, or its id (jdg_…).")]


def probe(
    judge: Judge,
    language: Annotated[str, typer.Option(help="Of the dialogues: zh or en.")] = "zh",
    attack: Annotated[list[str] | None, typer.Option(help="Only this one; may be repeated.  [default: all]")] = None,
    dialogues: Annotated[int, typer.Option(min=2, max=12, help="The first so many.")] = 12,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Have a judge rate dialogues whose replies try to sway it; costs its calls, and may take minutes."""
    asked = {"language": language, "dialogues": dialogues} | ({"attacks": attack} if attack else {})
    with connect(url, api_key) as client:
        found = client.probe_judge(judge, asked)
    typer.echo(found.model_dump_json(indent=2) if as_json else probe_text(found))


def card(judge: Judge, as_json: AsJson = False, url: Url = DEFAULT_URL, api_key: ApiKey = None) -> None:
    """Print what was measured of a judge, and what keeps it from being validated."""
    with connect(url, api_key) as client:
        found = client.judge_card(judge)
    typer.echo(json.dumps(found.model_dump(mode="json"), ensure_ascii=False, indent=2) if as_json else card_text(found))


# --- as text ----------------------------------------------------------------------------------------------------------


def probe_text(found: Probe) -> str:
    """The battery's table, and what the calls were."""
    lines = [f"{found.judge}, {found.dialogues} dialogues ({found.language}), {found.usage.calls} calls"]
    lines += ["", resistance_table(found.resistance)] if found.resistance else []
    if found.spread:
        lines += ["", _spread(found.spread.language, found.spread.sd, found.spread.same)]
    if found.unfinished:
        lines.append(f"unfinished (probe them again): {', '.join(found.unfinished)}")
    return "\n".join(lines)


def card_text(found: JudgeCard) -> str:
    """The card, a thing a line; what was not measured is said to be."""
    lines = [
        f"{found.name} ({found.kind}, {found.model}): {'validated' if found.validated else 'not validated'}",
        f"configuration {found.configuration[:12]}",
        "",
        *_human(found),
        "",
    ]
    lines += [
        f"beside {other.judge}: n {other.n}, acc {number(other.acc)}, acc_soft {number(other.acc_soft)},"
        f" qwk {number(other.qwk)}, bias {number(other.bias, '+')}"
        for other in found.judges or ()
    ] or ["beside other judges: not measured"]
    lines += [_spread(spread.language, spread.sd, spread.same) for spread in found.spread or ()] or [
        "run-to-run spread: not measured"
    ]
    lines += [
        f"length ({slope.language}): {number(slope.per_100, '+')} {interval(slope.ci, '+')} with 100 more"
        f" {'words' if slope.language == 'en' else 'characters'} a reply, {slope.dialogues} dialogues"
        for slope in found.length or ()
    ] or ["length: not measured"]
    own = found.self_preference
    lines.append(
        "self-preference: not measured"
        if own is None
        else f"self-preference ({own.family}): {number(own.difference, '+')} {interval(own.ci, '+')}, {own.pairs} pairs"
    )
    lines += ["", resistance_table(found.resistance) if found.resistance else "injection: not measured"]
    return "\n".join([*lines, *(f"lacking: {what}" for what in found.lacking)])


def resistance_table(results: Iterable[Resistance]) -> str:
    """An attack a line: the mean lift and the flip rate with their intervals, and whether the judge resisted."""
    header = ("attack", "in", "lift", "95% interval", "flips", "95% interval", "lost", "wanted", "resisted")
    verdicts = {True: "yes", False: "no", None: NONE}
    rows = [
        (
            result.attack,
            result.language,
            number(result.lift, "+"),
            interval(result.lift_ci, "+"),
            number(result.flip_rate),
            interval(result.flip_ci),
            number(result.lost),
            "a fall" if result.wanted == "fall" else "no rise",
            verdicts[result.resisted],
        )
        for result in results
    ]
    return table(header, rows)


def _human(found: JudgeCard) -> list[str]:
    if found.human is None:
        return ["agreement with people: not measured"]
    rows = [
        (id, str(one.n), str(one.dialogues), *map(number, (one.acc, one.acc_soft, one.qwk)), number(one.bias, "+"))
        for id, one in found.human.metrics.items()
    ]
    when = f"{found.measured_at:%Y-%m-%d}" if found.measured_at else NONE
    return [
        table(("metric", "n", "dialogues", "acc", "acc_soft", "qwk", "bias"), rows),
        f"measured {when} on {found.human.runs} runs, ratings {found.human.ratings_sha256[:12]}",
    ]


def _spread(language: Language, sd: float, same: float) -> str:
    return f"run-to-run spread ({language}): sd {number(sd)}, {same:.0%} of scores the same when asked again"
