"""A gate's verdict as plain text, as JUnit XML, and as Markdown. Names and reasons are models' and users': hostile."""

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from esrp.api import GateRule, GateVerdict, RatedDialogue, Run, SentinelOut, WorstPair
from esrp.cli.text import table
from esrp.text import Sign, code, interval, number, sentence, shown, table_row

LONGEST = 300  # characters of a reason that are shown
MARKS = {"pass": "✅", "fail": "❌", "inconclusive": "❔", "error": "⚠️", "not_measured": "➖"}


def plain(verdict: GateVerdict, url: str) -> str:
    """The verdict for a terminal: what was decided and why, every rule, and where it is worst."""
    lines = [f"{_gate(verdict)}: {verdict.verdict.upper()}", _about(verdict), "", *map(shown, verdict.explanation), ""]
    lines += [_rules(verdict.rules)] if verdict.rules else []
    for metric, pairs in groupby(verdict.worst, key=lambda pair: pair.metric):
        lines += ["", f"{metric} is worst here:"]
        for pair in pairs:
            lines += [f"  {_place(pair)}  {url}{pair.candidate.link}"]
            lines += [f"    {reason}" for reason in _reasons(pair.candidate)]
    lines += ["", "This plays the dialogues that are still needed:"] if verdict.commands else []
    lines += [f"  {command}" for command in verdict.commands]
    lines += ["", *map(_heard, verdict.sentinel)] if verdict.sentinel else []
    lines += [f"warning: {shown(warning)}" for warning in verdict.warnings]
    return "\n".join(lines)


# --- JUnit ------------------------------------------------------------------------------------------------------------


def junit(verdict: GateVerdict, url: str) -> str:
    """JUnit XML: one testcase a rule; besides one of each error, and of each judge that was heard again.

    A rule that is open is an ``error``, and ``skipped`` where that does not matter: another failed, or the policy lets
    it pass. Where nothing could be decided at all, that is the ``error``, and no rule is a ``failure``.
    """
    cases = [_case(verdict, f"{shown(rule.metric)} {rule.kind}") for rule in verdict.rules]
    for case, rule in zip(cases, verdict.rules, strict=True):
        _outcome(case, verdict, rule, url)
    for error in verdict.errors:
        case = _case(verdict, shown(error.partition(":")[0]))
        _child(case, "error", shown(error), "\n".join(verdict.explanation))
        cases.append(case)
    for heard in verdict.sentinel:
        case = _case(verdict, f"judge re-check {shown(heard.judge)}")
        if heard.outcome != "steady":
            _child(case, "error", f"judge {heard.outcome}", _heard(heard))
        cases.append(case)
    properties = {"run": verdict.run, "verdict": verdict.verdict, "raters": verdict.raters}
    if verdict.baseline:
        properties["baseline"] = verdict.baseline.run
    return _suite(shown(_gate(verdict)), cases, properties, verdict.explanation)


def junit_of_no_verdict(run: Run) -> str:
    """JUnit XML of a run that did not succeed: one testcase, an error."""
    case = ET.Element("testcase", classname="esrp.gate", name="run")
    _child(case, "error", f"the run ended {run.status}", _why(run))
    return _suite("gate", [case], {"run": run.id}, ())


def _case(verdict: GateVerdict, name: str) -> ET.Element:
    gate = shown(verdict.gate.partition("@")[0]) if verdict.gate else "policy"
    return ET.Element("testcase", classname=f"esrp.gate.{gate}", name=name)


def _outcome(case: ET.Element, verdict: GateVerdict, rule: GateRule, url: str) -> None:
    measured = f"{rule.metric} {_measured(rule)}"
    worst = [pair for pair in verdict.worst if pair.metric == rule.metric and (pair.difference is None) == _alone(rule)]
    places = "\n".join(f"{_place(pair)} {url}{pair.candidate.link}" for pair in worst)
    undecided = verdict.errors or any(heard.outcome != "steady" for heard in verdict.sentinel)
    if rule.metric in verdict.failing and rule.outcome == "fail":
        _child(case, "failure", measured, f"{measured}\n{places}")
    elif rule.outcome == "not_measured":
        _child(case, "skipped", f"fewer than ten shared dialogues: {measured}", "")
    elif rule.outcome != "pass" and (verdict.verdict == "pass" or verdict.failing or undecided):
        _child(case, "skipped", f"not decided: {measured}", "")
    elif rule.outcome == "inconclusive":
        _child(case, "error", f"not decided: {measured}", "\n".join(verdict.commands))
    else:
        ET.SubElement(case, "system-out").text = measured


