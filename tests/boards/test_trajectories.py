"""Mean curves of many runs."""

from dataclasses import replace

import numpy as np
from record_factory import record

from pvnas_bench.boards.trajectories import MOST, curve, mean_curve


def test_a_thinned_mean_curve_keeps_the_values_at_its_points() -> None:
    rng = np.random.default_rng(0)
    runs = []
    for seed in range(12):
        made = record("alpha", seed, steps=200)
        costs = np.sort(rng.random(200)).tolist()
        steps = [
            replace(step, cost=cost, metrics={"val_top1": cost**0.5})
            for step, cost in zip(made.trajectory, costs, strict=True)
        ]
        runs.append(made.model_copy(update={"trajectory": tuple(steps)}))
    found = mean_curve(runs)
    assert found is not None
    assert len(found.at) == MOST < 12 * 200
    assert found.at[-1] == max(step.cost for run in runs for step in run.trajectory)
    begun = found.at >= max(run.trajectory[0].cost for run in runs)
    for at, mean in list(zip(found.at[begun], found.mean[begun], strict=True))[::97]:
        last = [max(v for c, v in zip(*curve(run), strict=True) if c <= at) for run in runs]
        assert abs(mean - np.mean(last)) < 1e-12
