"""NAS-TC: a frozen 2-D backbone, then a search for what connects time, block by block.

Stage 1 has a 2-D network that does the heavy spatial features and is frozen. Stage 2 stitches time in: from the first
block to the last, each tries the operators that mix time, on top of the prefix chosen so far, which is frozen too; the
most accurate on search-val stays, with its weights. On a space of blocks the strategy trains the backbone itself, as a
path of the supernet (`_nas_tc_blocks`); on a space of temporal cells the backbone is the space's, and a block is a cell
(`_nas_tc_cells`).

Found under quick with seeds 0-2: 0.55 on synthetic_motion, where random search has 0.53, and 0.48 on words, where it
has 0.53 (standard deviations 0.10, 0.07, 0.05, 0.04). Frames, size and depth are not searched, and the spatial part is
trained before there is any time in it: on motion alone the search stays at 0.16 to 0.23 on search-val.
"""

from collections.abc import Mapping
from typing import Any

from pvnas_bench.strategies._nas_tc_blocks import BlockStitching
from pvnas_bench.strategies._nas_tc_cells import CellStitching
from pydantic import Field

from pvnas_bench import Architecture, Info, Problem, Strategy
from pvnas_bench.methods.bilevel import WeightsConfig

STITCHINGS: Mapping[str, type[Strategy]] = {"mbconv": BlockStitching, "temporal_cell": CellStitching}
"""The search by the family of the space."""


class NASTC(Strategy):
    info = Info(
        name="nas_tc",
        title="NAS-TC: temporal convolutions on a frozen backbone",
        paper="Ren et al., NAS-TC: Neural Architecture Search on Temporal Convolutions for Complex Action "
        "Recognition, arXiv 2104.01110",
        year=2021,
        levels=("modular",),
        families=tuple(STITCHINGS),
        published="two stages: a classical 2-D backbone for spatial features, then a search of temporal cells that "
        "are stitched to it",
        reconstructed="all but that: the space, greedy search block by block, what is trained in each stage and how "
        "long. Structural decisions and expansions are the reference's, or those of the dearest network without time "
        "under the cap. On blocks features are not cached, as clips are augmented, and on cells those of the chosen "
        "prefix are not, so that every pass is charged in full; on cells an edge's operators train in turns",
    )

    class Config(WeightsConfig):
        backbone_share: float = Field(
            0.4, gt=0, lt=1, description="part of the budget that trains the backbone; cells come with theirs (R)"
        )
        temporal_rate: float = Field(8e-3, gt=0, description="peak rate of Adam for what is temporal (R)")

    def setup(self, problem: Problem) -> None:
        self.stitching = STITCHINGS[problem.space.family](self.config)
        self.stitching.setup(problem)

    def step(self) -> None:
        """One epoch of the backbone or of a cell's edge, or one operator tried in a block."""
        self.stitching.step()

    def incumbent(self) -> Architecture:
        return self.stitching.incumbent()

    def diagnostics(self) -> Mapping[str, Any]:
        return self.stitching.diagnostics()

    def state_dict(self) -> dict[str, Any]:
        return self.stitching.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.stitching.load_state_dict(state)
