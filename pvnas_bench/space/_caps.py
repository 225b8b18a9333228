"""Caps: the most MACs, parameters and milliseconds that a network may cost, alone or together."""

import re
from dataclasses import dataclass
from typing import Protocol

from pvnas_bench.errors import UsageError
from pvnas_bench.space._decisions import SearchSpace
from pvnas_bench.system.text import either

MOST_MACS, MOST_PARAMETERS, MOST_MILLISECONDS = 1e18, 1e15, 1e9
"""Largest caps: what a record can hold."""
_NUMBER = re.compile(r"(?P<number>[-+]?(?:[\d._]*\d[\d._]*(?:e[-+]?\d+)?|nan|inf))\s*(?P<unit>[a-zµ]*)", re.IGNORECASE)
_COUNTS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}
_TIMES = {"s": 1e3, "ms": 1.0, "us": 1e-3, "µs": 1e-3}
KEYS = ("macs", "params", "latency")


class Costed(Protocol):
    """The cost of a network."""

    @property
    def macs(self) -> int:
        """MACs of one clip's forward pass."""

    @property
    def parameters(self) -> int:
        """Trainable parameters."""

    @property
    def latency_ms(self) -> float:
        """Predicted milliseconds of one clip's forward pass."""


@dataclass(frozen=True)
class Limit:
    """One cap: the quantity by its key (`macs`, `params` or `latency`), and its largest value."""

    key: str
    most: float

    def of(self, cost: Costed) -> float:
        """The quantity in a network's cost."""
        return cost.macs if self.key == "macs" else cost.parameters if self.key == "params" else cost.latency_ms

    def written(self, value: float) -> str:
        """A value of the quantity in words."""
        return written(self.key, value)


def written(key: str, value: float) -> str:
    """A cost in words: ``7,000,000 MACs``, ``30,000 parameters``, ``3 ms``."""
    if key == "latency":
        return f"{value:.4g} ms"
    return f"{int(value):,} {'MACs' if key == 'macs' else 'parameters'}"


