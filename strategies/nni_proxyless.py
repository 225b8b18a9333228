"""ProxylessNAS as NNI implements it: one sampled path forward; the gradient of the binary gates in the backward pass.

NNI computes all candidates in every backward pass, for weight steps as well: only memory is saved, and all is charged.
"""

from pydantic import Field

from pvnas_bench import Info
from pvnas_bench.methods.nni_search import PAPER, SPACE, DifferentiableConfig, NNIDifferentiable


class NNIProxylessConfig(DifferentiableConfig):
    """Hyper-parameters of nni_proxyless."""

    alpha_rate: float = Field(0.01, gt=0, description="Adam's rate for the alphas (R, tuned; ProxylessNAS: 1e-3)")


class NNIProxyless(NNIDifferentiable[NNIProxylessConfig]):
    """ProxylessNAS by NNI."""

    info = Info(
        name="nni_proxyless",
        title="NNI: ProxylessNAS",
        paper=f"Cai, Zhu & Han, ProxylessNAS, ICLR 2019; {PAPER}",
        year=2019,
        levels=("modular",),
        families=("mbconv",),
        published="NNI's own Proxyless strategy and its training of alphas and weights",
        reconstructed=SPACE,
    )
    kind = "Proxyless"
