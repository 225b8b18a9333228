"""What others meet first: citation, templates, workflows, and the container."""

import os
import re
import shlex
import subprocess
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from pvnas_bench import __version__

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [block.strip() for block in re.findall(r"^```bash\n(.*?)^```", README, re.MULTILINE | re.DOTALL)[:2]]
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
INPUTS = {"input", "textarea", "dropdown", "checkboxes", "markdown"}


def loaded(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_the_citation_has_what_its_format_requires_and_the_version_of_the_package() -> None:
    """The keys are those of the Citation File Format 1.2.0."""
    citation = loaded(ROOT / "CITATION.cff")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    known = {"abstract", "authors", "cff-version", "date-released", "keywords", "license", "message", "title", "type"}
    assert {"authors", "cff-version", "message", "title"} <= citation.keys() <= known | {"version"}
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == project["version"] == __version__
    assert citation["license"] == project["license"]
    assert citation["authors"] == [{"name": author["name"]} for author in project["authors"]]
    assert date.fromisoformat(citation["date-released"])
    assert f"## {__version__} ({citation['date-released']})" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_there_is_a_form_for_each_reason_to_write() -> None:
    assert {path.stem for path in FORMS} == {"bug", "config", "dataset", "results", "strategy"}


@pytest.mark.parametrize("path", [path for path in FORMS if path.stem != "config"], ids=lambda path: path.stem)
def test_a_form_is_one_that_github_shows(path: Path) -> None:
    """A form has a name, a description, and elements of the known types with a label and an id each."""
    form = loaded(path)
    assert form["name"] and form["description"]
    ids = [element["id"] for element in form["body"] if element["type"] != "markdown"]
    assert len(set(ids)) == len(ids) > 0
    for element in form["body"]:
        assert element["type"] in INPUTS
        assert element["attributes"].get("value" if element["type"] == "markdown" else "label") or (
            element["type"] == "checkboxes"
        )
    assert any(element.get("validations", {}).get("required") for element in form["body"])


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_can_only_read_and_puts_no_expression_into_a_script(path: Path) -> None:
    workflow = loaded(path)
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"]
        for step in job["steps"]:
            assert "${{" not in step.get("run", "")
            assert ("uses" in step) != ("run" in step)


def test_ci_runs_the_test_command_and_verifies_submissions() -> None:
    steps = {path.stem: path.read_text(encoding="utf-8") for path in WORKFLOWS}
    assert "run: bash .ci/run" in steps["tests"]
    assert ".ci/verify" in steps["submissions"]
    (triggers,) = (value for key, value in loaded(ROOT / ".github/workflows/submissions.yml").items() if key is True)
    assert triggers == {"pull_request": {"paths": ["results/submissions/**"]}}


def instructions() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile, with continued lines joined."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.partition(" ")[0], line.partition(" ")[2].strip()) for line in lines]


def test_the_container_runs_the_two_commands_of_the_readme() -> None:
    found = instructions()
    kinds = [kind for kind, _ in found]
    assert kinds[0] == "FROM" and set(kinds) <= {"FROM", "RUN", "WORKDIR", "COPY", "USER", "ENV", "CMD"}
    assert COMMANDS[0] in [argument for kind, argument in found if kind == "RUN"]
    assert [argument for kind, argument in found if kind == "CMD"] == [f'["bash", "-c", "{COMMANDS[1]}"]']
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["requires-python"] == ">=3.11" and found[0][1].startswith("python:3.11")


@pytest.mark.skipif(os.name == "nt", reason="the commands are for a shell")
def test_every_command_of_the_container_is_one_that_a_shell_reads() -> None:
    for kind, argument in instructions():
        if kind == "RUN":
            assert shlex.split(argument)
            assert subprocess.run(["sh", "-n", "-c", argument]).returncode == 0


@pytest.mark.skipif(os.name == "nt", reason="the script is for bash")
def test_ci_verifies_the_submissions_that_changed_and_no_others(tmp_path: Path) -> None:
    """In a repository with three submissions, one changed and one removed, and a Python that tells its words."""

    def git(*words: str) -> None:
        names = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *names, *words], cwd=tmp_path, check=True, capture_output=True)

    home = tmp_path / "results" / "submissions"
    for name in ("kept", "changed", "removed"):
        (home / name).mkdir(parents=True)
        (home / name / "manifest.json").write_text("{}")
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first")
    (home / "changed" / "manifest.json").write_text("{ }")
    (home / "removed" / "manifest.json").unlink()
    (home / "two words").mkdir()
    (home / "two words" / "manifest.json").write_text("{}")
    (home / "leaderboard.md").write_text("x")
    git("add", ".")
    git("commit", "-qm", "second")
    (home / "removed").rmdir() if (home / "removed").exists() else None
    told = tmp_path / "python"
    told.write_text('#!/bin/sh\nprintf "%s|" "$@"\necho\ncase "$*" in *changed*) exit 1;; esac\n')
    told.chmod(0o755)
    script = ["bash", str(ROOT / ".ci" / "verify"), "HEAD~1", "7", str(told)]
    ended = subprocess.run(script, cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 1, ended.stderr
    assert [line for line in ended.stdout.splitlines() if "|" in line] == [
        f"-P|-m|pvnas_bench|verify|results/submissions/{name}|--salt|7|--github|" for name in ("changed", "two words")
    ]
