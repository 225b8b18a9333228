import math
import random
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from record_factory import content, record

from pvnas_bench.boards import check
from pvnas_bench.boards.check import Check, Finding
from pvnas_bench.errors import UsageError
from pvnas_bench.records import Record, Source, Speed


def runs(entry: str = "alpha", scores: tuple[float, ...] = (0.6, 0.62, 0.64), **options: Any) -> list[Record]:
    return [record(entry, seed, top1, **options) for seed, top1 in enumerate(scores)]


def changed(original: Record, **paths: Any) -> Record:
    """The record with values replaced at dotted paths (written with double underscores)."""
    made = original.model_dump(mode="json")
    for path, value in paths.items():
        *parents, last = path.split("__")
        place = made
        for name in parents:
            place = place[int(name) if name.isdigit() else name]
        place[last] = value
    return Record.model_validate(made)


def elsewhere(found: list[Record]) -> list[Record]:
    return [changed(r, provenance__hardware={"cpu": "another"}) for r in found]


def regressed(result: Check) -> list[tuple[str, str]]:
    return [(finding.kind, finding.quantity) for finding in result.regressed]


def test_an_unchanged_tree_holds() -> None:
    result = check.compare(runs(), runs())
    assert result.exit_code == 0 and result.regressed == ()
    assert sum(finding.kind == "exact" and finding.verdict == "ok" for finding in result.findings) == 3
    assert sum(finding.kind == "accuracy" and finding.verdict == "ok" for finding in result.findings) == 1


def test_a_strategy_made_worse_is_found() -> None:
    worse = check.compare(elsewhere(runs(scores=(0.42, 0.45, 0.41))), runs())
    assert regressed(worse) == [("accuracy", "test top-1")]
    assert worse.exit_code == 1
    assert "-19.33 points over 3 and 3 seeds" in worse.regressed[0].message


def test_a_better_strategy_is_no_regression() -> None:
    assert check.compare(elsewhere(runs(scores=(0.9, 0.9, 0.9))), runs()).exit_code == 0


def test_a_loss_within_the_margin_is_tolerated() -> None:
    assert check.compare(elsewhere(runs(scores=(0.585, 0.605, 0.625))), runs()).exit_code == 0
    steady = runs(scores=(0.6, 0.6, 0.6, 0.6, 0.6))
    lower = elsewhere(runs(scores=(0.5,) * 5))
    assert check.compare(lower, steady, margin=0.11).exit_code == 0
    assert check.compare(lower, steady, margin=0.02).exit_code == 1


def test_ten_noisy_runs_of_an_unchanged_tree_hold_and_a_worse_one_does_not() -> None:
    rng = np.random.default_rng(0)

    def noisy(loss: float) -> list[Record]:
        made = []
        for entry, mean in (("alpha", 0.7), ("beta", 0.5), ("gamma", 0.6)):
            scores = np.round((mean - (loss if entry == "beta" else 0) + rng.normal(0, 0.02, 3)) * 64) / 64
            made += runs(entry, tuple(scores.tolist()))
        return elsewhere(made)

    baseline = [
        r
        for entry, mean in (("alpha", 0.7), ("beta", 0.5), ("gamma", 0.6))
        for r in runs(entry, (mean - 0.02, mean, mean + 0.02))
    ]
    assert [check.compare(noisy(0.0), baseline).exit_code for _ in range(10)] == [0] * 10
    found = [check.compare(noisy(0.25), baseline) for _ in range(10)]
    assert all({f.entry for f in result.regressed} == {"beta"} for result in found)


def test_false_alarms_are_as_rare_as_alpha_promises() -> None:
    rng = np.random.default_rng(1)
    alarms = 0
    for _ in range(2000):
        before, after = (dict(enumerate(np.round(rng.normal(0.6, 0.04, 3) * 200) / 200)) for _ in range(2))
        alarms += check.worse_p(before, after, 0.0, 200) < 0.05
    assert alarms / 2000 < 0.06


def test_worse_p_is_twice_the_smaller_of_two_t_tests() -> None:
    before, after = {0: 0.6, 1: 0.7, 2: 0.65, 3: 0.5}, {0: 0.5, 1: 0.55, 2: 0.6}
    margin = 0.02
    pooled = scipy.stats.ttest_ind(
        [v + margin for v in after.values()], list(before.values()), alternative="less"
    ).pvalue
    paired = scipy.stats.ttest_rel(
        [after[s] + margin for s in range(3)], [before[s] for s in range(3)], alternative="less"
    ).pvalue
    assert check.worse_p(before, after, margin, 10_000) == pytest.approx(2 * min(pooled, paired))


