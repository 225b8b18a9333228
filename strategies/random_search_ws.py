"""Random search with weight sharing: a supernet trained along uniform paths ranks random architectures.

Li & Talwalkar train the shared weights along one uniformly sampled architecture per batch, then sample architectures,
measure each with the shared weights on one batch of search-val, measure the best of them on all of it, and return the
best (their section 4.2). Paths and architectures are sampled under the caps.
"""

import itertools

from pydantic import Field

from pvnas_bench import Architecture, BlockSpace, Info, SearchFinished, Strategy
from pvnas_bench.methods import SharedWeights, WeightsConfig, best

CHUNK = 20
"""Architectures screened per step."""


class RandomSearchWSConfig(WeightsConfig):
    """Hyper-parameters of random search with weight sharing."""

    supernet_share: float = Field(0.4, gt=0, lt=1, description="part of the budget that trains the supernet (R, tuned)")
    screened: int = Field(1000, ge=1, description="random architectures measured on one batch (Li & Talwalkar)")
    finalists: int = Field(5, ge=1, description="best of them measured on all of search-val (tuned; the paper: 10)")
    recalibration: int = Field(8, ge=1, description="batches for a finalist's batch-norm statistics (R: those of spos)")


class RandomSearchWS(Strategy[RandomSearchWSConfig, BlockSpace]):
    """Random search on shared weights."""

    info = Info(
        name="random_search_ws",
        title="Random search with weight sharing",
        paper="Li & Talwalkar, Random Search and Reproducibility for Neural Architecture Search, UAI 2019",
        year=2019,
        levels=("structural", "modular"),
        families=("mbconv",),
        published="uniform paths train the weights; random architectures are screened on one batch of the held-out "
        "data, the ten best measured on all of it",
        reconstructed="the shares of the budget, which may end the screening early; a finalist's batch-norm statistics "
        "are recalibrated; AdamW in place of SGD",
    )

    def setup(self) -> None:
        """Build the supernet, and reserve budget for the finalists."""
        problem, config = self.problem, self.config
        self.supernet = problem.supernet()
        self.weights = SharedWeights(problem, config, self.supernet)
        clips = problem.clips_in("val")
        passes = config.finalists * (1 + config.recalibration * problem.batch_size / clips)
        problem.set_aside(validations=round(passes))
        self.trained = False
        self.screening: dict[Architecture, float] = {}
        """Top-1 of each architecture on one batch of search-val."""
        self.measured: dict[Architecture, float] = {}
        """Top-1 of each finalist on search-val."""
        self.fallback = problem.sample(problem.rng("fallback"))

    def step(self) -> None:
        """Run one epoch of the supernet, then screen some architectures, then measure one finalist."""
        problem, config = self.problem, self.config
        if not self.trained:
            self.trained = self.weights.path_epoch(config.supernet_share, config.rate)
        elif len(self.screening) < config.screened and problem.progress < 1:
            for batch in itertools.islice(problem.repeated_batches("val"), CHUNK):
                architecture = problem.sample(problem.rng("search"))
                self.screening[architecture] = self.supernet.validate(architecture, [batch])[0]
                if problem.progress >= 1 or len(self.screening) == config.screened:
                    break
            problem.note(architectures_screened=len(self.screening))
        elif waiting := [a for a in self._finalists() if a not in self.measured]:
            recalibration = itertools.islice(problem.search_batches("train"), config.recalibration)
            batches = problem.validation_batches()
            self.measured[waiting[0]] = self.supernet.validate(waiting[0], batches, recalibration)[0]
            problem.log(val_top1=max(self.measured.values()))
        else:
            raise SearchFinished

    def _finalists(self) -> list[Architecture]:
        """The best on one batch each, best first."""
        return best(self.screening.items(), self.config.finalists)

    def incumbent(self) -> Architecture:
        """The best finalist, else the best on one batch, else a random architecture."""
        return next(iter(best((self.measured or self.screening).items(), 1)), self.fallback)
