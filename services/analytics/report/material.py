"""What a report is made of, and what was computed of that."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from esrp.api import Choice, Coverage, Diversity, RaterKind, Raters
from esrp.stats import Ratings, Scores, Table
from esrp.stats.disasters import Disasters
from esrp.stats.diversity import BatchRating
from esrp.stats.panel import Panel
from services.analytics.report.agreements import Agreed
from services.analytics.report.calibration import Calibration
from services.analytics.report.played import Dialogue, Scenario
from services.analytics.report.replies import Wording
from services.analytics.runs import Run


@dataclass(frozen=True, slots=True)
class Material:
    """Everything that a report is made of.

    ``ratings`` by the kind of rater; ``sampling`` says of dialogues that people rated how they were chosen; ``batches``
    are ratings of diversity; ``scenarios`` are the suite's, with their labels; ``wording`` is what was counted of the
    replies. ``raters`` is what was asked for.
    """

    run: Run
    dialogues: Sequence[Dialogue]
    scenarios: Sequence[Scenario]
    ratings: Mapping[RaterKind, Ratings]
    wording: Wording
    raters: Choice = "auto"
    sampling: Mapping[str, str] = field(default_factory=dict)
    batches: Sequence[BatchRating] = ()


@dataclass(frozen=True, eq=False)
class Found:
    """What was computed of the material."""

    raters: Raters | None
    ratings: Ratings
    table: Table
    coverage: Coverage
    calibration: Calibration | None
    diversity: Diversity | None
    disasters: Disasters
    panel: Panel | None
    agreed: Agreed | None

    @property
    def scores(self) -> Scores:
        """As the raters of one kind scored it."""
        return self.table.scores[""]

    @property
    def rated(self) -> bool:
        """Whether there is any rating."""
        return len(self.ratings) > 0
