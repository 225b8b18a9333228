import math
from statistics import fmean

import made_up
import numpy as np
import pytest

from pvnas_bench import registry
from pvnas_bench.errors import UsageError
from pvnas_bench.table import Table

SPACE = registry.get_space("st_micro")
CONTENT = made_up.content(SPACE, seeds=2)
assert CONTENT.about is not None
TABLE = Table(CONTENT.about, CONTENT.sessions, CONTENT.trainings, SPACE)
NETWORKS = 584
"""Networks that the 648 architectures of the space build."""


def test_a_query_returns_the_stored_values() -> None:
    for architecture in TABLE.architectures[::50]:
        expected = [t for t in CONTENT.trainings if t.architecture == architecture]
        assert list(TABLE.trainings(architecture)) == expected
        assert TABLE.top1(architecture) == fmean(t.test_top1 for t in expected)
    assert TABLE.trainings("nothing") == ()
    assert "nothing" not in TABLE


def test_regret_is_the_distance_from_the_best_under_the_cap() -> None:
    truth = {a: TABLE.top1(a) for a in TABLE.architectures}
    macs = {t.architecture: t.macs for t in CONTENT.trainings}
    best = max(truth, key=lambda a: truth[a])
    assert TABLE.regret(best) == 0.0
    for cap in (math.inf, sorted(macs.values())[len(macs) // 3]):
        highest = max(truth[a] for a in truth if macs[a] <= cap)
        for architecture in TABLE.architectures[::97]:
            assert TABLE.regret(architecture, cap) == pytest.approx(highest - truth[architecture])


def test_a_partial_table_names_its_missing_trainings() -> None:
    assert TABLE.missing(SPACE) == []
    part = made_up.content(SPACE, sample=60)
    assert part.about is not None
    lacking = Table(part.about, part.sessions, part.trainings, SPACE)
    missing = lacking.missing(SPACE)
    assert {lacking.network(name) for name in missing} | set(lacking.architectures) == set(TABLE.architectures)
    assert not any(name in lacking for name in missing)
    assert len(lacking) == 60


def test_a_matrix_has_a_row_for_each_network_and_a_column_for_each_of_its_trainings() -> None:
    assert CONTENT.about is not None
    table = Table(CONTENT.about, CONTENT.sessions, CONTENT.trainings[:-1])
    matrix = table.matrix("val_top1")
    assert matrix.shape == (NETWORKS, 2)
    assert np.isnan(matrix).sum() == 1
    row = table.architectures.index(CONTENT.trainings[3].architecture)
    assert matrix[row, 0] == CONTENT.trainings[3].val_top1[-1]


def test_the_fingerprint_changes_with_any_answer() -> None:
    assert CONTENT.about is not None
    again = Table(CONTENT.about, CONTENT.sessions, CONTENT.trainings[::-1])
    assert again.fingerprint == TABLE.fingerprint
    changed = [CONTENT.trainings[0]._replace(test_top1=0.5), *CONTENT.trainings[1:]]
    assert Table(CONTENT.about, CONTENT.sessions, changed).fingerprint != TABLE.fingerprint
    assert Table(CONTENT.about, CONTENT.sessions, CONTENT.trainings[1:]).fingerprint != TABLE.fingerprint


def test_isomorphic_architectures_share_their_trainings() -> None:
    assert CONTENT.about is not None
    twin = next(a for a in SPACE.enumerate() if str(SPACE.canonical(a)) != str(a))
    name = str(SPACE.canonical(twin))
    further = CONTENT.trainings[0]._replace(architecture=str(twin), seed=0, test_top1=1.0)
    table = Table(CONTENT.about, CONTENT.sessions, [*CONTENT.trainings, further], SPACE)
    assert len(table) == NETWORKS and str(twin) in table and str(twin) not in table.architectures
    assert table.trainings(str(twin)) == table.trainings(name)
    assert further in table.trainings(name) and len(table.trainings(name)) == 3
    assert table.top1(str(twin)) == table.top1(name) == fmean([*(t.test_top1 for t in TABLE.trainings(name)), 1.0])
    assert table.regret(str(twin)) == table.regret(name)
    assert table.val_regret(str(twin)) == table.val_regret(name)
    assert table.matrix("test_top1").shape == (NETWORKS, 3)
    assert table.fingerprint != Table(CONTENT.about, CONTENT.sessions, [*CONTENT.trainings, further]).fingerprint


def test_a_table_of_another_version_of_the_space_is_refused() -> None:
    assert CONTENT.about is not None
    about = CONTENT.about.model_copy(
        update={"space": CONTENT.about.space.model_copy(update={"fingerprint": "st_micro@1:000000000000"})}
    )
    with pytest.raises(
        UsageError, match=f"built for st_micro@1:000000000000, but the space is now {SPACE.fingerprint}:"
    ):
        Table(about, CONTENT.sessions, CONTENT.trainings, SPACE)
