"""PARSEC: probabilistic neural architecture search.

Casale, Gordon & Fusi learn a distribution over architectures by a fixed number of importance-weighted samples, with a
joint distribution over each block's decisions. FP-NAS extends it: PARSEC is `fp_nas` with a fixed K and a joint
distribution; the equations and the code are there.
"""

from typing import Literal

from pydantic import Field

from pvnas_bench import Info
from pvnas_bench.strategies.fp_nas import FPNAS, FPNASConfig


class PARSECConfig(FPNASConfig):
    """Hyper-parameters of PARSEC."""

    sampling: Literal["adaptive", "fixed"] = Field("fixed", description="fixed: PARSEC; adaptive: FP-NAS")
    distribution: Literal["coarse_to_fine", "joint", "factorised"] = Field(
        "joint", description="joint: PARSEC; coarse_to_fine: FP-NAS"
    )
    initial_samples: int = Field(16, ge=2, description="K (PARSEC)")


class PARSEC(FPNAS):
    """FP-NAS with a fixed K and a joint distribution (PARSEC)."""

    Config = PARSECConfig
    info = Info(
        name="parsec",
        title="PARSEC: probabilistic search with importance-weighted samples",
        paper="Casale, Gordon & Fusi, Probabilistic Neural Architecture Search, arXiv 1902.05116",
        year=2019,
        levels=("structural", "modular"),
        families=("mbconv",),
        published="importance-weighted gradients of weights and distribution, K = 16 samples, one distribution over "
        "the candidates of a block, the most probable architecture at the end",
        reconstructed="the hinge on MACs (FP-NAS', log(1 + C)), learning rates, temperature of the weights, warm-up, "
        "guard; weights train along paths resampled from w, not along all K; the cap is kept by a knapsack",
    )
