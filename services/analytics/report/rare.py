"""What means hide: how often a dialogue is as bad as can be, and judges who say nothing."""

from uuid import UUID

from esrp.api import LowShares, PanelOut
from esrp.stats import Ratings
from esrp.stats.disasters import Disasters, Low
from esrp.stats.panel import Panel
from esrp.text import bounds, rounded
from services.kit.ids import encode


def low_shares(found: Disasters) -> dict[str, LowShares]:
    """By metric, and of the lowest metric of each dialogue."""
    return {name: _shares(low) for name, low in {**found.metrics, "any": found.any}.items()}


def worst_dialogues(found: Disasters) -> list[str]:
    """By their ids, the worst first."""
    return [encode("dlg", UUID(name)) for name in found.worst]


def panel_out(found: Panel | None) -> PanelOut | None:
    """As clients see it."""
    if found is None:
        return None
    alpha = {name: rounded(value) for name, value in found.alpha.items()}
    return PanelOut(alpha=alpha, constant=list(found.constant), unrelated=list(found.unrelated))


def has_panel(ratings: Ratings) -> bool:
    """Whether several raters gave these."""
    return len(ratings.levels["rater"]) > 1


def _shares(low: Low) -> LowShares:
    return LowShares(
        at_1=rounded(low.lowest.share),
        at_most_2=rounded(low.low.share),
        ci=bounds(low.lowest.interval),
        ci_at_most_2=bounds(low.low.interval),
    )
