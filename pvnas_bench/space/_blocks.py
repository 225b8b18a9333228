"""Spaces of inverted-bottleneck (MBConv) networks: a chain of stages, each a chain of blocks.

Blocks are those of MobileNetV2 (Sandler et al. 2018), X3D (Feichtenhofer 2020) and MoViNet (Kondratyuk et al. 2021): a
point-wise expansion, a depth-wise spatial-temporal operator, squeeze-excitation and a point-wise projection.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from pvnas_bench.space._decisions import Architecture, Decision, SearchSpace
from pvnas_bench.space._specs import Block, NetworkSpec

OPERATORS: dict[str, str] = {
    "s3": "spatial 1x3x3",
    "s5": "spatial 1x5x5",
    "st3": "full 3x3x3",
    "f3": "factorised 1x3x3 then 3x1x1",
    "t5": "temporal 5x1x1",
    "tsm": "temporal shift, then spatial 1x3x3",
    "skip": "identity",
}
"""Operators by token; all convolutions are depth-wise."""

KERNELS: dict[str, tuple[tuple[int, ...], ...]] = {
    "s3": ((3, 3),),
    "s5": ((5, 5),),
    "st3": ((3, 3, 3),),
    "f3": ((3, 3), (3, 1)),
    "t5": ((5, 1),),
    "tsm": ((3, 3),),
}
"""Kernel shapes of each operator in order of application: (height, width) for spatial kernels, (time, height, width)
for full ones, (time, 1) for temporal ones on the view that flattens space."""


def mixes_time(operator: str) -> bool:
    """Return True if an operator, by its token, sees other frames."""
    return operator == "tsm" or any(len(kernel) == 3 or kernel[-1] == 1 for kernel in KERNELS.get(operator, ()))


SE = {"se": True, "no": False}
"""Squeeze-excitation tokens."""


def hidden_channels(cin: int) -> int:
    """Number of hidden units of a block's squeeze-excitation: a quarter of its input channels (Howard et al. 2019)."""
    return max(cin // 4, 4)


@dataclass(frozen=True)
class Stage:
    """A stage: output channels, spatial stride of the first block, and possible depths."""

    channels: int
    stride: int
    depths: tuple[int, ...]


@dataclass(frozen=True)
class Slot:
    """Position of one block; stage and index count from 1, `operators` are the options."""

    stage: int
    index: int
    cin: int
    cout: int
    stride: int
    operators: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.stage}.{self.index}"

    def block(self, operator: str, expansion: str, se: str) -> Block:
        """The block with these options (tokens); the operator must not be ``skip``."""
        return Block(self.name, self.cin, self.cout, self.stride, operator, int(expansion.removeprefix("e")), SE[se])


def _slots(stem: int, stages: Sequence[Stage], operators: tuple[str, ...]) -> Iterator[Slot]:
    cin = stem
    for s, stage in enumerate(stages, 1):
        for b in range(1, max(stage.depths) + 1):
            stride = stage.stride if b == 1 else 1
            same_shape = stride == 1 and cin == stage.channels
            offered = tuple(o for o in operators if same_shape or o != "skip")
            yield Slot(s, b, cin, stage.channels, stride, offered)
            cin = stage.channels


