"""What people's ratings of a part say about judges' ratings of the whole (STATISTICS 4, 5)."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from esrp.api import AgainstHumansOut, CalibratedEstimate, CalibratedOut, Estimate, RaterKind
from esrp.api import Intervals as Bounds
from esrp.limits import Limit, limit
from esrp.metrics import DIMENSIONS, METRIC_IDS, columns_of
from esrp.stats import Calibrated, Calibrations, Ratings, against_humans, calibrations
from esrp.stats.calibration import FEWEST
from esrp.stats.intervals import mean_of
from esrp.text import bounds, rounded

MOST_JUDGES = 20  # that are held against people
NEARLY = 0.95  # of the judged dialogues: even of careful raters a few ratings are missing
Sampling = Literal["random", "drawn", "all"]
NOTHING = Calibrations(None, dict.fromkeys(DIMENSIONS), dict.fromkeys(METRIC_IDS))


@dataclass(frozen=True, eq=False)
class Calibration:
    """Judges' ratings and the human ones that may correct them.

    ``sampling`` says why these are a fair sample; ``None``: nobody says so, and then ``found`` is ``None``.
    """

    judge: Ratings
    labels: Ratings
    both: Ratings
    everyone: Ratings
    sampling: Sampling | None
    found: Calibrations | None
    human_sha256: str

    @property
    def overall(self) -> Calibrated | None:
        """The calibrated overall mean, if there is one."""
        return self.found.overall if self.found else None

    @property
    def limit(self) -> Limit:
        """What is to be known of the human part."""
        part = {"rated": len(self.labels.levels["dialogue"]), "judged": len(self.judge.levels["dialogue"])}
        if self.sampling is None:
            return limit("people_not_sampled", **part)
        if self.overall is None:
            return limit("people_too_few", **part, fewest=FEWEST)
        if self.sampling == "all":
            return limit("people_rated_all")
        return limit("people_drawn" if self.sampling == "drawn" else "people_random", **part)

    def out(self) -> CalibratedOut:
        """Side by side, as clients see it."""
        found = self.found or NOTHING
        return CalibratedOut(
            sampling=self.sampling,
            overall=self._row("overall", found.overall),
            dimensions={name: self._row(name, found.dimensions[name]) for name in DIMENSIONS},
            metrics={name: self._row(name, found.metrics[name]) for name in METRIC_IDS},
        )

    def estimates(self) -> dict[str, Any]:
        """The calibrated means as a report's estimates."""
        found = self.found or NOTHING
        return {
            "overall": self._estimate("overall", found.overall),
            "dimensions": {name: self._estimate(name, found.dimensions[name]) for name in DIMENSIONS},
            "metrics": {name: self._estimate(name, found.metrics[name]) for name in METRIC_IDS},
        }

    def against_humans(self) -> dict[str, dict[str, AgainstHumansOut]]:
        """Each judge on each metric against all human ratings; of very many, those that rated most."""
        rated = np.bincount(self.judge.codes["rater"])
        judges = sorted(self.judge.levels["rater"][code] for code in np.argsort(-rated, kind="stable")[:MOST_JUDGES])
        return {
            judge: {
                metric: AgainstHumansOut.model_validate({k: rounded(v) for k, v in asdict(found).items()})
                for metric, found in against_humans(self.everyone, judge).items()
            }
            for judge in judges
        }

    def _row(self, endpoint: str, found: Calibrated | None) -> CalibratedEstimate:
        columns = columns_of(endpoint)
        n_human = int((self.labels.dialogues > 0).sum(axis=0)[columns].min())
        return CalibratedEstimate(
            judge_mean=rounded(mean_of(self.judge.units, columns)),
            human_mean=rounded(mean_of(self.labels.units, columns)),
            mean=rounded(found.mean) if found else None,
            se=rounded(found.se) if found else None,
            ci=Bounds(suite=bounds(found.interval) if found else None, dialogue=None, population=None),
            n_human=found.n_human if found else n_human,
            lambda_=rounded(found.lambda_) if found else None,
        )

    def _estimate(self, endpoint: str, found: Calibrated | None) -> Estimate:
        columns = columns_of(endpoint)
        rated = self.both.dialogues[:, columns]
        return Estimate(
            mean=rounded(found.mean) if found else None,
            n=int(rated.any(axis=1).sum()),
            ratings=int(rated.sum()),
            se=rounded(found.se) if found else None,
            ci=Bounds(suite=bounds(found.interval) if found else None, dialogue=None, population=None),
            worst=None,
        )


def calibrated(of: Mapping[RaterKind, Ratings], sampling: Mapping[str, str]) -> Calibration | None:
    """What can be said of ratings of both kinds; ``None`` if there is no dialogue that judges and people rated.

    Only human ratings of dialogues that were drawn at random correct the judges', or all if people rated every judged
    dialogue. ``sampling``: how the dialogues were chosen, as far as anybody says.
    """
    if "judge" not in of or "human" not in of:
        return None
    judge, human = of["judge"], of["human"]
    judged = set(judge.levels["dialogue"])
    if judged.isdisjoint(human.levels["dialogue"]):
        return None
    how, labels = labelled(judged, human, sampling)
    both = Ratings.joined(judge, labels)
    return Calibration(
        judge=judge,
        labels=labels.only(labels.among("dialogue", judged)),
        both=both,
        everyone=both if len(labels) == len(human) else Ratings.joined(judge, human),
        sampling=how,
        found=calibrations(both) if how else None,
        human_sha256=human.sha256,
    )


def labelled(judged: Collection[str], human: Ratings, sampling: Mapping[str, str]) -> tuple[Sampling | None, Ratings]:
    """The human ratings that are a fair sample of the judged dialogues, and why; all of them where nobody says so."""
    if _rated_all(judged, human):
        return "all", human
    chosen = human.only(human.among("dialogue", sampling))
    if not any(dialogue in judged for dialogue in chosen.levels["dialogue"]):
        return None, human
    how = {sampling[dialogue] for dialogue in chosen.levels["dialogue"]}
    return "drawn" if how == {"drawn"} else "random", chosen


def _rated_all(judged: Collection[str], human: Ratings) -> bool:
    """Whether people rated every judged dialogue, and on each metric that they rated at all nearly every one.

    A metric that they rated on a part alone is a sample like any other: somebody must say how it was chosen.
    """
    chosen = np.array([dialogue in judged for dialogue in human.levels["dialogue"]], dtype=bool)
    rated = human.dialogues[chosen] > 0
    by_metric = rated.sum(axis=0)
    return 0 < len(judged) == len(rated) and bool((by_metric[by_metric > 0] >= NEARLY * len(judged)).all())
