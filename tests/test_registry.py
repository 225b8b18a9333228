"""Plug-ins: valid names, and no plug-in replaces another strategy."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pvnas_bench import registry, strategies
from pvnas_bench.errors import UsageError

PLUGIN = """
from pvnas_bench import Info, Strategy


class Mine(Strategy):
    info = Info("{name}", "{title}", "-", 2024, ("modular",), "-")
"""


def plugin(folder: Path, name: str = "mine", title: str = "Mine", file: str = "mine.py") -> str:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / file).write_text(PLUGIN.format(name=name, title=title), encoding="utf-8")
    return str(folder / file)


@pytest.mark.parametrize("name", ["random_search", "pvnas", "optuna_tpe", "random_sampling", "expert"])
def test_a_plug_in_with_the_name_of_a_strategy_of_the_package_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(
        UsageError, match=rf"mine.py names its strategy '{name}', like the built-in {name}: choose another"
    ):
        registry.get_strategy(plugin(tmp_path, name))


def test_the_file_that_is_hashed_is_the_code_that_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions of one length, changed at the same instant, where Python keeps compiled code."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    hashes = []
    for name in ("one", "two", "six"):
        path = plugin(tmp_path, name)
        os.utime(path, (1e9, 1e9))
        kind = registry.get_strategy(path)
        assert kind.info.name == name
        source = registry.source(kind)
        assert source is not None
        hashes.append(source.sha256)
    assert len(set(hashes)) == 3


BUILT_IN = sorted(path.stem for path in Path(strategies.__path__[0]).glob("[a-z]*.py"))
CYRILLIC = str.maketrans("aeopcxys", "аеорсхуѕ")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(BUILT_IN), st.randoms(use_true_random=False))
def test_a_name_that_differs_from_a_built_in_one_in_case_and_separators_is_refused(
    tmp_path: Path, known: str, random: Random
) -> None:
    letters = (random.choice([letter, letter.upper()]) for letter in known)
    name = "".join(random.choice(["_", "-", ".", "__", ""]) if letter == "_" else letter for letter in letters)
    with pytest.raises(UsageError, match=re.escape(f"{name!r}, like the built-in {known}: choose another name")):
        registry.get_strategy(plugin(tmp_path, name))
    assert registry.get_strategy(plugin(tmp_path, f"my_{name}")).info.name == f"my_{name}"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(BUILT_IN),
    st.sampled_from(
        [
            lambda name: f"{name}[k=1]",
            lambda name: f"{name} (null)",
            lambda name: f"{name} @0123abcd",
            lambda name: f" {name}",
            lambda name: f"{name}\u200b",
            lambda name: f"\u202e{name[::-1]}",
            lambda name: name.translate(CYRILLIC),
            lambda name: "".join(chr(ord(letter) + 0xFEE0) for letter in name),
            lambda name: f"{name}/../x",
            lambda name: f"{name}\\n",
            lambda name: "",
        ]
    ),
)
def test_a_name_that_only_looks_like_a_built_in_one_is_refused(
    tmp_path: Path, known: str, change: Callable[[str], str]
) -> None:
    with pytest.raises(UsageError, match=r"a name begins with a letter and consists of ASCII letters, digits and"):
        registry.get_strategy(plugin(tmp_path, change(known)))


def test_a_copy_of_a_strategy_of_the_package_is_refused_and_the_file_itself_is_that_strategy(tmp_path: Path) -> None:
    known = registry.get_strategy("random_search")
    file = sys.modules[known.__module__].__file__
    assert file is not None
    assert registry.get_strategy(file) is known
    shutil.copy(file, tmp_path / "random_search.py")
    with pytest.raises(UsageError, match="choose another name in its info"):
        registry.get_strategy(str(tmp_path / "random_search.py"))


@pytest.mark.parametrize("exit", ["import sys; sys.exit(3)", "raise SystemExit", "exit()", "quit(0)"])
@pytest.mark.parametrize("find", [registry.get_strategy, registry.get_space])
def test_a_plug_in_that_exits_is_an_error_that_names_it(tmp_path: Path, exit: str, find: object) -> None:
    (tmp_path / "mine.py").write_text(exit)
    with pytest.raises(UsageError, match=r"mine.py cannot be imported: SystemExit: "):
        find(str(tmp_path / "mine.py"))  # type: ignore[operator]


def test_files_of_one_name_in_two_folders_are_two_modules(tmp_path: Path) -> None:
    first = registry.get_strategy(plugin(tmp_path / "a", title="First"))
    second = registry.get_strategy(plugin(tmp_path / "b", title="Second"))
    assert (first.info.title, second.info.title) == ("First", "Second")
    assert first.__module__ != second.__module__
    assert sys.modules[first.__module__].Mine is first
    assert sys.modules[second.__module__].Mine is second
    sources = registry.source(first), registry.source(second)
    assert sources[0] != sources[1]


def test_the_source_says_whether_it_is_the_packages(tmp_path: Path) -> None:
    mine, known = (registry.source(registry.get_strategy(name)) for name in (plugin(tmp_path), "bn_nas"))
    assert mine is not None and not mine.builtin
    assert known is not None and known.builtin and len(known.sha256) == 64


def test_a_source_is_known_without_importing_the_strategy() -> None:
    names = registry._module_names(registry.STRATEGIES)
    assert [registry.source_named(name) for name in names] == [
        registry.source(registry.get_strategy(name)) for name in names
    ]
    assert registry.source_named("nothing") is None
    script = (
        "import sys; from pvnas_bench import registry; registry.source_named('nas_tc'); print('torch' in sys.modules)"
    )
    assert (
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "False\n"
    )
