"""User errors: exit code 2, one line with cause and remedy, and nothing written."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pvnas_bench import records
from pvnas_bench.cli import OK, USAGE

from .conftest import BUDGET, Cli

Case = tuple[list[object], str]


def classes(root: Path, source: Path, counts: dict[str, int]) -> Path:
    """A data folder with the given number of clips per class."""
    for label, count in counts.items():
        (root / label).mkdir(parents=True)
        clips = sorted((source / "left").iterdir()) + sorted((source / "right").iterdir())
        for clip in clips[:count]:
            shutil.copy(clip, root / label / f"{clip.parent.name}{clip.name}")
    return root


def no_such_strategy(tiny: Path, scratch: Path) -> Case:
    return ["--strategy", "pvnass"], "unknown strategy 'pvnass': did you mean pvnas?"


def no_such_space(tiny: Path, scratch: Path) -> Case:
    return ["--space", "st_defualt"], "unknown space 'st_defualt': did you mean st_default?"


def no_such_dataset(tiny: Path, scratch: Path) -> Case:
    return ["--dataset", "synthetic_moton"], "unknown data set 'synthetic_moton': did you mean 'synthetic_motion'?"


def no_such_protocol(tiny: Path, scratch: Path) -> Case:
    return ["--protocol", "fast"], "unknown protocol 'fast': choose one of quick, standard"


def no_such_setting(tiny: Path, scratch: Path) -> Case:
    return ["--strategy", "pvnas", "--set", "cicles=3"], "pvnas has no hyper-parameter 'cicles': it has "


def a_setting_out_of_range(tiny: Path, scratch: Path) -> Case:
    return ["--strategy", "pvnas", "--set", "cycles=0"], "pvnas: cycles=0: Input should be greater than"


def a_setting_without_value(tiny: Path, scratch: Path) -> Case:
    return ["--set", "cycles"], "--set takes key=value, got 'cycles'"


def a_setting_given_twice(tiny: Path, scratch: Path) -> Case:
    return ["--set", "cycles=1", "--set", "cycles=2"], "--set names 'cycles' twice: keep one"


def no_such_option(tiny: Path, scratch: Path) -> Case:
    return ["--bugdet", "3"], "--bugdet"


def no_such_device(tiny: Path, scratch: Path) -> Case:
    return ["--device", "gpu"], "unknown device 'gpu': choose auto, cpu, cuda or cuda:N"


def no_threads(tiny: Path, scratch: Path) -> Case:
    return ["--threads", "0"], "'--threads'"


def a_plugin_that_does_not_import(tiny: Path, scratch: Path) -> Case:
    (scratch / "mine.py").write_text("import no_such_module\n")
    return ["--strategy", scratch / "mine.py"], "mine.py cannot be imported: ModuleNotFoundError: No module named"


def a_plugin_without_a_strategy(tiny: Path, scratch: Path) -> Case:
    (scratch / "mine.py").write_text("x = 1\n")
    return ["--strategy", scratch / "mine.py"], "defines 0 strategies: it needs exactly one subclass of Strategy"


def a_plugin_that_is_not_there(tiny: Path, scratch: Path) -> Case:
    return ["--space", scratch / "mine.py"], "no such file: "


def an_empty_data_folder(tiny: Path, scratch: Path) -> Case:
    (scratch / "empty").mkdir()
    return ["--dataset", scratch / "empty"], "no clips in "


def a_class_with_one_clip(tiny: Path, scratch: Path) -> Case:
    root = classes(scratch / "one", tiny, {"many": 12, "single": 1})
    return ["--dataset", root], "class 'single' of data set 'one' has only one clip"


def a_label_missing_in_train(tiny: Path, scratch: Path) -> Case:
    root = classes(scratch / "split", tiny, {"a": 4, "b": 4})
    rows = [f"{clip.relative_to(root).as_posix()},{clip.parent.name}" for clip in sorted(root.rglob("*.mp4"))]
    splits = ["train", "train", "test", "test", "test", "test", "test", "test"]
    lines = ["path,label,split", *(f"{row},{split}" for row, split in zip(rows, splits, strict=True))]
    (root / "manifest.csv").write_text("\n".join(lines) + "\n")
    return ["--dataset", root / "manifest.csv"], "class 'b' of data set 'manifest' has no clip in split 'train': move"


def classes_too_small_to_divide(tiny: Path, scratch: Path) -> Case:
    """Each split gets one of three clips, so the search has no clip for validation."""
    root = classes(scratch / "small", tiny, {"left": 3, "right": 3})
    return ["--dataset", root], "class 'left' of 'small' cannot be in both search-train and search-val: "


def a_class_of_one_subject(tiny: Path, scratch: Path) -> Case:
    root = classes(scratch / "data", tiny, {"left": 8, "right": 8})
    rows = ["path,label,subject,split"]
    for label in ("left", "right"):
        for number, clip in enumerate(sorted((root / label).iterdir())):
            subject = "ann" if label == "right" else f"s{number % 3}"
            rows.append(f"data/{label}/{clip.name},{label},{subject},{'test' if number > 5 else 'train'}")
    (scratch / "set.csv").write_text("\n".join(rows) + "\n")
    return ["--dataset", scratch / "set.csv"], "all 6 of its clips show one subject; add clips of a second"


def a_table_of_no_such_data(tiny: Path, scratch: Path) -> Case:
    words = ["--space", "st_micro", "--tabular", "--dataset", "."]
    return (
        words,
        "for --dataset '.' in results/tables or among the published tables: with this space --dataset can be "
        "fir_days, synthetic_motion or words",
    )


def too_many_broken_clips(tiny: Path, scratch: Path) -> Case:
    root = classes(scratch / "broken", tiny, {"a": 8, "b": 8})
    for clip in sorted(root.rglob("*.mp4"))[::3]:
        clip.write_bytes(b"")
    return ["--dataset", root], "of the 16 clips of 'broken' cannot be read, among them "


def a_budget_too_small_for_one_step(tiny: Path, scratch: Path) -> Case:
    return ["--budget", "1e-6"], "a budget of 1e-06 reference trainings is too small for one step of random_search"


def a_budget_of_nothing(tiny: Path, scratch: Path) -> Case:
    return ["--budget", "0"], "a budget is a positive number of reference trainings, got 0"


def an_endless_budget(tiny: Path, scratch: Path) -> Case:
    return ["--budget", "inf"], "a budget is a positive number of reference trainings, got inf"


def results_that_cannot_be_written(tiny: Path, scratch: Path) -> Case:
    (scratch / "file").write_text("")
    return ["--results", scratch / "file" / "runs"], "cannot be written: choose another with --results"


def a_cap_below_every_architecture(tiny: Path, scratch: Path) -> Case:
    return ["--cap", "1000"], "no architecture of st_default is under the cap of 1,000 MACs, the cheapest has "


def no_such_cap(tiny: Path, scratch: Path) -> Case:
    return ["--cap", "XL"], "unknown cap 'XL': give --cap L or M of st_default, or a number of MACs such as 2.5e7"


def a_cap_of_nothing(tiny: Path, scratch: Path) -> Case:
    return ["--cap", "0"], "a cap is a number of MACs from 1 to 1e+18, got '0': give --cap L or M of st_default"


def a_cap_below_zero(tiny: Path, scratch: Path) -> Case:
    return ["--cap=-5"], "a cap is a number of MACs from 1 to 1e+18, got '-5'"


def a_cap_that_is_no_number(tiny: Path, scratch: Path) -> Case:
    return ["--cap", "nan"], "a cap is a number of MACs from 1 to 1e+18, got 'nan'"


def an_endless_cap(tiny: Path, scratch: Path) -> Case:
    return ["--cap", "1e308"], "a cap is a number of MACs from 1 to 1e+18, got '1e308'"


def a_cap_of_another_quantity(tiny: Path, scratch: Path) -> Case:
    return ["--cap", "watts=3"], "a cap is of macs, params or latency, got 'watts=3'"


def a_latency_without_a_unit(tiny: Path, scratch: Path) -> Case:
    return ["--cap", "latency=3"], "a cap of latency is a number with its unit, such as 3ms, got 'latency=3'"


def too_few_parameters_for_any_network(tiny: Path, scratch: Path) -> Case:
    return [
        "--cap",
        "params=100",
    ], "no architecture of st_default is under the cap of 100 parameters, the cheapest has "


def caps_that_nothing_meets_together(tiny: Path, scratch: Path) -> Case:
    words = ["--cap", "macs=250k", "--cap", "params=7100"]
    return words, "no architecture of st_default is under 250,000 MACs and 7,100 parameters at once: under "


def a_quantity_capped_twice(tiny: Path, scratch: Path) -> Case:
    return ["--cap", "L", "--cap", "5M"], "--cap 'L,5M' caps macs twice: keep one"


def a_seed_too_large(tiny: Path, scratch: Path) -> Case:
    return ["--seed", str(2**64)], "a seed is a whole number from 0 to 2**64 - 1, got 18446744073709551616"


def a_budget_beyond_all_computers(tiny: Path, scratch: Path) -> Case:
    return ["--budget", "1e300"], "a budget is a positive number of reference trainings, got 1e+300 (at most 1e+09)"


def a_plugin_that_exits(tiny: Path, scratch: Path) -> Case:
    (scratch / "mine.py").write_text("import sys\nsys.exit(3)\n")
    return ["--strategy", scratch / "mine.py"], "mine.py cannot be imported: SystemExit: 3"


def a_secret_in_a_setting(tiny: Path, scratch: Path) -> Case:
    return ["--set", "storage=mysql://u:s3cret@h/db", "--set", "password=s3cret"], "has no hyper-parameter 'storage'"


CASES: list[Callable[[Path, Path], Case]] = [
    no_such_strategy,
    no_such_space,
    no_such_dataset,
    no_such_protocol,
    no_such_setting,
    a_setting_out_of_range,
    a_setting_without_value,
    a_setting_given_twice,
    no_such_option,
    no_such_device,
    no_threads,
    a_plugin_that_does_not_import,
    a_plugin_without_a_strategy,
    a_plugin_that_is_not_there,
    an_empty_data_folder,
    a_class_with_one_clip,
    a_label_missing_in_train,
    classes_too_small_to_divide,
    a_class_of_one_subject,
    a_table_of_no_such_data,
    too_many_broken_clips,
    a_budget_too_small_for_one_step,
    a_budget_of_nothing,
    an_endless_budget,
    results_that_cannot_be_written,
    a_cap_below_every_architecture,
    no_such_cap,
    a_cap_of_nothing,
    a_cap_below_zero,
    a_cap_that_is_no_number,
    an_endless_cap,
    a_seed_too_large,
    a_budget_beyond_all_computers,
    a_plugin_that_exits,
    a_secret_in_a_setting,
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_one_line_exit_code_2_and_nothing_written(
    case: Callable[[Path, Path], Case], cli: Cli, tiny_dataset: Path, tmp_path: Path
) -> None:
    words, message = case(tiny_dataset, tmp_path)
    defaults: dict[object, object] = {
        "--strategy": "random_search",
        "--dataset": tiny_dataset,
        "--budget": BUDGET,
        "--threads": 1,
        "--results": tmp_path / "results",
    }
    given = [word for option, value in defaults.items() if option not in words for word in (option, value)]
    ended = cli("run", *given, *words)
    assert ended.code == USAGE
    assert ended.out == ""
    assert ended.err.splitlines()[-1:] == ended.errors
    assert message in ended.errors[0]
    assert not (tmp_path / "results").exists()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="permissions do not bind this user")
def test_a_read_only_results_folder(cli: Cli, tiny_dataset: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    ended = cli("run", "--strategy", "random_search", "--dataset", tiny_dataset, "--results", tmp_path / "results")
    assert ended.code == USAGE
    assert "choose another with --results" in ended.errors[0]


def test_a_few_broken_clips_are_left_out_counted_and_named(cli: Cli, tiny_dataset: Path, tmp_path: Path) -> None:
    root = tmp_path / "data"
    shutil.copytree(tiny_dataset, root)
    (root / "left" / "03.mp4").write_bytes(b"")
    whole = (root / "right" / "05.mp4").read_bytes()
    (root / "right" / "05.mp4").write_bytes(whole[: len(whole) // 3])
    words = ("--dataset", root, "--budget", BUDGET, "--threads", 1, "--results", tmp_path / "results")
    ended = cli("run", "--strategy", "random_sampling", *words)
    assert ended.code == OK
    skipped = records.load(Path(ended.last_line)).data.skipped
    assert [clip["path"] for clip in skipped] == ["left/03.mp4", "right/05.mp4"]
    assert all(clip["reason"] for clip in skipped)
    assert "left out      2 clips that cannot be read" in ended.out


@pytest.mark.parametrize("words", [("list", "pets"), ("frobnicate",), ("leaderboard", "--format", "html")])
def test_an_invalid_word_gives_one_line(cli: Cli, words: tuple[str, ...]) -> None:
    ended = cli(*words)
    assert ended.code == USAGE
    assert ended.err.splitlines() == ended.errors
    assert words[-1] in ended.errors[0]
