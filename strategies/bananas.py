"""BANANAS: Bayesian optimisation with an ensemble of neural predictors.

White et al. train an ensemble of M feed-forward networks on the architectures known so far, from an encoding of the
architecture to its accuracy. Mean f̂ and standard deviation σ̂ of their predictions give a normal distribution;
independent Thompson sampling draws one value per candidate, f̃ ~ N(f̂, σ̂²), and the candidates of the highest draws
are trained. Candidates are mutations of the best architectures.

An architecture of these spaces is one path of decisions, so its path encoding is the one-hot code of its decisions.
"""

import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from pydantic import Field
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor

from pvnas_bench import Architecture, Info, SearchFinished, StrategyConfig
from pvnas_bench.methods import AskTell, best

EPOCHS = 200
"""Most epochs of a predictor (scikit-learn's default)."""
Array = npt.NDArray[np.float64]


def predictions(
    codes: Array, accuracies: Array, queries: Array, seeds: Sequence[int], width: int, layers: int, rate: float
) -> Array:
    """Predictions of an ensemble of neural networks, one per seed: (members, queries).

    Args:
        codes: (architectures, features) encodings of known architectures, with their `accuracies`.
        rate: learning rate of Adam.
    """
    shift, scale = float(accuracies.mean()), float(accuracies.std()) or 1.0
    found = []
    for seed in seeds:
        member = MLPRegressor(
            hidden_layer_sizes=(width,) * layers, learning_rate_init=rate, max_iter=EPOCHS, random_state=seed
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            member.fit(codes, (accuracies - shift) / scale)
        found.append(member.predict(queries) * scale + shift)
    return np.array(found)


def thompson_draws(predicted: Array, rng: np.random.Generator) -> Array:
    """Independent Thompson sampling: one draw of N(f̂, σ̂²) per query from predictions (members, queries)."""
    drawn: Array = rng.normal(predicted.mean(0), predicted.std(0, ddof=1))
    return drawn


class BANANASConfig(StrategyConfig):
    """Hyper-parameters of BANANAS."""

    startup: int = Field(10, ge=2, description="random architectures at the start (White et al.)")
    batch: int = Field(5, ge=1, description="architectures per fit of the ensemble (tuned; White et al.: 10 of 150)")
    candidates: int = Field(100, ge=1, description="mutations that the ensemble ranks (the authors' code)")
    parents: int = Field(5, ge=1, description="best architectures that are mutated (R)")
    members: int = Field(5, ge=2, description="networks of the ensemble (White et al.)")
    layers: int = Field(2, ge=1, description="hidden layers of each (R for tens of trainings; White et al.: 10)")
    width: int = Field(20, ge=1, description="units of a layer (White et al.)")
    predictor_rate: float = Field(0.003, gt=0, description="learning rate of Adam (tuned; White et al.: 0.01)")


class BANANAS(AskTell[BANANASConfig]):
    """Bayesian optimisation with neural predictors (BANANAS)."""

    info = Info(
        name="bananas",
        title="BANANAS: neural predictors and Thompson sampling",
        paper="White, Neiswanger & Savani, BANANAS: Bayesian Optimization with Neural Architectures for Neural "
        "Architecture Search, AAAI 2021",
        year=2021,
        levels=("structural", "modular"),
        published="an ensemble of five feed-forward networks, independent Thompson sampling, mutations of the best",
        reconstructed="networks by scikit-learn, with two layers and the squared error in place of ten and the "
        "relative error; one-hot code of the decisions as path encoding; small batches",
    )

    def ask(self) -> list[Architecture]:
        """Random architectures at the start, then the candidates of the highest Thompson draws.

        Raises:
            SearchFinished: no architecture of an unknown network was drawn.
        """
        problem, config = self.problem, self.config
        if not self.history:
            return [problem.sample() for _ in range(config.startup)]
        candidates = self._candidates()
        if not candidates:
            raise SearchFinished
        rng, encode = problem.rng("bananas"), problem.space.encode
        accuracies = np.array([evaluation.top1 for evaluation in self.known.values()])
        codes = np.array([encode(architecture) for architecture, _ in self.known], dtype=float)
        queries = np.array([encode(candidate) for candidate in candidates], dtype=float)
        seeds = rng.integers(2**31, size=config.members).tolist()
        predicted = predictions(codes, accuracies, queries, seeds, config.width, config.layers, config.predictor_rate)
        return best(zip(candidates, thompson_draws(predicted, rng).tolist(), strict=True), config.batch)

    def _candidates(self) -> list[Architecture]:
        """Mutations of the best architectures, one for each network that is not trained yet."""
        problem, space, rng = self.problem, self.problem.space, self.problem.rng("mutate")
        parents = best(((a, evaluation.top1) for (a, _), evaluation in self.known.items()), self.config.parents)
        excluded = {architecture for architecture, _ in self.known}
        found: list[Architecture] = []
        for i in range(self.config.candidates):
            parent = parents[i % len(parents)]
            child = space.canonical(problem.mutate(parent, rng))
            if child not in excluded:
                excluded.add(child)
                found.append(child)
        drawn = None if found else problem.draw(lambda: space.canonical(space.sample(rng)), excluded)
        return [drawn] if drawn else found
