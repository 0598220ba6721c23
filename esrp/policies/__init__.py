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
CheckName: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)]
Margin: TypeAlias = Annotated[float, Field(ge=0, le=4, allow_inf_nan=False, strict=True)]
Floor: TypeAlias = Annotated[float, Field(ge=1, le=5, allow_inf_nan=False, strict=True)]


class Anchor(Frozen):
    """A fixed reference beside the moving baseline, with margins of its own: small steps down do not add up unseen."""

    baseline: str = Field(min_length=1, max_length=200)
    margins: dict[Name, Margin] = Field(min_length=1)


class Per(Frozen):
    """No group by this label may be worse than the baseline by more than ``margin`` overall."""

    by: Literal["character", "emotion"]
    margin: Margin


class Ceilings(Frozen):
    """The largest share of dialogues that may be a disaster: any metric is 1."""

    disaster: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False, strict=True)]


class Policy(Frozen):
    """What a release must show. ``margins``: not worse than the baseline by more; ``floors``: means above that.

    ``"*"`` stands for the nine metrics and ``overall``; dimensions and ``diversity`` enter only when named, and a name
    of its own goes before ``"*"``. ``baseline`` is the name of one, or a run; one that is not there is an error, unless
    it is ``baseline_optional``: then the floors decide alone. A floor is a number on the scale of the ``raters``.
    ``sentinel``: so many stored dialogues of the baseline, or ``all``, are rated again by each hosted judge; what it
    has moved since is taken out of the difference. ``max_dialogues``: how many a release may play in all its looks,
    over which the error is spent; without it the first run's own number. ``cautious``: a pass bears one disaster more
    than was seen. ``judges: random``: the claim is about judges like these, not these. ``required_checks`` are results
    from elsewhere, without which there is no pass.
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
    sentinel: Annotated[int, Field(ge=2, le=1000)] | Literal["all"] | None = None
    max_dialogues: int | None = Field(None, ge=10, le=100_000)
    cautious: bool = False
    anchor: Anchor | None = None
    ceilings: Ceilings | None = None
    per: Per | None = None
    judges: Literal["fixed", "random"] = "fixed"
    required_checks: tuple[CheckName, ...] = Field((), max_length=20)

    @model_validator(mode="after")
    def _asks_for_something_that_there_is(self) -> Self:
        if not self.margins and not self.floors:
            raise ValueError("a policy needs a margin or a floor")
        if self.per is not None and self.baseline is None:
            raise ValueError("`per` holds each group against a baseline, and the policy names none")
        anchored = self.anchor.margins if self.anchor else {}
        if unknown := sorted({*self.margins, *self.floors, *anchored} - {EVERY, *ENDPOINTS}):
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
