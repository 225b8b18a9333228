"""NAS-TC: a frozen 2-D backbone, then a search for temporal connections, block by block.

Stage 1 has a frozen 2-D network for the heavy spatial features. Stage 2 stitches time in: from the first block to the
last, each tries the operators that mix time, on top of the prefix chosen so far, which is frozen too; the most
accurate on search-val stays, with its weights. On a space of blocks the strategy trains the backbone itself, as a
path of the supernet (`_nas_tc_blocks`); on a space of temporal cells the backbone is the space's, and a block is a cell
(`_nas_tc_cells`).
"""

from pvnas_bench import Info, Strategy
from pvnas_bench.strategies._nas_tc_blocks import BlockStitching, NASTCConfig
from pvnas_bench.strategies._nas_tc_cells import CellStitching


class NASTC(Strategy[NASTCConfig]):
    """Temporal search on a frozen backbone (NAS-TC)."""

    info = Info(
        name="nas_tc",
        title="NAS-TC: temporal convolutions on a frozen backbone",
        paper="Ren et al., NAS-TC: Neural Architecture Search on Temporal Convolutions for Complex Action "
        "Recognition, arXiv 2104.01110",
        year=2021,
        levels=("modular",),
        families=("mbconv", "temporal_cell"),
        variants={"mbconv": BlockStitching, "temporal_cell": CellStitching},
        published="two stages: a classical 2-D backbone for spatial features, then a search of temporal cells that "
        "are stitched to it",
        reconstructed="all but that: the space, greedy search block by block, what is trained in each stage and how "
        "long. Structural decisions and expansions are the reference's, or those of the dearest network without time "
        "under the cap. On blocks features are not cached, as clips are augmented, and on cells those of the chosen "
        "prefix are not, so that every pass is charged in full; on cells an edge's operators train in turns",
    )
