from pathlib import Path

import pytest

from pvnas_bench.cli import OK, USAGE

from .conftest import Cli, Finished


def test_plot_prints_its_files_and_names_omitted_plots(cli: Cli, finished: Finished, tmp_path: Path) -> None:
    words = ("--results", finished.results, "--output", tmp_path, "--format", "svg")
    ended = cli("plot", "anytime", "critical", *words)
    assert ended.code == OK
    (file,) = ended.out.splitlines()
    assert Path(file).parent == tmp_path
    assert Path(file).read_text().startswith("<?xml")
    assert ended.err.startswith("no plot critical of quick v1: ")


def test_a_newcomer_without_records_sees_plots_of_the_published_runs(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = cli("plot", "tradeoff", "--format", "svg")
    assert ended.code == OK
    assert ended.err.startswith("no records in results/runs yet: showing the published runs\n")
    files = [Path(line) for line in ended.out.splitlines()]
    assert files and all(file.read_text().startswith("<?xml") for file in files)
    assert any("pvnas" in file.read_text() for file in files)
    assert sorted(path for path in Path().rglob("*") if path.is_file()) == sorted(files)


@pytest.mark.parametrize("words", [["anytyme"], ["--format", "gif"], ["--axis", "luck"]])
def test_plot_names_the_valid_plots(cli: Cli, finished: Finished, tmp_path: Path, words: list[str]) -> None:
    ended = cli("plot", *words, "--results", finished.results, "--output", tmp_path / "plots")
    assert ended.code == USAGE
    assert "choose one of" in ended.errors[0]
    assert not (tmp_path / "plots").exists()


def test_a_gradient_search_is_on_the_plot_of_entropies(cli: Cli, tiny_dataset: Path, tmp_path: Path) -> None:
    words = ("--dataset", tiny_dataset, "--budget", "1", "--threads", 1, "--results", tmp_path)
    assert cli("run", "--strategy", "darts", *words).code == OK
    drawn = cli("plot", "diversity", "--results", tmp_path, "--no-reference", "--output", tmp_path, "--format", "png")
    assert drawn.code == OK
    assert [Path(line).suffix for line in drawn.out.splitlines()] == [".png"]


def test_report_prints_its_page(cli: Cli, finished: Finished, tmp_path: Path) -> None:
    ended = cli("report", "--results", finished.results, "--output", tmp_path / "page.html")
    assert ended.code == OK
    assert ended.out == f"{tmp_path / 'page.html'}\n"
    assert finished.record["outcome"]["architecture"] in (tmp_path / "page.html").read_text()


def test_report_shows_clips_of_the_data_set_with_its_runs(
    cli: Cli, finished: Finished, tiny_dataset: Path, tmp_path: Path
) -> None:
    words = ("report", "--results", finished.results, "--output", tmp_path / "page.html")
    picture = "data:image/png;base64,"
    assert picture not in (cli(*words), (tmp_path / "page.html").read_text())[1]
    assert cli(*words, "--dataset", tiny_dataset).code == OK
    assert (tmp_path / "page.html").read_text().count(picture) == 3
    assert cli(*words, "--dataset", "synthetic_moton").code == USAGE


@pytest.mark.parametrize("command", ["plot", "report"])
def test_without_records_or_a_writable_folder_nothing_is_written(
    cli: Cli, finished: Finished, tmp_path: Path, command: str
) -> None:
    assert cli(command, "--results", tmp_path).code == USAGE
    (tmp_path / "file").write_text("")
    ended = cli(command, "--results", finished.results, "--output", tmp_path / "file" / "x")
    assert ended.code == USAGE
    assert "choose another path with --output" in ended.errors[0]
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]
