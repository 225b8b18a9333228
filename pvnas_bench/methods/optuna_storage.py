"""Studies that several runs share, in Optuna's own storages: a search by many workers.

Every run asks and pays for its trials; its suggestions learn from the trials of all runs. An entry with `storage=` on
the leaderboard compares with others at the sum of the runs' budgets.
"""

import hashlib
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import OptunaError
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from pydantic import Field

from pvnas_bench.errors import UsageError
from pvnas_bench.problem import Problem
from pvnas_bench.space import SearchSpace
from pvnas_bench.strategy import StrategyConfig

RUN = "run"
"""Attribute of a trial: the run that asked for it."""


class OptunaConfig(StrategyConfig):
    """Hyper-parameters of every Optuna strategy."""

    storage: str = Field(
        "",
        description="storage of a study that runs share: the path of Optuna's journal file, or a database's URL such "
        "as sqlite:///study.db; empty: a separate study",
    )


def shared_study(where: str, name: str, problem: Problem[SearchSpace], **options: Any) -> optuna.Study:
    """Join or create the study of this strategy, space, caps and data in a storage.

    Raises:
        UsageError: the storage cannot be opened.
    """
    from sqlalchemy.exc import SQLAlchemyError  # takes a quarter of a second; only databases need it

    try:
        return optuna.create_study(
            storage=_storage(where), study_name=f"{name} {_identity(problem)}", load_if_exists=True, **options
        )
    except (OSError, ValueError, OptunaError, SQLAlchemyError, ImportError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(f"Optuna cannot open the storage {where!r} ({reason}): name a journal file or a URL") from None


def _storage(where: str) -> BaseStorage:
    if "://" in where:
        from optuna.storages import RDBStorage

        return RDBStorage(where)
    path = Path(where)
    path.parent.mkdir(parents=True, exist_ok=True)
    return JournalStorage(JournalFileBackend(str(path)))


def _identity(problem: Problem[SearchSpace]) -> str:
    """Identity of the study: what its trials must have in common."""
    clips = hashlib.sha256()
    clips.update(problem.labels_in("train").tobytes() + b"/" + problem.labels_in("val").tobytes() + b"/")
    caps = f"cap {problem.caps.macs}" if problem.caps.only_macs else f"caps {problem.caps.name}"
    identity = f"{problem.space.fingerprint} {caps} {problem.full_epochs} epochs {clips.hexdigest()[:12]}"
    return f"{identity} null" if problem.null else identity
