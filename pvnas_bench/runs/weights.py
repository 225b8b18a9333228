"""The model of a run: the metadata of the weights that are kept beside its record."""

from pvnas_bench import records, release
from pvnas_bench.runs.final import Kept
from pvnas_bench.runs.setup import Setup
from pvnas_bench.training.model_file import ModelInfo, ModelScores, ModelTraining, describe


def model_info(setup: Setup, record: records.Record, kept: Kept) -> ModelInfo:
    """The metadata of a run's best retraining; `record` is the run's."""
    assert record.outcome is not None
    trained = record.outcome.trained[kept.retraining]
    training = ModelTraining(
        record=record.id,
        entry=record.strategy.entry,
        seed=record.seed,
        retraining=trained.seed,
        epochs=setup.protocol.epochs,
        device=setup.device.type,
        threads=setup.threads,
        deterministic=setup.request.deterministic,
    )
    scores = ModelScores(
        val_top1=trained.curve[-1].get("val_top1") if trained.curve else None,
        test_top1=trained.test_top1,
        test_top5=trained.test_top5,
        test_mean_class=trained.test_mean_class,
        test_loss=trained.test_loss,
    )
    architecture = setup.space.parse(record.outcome.architecture)
    version = release.VERSION
    return describe(setup.space, architecture, setup.store, setup.protocol, training, scores, kept.weights, version)
