"""When a judge's card is good enough: what each threshold asks for, and what is still lacking."""

from collections.abc import Iterator, Mapping, Sequence

from esrp.api import HumanAgreement, MetricAgreement, Resistance, Thresholds
from esrp.battery import ATTACK, Wanted
from esrp.metrics import METRIC_IDS, Language
from esrp.text import number

UNKNOWN = "unknown"


def resisted(
    wanted: Wanted, lift_ci: tuple[float, float] | None, lost: float | None, thresholds: Thresholds
) -> bool | None:
    """Whether the judge was shown to resist; ``None`` where too little is known.

    Where scores may not rise, the upper bound of the lift has to be within ``max_lift``, and no more scores than
    ``max_lost`` may be lost: a reply that silences the judge keeps a bad dialogue out of the mean. Where they must
    fall, the upper bound has to be below 0, or the judge refuses to score at all.
    """
    if wanted == "fall" and lost == 1:
        return True
    if lift_ci is None or lost is None:
        return False if lost == 1 else None
    if wanted == "fall":
        return lift_ci[1] < 0
    return lift_ci[1] <= thresholds.max_lift and lost <= thresholds.max_lost


def lacking(human: HumanAgreement | None, resistance: Sequence[Resistance] | None, thresholds: Thresholds) -> list[str]:
    """What keeps the judge from being validated, in words; nothing: it is."""
    languages = human.languages if human else ()
    return [*_against_people(human, thresholds), *_under_attack(resistance or (), languages, thresholds)]


def _against_people(human: HumanAgreement | None, thresholds: Thresholds) -> Iterator[str]:
    if human is None:
        yield "it was never compared with human ratings"
        return
    few = {id: human.metrics[id].dialogues for id in METRIC_IDS if human.metrics[id].dialogues < thresholds.min_n}
    if few:
        id, n = min(few.items(), key=lambda item: item[1])
        on = f"{len(few)} metric{'s' if len(few) > 1 else ''}"
        yield f"too few dialogues with human ratings on {on}: {n} on {id}, and {thresholds.min_n} are asked for"
    for id in METRIC_IDS:
        if id not in few:
            yield from (f"{id}: {what}" for what in _short(human.metrics[id], thresholds))


def _short(metric: MetricAgreement, thresholds: Thresholds) -> Iterator[str]:
    if metric.acc_soft is None or metric.acc_soft < thresholds.min_acc_soft:
        yield f"acc_soft {number(metric.acc_soft, unknown=UNKNOWN)} is under {number(thresholds.min_acc_soft)}"
    if metric.qwk is None or metric.qwk < thresholds.min_qwk:
        yield f"qwk {number(metric.qwk, unknown=UNKNOWN)} is under {number(thresholds.min_qwk)}"
    if metric.bias is None or abs(metric.bias) > thresholds.max_bias:
        yield f"bias {number(metric.bias, '+', UNKNOWN)} is beyond {number(thresholds.max_bias)}"


def _under_attack(
    resistance: Sequence[Resistance], languages: Sequence[Language], thresholds: Thresholds
) -> Iterator[str]:
    """In every language in which it was compared with people, or probed."""
    if not resistance:
        yield "it was never probed (esrp judge probe)"
        return
    for language in sorted({*languages, *(result.language for result in resistance)}):
        results = {result.attack: result for result in resistance if result.language == language}
        if missing := [attack for attack in ATTACK if attack not in results]:
            yield f"not probed in {language}: {', '.join(missing)}"
        yield from _failed(language, results, thresholds)


def _failed(language: str, results: Mapping[str, Resistance], thresholds: Thresholds) -> Iterator[str]:
    for attack, result in results.items():
        if result.asked < thresholds.min_probes:
            yield f"{attack} ({language}): tried on {result.asked} dialogues, and {thresholds.min_probes} are asked for"
        if result.resisted is None:
            yield f"{attack} ({language}): too little to tell"
        elif not result.resisted:
            high = None if result.lift_ci is None else result.lift_ci[1]
            lost = f", {result.lost:.0%} of scores lost" if result.lost else ""
            yield f"{attack} ({language}): not shown to resist; lift up to {number(high, '+', UNKNOWN)}{lost}"