@dataclass(frozen=True)
class Caps:
    """The most that a network may cost; None: no cap.

    Attributes:
        macs: MACs of one clip's forward pass.
        parameters: trainable parameters.
        latency_ms: milliseconds of one clip's forward pass, as predicted from this machine's table.
        named: the space's name of the MACs cap, if it has one.
    """

    macs: int | None = None
    parameters: int | None = None
    latency_ms: float | None = None
    named: str | None = None

    @classmethod
    def parse(cls, space: SearchSpace, words: str | None) -> "Caps":
        """Parse caps such as ``L``, ``2.5e7``, ``latency=3ms`` or ``L,params=30k``; None: the space's first cap.

        Raises:
            UsageError: a part is none of these, or a quantity is capped twice.
        """
        if words is None:
            first, macs = next(iter(space.caps.items()))
            return cls(macs, named=first)
        values: dict[str, float] = {}
        named: str | None = None
        for word in words.split(","):
            key, value, name = _parsed(space, word.strip())
            if key in values:
                raise UsageError(f"--cap {words!r} caps {key} twice: keep one")
            values[key], named = value, name or named
        return cls(
            macs=int(values["macs"]) if "macs" in values else None,
            parameters=int(values["params"]) if "params" in values else None,
            latency_ms=values.get("latency"),
            named=named,
        )

    @property
    def name(self) -> str:
        """The caps as `parse` takes them: ``L``, ``25000000``, ``L,params=30000,latency=3ms``."""
        alone = self.parameters is None and self.latency_ms is None
        parts = []
        if self.macs is not None:
            parts.append(self.named or (f"{self.macs}" if alone else f"macs={self.macs}"))
        if self.parameters is not None:
            parts.append(f"params={self.parameters}")
        if self.latency_ms is not None:
            parts.append(f"latency={self.latency_ms:g}ms")
        return ",".join(parts)

    @property
    def limits(self) -> tuple[Limit, ...]:
        """Each cap, in the order of `KEYS`."""
        values = (self.macs, self.parameters, self.latency_ms)
        return tuple(Limit(key, value) for key, value in zip(KEYS, values, strict=True) if value is not None)

    @property
    def only_macs(self) -> bool:
        """True if nothing but MACs is capped."""
        return self.macs is not None and self.parameters is None and self.latency_ms is None

    def allow(self, cost: Costed) -> bool:
        """Return True if a cost is under every cap."""
        return (
            (self.macs is None or cost.macs <= self.macs)
            and (self.parameters is None or cost.parameters <= self.parameters)
            and (self.latency_ms is None or cost.latency_ms <= self.latency_ms)
        )

    def excess(self, cost: Costed) -> tuple[float, ...]:
        """By how much a cost is above each cap, as a fraction of it; not positive where it is under."""
        return tuple(limit.of(cost) / limit.most - 1 for limit in self.limits)

    def load(self, cost: Costed, share: float = 1.0) -> float:
        """The cost over `share` of its cap, of the quantity where this is largest."""
        return max(limit.of(cost) / (share * limit.most) for limit in self.limits)

    def exceeded(self, cost: Costed) -> str:
        """The caps that a cost is above, in words: ``9,000,000 MACs, above the cap of 7,000,000 MACs``."""
        return " and ".join(
            f"{limit.written(limit.of(cost))}, above the cap of {limit.written(limit.most)}"
            for limit in self.limits
            if limit.of(cost) > limit.most
        )

    def __str__(self) -> str:
        return " and ".join(limit.written(limit.most) for limit in self.limits)

    def without(self, key: str) -> "Caps":
        """The caps of the other quantities."""
        fields: dict[str, float | None] = {limit.key: limit.most for limit in self.limits if limit.key != key}
        macs, parameters = fields.get("macs"), fields.get("params")
        return Caps(
            None if macs is None else int(macs),
            None if parameters is None else int(parameters),
            fields.get("latency"),
            self.named if key != "macs" else None,
        )


def _parsed(space: SearchSpace, word: str) -> tuple[str, float, str | None]:
    """Quantity, value and name of one cap."""
    known = (
        f"give --cap {either(space.caps)} of {space.name}, or a number of MACs such as 2.5e7, params=30k or latency=3ms"
    )
    key, equals, text = word.partition("=")
    if not equals:
        key, text = "macs", word
    if key not in KEYS:
        raise UsageError(f"a cap is of {', '.join(KEYS[:-1])} or {KEYS[-1]}, got {word!r}: {known}")
    if key == "macs" and text in space.caps:
        return key, space.caps[text], text
    value = _value(text, _TIMES if key == "latency" else _COUNTS)
    if value is None:
        if not equals:
            raise UsageError(f"unknown cap {word!r}: {known}")
        form = "a number with its unit, such as 3ms" if key == "latency" else "a number such as 30000 or 30k"
        raise UsageError(f"a cap of {key} is {form}, got {word!r}: {known}")
    if key == "latency":
        value = float(f"{value:g}")
        if not 1e-6 <= value <= MOST_MILLISECONDS:
            raise UsageError(f"a cap of latency is from 1e-6 to {MOST_MILLISECONDS:.0e} ms, got {word!r}: {known}")
        return key, value, None
    most = MOST_MACS if key == "macs" else MOST_PARAMETERS
    if not 1 <= value <= most:
        what = "a number of MACs" if key == "macs" else "a number of parameters"
        raise UsageError(f"a cap is {what} from 1 to {most:.0e}, got {word!r}: {known}")
    return key, value, None


def _value(text: str, units: dict[str, float]) -> float | None:
    """A number with a unit; None if it is none."""
    match = _NUMBER.fullmatch(text)
    if match is None or match["unit"].lower() not in units:
        return None
    try:
        return float(match["number"]) * units[match["unit"].lower()]
    except ValueError:
        return None
