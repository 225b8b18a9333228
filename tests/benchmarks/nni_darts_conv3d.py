"""NNI's DARTS as its users write it: the candidates of `nni_darts` with `nn.Conv3d`, all else equal."""

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pvnas_bench.methods.nni_apart import apart
from pvnas_bench.strategies.nni_darts import NNIDarts

if TYPE_CHECKING:
    from pvnas_bench.methods.nni_candidates import Candidates


class NNIDartsConv3d(NNIDarts):
    info = replace(NNIDarts.info, name="nni_darts_conv3d", title="NNI: DARTS over nn.Conv3d")

    def candidates(self) -> "Candidates":
        with apart():
            from pvnas_bench.methods.nni_candidates import Candidates, Metered
        from torch import Tensor, nn

        spec = importlib.util.spec_from_file_location("conv3d", Path(__file__).parents[1] / "support" / "conv3d.py")
        assert spec is not None and spec.loader is not None
        spec.loader.exec_module(conv3d := importlib.util.module_from_spec(spec))

        class OfClips(nn.Module):
            """A candidate that reads the number of frames from its input."""

            def __init__(self, block: nn.Module) -> None:
                super().__init__()
                self.block = block

            def forward(self, x: Tensor, _: int) -> Tensor:
                out: Tensor = self.block(x)
                return out

        class Conv3dCandidates(Candidates):
            def __init__(self) -> None:
                super().__init__(problem, *seen)
                space = problem.space
                del self.stem, self.head
                last = space.stages[-1].channels
                self.network = conv3d.Conv3dNetwork(space.stem, self.choices, last, space.head, problem.classes)
                self.network.dropout = nn.Identity()

            def candidate(self, block: object, macs: int) -> Metered:
                return Metered(OfClips(conv3d.Conv3dBlock(block)), macs, problem, 1)

            def logits(self, clips: Tensor) -> Tensor:
                logits: Tensor = self.network(clips.transpose(1, 2))
                return logits

        problem, seen = self.problem, self.seen
        return Conv3dCandidates()