def test_one_run_is_tested_against_the_seeds_of_the_baseline() -> None:
    # One new observation against a mean of n: s * sqrt(1 + 1/n), n - 1 degrees of freedom.
    before = {0: 0.60, 1: 0.62, 2: 0.64, 3: 0.66}
    t = (0.63 - 0.5 - 0.02) / (np.std(list(before.values()), ddof=1) * math.sqrt(1 + 1 / 4))
    assert check.worse_p(before, {9: 0.5}, 0.02, 1000) == pytest.approx(scipy.stats.t.sf(t, 3))


def test_single_runs_are_compared_by_their_clips() -> None:
    z = (0.6 - 0.4 - 0.02) / math.sqrt((0.6 * 0.4 + 0.4 * 0.6) / 100)
    assert check.worse_p({0: 0.6}, {0: 0.4}, 0.02, 100) == pytest.approx(scipy.stats.norm.sf(z))
    assert check.worse_p({0: 1.0}, {0: 1.0}, 0.02, 100) > 0.5


def test_equal_scores_of_few_clips_prove_little() -> None:
    assert check.worse_p({0: 0.5, 1: 0.5}, {0: 0.45, 1: 0.45}, 0.02, 64) > 0.01


@pytest.mark.parametrize(
    ("path", "value", "quantity"),
    [
        ("outcome__macs", 12_000_001, "MACs"),
        ("outcome__parameters", 1, "parameters"),
        ("outcome__architecture", "f4", "architecture"),
        ("trajectory__3__incumbent", "f4", "trajectory at step 3"),
        ("trajectory__3__cost", 2.0000000001, "trajectory at step 3"),
        ("trajectory__7__metrics", {"val_top1": 0.1}, "trajectory at step 7"),
        ("search__reference_trainings", 4.01, "budget used"),
        ("search__macs", 1, "MACs of the search"),
        ("search__samples", 1, "samples"),
        ("search__architectures_evaluated", 1, "architectures evaluated"),
    ],
)
def test_deterministic_quantities_are_compared_exactly(path: str, value: Any, quantity: str) -> None:
    fresh = runs()
    fresh[1] = changed(fresh[1], **{path: value})
    assert regressed(check.compare(fresh, runs())) == [("exact", f"seed 1: {quantity}")]


def test_a_longer_trajectory_is_a_change_of_its_steps() -> None:
    fresh = [record("alpha", 0, 0.6, trajectory=record("alpha", 0).trajectory[:-1])]
    assert ("exact", "seed 0: steps") in regressed(check.compare(fresh, [record("alpha", 0, 0.6)]))


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("provenance__deterministic", False, "a run was not deterministic"),
        ("device", "cuda", "the runs differ in device"),
        ("provenance__hardware", {"cpu": "another"}, "the runs differ in hardware"),
        ("provenance__libraries", {"torch": "3.0"}, "the runs differ in libraries"),
        ("provenance__threads", 8, "the runs differ in threads"),
    ],
)
def test_quantities_that_need_not_repeat_are_skipped_and_named(path: str, value: Any, reason: str) -> None:
    other = changed(record("alpha", 0, 0.6), **{path: value, "search__samples": 7})
    result = check.compare([other], [record("alpha", 0, 0.6)])
    assert result.exit_code == 0
    (skipped,) = [finding for finding in result.findings if finding.verdict == "skipped"]
    assert reason in skipped.message
    more = changed(other, outcome__macs=12_000_001)  # the same architecture costs the same everywhere
    assert regressed(check.compare([more], [record("alpha", 0, 0.6)])) == [("exact", "seed 0: MACs")]


def test_metrics_that_are_not_numbers_are_equal_to_themselves() -> None:
    steps = [{**content()["trajectory"][0], "metrics": {"loss": None}}]
    one = record("alpha", 0, 0.6, trajectory=steps)
    assert check.compare([one], [one]).exit_code == 0


def test_a_run_that_fails_where_the_baseline_did_not_is_a_regression() -> None:
    fresh = [*runs()[:2], record("alpha", 2, status="failed")]
    result = check.compare(fresh, runs())
    assert regressed(result) == [("failure", "seed 2")]
    assert "RuntimeError: it broke" in result.regressed[0].message
    assert check.compare(fresh, fresh).exit_code == 0
    assert check.compare([*runs()[:2], record("alpha", 2, math.nan)], runs()).exit_code == 1
    assert check.compare([*runs()[:2], record("alpha", 2, status="interrupted")], runs()).exit_code == 0


