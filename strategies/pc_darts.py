"""PC-DARTS: partial channel connections for memory-efficient architecture search.

The operators of a slot are mixed on 1/K of the channels, the others pass by (eq. 1): cheaper, and less prone to
favour operators without weights. The channels are drawn for each slot in every pass, so that the kernels of all
channels train. Edge normalisation weighs the inputs of a node by softmax(β) (eq. 2).
"""

from pydantic import Field

from pvnas_bench import Info, Plan
from pvnas_bench.methods import FixedInputConfig, MixtureSearch, Weights, mixture_plan


class PCDARTSConfig(FixedInputConfig):
    """Hyper-parameters of PC-DARTS."""

    part: int = Field(2, ge=1, le=16, description="K: 1/K of the channels are mixed (R, tuned; PC-DARTS: 4)")
    warmup: float = Field(0.5, ge=0, lt=1, description="part that trains weights only (R, tuned; PC-DARTS: 0.3)")


class PCDARTS(MixtureSearch[PCDARTSConfig]):
    """DARTS on a part of the channels (PC-DARTS)."""

    info = Info(
        name="pc_darts",
        title="PC-DARTS: partially connected differentiable search",
        paper="Xu et al., PC-DARTS: Partial Channel Connections for Memory-Efficient Architecture Search, ICLR 2020",
        year=2020,
        levels=("structural", "modular"),
        families=("mbconv",),
        published="operators mixed on 1/K of the channels, sampled anew in every iteration; edge normalisation; "
        "weights only for the first 15 of 50 epochs; first-order alternation",
        reconstructed="the sampled channels are one of K successive parts (the authors' code takes the first and "
        "shuffles channels between layers); they are those of a block's expansion, where operators are depth-wise: the "
        "projection after them mixes channels, and point-wise convolutions are not saved; the only node with several "
        "inputs is a stage's output, so that edge normalisation is the softmax over its depths; frames and size stay "
        "at the reference's; learning rates; the MACs cap",
    )

    def plan(self, weights: Weights) -> Plan:
        """Plan of the mixture with these weights, on a random part of each slot's channels."""
        return mixture_plan(self.problem.space, weights, *self.input, self.config.part, self.problem.rng("channels"))
