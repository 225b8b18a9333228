"""Decisions, architectures and search spaces: categorical decisions with conditions between them."""

import difflib
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pvnas_bench.errors import UsageError
from pvnas_bench.space._specs import Backbone

Level = Literal["structural", "modular"]
INACTIVE = -1
INACTIVE_TOKEN = "_"
LATEST = 4096
"""Architectures cached per space, as searches in small spaces build the same ones repeatedly."""


@dataclass(frozen=True)
class Decision:
    """One categorical choice of a search space.

    Attributes:
        name: unique in the space, for example ``operator.2.1``.
        options: tokens to choose from, unique within the decision, without ``-``, ``/`` or ``_``.
        level: ``structural`` (frames, resolution, depth) or ``modular`` (within one block).
        group: name of the block or group, whose decisions are adjacent in the canonical string.
        when: an earlier decision and those of its options under which this one exists; None: it always exists.
    """

    name: str
    options: tuple[str, ...]
    level: Level
    group: str
    when: tuple[str, frozenset[str]] | None = None

    def __post_init__(self) -> None:
        if not self.options or len(set(self.options)) != len(self.options):
            raise ValueError(f"decision {self.name}: options must be unique and not empty, got {self.options}")
        if any(not option or set(option) & set("-/_") for option in self.options):
            raise ValueError(f"decision {self.name}: an option is a token without '-', '/' and '_': {self.options}")


@dataclass(frozen=True)
class Architecture:
    """One option per decision of a space; `INACTIVE` if the decision does not exist under the others.

    Two architectures of a space are equal if they have the same options. Several can build one network:
    `SearchSpace.canonical` returns the same one for all of them.
    """

    choices: tuple[int, ...]
    string: str

    def __str__(self) -> str:
        return self.string

    def __hash__(self) -> int:
        return hash(self.choices)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Architecture) and self.choices == other.choices