def timed(full: float, shift: float = 0.001, reference: float = 0.01) -> list[Record]:
    speed = Speed(reference_seconds=reference, seconds={"full": full, "shift": shift})
    return [changed(r, speed=speed.model_dump()) for r in runs()]


def test_speed_is_a_ratio_to_the_reference_workload() -> None:
    assert check.compare(timed(0.02), timed(0.02)).exit_code == 0
    slower = check.compare(timed(0.03), timed(0.02))
    assert regressed(slower) == [("speed", "full")]
    assert "full takes 1.50 times" in slower.regressed[0].message
    busy = check.compare(timed(0.06, 0.003, reference=0.03), timed(0.02))  # everything takes three times as long
    assert busy.exit_code == 0
    hidden = check.compare(timed(0.02, reference=0.005), timed(0.02))  # as fast as before, on a faster machine
    assert regressed(hidden) == [("speed", "full"), ("speed", "shift")]


def test_speed_of_other_machines_is_not_compared() -> None:
    result = check.compare(elsewhere(timed(0.04)), timed(0.02))
    assert result.exit_code == 0
    skipped = [f.message for f in result.findings if f.kind == "speed"]
    assert skipped == [f"{name} was timed on other machines or libraries" for name in ("full", "shift")]
    mixed = check.compare([*elsewhere(timed(0.02)), *timed(0.04)], timed(0.02))
    assert regressed(mixed) == [("speed", "full")]


def test_one_disturbed_run_does_not_make_the_code_slow() -> None:
    fresh = timed(0.02)
    fresh[0] = timed(0.2)[0]
    assert check.compare(fresh, timed(0.02)).exit_code == 0


def test_pieces_that_are_no_longer_timed_are_named() -> None:
    (skipped,) = [
        f
        for f in check.compare([changed(r, speed=None) for r in timed(1.0)], timed(1.0)).findings
        if f.verdict == "skipped" and f.quantity == "full"
    ]
    assert "not timed" in skipped.message


def test_entries_without_a_fresh_run_are_named_and_may_be_required() -> None:
    baseline = [*runs("alpha"), *runs("beta")]
    result = check.compare(runs("alpha"), baseline)
    assert result.exit_code == 0
    assert [f.message for f in result.findings if f.verdict == "skipped"] == ["beta has no fresh run"]
    assert check.compare(runs("alpha"), baseline, require_all=True).exit_code == 1


def test_nothing_in_common_is_an_error_not_a_success() -> None:
    with pytest.raises(UsageError, match="have no entry in common"):
        check.compare(runs("alpha"), runs("beta"))
    with pytest.raises(UsageError, match="differ in space, budget"):
        check.compare(runs(space="f" * 64, budget=8.0), runs())
    with pytest.raises(UsageError, match="0 fresh records and 3 in the baseline"):
        check.compare([], runs())