def _alone(rule: GateRule) -> bool:
    return rule.kind == "floor"


def _child(case: ET.Element, kind: str, message: str, text: str) -> None:
    child = ET.SubElement(case, kind, message=shown(message), type=kind)
    child.text = "\n".join(map(shown, text.splitlines())) or None


def _suite(name: str, cases: Sequence[ET.Element], properties: dict[str, str], said: Iterable[str]) -> str:
    counts = {
        f"{kind}{plural}": str(sum(case.find(kind) is not None for case in cases))
        for kind, plural in (("failure", "s"), ("error", "s"), ("skipped", ""))
    }
    root = ET.Element("testsuites", {"name": "esrp", "tests": str(len(cases)), **counts})
    suite = ET.SubElement(root, "testsuite", {"name": name, "tests": str(len(cases)), "time": "0", **counts})
    listed = ET.SubElement(suite, "properties")
    for key, value in properties.items():
        ET.SubElement(listed, "property", name=key, value=shown(value))
    for case in cases:
        case.set("time", "0")
        suite.append(case)
    ET.SubElement(suite, "system-out").text = "\n".join(map(shown, said))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


# --- Markdown ---------------------------------------------------------------------------------------------------------


def markdown(verdict: GateVerdict, url: str) -> str:
    """Markdown for a pull request. What models and users wrote stands in code: there it can be no link or mention."""
    return "\n".join(_markdown(verdict, url)) + "\n"


def markdown_of_no_verdict(run: Run) -> str:
    """Markdown about a run that did not succeed."""
    return f"## {MARKS['error']} ESRP gate: no verdict\n\nThe run `{run.id}` ended {run.status}: {code(_why(run))}\n"


def _markdown(verdict: GateVerdict, url: str) -> Iterator[str]:
    yield f"## {MARKS[verdict.verdict]} ESRP gate{_named(verdict)}: {verdict.verdict}"
    yield ""
    yield f"Run `{verdict.run}`{_beside(verdict)}, {_raters(verdict)}."
    yield ""
    yield from (f"- {sentence(line)}" for line in verdict.explanation)
    if verdict.commands:
        yield from ("", "```sh", *verdict.commands, "```")
    if verdict.rules:
        yield from ("", "| | estimate | bound | wanted above | |", "| --- | ---: | ---: | ---: | --- |")
        yield from map(_row, verdict.rules)
    yield from _worst(verdict, url)
    if verdict.sentinel:
        yield from ("", *(f"- {sentence(_heard(heard))}" for heard in verdict.sentinel))
    if verdict.warnings:
        yield ""
        yield from (f"- warning: {code(warning)}" for warning in verdict.warnings)


def _row(rule: GateRule) -> str:
    kind = "" if rule.kind == "margin" else f" ({rule.kind})"
    name = code(rule.metric) if rule.kind == "group" else rule.metric
    return table_row([f"{name}{kind}", *_numbers(rule), f"{MARKS[rule.outcome]} {rule.outcome}"])


def _worst(verdict: GateVerdict, url: str) -> Iterator[str]:
    for metric, pairs in groupby(verdict.worst, key=lambda pair: pair.metric):
        yield from ("", f"<details><summary>{metric}: where it is worst</summary>", "")
        for pair in pairs:
            yield f"- {code(_place(pair))} [dialogue]({url}{pair.candidate.link})"
            yield from (f"  - {code(reason)}" for reason in _reasons(pair.candidate))
        yield from ("", "</details>")


def _named(verdict: GateVerdict) -> str:
    return f" {code(verdict.gate)}" if verdict.gate else ""


