"""GDAS: searching for a robust architecture with differentiable sampling.

Each decision is a hard Gumbel-softmax (eqs. 3-6): forward h = one-hot(argmax_i(log p_i + g_i)), backward the gradient
of softmax((log p + g)/τ), with τ falling linearly from 10 to 0.1. Only the sampled candidate of a slot is computed: a
step costs one path.
"""

from pydantic import Field

from pvnas_bench import Architecture, ClipBatch, Info
from pvnas_bench.methods import (
    FixedInputConfig,
    FixedInputSearch,
    gumbel_one_hot,
    input_loss,
    one_path_plan,
    sample_input,
)


class GDASConfig(FixedInputConfig):
    """Hyper-parameters of GDAS."""

    alpha_rate: float = Field(0.01, gt=0, description="Adam's rate (R, tuned)")
    temperature_start: float = Field(10.0, gt=0, description="τ at the start (GDAS)")
    temperature_end: float = Field(0.1, gt=0, description="τ at the end, reached linearly (GDAS)")
    learn_input: bool = Field(
        False, description="sample frames and size, and learn them by REINFORCE; otherwise they are fixed (R)"
    )


class GDAS(FixedInputSearch[GDASConfig]):
    """Differentiable sampling of one path per step (GDAS)."""

    info = Info(
        name="gdas",
        title="GDAS: differentiable architecture sampling",
        paper="Dong & Yang, Searching for a Robust Neural Architecture in Four GPU Hours, CVPR 2019",
        year=2019,
        levels=("structural", "modular"),
        families=("mbconv",),
        published="hard Gumbel-softmax with straight-through gradient, one sampled path per step, τ from 10 to 0.1, "
        "alternating SGD and Adam",
        reconstructed="chain of blocks in place of cells; one sample per factor of a block; all depths computed in an "
        "alpha step; frames and size stay at the reference's, or are learnt by REINFORCE; AdamW and rates for a "
        "hundredth of the steps; the most probable options under the MACs cap",
    )

    def prepare(self) -> None:
        """Fix the input, unless it is learnt."""
        if not self.config.learn_input:
            super().prepare()

    @property
    def temperature(self) -> float:
        """Temperature τ."""
        c = self.config
        return c.temperature_start + (c.temperature_end - c.temperature_start) * self.problem.progress

    def weight_plan(self) -> Architecture:
        """A sampled path: argmax(log p + g) is a sample of p."""
        return self.as_searched(self.alphas.sample(self.problem.torch_rng("paths")))

    def as_searched(self, architecture: Architecture) -> Architecture:
        """The architecture, unchanged where the input is learnt."""
        return architecture if self.config.learn_input else super().as_searched(architecture)

    def alpha_step(self, batch: ClipBatch, held_out: ClipBatch) -> float:
        """Take an alpha step through one sampled path."""
        rng, space = self.problem.torch_rng("gumbel"), self.problem.space
        log_p = self.alphas.log_probabilities()
        gates = {name: gumbel_one_hot(value, self.temperature, rng) for name, value in log_p.items()}
        if not self.config.learn_input:
            loss = self.alpha_loss(held_out, one_path_plan(space, gates, *self.input))
            self.descend(loss)
            return float(loss.detach())
        table = self.alphas.log_table()
        first = sample_input(space, table, rng)
        plan = one_path_plan(space, gates, space.frames[first[0]], space.sizes[first[1]])
        loss = self.alpha_loss(held_out, plan)
        term = input_loss(
            space, table, first, loss.detach(), lambda f, s: self.alpha_loss(held_out, plan.at(f, s)), rng
        )
        self.descend(loss + term)
        return float(loss.detach())