def test_a_baseline_is_a_file_a_record_or_a_folder(tmp_path: Path) -> None:
    kept = [*runs("beta"), *runs("alpha")]
    random.Random(0).shuffle(kept)
    check.save_baseline(kept, tmp_path / "baseline.json")
    loaded = check.load_baseline(tmp_path / "baseline.json")
    assert [(r.strategy.entry, r.seed) for r in loaded] == [(e, s) for e in ("alpha", "beta") for s in range(3)]
    assert sorted(loaded, key=lambda r: r.id) == sorted(kept, key=lambda r: r.id)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "record.json").write_text(kept[0].model_dump_json())
    assert check.load_baseline(tmp_path / "run") == [kept[0]] == check.load_baseline(tmp_path / "run" / "record.json")
    (tmp_path / "run" / "x.record.json").write_text("{")
    with pytest.raises(UsageError, match=r"x\.record\.json is unreadable \(not JSON"):
        check.load_baseline(tmp_path / "run")
    with pytest.raises(UsageError, match=r"cannot read baseline .*none\.json \(No such file"):
        check.load_baseline(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text('[{"id": 3}]')
    with pytest.raises(UsageError, match="is not a JSON array of records"):
        check.load_baseline(tmp_path / "bad.json")


HOSTILE = "a<b>&\x00\x1b[0m\n::error::x%,:"


def hostile() -> Check:
    return Check(
        (
            Finding("regressed", "accuracy", "board", HOSTILE, "test top-1", "60 %", "40 %", f"lost {HOSTILE}"),
            Finding("ok", "exact", "board", "alpha", "exact", "", "", "equal"),
            Finding("skipped", "speed", "", "", "full", "1", "", "full was not timed"),
        )
    )


def test_the_terminal_table_names_what_regressed() -> None:
    text = check.render_terminal(hostile())
    assert "\x1b" not in text and "\x00" not in text
    assert text.splitlines()[-1] == "1 regressed, 1 passed, 1 not compared"
    assert "REGRESSED" in text and "SKIPPED" in text
    assert check.render_terminal(check.compare(runs(), runs())) == "0 regressed, 4 passed, 0 not compared\n"


def test_junit_is_well_formed_and_counts() -> None:
    suite = ElementTree.fromstring(check.to_junit(hostile()))
    assert (suite.tag, suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("testsuite", "3", "1", "1")
    cases = suite.findall("testcase")
    assert [child.tag for case in cases for child in case] == ["failure", "skipped"]
    assert "a<b>&" in str(cases[0].find("failure").get("message"))  # type: ignore[union-attr]
    assert cases[1].get("name") == "exact: exact" and cases[2].get("classname") == "speed"


def test_github_annotations_are_one_escaped_line_each() -> None:
    text = check.to_github(hostile())
    assert text.count("\n") == 1 and text.startswith("::error title=accuracy%3A a<b>&")
    assert re.fullmatch(r"::error title=[^:,\n]*::[^\n]*\n", text)
    assert "%0A::error::x%25" in text
    assert check.to_github(check.compare(runs(), runs())) == ""


def test_checking_imports_no_torch() -> None:
    program = "import sys; from pvnas_bench.boards import check; print('torch' in sys.modules, 'pandas' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
        == "False False\n"
    )


def test_runs_of_an_older_source_of_a_plug_in_are_left_out_and_named() -> None:
    def made(seed: int, top1: float, sha256: str, minute: int) -> Record:
        run = record("mine", seed, top1, id=f"{seed}{sha256}")
        source = Source(builtin=False, sha256=sha256 * 64)
        created = run.provenance.created + timedelta(minutes=minute)
        return run.model_copy(
            update={
                "strategy": run.strategy.model_copy(update={"source": source}),
                "provenance": run.provenance.model_copy(update={"created": created}),
            }
        )

    fresh = [made(seed, 0.1, "a", 0) for seed in range(5)] + [made(seed, 0.5, "b", 60) for seed in range(5)]
    outcome = check.compare(fresh, [made(seed, 0.5, "a", 0) for seed in range(5)])
    assert not [f for f in outcome.regressed if f.kind == "accuracy"]
    assert "5 fresh runs of another source of mine left out" in [f.message for f in outcome.findings]


def few_clips(top1: float) -> Record:
    made = record("alpha", 0, top1)
    return made.model_copy(update={"data": made.data.model_copy(update={"clips": {"train": 8, "test": 4}})})


def test_one_seed_of_four_clips_has_no_power() -> None:
    outcome = check.compare([few_clips(0.1)], [few_clips(0.5)])
    (finding,) = (f for f in outcome.findings if f.kind == "accuracy")
    assert finding.verdict == "skipped"
    assert finding.message.startswith("no power: with 1 seed of 4 test clips even a top-1 of 0 would pass (p = 0.0")


def test_an_entry_without_power_does_not_weaken_the_others() -> None:
    strong = [record("beta", seed, 0.6) for seed in range(5)]
    weak = [record("beta", seed, 0.3) for seed in range(5)]
    for more in range(3):
        few = [
            f.model_copy(update={"strategy": f.strategy.model_copy(update={"entry": f"a{n}"})})
            for n in range(more)
            for f in (few_clips(0.5),)
        ]
        findings = check.compare([*weak, *few], [*strong, *few]).findings
        message = next(f.message for f in findings if f.kind == "accuracy" and f.entry == "beta")
        assert message.endswith(next(f.message for f in check.compare(weak, strong).findings if f.kind == "accuracy"))


@given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 5), st.integers(1, 400))
def test_a_check_that_passes_had_the_power_to_fail(before: float, after: float, seeds: int, clips: int) -> None:
    def made(top1: float) -> list[Record]:
        listed = [record("alpha", seed, top1) for seed in range(seeds)]
        return [r.model_copy(update={"data": r.data.model_copy(update={"clips": {"test": clips}})}) for r in listed]

    verdicts = {
        top1: next(f for f in check.compare(made(top1), made(before)).findings if f.kind == "accuracy").verdict
        for top1 in (0.0, after)
    }
    assert verdicts[0.0] in ("regressed", "skipped")
    assert (verdicts[after] == "skipped") == (verdicts[0.0] == "skipped")
