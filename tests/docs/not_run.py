"""The commands of the documents that no test runs as they stand, by the reason: the one list of all exceptions."""

NOT_RUN: dict[str, list[str]] = {
    "installs the package: CI does it with tox, for every environment": [
        "python3 -m venv .venv",
        ".venv/bin/pip install -e .",
        "pip install 'pvnas-bench[tensorboard,mlflow]'",
        "pip install optuna-dashboard",
        "source .venv/bin/activate",
        "python3 -m venv .venv && .venv/bin/pip install -e . && .venv/bin/python -m pvnas_bench run --strategy pvnas "
        "--space st_default",
        "python3 -m venv .venv && .venv/bin/pip install -e '.[test,lint]' ruff mypy",
    ],
    "is the test run itself: .ci/run executes it word for word": [
        "python3 -m venv .venv-tox && .venv-tox/bin/pip install tox && .venv-tox/bin/tox",
    ],
    "takes minutes: tox -e main-job runs it": [
        "pvnas-bench run --strategy pvnas --space st_default",
    ],
    "needs Ray, or a cluster of it: tests/grid/test_ray.py runs grids and trials on a local Ray": [
        "pvnas-bench compare grid.toml --executor ray",
        "pvnas-bench compare grid.toml --executor ray --ray-address head:6379 --device cuda --results /shared/results",
        "pvnas-bench run --strategy random_search --executor ray --threads 1",
    ],
    "needs SLURM: tests/grid/test_compare.py starts several commands on one folder": [
        'sbatch --array=0-3 --signal=B:TERM@60 --wrap "exec pvnas-bench compare grid.toml --results /shared/results"',
        "sbatch --nodes=2 --ntasks-per-node=1 --gpus-per-node=4 --cpus-per-task=32 --signal=TERM@60 --wrap 'srun "
        "torchrun --nnodes=2 --nproc-per-node=4 --rdzv-id=$SLURM_JOB_ID --rdzv-backend=c10d --rdzv-endpoint=$(scontrol "
        "show hostnames $SLURM_JOB_NODELIST | head -n 1):29500 -m pvnas_bench run --strategy pvnas --space st_default "
        "--protocol standard --results /shared/results'",
    ],
    "needs several GPUs: tests/training/test_distributed.py runs torchrun on CPUs": [
        "torchrun --nproc-per-node gpu -m pvnas_bench run --strategy pvnas --space st_default --protocol standard",
    ],
    "is a server of another program, which runs until it is stopped: tests/runs/test_tracking.py reads the files": [
        "tensorboard --logdir board",
        "mlflow ui --backend-store-uri sqlite:///mlflow.db",
        "optuna-dashboard sqlite:///study.db",
    ],
    "needs a server of MLflow: tests/runs/test_tracking.py writes to a database": [
        "pvnas-bench run --strategy pvnas --mlflow http://tracking.example.org:5000",
    ],
    "takes hours: tests/grid/test_table_build.py builds, stops and resumes tables of a small space": [
        "pvnas-bench table build --dataset synthetic_motion --sample 60 --seed 0 --seed 1",
        "pvnas-bench table build --dataset synthetic_motion",
        "pvnas-bench table build --dataset results/reference/tables/words.toml",
    ],
    "takes hours: tests/cli/test_retrain.py retrains networks of a small space": [
        "pvnas-bench retrain results/runs --protocol standard --seeds 3",
        "pvnas-bench leaderboard --retrained results/retrained",
    ],
    "takes hours, or needs a table that takes them: tests/cli/test_table.py runs these on a planted sample": [
        "pvnas-bench table build --space st_default --protocol quick --cap M --sample 600",
        "pvnas-bench table build --space st_default --protocol quick --cap M --sample 600 --visited results/runs",
        "pvnas-bench table build --space st_default --protocol quick --cap M --sample 30 --seed 1",
    ],
    "takes minutes: tests/grid/test_table_verify.py and tests/boards/test_table_lessons.py do it in small": [
        "pvnas-bench table verify --sample 3",
        "pvnas-bench table report --dataset synthetic_motion --results results/runs --scores",
    ],
    "takes minutes to hours: tests/cli/test_claims.py runs claims on a small table": [
        "pvnas-bench claims run tpe",
        "pvnas-bench claims run all --records results/runs",
    ],
    "takes many searches: tests/cli/test_table.py tunes on a small table": [
        "pvnas-bench tune results/tuning/trials.toml",
    ],
    "trains a supernet on the clips of a table, for minutes: tests/runs/test_rank_correlation.py does it in small": [
        "pvnas-bench run --space st_micro --tabular --strategy spos",
        "pvnas-bench compare --space st_micro --tabular --seeds 3 --strategy spos",
    ],
    "trains three supernets, for minutes: tests/cli/test_table.py ranks by another score": [
        'pvnas-bench ranks --strategy "spos[supernet_share=0.95]" --strategy synflow --seeds 3',
    ],
}
"""Blocks of Python are named by their first line."""
EXCEPTIONS = {command: reason for reason, commands in NOT_RUN.items() for command in commands}
