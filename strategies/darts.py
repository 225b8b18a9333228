"""DARTS: differentiable architecture search, first and second order.

Every choice is relaxed to a softmax over its options (eq. 2): a slot computes the weighted sum of all candidates, a
stage the weighted sum of the outputs at all its depths. Weights and alphas are optimised in alternation (algorithm 1);
the alphas' gradient goes either through the current weights (first order, ξ = 0) or through weights one step ahead
(second order, eqs. 6-8: the mixed second derivative by a central difference with ε = 0.01/‖∇w' L_val‖).
The result has the most probable options under the cap.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from pvnas_bench import ClipBatch, Info
from pvnas_bench.methods import FixedInputConfig, MixtureSearch, gradients, rate_at


@torch.no_grad()
def place(parameters: Sequence[Tensor], origin: Sequence[Tensor], direction: Sequence[Tensor], step: float) -> None:
    """Set parameters to origin + step · direction."""
    for parameter, at, x in zip(parameters, origin, direction, strict=True):
        parameter.copy_(at + step * x)


def unrolled_gradient(
    train_loss: Callable[[], Tensor],
    val_loss: Callable[[], Tensor],
    shifted_loss: Callable[[], Tensor],
    weights: Sequence[Tensor],
    alphas: Sequence[Tensor],
    rate: float,
    drift: Sequence[Tensor],
    backward: Callable[[Tensor], None] = torch.Tensor.backward,
    radius: float = 0.01,
) -> tuple[list[Tensor], float]:
    """∇α L_val(w', α), w' = w − ξ(∇w L_train(w, α) + drift): eqs. 6-8 of DARTS.

    = ∇α L_val(w') − ξ (∇α L_train(w⁺) − ∇α L_train(w⁻)) / 2ε, w± = w ± ε ∇w' L_val(w'), ε = radius/‖∇w' L_val‖.

    Args:
        train_loss, val_loss: compute a loss from the current values of weights and alphas.
        shifted_loss: computes L_train at w±, where weights need no gradients.
        rate: step size ξ.
        drift: what SGD adds to each weight's gradient, its decay and momentum.
        radius: radius of the central difference.

    Returns:
        The gradient, and L_val(w', α); the weights are unchanged.
    """
    before = [weight.detach().clone() for weight in weights]
    direction = gradients(train_loss(), weights, backward)
    place(weights, before, [step + more for step, more in zip(direction, drift, strict=True)], -rate)
    loss = val_loss()
    both = gradients(loss, [*alphas, *weights], backward)
    first_order, ahead = both[: len(alphas)], both[len(alphas) :]
    epsilon = radius / float(nn.utils.get_total_norm(ahead))
    sides = []
    for sign in (1, -1):
        place(weights, before, ahead, sign * epsilon)
        sides.append(gradients(shifted_loss(), alphas, backward))
    place(weights, before, before, 0.0)
    for weight in weights:
        weight.grad = None
    found = [d - rate * (up - down) / (2 * epsilon) for d, up, down in zip(first_order, *sides, strict=True)]
    return found, float(loss.detach())


def dominant_eigenvalue(
    gradient: Callable[[], list[Tensor]],
    parameters: Sequence[Tensor],
    iterations: int,
    rng: torch.Generator,
    radius: float = 0.1,
) -> float:
    """The eigenvalue of the Hessian that is largest in magnitude, by power iteration on central differences.

    Args:
        gradient: computes the gradient at the current values of the parameters.
        radius: radius of the central difference.
    """
    before = [p.detach().clone() for p in parameters]
    v = [torch.randn(p.shape, generator=rng).to(p) for p in parameters]
    value = 0.0
    for _ in range(iterations):
        if (norm := float(nn.utils.get_total_norm(v))) == 0:
            break
        v = [x / norm for x in v]
        sides = []
        for sign in (1, -1):
            place(parameters, before, v, sign * radius)
            sides.append(gradient())
        product = [(up - down) / (2 * radius) for up, down in zip(*sides, strict=True)]
        value = float(sum((x * y).sum() for x, y in zip(v, product, strict=True)))
        v = product
    place(parameters, before, before, 0.0)
    return value


def should_stop(eigenvalues: Sequence[float], window: int = 5, back: int = 4, ratio: float = 1.3) -> bool:
    """RobustDARTS-ES: the mean of the last 5 values is over 1.3 times that of 4 measurements before."""
    if len(eigenvalues) < window + back:
        return False
    mean = [sum(eigenvalues[len(eigenvalues) - b - window : len(eigenvalues) - b]) / window for b in (0, back)]
    return mean[0] > ratio * mean[1] > 0


class DARTSConfig(FixedInputConfig):
    """Hyper-parameters of DARTS."""

    weight_rate: float = Field(4e-3, gt=0, description="peak rate of the weights (R, tuned; DARTS: sgd, 0.025)")
    alpha_rate: float = Field(0.01, gt=0, description="Adam's rate (R, tuned; DARTS: 3e-4 for 100 times the steps)")
    warmup: float = Field(0.3, ge=0, lt=1, description="part that trains weights only (R, tuned; DARTS: 0)")
    order: Literal["first", "second"] = Field("first", description="of the α gradient; second unrolls one step (DARTS)")
    unrolled_rate: float = Field(0.025, gt=0, description="first ξ, of the unrolled step of SGD (DARTS)")
    hessian_every: int = Field(0, ge=0, description="alpha steps per eigenvalue of the Hessian; 0: none (RobustDARTS)")
    hessian_iterations: int = Field(4, ge=1, description="steps of the power method, two gradients each (R)")
    early_stop: bool = Field(False, description="stop the search when the eigenvalue rises (RobustDARTS-ES)")


class DARTS(MixtureSearch[DARTSConfig]):
    """Differentiable search on a mixture of all candidates (DARTS)."""

    info = Info(
        name="darts",
        title="DARTS: differentiable architecture search",
        paper="Liu, Simonyan & Yang, DARTS: Differentiable Architecture Search, ICLR 2019; "
        "early stopping: Zela et al., Understanding and Robustifying DARTS, ICLR 2020",
        year=2019,
        levels=("structural", "modular"),
        families=("mbconv",),
        published="softmax mixture of all candidates, alternating SGD (cosine) and Adam, first or second order; "
        "the dominant eigenvalue of the alphas' Hessian and early stopping by it (RobustDARTS)",
        reconstructed="chain of blocks in place of cells: factors operator, expansion and SE are mixed separately, "
        "depths by a weighted sum of block outputs; frames and size stay at the reference's; AdamW and rates for a "
        "hundredth of the steps; the most probable options under the MACs cap",
    )

    def prepare(self) -> None:
        """Fix the input, and clear the eigenvalues."""
        super().prepare()
        self.eigenvalues: list[float] = []
        self.alpha_steps = 0

    def alpha_step(self, batch: ClipBatch, held_out: ClipBatch) -> float:
        """Take an alpha step, first or second order."""
        self.alpha_steps += 1
        if self.config.hessian_every and self.alpha_steps % self.config.hessian_every == 0:
            self._measure_curvature(held_out)
        if self.config.order == "first":
            return super().alpha_step(batch, held_out)
        alphas, weights, drift = self._alphas(), list[Tensor](), list[Tensor]()
        for group in self.weights.optimiser.param_groups:
            for weight in group["params"]:
                buffer = self.weights.optimiser.state[weight].get("momentum_buffer", torch.zeros_like(weight))
                weights.append(weight)
                drift.append(group["weight_decay"] * weight.detach() + 0.9 * buffer)
        found, value = unrolled_gradient(
            lambda: self.supernet.loss(batch, self.plan(self.mixed())),
            lambda: self.supernet.loss(held_out, self.plan(self.mixed())),
            lambda: self.alpha_loss(batch, self.plan(self.mixed())),
            weights,
            alphas,
            rate_at(self.problem.progress, self.config.unrolled_rate, self.config.weight_floor),
            drift,
            self.problem.backward,
        )
        for alpha, gradient in zip(alphas, found, strict=True):
            alpha.grad = gradient
        self.problem.update(self.alpha_optimiser)
        return value

    def _alphas(self) -> list[Tensor]:
        return [logit for logit in self.alphas.logits if logit.requires_grad]

    def _measure_curvature(self, held_out: ClipBatch) -> None:
        alphas = self._alphas()

        def gradient() -> list[Tensor]:
            return gradients(self.alpha_loss(held_out, self.plan(self.mixed())), alphas, self.problem.backward)

        rng = self.problem.torch_rng("power iteration")
        self.eigenvalues.append(dominant_eigenvalue(gradient, alphas, self.config.hessian_iterations, rng))
        self.problem.note(hessian_eigenvalue=self.eigenvalues)
        if self.config.early_stop and should_stop(self.eigenvalues):
            self.stopped = True