class SearchSpace:
    """Search space: named decisions in a fixed order, some of which exist only under options of earlier ones.

    Each decision depends on at most one earlier decision. Conditions thus form a forest, so counting and uniform
    sampling are exact.

    Attributes:
        family: kind of the space's networks, which determines their construction and cost.
        backbone: frozen network whose features are the networks' input; None: their input is clips.
    """

    family: str = ""
    backbone: Backbone | None = None

    def __init__(
        self,
        name: str,
        version: int,
        decisions: Sequence[Decision],
        *,
        description: str,
        caps: Mapping[str, int],
        reference: Mapping[str, str],
        experts: Mapping[str, Mapping[str, str]],
    ) -> None:
        """Declare a space.

        Args:
            description: one line for ``list spaces``.
            caps: MACs caps per clip by name, the default first.
            reference: options of the reference architecture, whose full training is the unit of the search budget.
            experts: options of hand-designed networks by name, as controls of the benchmark.

        Raises:
            ValueError: the decisions are inconsistent.
            UsageError: `reference` or `experts` have an invalid option.
        """
        self.description = description
        self.caps = dict(caps)
        self.name = name
        self.version = version
        self.decisions = tuple(decisions)
        self._index = {decision.name: i for i, decision in enumerate(self.decisions)}
        if len(self._index) != len(self.decisions):
            raise ValueError(f"space {name}: two decisions share a name")
        self._sizes = np.array([len(decision.options) for decision in self.decisions])
        self._cached = lru_cache(maxsize=LATEST)(self._make)
        self._parent: list[int] = []
        self._enabled_by: list[frozenset[int]] = []
        for i, decision in enumerate(self.decisions):
            parent, enabled = INACTIVE, frozenset[int]()
            if decision.when is not None:
                parent = self._index.get(decision.when[0], i)
                if parent >= i:
                    raise ValueError(
                        f"space {name}: {decision.name} cannot depend on {decision.when[0]}, which is not earlier"
                    )
                enabled = frozenset(self.decisions[parent].options.index(option) for option in decision.when[1])
            self._parent.append(parent)
            self._enabled_by.append(enabled)
        self.reference = self.from_options(reference)
        self.experts = {expert: self.from_options(options) for expert, options in experts.items()}

    # --- identity -------------------------------------------------------------------------------------------------

    @cached_property
    def fingerprint(self) -> str:
        """Hash of everything that determines the space's networks."""
        content = json.dumps(self.describe(), sort_keys=True)
        return f"{self.name}@{self.version}:{hashlib.sha256(content.encode()).hexdigest()[:12]}"

    def describe(self) -> dict[str, object]:
        """The space as JSON values; subclasses add the layout of their networks."""
        return {
            "name": self.name,
            "version": self.version,
            "decisions": [
                [d.name, d.options, d.level, d.group, [d.when[0], sorted(d.when[1])] if d.when else None]
                for d in self.decisions
            ],
        }

    @cached_property
    def size(self) -> int:
        """Number of architectures, those that build one network counted apart."""
        return math.prod(self._counts[i][INACTIVE] for i in range(len(self.decisions)) if self._parent[i] == INACTIVE)

    @cached_property
    def _counts(self) -> list[dict[int, int]]:
        """For each decision, the number of assignments of its subtree, per option and in total (key INACTIVE)."""
        children: list[list[int]] = [[] for _ in self.decisions]
        for i, parent in enumerate(self._parent):
            if parent != INACTIVE:
                children[parent].append(i)
        counts: list[dict[int, int]] = [{} for _ in self.decisions]
        for i in reversed(range(len(self.decisions))):
            for option in range(len(self.decisions[i].options)):
                active = (c for c in children[i] if option in self._enabled_by[c])
                counts[i][option] = math.prod(counts[c][INACTIVE] for c in active)
            counts[i][INACTIVE] = sum(counts[i].values())
        return counts

    def position(self, decision: str) -> int:
        """Index of the decision of this name."""
        return self._index[decision]

    def condition(self, i: int) -> tuple[int, frozenset[int]]:
        """The earlier decision and its options under which the i-th exists; (INACTIVE, empty): it always exists."""
        return self._parent[i], self._enabled_by[i]

    def canonical(self, architecture: Architecture) -> Architecture:
        """Canonical representative of all architectures with the same network; subclasses define it."""
        return architecture

    def spec(self, architecture: Architecture) -> Any:
        """Specification of an architecture's network, for its family; subclasses define it."""
        raise NotImplementedError

    # --- building architectures -------------------------------------------------------------------------------------

    def architecture(self, choices: Sequence[int]) -> Architecture:
        """Build an architecture from option indices; entries of decisions that do not exist are ignored.

        Raises:
            ValueError: the number of entries is wrong, or an index is outside its decision's options.
        """
        return self._cached(tuple(choices))

    def _make(self, choices: tuple[int, ...]) -> Architecture:
        if len(choices) != len(self.decisions):
            raise ValueError(f"space {self.name} has {len(self.decisions)} decisions, got {len(choices)} choices")
        canonical: list[int] = []
        for i, choice in enumerate(choices):
            if not self._is_active(i, canonical):
                canonical.append(INACTIVE)
            elif 0 <= choice < len(self.decisions[i].options):
                canonical.append(int(choice))
            else:
                last = len(self.decisions[i].options) - 1
                raise ValueError(f"decision {self.decisions[i].name} has no option index {choice}: choose 0 to {last}")
        return Architecture(tuple(canonical), self._write(canonical))

    def _is_active(self, i: int, earlier: Sequence[int]) -> bool:
        parent = self._parent[i]
        return parent == INACTIVE or earlier[parent] in self._enabled_by[i]

    def from_options(self, options: Mapping[str, str]) -> Architecture:
        """Build an architecture from options by decision name; decisions that do not exist may be omitted.

        Raises:
            UsageError: a decision or an option is unknown, or an existing decision has no option.
        """
        if unknown := set(options) - set(self._index):
            raise UsageError(
                f"space {self.name} has no decision {sorted(unknown)[0]!r}: choose from {', '.join(self._index)}"
            )
        choices: list[int] = []
        for i, decision in enumerate(self.decisions):
            if not self._is_active(i, choices):
                choices.append(INACTIVE)
            elif decision.name in options:
                choices.append(self._option_index(decision, options[decision.name]))
            else:
                raise UsageError(f"decision {decision.name} needs one of: {', '.join(decision.options)}")
        return self.architecture(choices)

    def parse(self, string: str) -> Architecture:
        """Parse a canonical string into its architecture.

        Raises:
            UsageError: the string is invalid; the message lists the valid options.
        """
        groups = list(self._groups.items())
        parts = string.strip().split("/")
        if len(parts) != len(groups):
            raise UsageError(
                f"architecture {string!r} has {len(parts)} groups, but space {self.name} has {len(groups)}: "
                + "/".join(name for name, _ in groups)
            )
        choices: list[int] = []
        for (group, members), part in zip(groups, parts, strict=True):
            tokens = [INACTIVE_TOKEN] * len(members) if part == INACTIVE_TOKEN else part.split("-")
            if len(tokens) != len(members):
                expected = "-".join(self.decisions[i].name for i in members)
                raise UsageError(f"group {group}: {part!r} must have {len(members)} options: {expected}")
            for i, token in zip(members, tokens, strict=True):
                active = self._is_active(i, choices)
                if active == (token == INACTIVE_TOKEN):
                    state = "exists here: choose one of " if active else f"does not exist here: write {INACTIVE_TOKEN}"
                    valid = ", ".join(self.decisions[i].options) if active else ""
                    raise UsageError(f"decision {self.decisions[i].name} {state}{valid}, got {token!r}")
                choices.append(self._option_index(self.decisions[i], token) if active else INACTIVE)
        return self.architecture(choices)

    @staticmethod
    def _option_index(decision: Decision, token: str) -> int:
        if token not in decision.options:
            near = difflib.get_close_matches(token, decision.options, n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            valid = ", ".join(decision.options)
            raise UsageError(f"decision {decision.name} has no option {token!r}{hint}: choose one of {valid}")
        return decision.options.index(token)

    @cached_property
    def _groups(self) -> dict[str, list[int]]:
        groups: dict[str, list[int]] = {}
        for i, decision in enumerate(self.decisions):
            groups.setdefault(decision.group, []).append(i)
        if [i for members in groups.values() for i in members] != list(range(len(self.decisions))):
            raise ValueError(f"space {self.name}: the decisions of a group must be adjacent")
        return groups

    @property
    def groups(self) -> Mapping[str, Sequence[int]]:
        """Indices of each group's decisions, in order."""
        return self._groups

    def _write(self, choices: Sequence[int]) -> str:
        parts = []
        for members in self._groups.values():
            tokens = [
                INACTIVE_TOKEN if choices[i] == INACTIVE else self.decisions[i].options[choices[i]] for i in members
            ]
            parts.append(INACTIVE_TOKEN if set(tokens) == {INACTIVE_TOKEN} else "-".join(tokens))
        return "/".join(parts)

    # --- reading architectures ----------------------------------------------------------------------------------------

    def option(self, architecture: Architecture, decision: str) -> str | None:
        """Chosen option of a decision; None if the decision does not exist."""
        i = self._index[decision]
        choice = architecture.choices[i]
        return None if choice == INACTIVE else self.decisions[i].options[choice]

    def options(self, architecture: Architecture) -> dict[str, str]:
        """Chosen options of the existing decisions, by decision name."""
        return {
            decision.name: decision.options[choice]
            for decision, choice in zip(self.decisions, architecture.choices, strict=True)
            if choice != INACTIVE
        }

    def encode(self, architecture: Architecture) -> npt.NDArray[np.float32]:
        """One-hot encoding, (total number of options,); all zeros for a decision that does not exist."""
        code = np.zeros(int(self._sizes.sum()), dtype=np.float32)
        start = 0
        for decision, choice in zip(self.decisions, architecture.choices, strict=True):
            if choice != INACTIVE:
                code[start + choice] = 1.0
            start += len(decision.options)
        return code

    def hamming(self, one: Architecture, other: Architecture) -> int:
        """Number of decisions in which two architectures differ."""
        return sum(a != b for a, b in zip(one.choices, other.choices, strict=True))

    # --- sampling and moving ------------------------------------------------------------------------------------------

    def sample(self, rng: np.random.Generator) -> Architecture:
        """Sample an architecture: each existing decision takes its options with equal probability."""
        return self.architecture(self._draw(rng))

    def _draw(self, rng: np.random.Generator) -> list[int]:
        """Uniform option indices for all decisions, existing or not."""
        drawn: list[int] = rng.integers(self._sizes).tolist()
        return drawn

    def mutate(self, architecture: Architecture, rng: np.random.Generator, rate: float | None = None) -> Architecture:
        """Sample a mutation, different from the given architecture.

        Decisions that newly exist are drawn uniformly.

        Args:
            rate: probability that an existing decision changes to another of its options; None: exactly one changes.

        Raises:
            ValueError: no existing decision has another option.
        """
        movable = [
            i for i, c in enumerate(architecture.choices) if c != INACTIVE and len(self.decisions[i].options) > 1
        ]
        if not movable:
            raise ValueError(f"space {self.name}: {architecture} has no decision with another option")
        while True:
            if rate is None:
                changed = {movable[int(rng.integers(len(movable)))]}
            else:
                changed = {i for i in movable if rng.random() < rate}
            choices = self._draw(rng)
            for i, choice in enumerate(architecture.choices):
                if choice == INACTIVE:
                    continue
                choices[i] = choice
                if i in changed:
                    shift = 1 + int(rng.integers(len(self.decisions[i].options) - 1))
                    choices[i] = (choice + shift) % len(self.decisions[i].options)
            if changed:
                return self.architecture(choices)

    def mutate_level(
        self, architecture: Architecture, rng: np.random.Generator, level: Level, most: int = 1
    ) -> Architecture:
        """An architecture with 1 to `most` existing decisions of one level redrawn among their other options.

        Newly switched-on decisions are drawn uniformly. An architecture without another option at that level is
        returned as it is.
        """
        choices, movable = list(architecture.choices), []
        for i, decision in enumerate(self.decisions):
            if choices[i] == INACTIVE:
                choices[i] = int(rng.integers(len(decision.options)))
            elif decision.level == level and len(decision.options) > 1:
                movable.append(i)
        count = min(1 + int(rng.integers(most)), len(movable))
        for i in rng.choice(movable, count, replace=False).tolist():
            n = len(self.decisions[i].options)
            choices[i] = (choices[i] + 1 + int(rng.integers(n - 1))) % n
        return self.architecture(choices)

    def crossover(self, one: Architecture, other: Architecture, rng: np.random.Generator) -> Architecture:
        """Sample a child: each decision from either parent with equal probability, or from the only one that has it."""
        choices = self._draw(rng)
        from_one = rng.random(len(choices)) < 0.5
        for i, (a, b) in enumerate(zip(one.choices, other.choices, strict=True)):
            first, second = (a, b) if from_one[i] else (b, a)
            if first != INACTIVE or second != INACTIVE:
                choices[i] = second if first == INACTIVE else first
        return self.architecture(choices)

    def neighbours(self, architecture: Architecture) -> Iterator[Architecture]:
        """Iterate over the architectures that differ in one decision; newly existing ones take their first option."""
        for i, choice in enumerate(architecture.choices):
            if choice == INACTIVE:
                continue
            for option in range(len(self.decisions[i].options)):
                if option != choice:
                    choices = [max(c, 0) for c in architecture.choices]
                    choices[i] = option
                    yield self.architecture(choices)

    def enumerate(self) -> Iterator[Architecture]:
        """Iterate over all architectures in lexicographic order of choices; for small spaces only."""
        yield from (self.architecture(choices) for choices in self._assignments([]))

    def _assignments(self, choices: list[int]) -> Iterator[list[int]]:
        i = len(choices)
        if i == len(self.decisions):
            yield choices
        elif not self._is_active(i, choices):
            yield from self._assignments([*choices, INACTIVE])
        else:
            for option in range(len(self.decisions[i].options)):
                yield from self._assignments([*choices, option])
