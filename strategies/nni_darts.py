"""DARTS as NNI implements it: a softmax mixture of all candidates; alphas and weights take turns (first order)."""

from pydantic import Field

from pvnas_bench import Info
from pvnas_bench.methods.nni_search import PAPER, SPACE, DifferentiableConfig, NNIDifferentiable


class NNIDartsConfig(DifferentiableConfig):
    """Hyper-parameters of nni_darts."""

    weight_rate: float = Field(4e-3, gt=0, description="peak rate of the weights (R, tuned; DARTS: sgd, 0.025)")


class NNIDarts(NNIDifferentiable[NNIDartsConfig]):
    """First-order DARTS by NNI."""

    info = Info(
        name="nni_darts",
        title="NNI: DARTS",
        paper=f"Liu, Simonyan & Yang, DARTS: Differentiable Architecture Search, ICLR 2019; {PAPER}",
        year=2019,
        levels=("modular",),
        families=("mbconv",),
        published="NNI's own DARTS strategy and its training of alphas and weights",
        reconstructed=SPACE,
    )
    kind = "DARTS"
