"""Release policies: what a run must show to pass a gate, and those that ship with the package (STATISTICS 6)."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Annotated, Literal, Self, TypeAlias

import yaml
from pydantic import Field, model_validator

from esrp.dialogue import Frozen
from esrp.metrics import DIMENSIONS, METRIC_IDS

BUNDLED = ("smoke", "release-default")
EVERY = "*"
ALL = (*METRIC_IDS, "overall")
ENDPOINTS = (*ALL, *DIMENSIONS, "diversity")

OnInconclusive: TypeAlias = Literal["fail", "pass", "inconclusive"]
Name: TypeAlias = Annotated[str, Field(max_length=64)]
Margin: TypeAlias = Annotated[float, Field(ge=0, le=4, allow_inf_nan=False, strict=True)]
Floor: TypeAlias = Annotated[float, Field(ge=1, le=5, allow_inf_nan=False, strict=True)]


class Policy(Frozen):
    """What a release must show. ``margins``: not worse than the baseline by more; ``floors``: means above that.

    ``"*"`` stands for the nine metrics and ``overall``; dimensions and ``diversity`` enter only when named, and a name
    of its own goes before ``"*"``. ``baseline`` is the name of one, or a run; one that is not there is an error, unless
    it is ``baseline_optional``: then the floors decide alone. A floor is a number on the scale of the ``raters``.
    ``sentinel``: so many stored dialogues of the baseline are rated again by each hosted judge; one that
    has moved since leaves the verdict open.
    """

    baseline: str | None = Field(None, min_length=1, max_length=200)
    baseline_optional: bool = False
    margins: dict[Name, Margin] = Field({})
    floors: dict[Name, Floor] = Field({})
    confidence: float = Field(0.95, gt=0.5, lt=1)
    raters: Literal["auto", "calibrated", "human", "judge"] = "auto"
    min_coverage: float = Field(0.98, ge=0, le=1)
    max_missing: float = Field(0.02, ge=0, le=1)
    require_validated_judges: bool = False
    on_inconclusive: OnInconclusive = "inconclusive"
    sentinel: int | None = Field(None, ge=2, le=1000)

    @model_validator(mode="after")
    def _asks_for_something_that_there_is(self) -> Self:
        if not self.margins and not self.floors:
            raise ValueError("a policy needs a margin or a floor")
        if unknown := sorted({*self.margins, *self.floors} - {EVERY, *ENDPOINTS}):
            raise ValueError(f"not a metric: {', '.join(unknown)}; there are {', '.join((EVERY, *ENDPOINTS))}")
        return self

    @property
    def needs_baseline(self) -> bool:
        """Whether nothing can be decided while the baseline that it names is not there."""
        return self.baseline is not None and not self.baseline_optional


def bundled(name: str) -> Policy:
    """A policy that ships with the package: one of ``BUNDLED``."""
    return Policy.model_validate(yaml.safe_load(files("esrp.policies").joinpath(f"{name}.yaml").read_text("utf-8")))


def thresholds(by_name: Mapping[str, float]) -> dict[str, float]:
    """A policy's margins or floors by endpoint, in the order of ``ENDPOINTS``, with ``"*"`` spelled out."""
    every = dict.fromkeys(ALL, by_name[EVERY]) if EVERY in by_name else {}
    named = every | {name: threshold for name, threshold in by_name.items() if name != EVERY}
    return {name: named[name] for name in ENDPOINTS if name in named}
