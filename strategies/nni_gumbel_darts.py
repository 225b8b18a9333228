"""GumbelDARTS as NNI implements it: the mixture's weights are Gumbel-softmax samples of falling temperature.

Found under quick with seed 0: test top-1 of 0.21 on synthetic_motion and 0.49 on words, where random search has 0.53 on
both. After 99 steps the alphas' entropy is 0.99 of the uniform one's and the loss is that of chance (2.75 of 2.77, 2.28
of 2.30): each step mixes other samples, and the budget ends before the weights learn. What it returns is next to
random. `nni_darts`, whose mixture is the same in every step, learns in as many.
"""

from typing import Any

from pvnas_bench.strategies._nni import PAPER, SPACE, DifferentiableConfig, NNIDifferentiable
from pydantic import Field

from pvnas_bench import Info


class NNIGumbelDarts(NNIDifferentiable):
    info = Info(
        name="nni_gumbel_darts",
        title="NNI: GumbelDARTS",
        paper=f"Wu et al., FBNet, CVPR 2019; Xie et al., SNAS, ICLR 2019; {PAPER}",
        year=2019,
        levels=("modular",),
        families=("mbconv",),
        published="NNI's own GumbelDARTS strategy and its training of alphas and weights",
        reconstructed=f"{SPACE}, by the softmax of the alphas, as NNI exports a random sample",
    )

    class Config(DifferentiableConfig):
        hottest: float = Field(1.0, gt=0, description="temperature at the start (NNI's default)")
        coldest: float = Field(0.33, gt=0, description="temperature at the end (NNI's default)")

    kind = "GumbelDARTS"

    def extra(self) -> dict[str, Any]:
        return {"temperature": (self.config.hottest, self.config.coldest)}
