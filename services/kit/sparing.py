"""Says a thing that is said over and over a few times, and then how often it was left out."""

from dataclasses import dataclass, field

KEYS = 1024  # things known at once; beyond that all are forgotten, so that memory has an end


@dataclass(slots=True)
class _Said:
    until: float
    times: int = 0
    left_out: int = 0


@dataclass(slots=True)
class Sparing:
    """At most ``most`` of the same in ``window`` seconds."""

    most: int
    window: float
    _said: dict[object, _Said] = field(default_factory=dict)

    def admit(self, key: object, now: float) -> int | None:
        """``None``: leave it out. Else say it, and that so many of its like were left out since the last was said."""
        said = self._said.get(key)
        if said is None:
            if len(self._said) >= KEYS:
                self._said.clear()
            said = self._said[key] = _Said(now + self.window)
        elif now >= said.until:
            said.until, said.times = now + self.window, 0
        if said.times >= self.most:
            said.left_out += 1
            return None
        said.times += 1
        left_out, said.left_out = said.left_out, 0
        return left_out
