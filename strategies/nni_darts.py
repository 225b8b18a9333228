"""DARTS as NNI implements it: a softmax mixture of all candidates; alphas and weights take turns (first order)."""

from pvnas_bench.strategies._nni import PAPER, SPACE, DifferentiableConfig, NNIDifferentiable

from pvnas_bench import Info


class NNIDarts(NNIDifferentiable):
    info = Info(
        name="nni_darts",
        title="NNI: DARTS",
        paper=f"Liu, Simonyan & Yang, DARTS: Differentiable Architecture Search, ICLR 2019; {PAPER}",
        year=2019,
        levels=("modular",),
        published="NNI's own DARTS strategy and its training of alphas and weights",
        reconstructed=SPACE,
    )
    Config = DifferentiableConfig
    kind = "DARTS"
