"""ProxylessNAS as NNI implements it: one sampled path forward; the gradient of the binary gates in the backward pass.

NNI computes all candidates in every backward pass, for weight steps as well: only memory is saved, and all is charged.
"""

from pvnas_bench import Info
from pvnas_bench.methods.nni_search import PAPER, SPACE, NNIDifferentiable


class NNIProxyless(NNIDifferentiable):
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