class BlockSpace(SearchSpace):
    """Space of inverted-bottleneck networks.

    Structural decisions: ``frames``, ``size``, and ``depth.S`` of stage S. Modular decisions of block B in stage S:
    ``operator.S.B``, ``expansion.S.B``, ``se.S.B``. Block B exists if its stage is deep enough; a block with the
    operator ``skip`` has neither expansion nor squeeze-excitation. ``skip`` is an option only if the input and output
    of the block have the same shape.

    Attributes:
        frames, sizes: options of the clips' frames and size, as integers.
        stages: depths, channels and strides of the stages.
        slots: the blocks in order, each with its stage, channels, stride and operators.
        expansions, se: options of expansion and squeeze-excitation.
        decisions: all decisions, in the order of an architecture's choices.
        reference: the architecture whose training is the unit of the budget.
    """

    family = "mbconv"

    def __init__(
        self,
        name: str,
        version: int,
        *,
        description: str,
        frames: Sequence[int],
        sizes: Sequence[int],
        stem: int,
        stages: Sequence[Stage],
        head: int,
        operators: Sequence[str],
        expansions: Sequence[int],
        se: Sequence[str],
        caps: Mapping[str, int],
        reference: Mapping[str, str],
        experts: Mapping[str, Mapping[str, str]],
    ) -> None:
        self.frames, self.sizes, self.stem = tuple(frames), tuple(sizes), stem
        self.stages, self.head = tuple(stages), head
        self.expansions, self.se = tuple(expansions), tuple(se)
        self.slots = tuple(_slots(stem, self.stages, tuple(operators)))
        decisions = [
            Decision("frames", tuple(map(str, frames)), "structural", "input"),
            Decision("size", tuple(map(str, sizes)), "structural", "input"),
        ]
        decisions += [
            Decision(f"depth.{s}", tuple(map(str, stage.depths)), "structural", "input")
            for s, stage in enumerate(self.stages, 1)
        ]
        for slot in self.slots:
            deep = frozenset(str(depth) for depth in self.stages[slot.stage - 1].depths if depth >= slot.index)
            real = (f"operator.{slot.name}", frozenset(slot.operators) - {"skip"})
            decisions += [
                Decision(real[0], slot.operators, "modular", slot.name, (f"depth.{slot.stage}", deep)),
                Decision(f"expansion.{slot.name}", tuple(f"e{e}" for e in expansions), "modular", slot.name, real),
                Decision(f"se.{slot.name}", self.se, "modular", slot.name, real),
            ]
        super().__init__(
            name, version, decisions, description=description, caps=caps, reference=reference, experts=experts
        )

    def describe(self) -> dict[str, object]:
        layout = {"stem": self.stem, "stages": [asdict(stage) for stage in self.stages], "head": self.head}
        return super().describe() | {"family": self.family, "layout": layout, "caps": self.caps}

    def at_input_of(self, architecture: Architecture, other: Architecture) -> Architecture:
        """The architecture with the frames and the size of another."""
        return self.architecture([*other.choices[:2], *(max(choice, 0) for choice in architecture.choices[2:])])

    def uniform(
        self, *, frames: int, size: int, depths: Sequence[int], operators: Sequence[str], expansion: int
    ) -> Architecture:
        """The network of one operator and depth per stage, and one expansion and the first SE option throughout.

        Raises:
            UsageError: a value is not among the options of its decision.
        """
        return self.from_options(
            uniform_options(
                self.stages,
                frames=frames,
                size=size,
                depths=depths,
                operators=operators,
                expansion=expansion,
                se=self.se[0],
            )
        )

    def spec(self, architecture: Architecture) -> NetworkSpec:
        """Specification of an architecture's network."""
        options = self.options(architecture)
        blocks = []
        for slot in self.slots:
            operator = options.get(f"operator.{slot.name}", "skip")
            if operator != "skip":
                expansion, se = options[f"expansion.{slot.name}"], options[f"se.{slot.name}"]
                blocks.append(slot.block(operator, expansion, se))
        return NetworkSpec(int(options["frames"]), int(options["size"]), self.stem, tuple(blocks), self.head)

    def canonical(self, architecture: Architecture) -> Architecture:
        """The shallowest architecture with the same network; skips follow the other blocks of their stage.

        The position of a skip among blocks of equal shape has no effect, and a skip at the end of a stage equals a
        smaller depth.
        """
        options = self.options(architecture)
        for s, stage in enumerate(self.stages, 1):
            names = [slot.name for slot in self.slots if slot.stage == s]
            blocks = [
                (options[f"operator.{name}"], options[f"expansion.{name}"], options[f"se.{name}"])
                for name in names
                if options.get(f"operator.{name}", "skip") != "skip"
            ]
            depth = min(depth for depth in stage.depths if depth >= len(blocks))
            for name in names:
                for kind in ("operator", "expansion", "se"):
                    options.pop(f"{kind}.{name}", None)
            for name, block in zip(names, blocks, strict=False):
                options |= zip((f"operator.{name}", f"expansion.{name}", f"se.{name}"), block, strict=True)
            for name in names[len(blocks) : depth]:
                options[f"operator.{name}"] = "skip"
            options[f"depth.{s}"] = str(depth)
        return self.from_options(options)


def uniform_options(
    stages: Sequence[Stage],
    *,
    frames: int,
    size: int,
    depths: Sequence[int],
    operators: Sequence[str],
    expansion: int,
    se: str,
) -> dict[str, str]:
    """Options of a hand-designed network: one depth and one operator per stage, the same expansion everywhere.

    The operator ``a+b`` alternates: a in the odd blocks of a stage, b in the even ones.
    """
    options = {"frames": str(frames), "size": str(size)}
    for s, (stage, depth, operator) in enumerate(zip(stages, depths, operators, strict=True), 1):
        cycle = operator.split("+")
        options[f"depth.{s}"] = str(depth)
        for b in range(1, max(stage.depths) + 1):
            if b <= depth:
                options[f"operator.{s}.{b}"] = cycle[(b - 1) % len(cycle)]
                options[f"expansion.{s}.{b}"] = f"e{expansion}"
                options[f"se.{s}.{b}"] = se
    return options
