"""NASWOT: how differently an untrained network's ReLUs respond to different clips.

Each clip has a binary code: the ReLUs that are on. With the kernel K_ij = (number of ReLUs) − (Hamming distance of the
codes of clips i and j) the score is log|det K| (Mellor et al. 2021, eqs. 2 and 3).
"""

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from pvnas_bench import Architecture, BlockSpace, Info
from pvnas_bench.methods import ZeroCost, ZeroCostConfig


def code_kernel(codes: Tensor) -> Tensor:
    """Numbers of agreeing bits (N, N) between binary codes (N, units)."""
    on = codes.to(torch.float64)
    return on @ on.T + (1 - on) @ (1 - on).T


class NASWOTConfig(ZeroCostConfig):
    """Hyper-parameters of NASWOT."""

    samples: int = Field(100, ge=1, description="random architectures scored (NASWOT: 10, 100 or 1,000)")
    evolved: int = Field(200, ge=0, description="mutations of the best scored after them (R, tuned; NASWOT: none)")


class NASWOT(ZeroCost[NASWOTConfig, BlockSpace]):
    """Zero-cost search by ReLU codes (NASWOT)."""

    info = Info(
        name="naswot",
        title="NASWOT: architecture search without training",
        paper="Mellor, Turner, Storkey & Crowley, Neural Architecture Search without Training, ICML 2021",
        year=2021,
        levels=("structural", "modular"),
        families=("mbconv",),
        published="log-determinant of the kernel of ReLU codes over one batch, the best of random samples",
        reconstructed="one batch of search-train for all, batch-norm on its statistics; the highest under the cap of "
        "random samples and of mutations of the best",
    )

    def setup(self) -> None:
        """Start without scores; load one batch of search-train."""
        super().setup()
        self.batch = next(self.problem.search_batches("train"))

    def score(self, architecture: Architecture) -> float:
        """The log-determinant of the kernel of ReLU codes."""
        spec, network = self.problem.space.spec(architecture), self.problem.metered.network(architecture)
        codes: list[Tensor] = []
        for name, module in network.named_modules():
            if isinstance(module, nn.BatchNorm2d) and not name.endswith("project_norm"):  # no ReLU follows project_norm
                module.register_forward_hook(lambda _, __, before_relu: codes.append(before_relu > 0))
        network.train()
        with torch.no_grad():
            network(self.batch.clips(spec.frames, spec.size).to(self.problem.device))
        kernels = [code_kernel(code.reshape(len(self.batch), -1)).cpu() for code in codes]  # time is in the batch axis
        return float(np.linalg.slogdet(torch.stack(kernels).sum(0).numpy())[1])
