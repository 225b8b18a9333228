"""STEntr: the expected entropy of a 3-D network's features at initialisation, in closed form.

A network is an information system; the entropy of its output features grows with the logarithms of the fan-ins of its
layers. A convolution over space, or over time and space, has its fan-in c·k_t·k_h·k_w multiplied by a refinement factor
α = −log(1 − cos(S, K)) of its output map's size S = (T, H, W) and its kernel K = (k_t, k_h, k_w): kernels shaped like
the map count more. α is 1 for kernels of one pixel. The score needs no pass and no data; evolution maximises it under
the cap.

The authors' code: github.com/alibaba/lightweight-neural-architecture-search, `tinynas/scores/compute_stentr.py` and
`tinynas/models/blocks_cnn_3d`.
"""

import math

from pydantic import Field

from pvnas_bench import KERNELS, Architecture, BlockSpace, Info, NetworkSpec
from pvnas_bench.methods import ZeroCost, ZeroCostConfig

CLOSEST = 1e-3
"""Least 1 − cos: the logarithm diverges where a cubic kernel meets a cubic map (R)."""


def refinement(size: tuple[int, int, int], kernel: tuple[int, int, int]) -> float:
    """α = −log(1 − cos(size, kernel)); 1 for a kernel of one pixel, which may span several frames.

    Args:
        size: (time, height, width) of the convolution's output.
        kernel: (time, height, width) of its kernel.
    """
    if max(kernel[1:]) == 1:
        return 1.0
    cosine = sum(s * k for s, k in zip(size, kernel, strict=True)) / (math.hypot(*size) * math.hypot(*kernel))
    return -math.log(max(1 - cosine, CLOSEST))


def kernel_shape(taps: tuple[int, ...]) -> tuple[int, int, int]:
    """(time, height, width) of a kernel as `KERNELS` lists it."""
    if len(taps) == 3:
        return taps[0], taps[1], taps[2]
    return (taps[0], 1, 1) if taps[1] == 1 else (1, taps[0], taps[1])


def stage_entropy(spec: NetworkSpec) -> list[tuple[float, float]]:
    """Entropy of each stage, Σ ½ log(fan-in · α) over all layers up to its end, and its log channels.

    The stem is the first stage; the point-wise convolution before pooling belongs to the last one.
    """
    size, last = math.ceil(spec.size / 2), "stem"
    total = 0.5 * math.log(27 * refinement((spec.frames, size, size), (1, 3, 3)))
    stages: dict[str, tuple[float, float]] = {last: (total, math.log(spec.stem))}
    for block in spec.blocks:
        size, last = math.ceil(size / block.stride), block.name.split(".")[0]
        total += 0.5 * math.log(block.cin)
        for taps in KERNELS[block.operator]:  # depth-wise: the fan-in is the number of taps
            shape = kernel_shape(taps)
            total += 0.5 * math.log(math.prod(shape) * refinement((spec.frames, size, size), shape))
        total += 0.5 * math.log(block.cin * block.expansion)
        stages[last] = (total, math.log(block.cout))
    features = spec.blocks[-1].cout if spec.blocks else spec.stem
    stages[last] = (total + 0.5 * math.log(features), math.log(spec.head))
    return list(stages.values())


class STEntrConfig(ZeroCostConfig):
    """Hyper-parameters of STEntr."""

    samples: int = Field(200, ge=1, description="random architectures scored first (R)")
    evolved: int = Field(1800, ge=0, description="mutations of the best (R; E3D: 500,000)")
    generation: int = Field(200, ge=1, description="scores per step (R)")
    last_weight: float = Field(6.0, gt=0, description="weight of the last stage; the one before has 1 (E3D: 0,0,1,1,6)")


class STEntr(ZeroCost[STEntrConfig, BlockSpace]):
    """Zero-cost search by feature entropy (STEntr)."""

    info = Info(
        name="stentr",
        title="STEntr: spatio-temporal entropy at initialisation (E3D)",
        paper="Wang et al., Maximizing Spatio-Temporal Entropy of Deep 3D CNNs for Efficient Video Recognition, "
        "ICLR 2023",
        year=2023,
        levels=("structural", "modular"),
        families=("mbconv",),
        published="the score as in the authors' code: half the log of fan-in times refinement factor per layer, plus "
        "the log channels of each stage, weighted by stage; evolved under a MACs budget",
        reconstructed="the last stage counts 6, the one before 1 (the authors' weights of five stages end so); the "
        "refinement factor is bounded for cubic maps; the two kernels of a factorised operator are two layers; "
        "squeeze-excitation and the shift of tsm add nothing",
    )

    def score(self, architecture: Architecture) -> float:
        """The weighted entropy of the last two stages."""
        stages = stage_entropy(self.problem.space.spec(architecture))
        stages = [(0.0, 0.0)] * (2 - len(stages)) + stages
        before, last = (entropy + channels for entropy, channels in stages[-2:])
        return float(before + self.config.last_weight * last)