def _beside(verdict: GateVerdict) -> str:
    found = verdict.baseline
    if found is None:
        return ", no baseline"
    named = f"{code(found.name)}: " if found.name else ""
    return f" against {named}`{found.run}` ({code(found.candidate)}{_age(verdict)})"


# --- words that all three share ---------------------------------------------------------------------------------------


def _gate(verdict: GateVerdict) -> str:
    return f"gate {verdict.gate}" if verdict.gate else "gate"


def _about(verdict: GateVerdict) -> str:
    found = verdict.baseline
    beside = "no baseline"
    if found:
        named = f"{shown(found.name)}, " if found.name else ""
        beside = f"against {named}{found.run} ({shown(found.candidate)}{_age(verdict)})"
    return f"{verdict.run} {beside}; {_raters(verdict)}"


def _age(verdict: GateVerdict) -> str:
    age = None if verdict.baseline is None else verdict.baseline.age_days
    if age is None:
        return ""
    return f", {age:.0f} days old" if age >= 1 else f", {age * 24:.0f} hours old" if age > 1 / 24 else ", new"


def _raters(verdict: GateVerdict) -> str:
    return {"calibrated": "corrected by people's ratings", "human": "rated by people", "judge": "rated by judges"}[
        verdict.raters
    ]


def _rules(rules: Sequence[GateRule]) -> str:
    rows = [(shown(rule.metric), rule.kind, *_numbers(rule), rule.outcome) for rule in rules]
    return table(("metric", "check", "estimate", "bound", "wanted above", "outcome"), rows)


def _measured(rule: GateRule) -> str:
    estimate, bound, threshold = _numbers(rule)
    if rule.kind == "ceiling":
        return f"{estimate}, bound {bound}, wanted {threshold}"
    return f"{estimate}, lower bound {bound}, wanted above {threshold}"


def _numbers(rule: GateRule) -> tuple[str, str, str]:
    """Estimate, the bound that decides, threshold; of a ceiling these are shares, and the bound has to be below."""
    if rule.kind == "ceiling":
        share, limit = ("–" if x is None else f"{x:.2%}" for x in (rule.estimate, rule.bound))
        return share, limit, f"at most {rule.threshold:.2%}"
    sign: Sign = "" if _alone(rule) else "+"
    bound = rule.bound if rule.worst_bound is None else rule.worst_bound
    return number(rule.estimate, sign), number(bound, sign), number(rule.threshold, sign)


def _place(pair: WorstPair) -> str:
    where = shown(pair.character) + (f" in {shown(pair.scenario)}" if pair.scenario is not None else "")
    against = "" if pair.baseline is None else f", the baseline {number(pair.baseline.score)}"
    return f"{where}: {number(pair.candidate.score)}{against}"


def _reasons(dialogue: RatedDialogue) -> Iterator[str]:
    """What was said of the lowest scores: one reason of each rater."""
    for rater, given in groupby(sorted(dialogue.ratings, key=lambda one: one.rater), key=lambda one: one.rater):
        lowest = min(given, key=lambda one: one.score)
        reason = shown(lowest.explanation or "")
        cut = reason if len(reason) <= LONGEST else reason[:LONGEST] + "…"
        yield f"{shown(rater)}, {lowest.metric} {lowest.score}" + (f": {cut}" if cut else "")


def _heard(heard: SentinelOut) -> str:
    """What a judge made of dialogues of the baseline that it had rated before."""
    if heard.message:
        return f"judge re-check {shown(heard.judge)}: {heard.outcome}: {shown(heard.message)}"
    bounds = f" {interval(heard.interval, '+')}" if heard.interval else ""
    moved = f" ({', '.join(heard.shifted)} moved)" if heard.shifted else ""
    difference = number(heard.difference, "+")
    on = f"on {heard.dialogues} dialogues{moved}"
    return f"judge re-check {shown(heard.judge)}: {heard.outcome}, {difference}{bounds} {on}"


def _why(run: Run) -> str:
    return run.error.message if run.error else "nothing is said of why"
