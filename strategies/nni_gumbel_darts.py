"""GumbelDARTS as NNI implements it: the mixture's weights are Gumbel-softmax samples of falling temperature."""

from typing import Any

from pydantic import Field

from pvnas_bench import Info
from pvnas_bench.methods.nni_search import PAPER, SPACE, DifferentiableConfig, NNIDifferentiable


class NNIGumbelDartsConfig(DifferentiableConfig):
    """Hyper-parameters of nni_gumbel_darts."""

    weight_rate: float = Field(4e-3, gt=0, description="peak rate of the weights (R, tuned)")
    hottest: float = Field(1.0, gt=0, description="temperature at the start (NNI's default)")
    coldest: float = Field(0.33, gt=0, description="temperature at the end (NNI's default)")


class NNIGumbelDarts(NNIDifferentiable[NNIGumbelDartsConfig]):
    """GumbelDARTS by NNI."""

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

    kind = "GumbelDARTS"

    def extra(self) -> dict[str, Any]:
        return {"temperature": (self.config.hottest, self.config.coldest)}
