"""A surrogate: the table of a sample of a space, continued to the whole space by a model of its trainings.

The model is a Gaussian process (Rasmussen & Williams, Gaussian Processes for Machine Learning, 2006), fitted when the
table is opened; nothing but the table is stored. It predicts the curves, losses and accuracies of a training from the
one-hot code of the decisions, how often each option occurs, and the logarithms of MACs and parameters, each as relevant
as the table shows (`table.kernel`). A surrogate adds to a prediction the noise of one training, drawn among the
residuals of trainings of similar accuracy: all values of one residual together, so that validation and test are as
correlated as in the table.

Surrogate benchmarks of search spaces: Zela et al., Surrogate NAS Benchmarks, ICLR 2022.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from pvnas_bench.errors import UsageError
from pvnas_bench.records import SURROGATE
from pvnas_bench.space import Architecture, Costed, SearchSpace
from pvnas_bench.system.text import counted
from pvnas_bench.table import kernel
from pvnas_bench.table.schema import KnownTraining
from pvnas_bench.table.table import Table

if TYPE_CHECKING:
    from sklearn.gaussian_process import GaussianProcessRegressor

MODEL: Final = 2
"""Version of the model. A change that alters predictions raises it, and so starts boards of their own."""
LEAST = 20
"""Fewest networks to which a model is fitted."""
REPEATED = 10
"""Degrees of freedom of repeated trainings from which the noise is measured by them, and not by the model."""
SIMILAR = 50
"""Trainings of similar accuracy among which a residual is drawn."""
KEPT = 4096
"""Predictions kept in memory."""
SAMPLED, GENERATIONS, POPULATION, CHILDREN = 1000, 30, 50, 200
"""The search for the best network of the model: random networks, then generations of mutations of the best."""
RANDOM, DRAWS = 300, 500
"""Random networks among which one is placed, and draws from the posterior."""
INTERVAL = 0.9
"""Probability of an interval."""
HALF, NINE_TENTHS = 0.6745, 1.6449
"""Half widths, in standard deviations, of the intervals that hold 50 % and 90 % of a normal distribution."""

Floats = npt.NDArray[np.float64]
Allowed = Callable[[Architecture], bool]


@dataclass(frozen=True)
class Quality:
    """How well a surrogate predicts networks that it has not seen: each network by the model of all others.

    Attributes:
        fitted: number of networks to which the model is fitted.
        networks, trainings: numbers of those that count here, such as the ones under a cap.
        tau: Kendall's τ between predicted and measured test top-1.
        r2: coefficient of determination.
        within_50, within_90: share of the measured accuracies within their 50 % and 90 % intervals.
        noise: standard deviation of one training's test top-1; None: no trainings were repeated to measure it.
        tau_ceiling: τ that a perfect prediction would have, given the noise of the trainings; None: it is unknown.
    """

    fitted: int
    networks: int
    trainings: int
    tau: float
    r2: float
    within_50: float
    within_90: float
    noise: float | None = None
    tau_ceiling: float | None = None

    def __str__(self) -> str:
        noise, ceiling = "no repeated trainings measure the noise", ""
        if self.noise is not None and self.tau_ceiling is not None:
            noise = f"one training has a noise of {100 * self.noise:.1f} points"
            ceiling = f" (perfect: {self.tau_ceiling:.2f})"
        return (
            f"each of {counted(self.networks, 'network')} predicted from all others: Kendall's τ "
            f"{self.tau:.2f}{ceiling}, R² {self.r2:.2f}; {self.within_50:.0%} and {self.within_90:.0%} within 50 % and "
            f"90 % intervals; {noise}"
        )


@dataclass(frozen=True)
class Standing:
    """The place of a network among random ones, as the share of these that are worse.

    Attributes:
        low, high: edges of the 90 % interval.
    """

    share: float
    low: float
    high: float


class Surrogate(Table):
    """A table that answers for every architecture of its space.

    A search sees the real training of a network that the table holds, and of any other network the model's prediction
    with noise. The truth (`top1`, `regret`, `scoring`) is the model's mean for all networks alike: the single trainings
    of those in the table would favour the lucky ones.

    Attributes:
        cost: the cost of an architecture.
        noise: standard deviation of one training's test top-1.
        repeated: True if the noise is known from repeated trainings; otherwise it includes the errors of the model.
    """

    def __init__(self, table: Table, space: SearchSpace, costs: Callable[[Architecture], Costed]) -> None:
        """Fit the model.

        Args:
            costs: the cost of an architecture.

        Raises:
            UsageError: the table has too few networks, or trainings without validation.
        """
        every = [training for name in table.architectures for training in table.trainings(name)]
        super().__init__(table.about, table.sessions, every, space)
        self._domain, self.cost = space, costs
        if len(table) < LEAST:
            raise UsageError(
                f"the table {table.about.stem} has {len(table)} of {space.size:.2g} architectures: a surrogate needs "
                f"{LEAST}; train more with `table build`, or search only among these with --partial"
            )
        if not all(math.isfinite(value) for training in every for value in training.val_top1):
            raise UsageError(f"the table {table.about.stem} has trainings without validation: a search needs it")
        self._table_fingerprint = table.fingerprint
        self._kinds, self._groups = _kinds(space)
        self._counts = np.array([len(rows) for rows in self._rows.values()], float)
        self._fit()
        self._predicted = lru_cache(maxsize=KEPT)(self._predict)

    def _fit(self) -> None:
        """Fit the Gaussian process to the means of each network's trainings, and collect the residuals."""
        parsed = [self._domain.parse(name) for name in self._rows]
        raw = self._describe(parsed)
        scale = raw.std(0)
        self._shift, self._scale = raw.mean(0), np.where(scale > 0, scale, 1.0)
        rows = _finite(np.array([_values(t) for trainings in self._rows.values() for t in trainings]))
        owner = np.repeat(np.arange(len(parsed)), self._counts.astype(int))
        means = np.add.reduceat(rows, np.searchsorted(owner, np.arange(len(parsed)))) / self._counts[:, None]
        self._test = 3 * self.about.epochs
        found = kernel.fit((raw - self._shift) / self._scale, means[:, self._test], self._groups)
        signal, nugget = found.signal, found.noise
        self._scale /= np.sqrt(found.relevance)
        features = (raw - self._shift) / self._scale
        usual = len(parsed) / float((1 / self._counts).sum())
        own = nugget * usual / self._counts
        self._model = _process(signal, own).fit(features, means)
        self._truth_model = _process(signal, own).fit(features, means[:, self._test])
        scales = np.atleast_1d(self._model._y_train_std)

        whitened, deviation = _left_out(self._model)
        self._measured = means[:, self._test]
        self._left_out = self._measured - (whitened * deviation)[:, self._test] * scales[self._test]
        self._left_out_sd = deviation[:, 0] * scales[self._test]
        inside = rows - means[owner]
        degrees = len(rows) - len(parsed)
        self.repeated = degrees >= REPEATED
        if self.repeated:
            several = self._counts[owner] > 1
            count = self._counts[owner][several]
            residuals = inside[several] * np.sqrt(count / (count - 1))[:, None]
            levels = self._left_out[owner][several]
            self.noise = float(np.sqrt((inside[:, self._test] ** 2).sum() / degrees))
        else:
            residuals, levels = whitened * np.sqrt(nugget * usual) * scales, self._left_out
            self.noise = float(np.sqrt(nugget * usual) * scales[self._test])
        error = nugget * float(scales[self._test]) ** 2 - self.noise**2 / usual
        self._misfit = max(error, 0.0) if self.repeated else 0.0
        order = np.argsort(levels, kind="stable")
        self._levels, self._residuals = levels[order], residuals[order]

    def _describe(self, architectures: Sequence[Architecture]) -> Floats:
        """Features of architectures: code of the decisions, number of each option, logarithms of the costs."""
        canonical = [self._domain.canonical(architecture) for architecture in architectures]
        codes = np.array([self._domain.encode(architecture) for architecture in canonical], float)
        costs = [self.cost(architecture) for architecture in canonical]
        logs = np.log([(cost.macs, cost.parameters) for cost in costs])
        return np.hstack([codes, codes @ self._kinds, logs])

    def _features(self, architectures: Sequence[Architecture]) -> Floats:
        return np.asarray((self._describe(architectures) - self._shift) / self._scale, np.float64)

    def _predict(self, network: str) -> Floats:
        """Predicted values of a network's training, without noise."""
        predicted: Floats = self._model.predict(self._features([self._domain.parse(network)]))[0]
        return predicted

    # --- as a table -------------------------------------------------------------------------------------------------

    def __contains__(self, architecture: str) -> bool:
        try:
            self._domain.parse(architecture)
        except UsageError:
            return False
        return True

    def missing(self, space: SearchSpace) -> list[str]:
        """No architecture: the model answers for those that were not trained."""
        return []

    def drawn(self, architecture: str, number: int) -> KnownTraining:
        """The training that a run sees: a real one of a network in the table, otherwise a predicted one with noise.

        Args:
            number: selects the training or its noise; equal numbers give equal trainings.
        """
        if self.trainings(architecture):
            return super().drawn(architecture, number)
        name = self.network(architecture)
        predicted = self._predicted(name)
        around = int(np.searchsorted(self._levels, predicted[self._test]))
        first = min(max(around - SIMILAR // 2, 0), max(len(self._levels) - SIMILAR, 0))
        similar = self._residuals[first : first + SIMILAR]
        noise = similar[number % len(similar)] - similar.mean(0)
        return self._training(name, predicted + noise, number % 2**31)

    def scoring(self, architecture: str) -> tuple[KnownTraining, ...]:
        """The model's mean as one training: what a search is judged by."""
        name = self.network(architecture)
        return (self._training(name, self._predicted(name), 0),)

    def top1(self, architecture: str) -> float:
        """Predicted test top-1, of trained networks too.

        Raises:
            UsageError: the string is not an architecture of the space.
        """
        return self.scoring(architecture)[0].test_top1

    def regret(self, architecture: str, macs: float = math.inf) -> float:
        """Regret in predicted test top-1, relative to the best known network under a MACs cap; 0 for a better one."""
        if macs not in self._best:
            self._best[macs] = self.best(lambda one: self.cost(one).macs <= macs)
        return max(self._best[macs] - self.top1(architecture), 0.0)

    def best(self, allowed: Allowed) -> float:
        """The highest predicted test top-1 that an evolution on the model finds among the allowed networks.

        It starts from the networks of the table and from random ones; its random numbers are always the same.
        """
        space, rng = self._domain, np.random.default_rng(0)
        pool = [space.parse(name) for name in self._rows] + [space.sample(rng) for _ in range(SAMPLED)]
        best: dict[Architecture, float] = {}
        for generation in range(GENERATIONS):
            if generation:
                parents = list(best)
                pool = [space.mutate(parents[i], rng) for i in rng.integers(len(parents), size=CHILDREN).tolist()]
            new = [one for one in dict.fromkeys(map(space.canonical, pool)) if one not in best and allowed(one)]
            if new:
                best |= zip(new, self._truth_model.predict(self._features(new)).tolist(), strict=True)
            if not best:
                raise UsageError(f"no network of {self.about.stem} is under the cap: raise --cap")
            best = dict(sorted(best.items(), key=lambda item: (-item[1], str(item[0])))[:POPULATION])
        return max(self.top1(str(one)) for one in best)

    @property
    def fingerprint(self) -> str:
        """The table's fingerprint and the model's version."""
        return f"{SURROGATE}{MODEL}-{self._table_fingerprint}"

    def _training(self, name: str, values: Floats, seed: int) -> KnownTraining:
        """Values of a prediction as a training, within their ranges."""
        epochs, first = self.about.epochs, next(iter(self._rows.values()))[0]
        cost = self.cost(self._domain.parse(name))
        losses, top1, val_losses = values[: 3 * epochs].reshape(3, epochs)
        test_top1, top5, mean_class, test_loss, seconds, latency = values[3 * epochs :]
        return KnownTraining(
            architecture=name,
            seed=seed,
            session=0,
            macs=cost.macs,
            parameters=cost.parameters,
            training_macs=cost.macs * first.training_macs // first.macs,
            seconds=_float32(math.exp(seconds) * cost.macs),
            latency_ms=_float32(math.exp(latency) * cost.macs),
            train_loss=tuple(_float32(max(value, 0.0)) for value in losses),
            val_top1=tuple(map(_fraction, top1)),
            val_loss=tuple(_float32(max(value, 0.0)) for value in val_losses),
            test_top1=_fraction(test_top1),
            test_top5=max(_fraction(top5), _fraction(test_top1)),
            test_mean_class=_fraction(mean_class),
            test_loss=_float32(max(test_loss, 0.0)),
        )

    # --- how good it is ---------------------------------------------------------------------------------------------

    def quality(self, allowed: Allowed | None = None) -> Quality | None:
        """Quality on the networks of the table, each left out in turn with the model's relevances and noise fixed.

        Args:
            allowed: condition on the networks that count; None: all.

        Returns:
            The quality; None if fewer than three networks count.
        """
        from scipy.stats import kendalltau

        counts = np.array([allowed is None or allowed(self._domain.parse(name)) for name in self._rows])
        measured, predicted, own = self._measured[counts], self._left_out[counts], self._counts[counts]
        if len(measured) < 3 or not measured.std():
            return None
        errors = np.abs(measured - predicted) / self._left_out_sd[counts]
        return Quality(
            fitted=len(self),
            networks=len(measured),
            trainings=int(own.sum()),
            tau=_float32(np.nan_to_num(kendalltau(predicted, measured)[0])),
            r2=_float32(1 - ((measured - predicted) ** 2).mean() / measured.var()),
            within_50=float((errors <= HALF).mean()),
            within_90=float((errors <= NINE_TENTHS).mean()),
            noise=_float32(self.noise) if self.repeated else None,
            tau_ceiling=_ceiling(measured, self.noise / np.sqrt(own)) if self.repeated else None,
        )

    def standing(self, architecture: Architecture, allowed: Allowed) -> Standing | None:
        """Place a network among random ones by their true accuracies, drawn together from the model's posterior.

        Args:
            allowed: condition on the random networks, such as a cap.

        Returns:
            The median and the interval over draws of accuracies and of random networks; None if no random network is
            allowed.
        """
        space, rng = self._domain, np.random.default_rng(0)
        found = space.canonical(architecture)
        drawn = (space.canonical(space.sample(rng)) for _ in range(100 * RANDOM))
        others: list[Architecture] = []
        for one in drawn:
            if one != found and allowed(one):
                others.append(one)
            if len(others) == RANDOM:
                break
        if not others:
            return None
        mean, covariance = self._truth_model.predict(self._features([found, *others]), return_cov=True)
        covariance += self._misfit * np.eye(len(mean))
        true = rng.multivariate_normal(mean, covariance, size=DRAWS, method="eigh")
        picked = rng.integers(len(others), size=(DRAWS, len(others)))
        shares = (np.take_along_axis(true[:, 1:], picked, 1) < true[:, :1]).mean(1)
        tail = (1 - INTERVAL) / 2
        low, middle, high = np.quantile(shares, (tail, 0.5, 1 - tail)).tolist()
        return Standing(middle, low, high)

    @cached_property
    def _best(self) -> dict[float, float]:
        return {}


def _kinds(space: SearchSpace) -> tuple[Floats, list[str]]:
    """What adds up equal options of decisions of one kind, such as ``operator.1.2``, and the group of each feature.

    Returns:
        A matrix (options of all decisions, sums), and the names of groups: the codes of a kind, each sum and each cost.
    """
    tokens = [(one.name.partition(".")[0], option) for one in space.decisions for option in one.options]
    several = [token for token in dict.fromkeys(tokens) if tokens.count(token) > 1]
    sums = np.array([[token == kind for kind in several] for token in tokens], float).reshape(len(tokens), len(several))
    counts = [f"number of {kind} {option}" for kind, option in several]
    return sums, [*(kind for kind, _ in tokens), *counts, "macs", "parameters"]


def _values(training: KnownTraining) -> tuple[float, ...]:
    """What is predicted of a training: three curves, four test results, and logarithms of two times by MACs."""
    return (
        *training.train_loss,
        *training.val_top1,
        *training.val_loss,
        training.test_top1,
        training.test_top5,
        training.test_mean_class,
        training.test_loss,
        math.log(max(training.seconds, 1e-9) / training.macs),
        math.log(max(training.latency_ms, 1e-9) / training.macs),
    )


def _finite(rows: Floats) -> Floats:
    """Replace what is not finite, such as a diverged training's losses, by the largest finite value of its column."""
    finite = np.isfinite(rows)
    most = np.where(finite, rows, -np.inf).max(0)
    return np.asarray(np.where(finite, rows, np.where(np.isfinite(most), most, 0.0)), np.float64)


def _process(signal: float, noise: Floats) -> "GaussianProcessRegressor":
    """A Gaussian process on features of unit length scale, whose variances are given."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel

    return GaussianProcessRegressor(ConstantKernel(signal) * RBF(1.0), alpha=noise, optimizer=None, normalize_y=True)


def _left_out(model: "GaussianProcessRegressor") -> tuple[Floats, Floats]:
    """Residuals of each point predicted from all others, over their deviations, and the deviations, as a column.

    In closed form (Rasmussen & Williams, §5.4.2), in units of each target's deviation.
    """
    from scipy.linalg import cho_solve

    precision = np.diag(cho_solve((model.L_, True), np.eye(len(model.L_))))[:, None]
    return model.alpha_ / np.sqrt(precision), 1 / np.sqrt(precision)


def _ceiling(measured: Floats, noise: Floats) -> float:
    """Mean τ of true accuracies with measured ones: those measured, shrunk to the spread of the truth, and noise."""
    from scipy.stats import kendalltau

    share = max(1 - float((noise**2).mean() / measured.var()), 0.0)
    true, rng = measured.mean() + math.sqrt(share) * (measured - measured.mean()), np.random.default_rng(0)
    taus = [kendalltau(true, true + noise * rng.normal(size=len(true)))[0] for _ in range(20)]
    return _float32(np.mean(np.nan_to_num(taus)))


def _float32(value: float | np.floating[npt.NBitBase]) -> float:
    return float(np.float32(value))


def _fraction(value: float) -> float:
    return _float32(min(max(value, 0.0), 1.0))
