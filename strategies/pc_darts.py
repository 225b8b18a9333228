"""PC-DARTS: partial channel connections for memory-efficient architecture search.

The operators of a slot are mixed on 1/K of the channels, the others pass by (eq. 1, K = 4): cheaper, and less prone to
favour operators without weights. Edge normalisation weighs the inputs of a node by softmax(β) (eq. 2).

Found under quick with seed 0: test top-1 of 0.83 on synthetic_motion and 0.32 on words, where random search has 0.53 on
both. On words the mixture has 0.60 on search-val, and the path that is kept of it 0.13 with the same weights: three
quarters of the channels pass by the operators, so that the mixture says little of an operator that sees all of them.
The depth that it chose for stage 1 was one block.
"""

from pydantic import Field

from pvnas_bench import Info
from pvnas_bench.methods.bilevel import FixedInputConfig, MixtureSearch


class PCDARTS(MixtureSearch):
    info = Info(
        name="pc_darts",
        title="PC-DARTS: partially connected differentiable search",
        paper="Xu et al., PC-DARTS: Partial Channel Connections for Memory-Efficient Architecture Search, ICLR 2020",
        year=2020,
        levels=("structural", "modular"),
        families=("mbconv",),
        published="operators mixed on 1/K of the channels, the first ones as in the authors' code; edge "
        "normalisation; weights only for the first 15 of 50 epochs; first-order alternation",
        reconstructed="the channels are those of a block's expansion, where operators are depth-wise: the projection "
        "after them mixes channels in place of the channel shuffle, and point-wise convolutions are not saved; the "
        "only node with several inputs is a stage's output, so that edge normalisation is the softmax over its "
        "depths; frames and size stay at the reference's; learning rates; the MACs cap",
    )

    class Config(FixedInputConfig):
        part: int = Field(4, ge=1, le=16, description="K: 1/K of the channels are mixed (PC-DARTS)")
        warmup: float = Field(0.3, ge=0, lt=1, description="part of the search that trains weights only (PC-DARTS)")

    def prepare(self) -> None:
        super().prepare()
        self.part = self.config.part
