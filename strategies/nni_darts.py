"""DARTS as NNI implements it: a softmax mixture of all candidates; alphas and weights take turns (first order).

Found on synthetic_motion under quick (seed 0): test top-1 0.771 (0.65 over seeds 0-2) where random architectures have a
mean of 0.46; alpha entropy 0.97 of the uniform one's after 99 steps, no skip kept. DARTS' own settings (SGD 0.025,
alphas at 3e-4, clips of the reference's size) gave 0.208: 54 steps leave the loss at that of chance and the alphas
uniform to six digits. Those with alphas at 0.03 gave 0.523.
"""

from pvnas_bench.strategies._nni import PAPER, SPACE, DifferentiableConfig, NNIDifferentiable

from pvnas_bench import Info


class NNIDarts(NNIDifferentiable):
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
    Config = DifferentiableConfig
    kind = "DARTS"
