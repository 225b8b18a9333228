"""Boards of retrainings: records judged by trainings of their networks with seeds that are common to all.

The trainings are a table of final trainings (`pvnas-bench retrain`), and records are not changed: a record is sealed by
its hash in a submission, and several records share one file, one network, or one training. The boards are apart from
those of the records' own final trainings, and name the protocol of the retrainings.
"""

from collections.abc import Sequence
from dataclasses import replace

from pvnas_bench import records
from pvnas_bench.boards import leaderboard
from pvnas_bench.boards.leaderboard import Board
from pvnas_bench.records import RETRAINED, Record
from pvnas_bench.system.text import counted
from pvnas_bench.table.schema import KnownTraining
from pvnas_bench.table.table import Table


def build(listed: Sequence[Record], tables: Sequence[Table]) -> list[Board]:
    """Boards of the records whose networks are in a table of retrainings, for each table."""
    return [board for table in tables for board in _of_table(listed, table)]


def _of_table(listed: Sequence[Record], table: Table) -> list[Board]:
    about = table.about
    space, data = f"{about.space.fingerprint}:", about.data.fingerprint
    alike = [one for one in listed if one.space.fingerprint.startswith(space) and one.data.fingerprint == data]
    boards = []
    for board in leaderboard.build(alike):
        runs = [one for one in alike if tuple(leaderboard.board_key(one).values()) == _key(board)]
        known = [one for one in runs if not _ended(one) or table.trainings(_found(one))]
        shared = _shared(known, table)
        if not shared:
            continue
        judged = [_judged(one, table, shared) for one in known]
        (again,) = leaderboard.build(judged)
        protocol = f"{board.protocol}, retrained under {about.protocol.name} v{about.protocol.version}"
        notes = [f"every network was trained with {counted(len(shared), 'common seed')} after its search."]
        if missing := len(runs) - len(known):
            notes.append(f"{counted(missing, 'run')} left out, whose networks were not retrained.")
        boards.append(replace(again, protocol=protocol, notes=(*notes, *again.notes)))
    return boards


def _key(board: Board) -> tuple[object, ...]:
    return (*board.fingerprints.values(), board.cap_macs, board.budget)


def _ended(record: Record) -> bool:
    """Return True if a run has a score; the others count as failed, or not at all, whatever is retrained."""
    return leaderboard.score(record) is not None


def _found(record: Record) -> str:
    return "" if record.outcome is None else record.outcome.architecture


def _shared(listed: Sequence[Record], table: Table) -> list[int]:
    """Seeds with which the network of every record with a score was trained."""
    seeds = [{training.seed for training in table.trainings(_found(one))} for one in listed if _ended(one)]
    return sorted(set.intersection(*seeds)) if seeds else []


def _judged(record: Record, table: Table, seeds: Sequence[int]) -> Record:
    """The record with the trainings of a table in place of its own."""
    fingerprint = f"{record.protocol.fingerprint}:{RETRAINED}{table.fingerprint}"
    update: dict[str, object] = {"protocol": record.protocol.model_copy(update={"fingerprint": fingerprint})}
    if record.outcome is not None and _ended(record):
        trained = [_trained(one) for one in table.trainings(_found(record)) if one.seed in seeds]
        update["outcome"] = record.outcome.model_copy(update={"trained": tuple(trained)})
    return record.model_copy(update=update)


def _trained(training: KnownTraining) -> records.Trained:
    return records.Trained(
        seed=training.seed,
        test_top1=training.test_top1,
        test_top5=training.test_top5,
        test_mean_class=training.test_mean_class,
        test_loss=training.test_loss,
        confusion=(),
        curve=(),
    )
