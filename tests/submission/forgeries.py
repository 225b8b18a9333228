"""Forged and damaged submissions: how each is made, and the reason that rejects it.

A forgery is *sealed* where hashes, results and pages were made anew, and *renamed* where ids were as well: what remains
is the lie itself.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from forgery import Forger, Json

Base = Literal["looked_up", "trained", "of_package"]
Seal = Literal["raw", "sealed", "renamed"]


@dataclass(frozen=True)
class Forgery:
    """One forgery.

    Attributes:
        name: what is forged, in words.
        base: the honest submission that it is made of.
        make: the change.
        reason: a pattern of the line that rejects it.
        seal: how well it is hidden.
    """

    name: str
    base: Base
    make: Callable[[Forger], object]
    reason: str
    seal: Seal = "sealed"


def put(where: str, value: Json, number: int = 0) -> Callable[[Forger], None]:
    """Replace a value of a record."""
    return lambda forger: forger.put(where, value, number)


def both(*changes: Callable[[Forger], object]) -> Callable[[Forger], None]:
    """Several changes."""

    def made(forger: Forger) -> None:
        for change in changes:
            change(forger)

    return made


def everywhere(where: str, value: Json) -> Callable[[Forger], None]:
    """Replace a value in every record."""

    def made(forger: Forger) -> None:
        for number in range(len(forger.paths)):
            forger.put(where, value, number)

    return made


def word(flag: str, value: str) -> Callable[[Json], Json]:
    """A command with another value of an option."""

    def changed(words: list[str]) -> list[str]:
        at = words.index(flag) + 1
        return [*words[:at], value, *words[at + 1 :]]

    return changed


def text(path: str, change: Callable[[bytes], bytes]) -> Callable[[Forger], None]:
    """Change the bytes of a file; `records` is the first record."""

    def made(forger: Forger) -> None:
        file = forger.paths[0] if path == "records" else forger.folder / path
        file.write_bytes(change(file.read_bytes()))

    return made


def file(path: str, content: bytes = b"x = 1\n") -> Callable[[Forger], None]:
    """Add a file."""

    def made(forger: Forger) -> None:
        (forger.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (forger.folder / path).write_bytes(content)

    return made


def huge(path: str, size: int) -> Callable[[Forger], None]:
    """Make a file of this size, without its bytes on the disk."""

    def made(forger: Forger) -> None:
        where = forger.paths[0] if path == "records" else forger.folder / path
        with where.open("ab") as handle:
            handle.truncate(size)

    return made


def link(path: str, target: str) -> Callable[[Forger], None]:
    """Add a symbolic link, in place of the file where there is one."""

    def made(forger: Forger) -> None:
        where = forger.folder / path
        where.unlink(missing_ok=True)
        where.symlink_to(target)

    return made


def listed(path: str) -> Callable[[Forger], None]:
    """Name a file in the manifest that is not there."""
    entry = {"path": path, "bytes": 3, "sha256": "0" * 64}
    return lambda forger: forger.manifest(lambda m: m["files"].append(entry))


def swapped(forger: Forger) -> None:
    """Exchange the seeds of two records, in their commands too."""
    for number, seed in ((0, 1), (1, 0)):
        forger.put("seed", seed, number)
        forger.put("provenance.command", word("--seed", str(seed)), number)


def copied_run(forger: Forger) -> None:
    """A run once more, as that of another seed."""
    content = forger.read(forger.paths[0])
    content["seed"] = 7
    content["provenance"]["command"] = word("--seed", "7")(content["provenance"]["command"])
    path = forger.folder / "records" / "seven.record.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    forger.paths.append(path)


def twice(forger: Forger) -> None:
    """A record once more, under another name."""
    path = forger.folder / "records" / "again.record.json"
    path.write_bytes(forger.paths[0].read_bytes())


def other_budget(forger: Forger) -> None:
    """Runs of a larger budget, presented as runs of half of it."""
    for number in range(len(forger.paths)):
        forger.put("protocol.budget", lambda b: b / 2, number)


def other_strategy(forger: Forger) -> None:
    """Records of another strategy, under the name and source of the submitted one."""
    everywhere("strategy.name", "random_search")(forger)
    everywhere("strategy.entry", "random_search")(forger)


def doubled_key(content: bytes) -> bytes:
    return content.replace(b'"seed"', b'"seed": 5, "seed"', 1)


def nested(_: bytes) -> bytes:
    return b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"


def last(step: str, value: Json) -> Callable[[Forger], None]:
    """Change the last step of a trajectory."""

    def change(content: Json) -> None:
        content["trajectory"][-1][step] = value(content["trajectory"][-1][step]) if callable(value) else value

    return lambda forger: forger.edit(change)


def trajectory(change: Callable[[list[Any]], object]) -> Callable[[Forger], None]:
    """Change a trajectory in place."""
    return lambda forger: forger.edit(lambda content: change(content["trajectory"]))


def without(where: str) -> Callable[[Forger], None]:
    """Remove a key of a record."""
    parent, _, name = where.rpartition(".")

    def change(content: Json) -> None:
        for part in filter(None, parent.split(".")):
            content = content[int(part) if isinstance(content, list) else part]
        del content[name]

    return lambda forger: forger.edit(change)


def better(forger: Forger) -> None:
    """One more test clip right, with everything that follows from it, but for the clips of the classes."""

    def change(content: Json) -> None:
        one = content["outcome"]["trained"][0]
        matrix = one["confusion"]
        clips = content["data"]["clips"]["test"]
        row = next(r for r in range(len(matrix)) if sum(matrix[r]) > matrix[r][r])
        wrong = next(c for c in range(len(matrix)) if c != row and matrix[row][c])
        matrix[row][wrong] -= 1
        other = (row + 1) % len(matrix)
        matrix[other][other] += 1
        hits = sum(matrix[i][i] for i in range(len(matrix)))
        one["test_top1"] = hits / clips
        one["test_mean_class"] = sum(matrix[i][i] / sum(matrix[i]) for i in range(len(matrix)) if sum(matrix[i])) / sum(
            1 for r in matrix if sum(r)
        )

    forger.edit(change)


def fewer_test_clips(forger: Forger) -> None:
    """A split of fewer test clips, those that were right; the confusion matrix says so too."""

    def change(content: Json) -> None:
        for one in content["outcome"]["trained"]:
            matrix = one["confusion"]
            for i, row in enumerate(matrix):
                matrix[i] = [n if i == j else 0 for j, n in enumerate(row)]
            one.update(test_top1=1.0, test_top5=1.0, test_mean_class=1.0)
        content["data"]["clips"]["test"] = sum(map(sum, matrix))

    forger.edit(change)


ONE = "outcome.trained.0"
FILES = [
    Forgery("an extra file", "looked_up", file("notes.txt"), r"notes\.txt: is not part of a submission", "raw"),
    Forgery("a hidden file", "looked_up", file(".bashrc"), r"\.bashrc: has a name", "raw"),
    Forgery("a script beside the records", "looked_up", file("records/run.sh"), r"records/run\.sh: is not part", "raw"),
    Forgery("a workflow", "looked_up", file(".github/workflows/x.yml"), r"\.github: has a name", "raw"),
    Forgery("a folder in the records", "looked_up", file("records/more/x.record.json"), r"records/more: is not part", "raw"),
    Forgery("a module that is not imported", "looked_up", file("strategy/extra.py"), r"strategy/extra\.py: is not imported"),
    Forgery("a library in place of code", "looked_up", file("strategy/x.so"), r"strategy/x\.so: is not part", "raw"),
    Forgery("code of a strategy of the package", "of_package", file("strategy/mine.py"), r"mine\.py: is there, yet"),
    Forgery("a name with a space", "looked_up", file("strategy/a b.py"), r"a b\.py: has a name", "raw"),
    Forgery("a name with a line end", "looked_up", file("strategy/a\nb.py"), r"strategy/a b\.py: has a name", "raw"),
    Forgery("a name of an option", "looked_up", file("strategy/-rf.py"), r"-rf\.py: has a name", "raw"),
    Forgery("names that differ in case", "looked_up", file("readme.md"), r"readme\.md: is not part", "raw"),
    Forgery("modules that differ in case", "looked_up", file("strategy/Climb.py"), r"upper and lower case only", "raw"),
    Forgery("a link to a record", "looked_up", lambda f: link(f"records/{f.paths[0].name}", "/etc/passwd")(f), r"symbolic", "raw"),
    Forgery("a link to the code", "looked_up", link("strategy/climb.py", "/etc/passwd"), r"climb\.py: is a symbolic link", "raw"),
    Forgery("a link to a folder", "looked_up", link("more", ".."), r"more: is a symbolic link", "raw"),
    Forgery("a dangling link", "looked_up", link("README.md", "nowhere"), r"README\.md: is a symbolic link", "raw"),
    Forgery("a pipe", "looked_up", lambda f: os.mkfifo(f.folder / "records" / "x.record.json"), r"is no regular file", "raw"),
    Forgery("folders in folders", "looked_up", file("strategy/a/b/c/d/e.py"), r"strategy/a/b/c/d: lies too deep", "raw"),
    Forgery("a huge record", "looked_up", huge("records", 2**26 + 1), r"record\.json: is larger than 64 MiB", "raw"),
    Forgery("huge code", "looked_up", huge("strategy/climb.py", 2**20 + 1), r"climb\.py: is larger than 1 MiB", "raw"),
    Forgery("a huge page", "looked_up", huge("README.md", 2**24), r"README\.md: is larger than 8 MiB", "raw"),
    Forgery("no manifest", "looked_up", lambda f: (f.folder / "manifest.json").unlink(), r"manifest\.json: is missing", "raw"),
    Forgery("no README", "looked_up", lambda f: (f.folder / "README.md").unlink(), r"README\.md: is missing", "raw"),
    Forgery("no checklist", "looked_up", lambda f: (f.folder / "checklist.md").unlink(), r"checklist\.md: is missing", "raw"),
    Forgery("no code", "looked_up", lambda f: (f.folder / "strategy" / "climb.py").unlink(), r"names 'strategy/climb\.py'", "raw"),
    Forgery("a record less", "looked_up", lambda f: f.paths[0].unlink(), r"record\.json', which is not in the submission", "raw"),
    Forgery("no record", "looked_up", lambda f: [p.unlink() for p in f.paths], r"records: holds no record", "raw"),
    Forgery("a record twice", "looked_up", twice, r"again\.record\.json: is named otherwise", "sealed"),
]  # fmt: skip
MANIFESTS = [
    Forgery("a path that climbs", "looked_up", listed("../../etc/passwd"), r"names '\.\./\.\./etc/passwd', which is not", "raw"),
    Forgery("an absolute path", "looked_up", listed("/etc/passwd"), r"names '/etc/passwd', which is not", "raw"),
    Forgery("code elsewhere", "looked_up", lambda f: f.manifest(lambda m: m["strategy"].update(file="../x.py")), r"names '\.\./x\.py' as the strategy", "raw"),
    Forgery("code in a folder", "looked_up", lambda f: f.manifest(lambda m: m["strategy"].update(file="records")), r"no file of strategy/", "raw"),
    Forgery("a file twice", "looked_up", lambda f: f.manifest(lambda m: m["files"].append(m["files"][0])), r"names a file twice", "raw"),
    Forgery("a wrong hash", "looked_up", lambda f: f.manifest(lambda m: m["files"][0].update(sha256="0" * 64)), r"another content than the manifest", "raw"),
    Forgery("a wrong size", "looked_up", lambda f: f.manifest(lambda m: m["files"][0].update(bytes=1)), r"another content than the manifest", "raw"),
    Forgery("an unknown key", "looked_up", lambda f: f.manifest(lambda m: m.update(extra=1)), r"no manifest: extra", "raw"),
    Forgery("a later schema", "looked_up", lambda f: f.manifest(lambda m: m.update(schema_version=2)), r"no manifest: schema_version", "raw"),
    Forgery("a manifest cut short", "looked_up", text("manifest.json", lambda t: t[:200]), r"manifest\.json: cannot be read", "raw"),
    Forgery("a manifest that is a list", "looked_up", text("manifest.json", lambda _: b"[]"), r"is no manifest", "raw"),
    Forgery("a manifest nested too deep", "looked_up", text("manifest.json", nested), r"manifest\.json: (cannot be read|is no)", "raw"),
    Forgery("a key twice in the manifest", "looked_up", text("manifest.json", lambda t: b'{"created": 1,' + t[1:]), r"'created' twice", "raw"),
    Forgery("a better mean", "looked_up", lambda f: f.manifest(lambda m: m["results"][0].update(top1_mean=0.99)), r"results: top1_mean of hill_climb is 0\.99", "raw"),
    Forgery("more seeds", "looked_up", lambda f: f.manifest(lambda m: m["results"][0]["seeds"].append(9)), r"results: seeds of hill_climb", "raw"),
    Forgery("fewer failures", "looked_up", lambda f: f.manifest(lambda m: m["results"][0].update(failures=3)), r"results: failures", "raw"),
    Forgery("a result more", "looked_up", lambda f: f.manifest(lambda m: m["results"].append(m["results"][0])), r"results: 2 rows, the records give 1", "raw"),
    Forgery("another page", "looked_up", both(text("README.md", lambda t: t.replace(b"Hill climbing", b"The best")), lambda f: f.hashes()), r"README\.md: is not the page", "raw"),
    Forgery("another command on the page", "looked_up", both(text("README.md", lambda t: t.replace(b"--budget 8", b"--budget 4")), lambda f: f.hashes()), r"README\.md: is not the page", "raw"),
    Forgery("a better checklist", "looked_up", text("checklist.md", lambda t: t.replace(b"at least 3 seeds", b"at least 30 seeds")), r"another answer to 'Several seeds'", "raw"),
    Forgery("a shorter checklist", "looked_up", text("checklist.md", lambda t: b"\n".join(x for x in t.split(b"\n") if b"Ablations" not in x)), r"lacks the item 'Ablations'", "raw"),
    Forgery("a plug-in as one of the package", "looked_up", lambda f: f.manifest(lambda m: m["strategy"].update(name="pvnas")), r"name of a strategy of the package, pvnas", "raw"),
    Forgery("a strategy that the package has not", "of_package", lambda f: f.manifest(lambda m: m["strategy"].update(name="nonesuch")), r"no strategy of the package", "raw"),
    Forgery("built-in without being so", "looked_up", lambda f: f.manifest(lambda m: m["strategy"]["source"].update(builtin=True)), r"if and only if", "raw"),
]  # fmt: skip
DAMAGED = [
    Forgery("a record cut short", "looked_up", text("records", lambda t: t[: len(t) // 2]), r"not JSON, or truncated", "raw"),
    Forgery("an empty record", "looked_up", text("records", lambda _: b""), r"not JSON|cannot|Expecting value", "raw"),
    Forgery("a binary record", "looked_up", text("records", lambda t: os.urandom(1) + b"\xff\xfe" + t), r"utf|not JSON|Expecting", "raw"),
    Forgery("a key twice", "looked_up", text("records", doubled_key), r"has the key 'seed' twice", "raw"),
    Forgery("a record nested too deep", "looked_up", text("records", nested), r"nested|recursion|not JSON", "raw"),
    Forgery("a field too many", "looked_up", lambda f: f.edit(lambda c: c.update(note="hello")), r"note: Extra inputs", "raw"),
    Forgery("a field too few", "looked_up", without("search"), r"search: Field required", "raw"),
    Forgery("a score that is NaN", "trained", put(f"{ONE}.test_top1", None), r"test_top1 is nan"),
    Forgery("a score above 1", "trained", put(f"{ONE}.test_top1", 1.5), r"test_top1 = 1\.5", "raw"),
    Forgery("a negative cost", "looked_up", put("search.macs", -1), r"search\.macs = -1", "raw"),
    Forgery("an infinite cost", "looked_up", text("records", lambda t: t.replace(b'"overshoot": 0.0', b'"overshoot": 1e999', 1)), r"overshoot", "raw"),
    Forgery("a seed that is a word", "looked_up", put("seed", "zero"), r"seed: Input should be a valid integer", "raw"),
    Forgery("a schema of the future", "looked_up", put("schema_version", 99), r"schema 99, newer", "raw"),
    Forgery("an interrupted run", "looked_up", put("status", "interrupted"), r"status is interrupted"),
    Forgery("a failed run with a score", "looked_up", both(put("status", "failed"), put("error", "x")), r"status is failed, .* with a test"),
    Forgery("a completed run with an error", "looked_up", put("error", "out of memory"), r"status is ok, with an error"),
    Forgery("a completed run without a test", "looked_up", put("outcome", None), r"status is ok, .* without a test"),
    Forgery("failures only", "looked_up", both(everywhere("status", "failed"), everywhere("error", "x"), everywhere("outcome", None)), r"holds no completed run"),
]  # fmt: skip
IDENTITIES = [
    Forgery("another id", "looked_up", put("id", "0123456789abcdef"), r"id is 0123456789abcdef, .* give"),
    Forgery("another seed", "looked_up", put("seed", 41), r"id is [0-9a-f]+, .* give"),
    Forgery("another seed, with its id", "looked_up", put("seed", 41), r"command has --seed '0', the record says 41", "renamed"),
    Forgery("another entry", "looked_up", put("strategy.entry", "hill_climb[rate=0.5]"), r"entry says rate=0\.5, strategy\.config says rate=0\.0", "renamed"),
    Forgery("the name of another strategy", "looked_up", other_strategy, r"strategy\.name is 'random_search', the submission is of 'hill_climb'", "renamed"),
    Forgery("records of another source", "looked_up", put("strategy.source.sha256", "1" * 64), r"strategy\.source is '111111111111'", "renamed"),
    Forgery("no source", "looked_up", put("strategy.source", None), r"strategy\.source is None", "renamed"),
    Forgery("other code", "looked_up", both(text("strategy/climb.py", lambda t: t + b"# changed\n"), lambda f: f.hashes()), r"climb\.py: has SHA-256 .* with its imports", "raw"),
    Forgery("other code of the package", "of_package", lambda f: f.claim("2" * 64), r"in pvnas_bench .* has SHA-256", "renamed"),
    Forgery("a control", "looked_up", everywhere("strategy.role", "random_control"), r"strategy\.role is random_control: only controls"),
    Forgery("a masked setting", "looked_up", put("strategy.config.rate", "***"), r"has a masked value"),
    Forgery("another space", "looked_up", put("space.name", "st_default"), r"space\.fingerprint is .* the space is st_default"),
    Forgery("another version of the space", "looked_up", put("space.version", 9), r"the space is st_micro v9"),
    Forgery("another fingerprint of the space", "looked_up", put("space.fingerprint", "st_micro@2:000000000000:all"), r"the space has st_micro@2", "renamed"),
    Forgery("a space that is a file", "looked_up", both(put("space.name", "../../evil.py"), put("space.fingerprint", "../../evil.py@2:000000000000:all")), r"is no name of a space", "renamed"),
    Forgery("a larger cap", "looked_up", put("space.cap_macs", 10**9), r"space\.cap_macs is 1,000,000,000"),
    Forgery("a cap without a name", "looked_up", put("space.cap", "mine"), r"space\.fingerprint is"),
    Forgery("a larger unit", "looked_up", put("space.reference_macs", lambda m: m * 2), r"space\.reference_macs is .* the reference has"),
    Forgery("another data set", "looked_up", put("data.fingerprint", "3" * 64), r"data is not that of the table", "renamed"),
    Forgery("data without a fingerprint", "looked_up", put("data.fingerprint", "words"), r"data\.fingerprint is 'words', no SHA-256", "renamed"),
    Forgery("other splits", "looked_up", put("data.clips", {"train": 900, "val": 300, "test": 300}), r"data is not that of the table|whole number of MACs"),
    Forgery("no test split", "trained", put("data.clips.test", 0), r"train and test need clips"),
    Forgery("a class twice", "trained", put("data.classes", ["down", "down", "left"]), r"one is there twice"),
    Forgery("an unknown protocol", "looked_up", put("protocol.name", "slow"), r"the protocol 'slow' is none of the package's"),
    Forgery("a file as a protocol", "looked_up", put("protocol.name", "/etc/slow.toml"), r"is none of the package's"),
    Forgery("another version of the protocol", "looked_up", put("protocol.version", 1), r"protocol\.version is 1"),
    Forgery("more epochs", "looked_up", put("protocol.settings.epochs", 300), r"protocol\.settings\.epochs is 300, micro has 30"),
    Forgery("another learning rate", "trained", put("protocol.settings.learning_rate", 0.1), r"learning_rate is 0\.1"),
    Forgery("other test views", "trained", put("protocol.settings.views", [10, 3]), r"settings\.views is \[10, 3\]"),
    Forgery("a setting more", "trained", put("protocol.settings", lambda s: {**s, "mixup": 0.2}), r"settings\.mixup is 0\.2, quick has None"),
    Forgery("another fingerprint of the protocol", "trained", put("protocol.fingerprint", "quick@1:000000000000"), r"protocol\.fingerprint is 'quick@1:0", "renamed"),
    Forgery("another state of the table", "looked_up", put("protocol.fingerprint", lambda f: f[:-12] + "0" * 12), r"has the table 000000000000", "renamed"),
    Forgery("another budget", "looked_up", other_budget, r"protocol\.settings\.budget is 8\.0, micro has 4\.0"),
    Forgery("another budget, in the settings too", "looked_up", both(other_budget, everywhere("protocol.settings.budget", 4.0)), r"protocol\.fingerprint is|command has --budget"),
    Forgery("another precision", "trained", put("protocol.name", "quick-bfloat16"), r"settings\.precision is None|protocol\.fingerprint"),
]  # fmt: skip
COMMANDS = [
    Forgery("no command", "looked_up", put("provenance.command", []), r"command .*(index|no command)"),
    Forgery("another program", "looked_up", put("provenance.command", ["rm", "-rf", "/"]), r"is no command of pvnas-bench run"),
    Forgery("an unknown option", "looked_up", put("provenance.command", lambda w: [*w, "--cheat", "1"]), r"'--cheat', which is no option"),
    Forgery("an option twice", "looked_up", put("provenance.command", lambda w: [*w, "--seed", "3"]), r"has --seed twice"),
    *(
        Forgery(f"a command with another {flag[2:]}", "looked_up", put("provenance.command", word(flag, value)), rf"command has {flag} '{value}'")
        for flag, value in (
            ("--strategy", "pvnas"),
            ("--space", "st_default"),
            ("--protocol", "quick"),
            ("--cap", "7"),
            ("--budget", "60"),
            ("--seed", "5"),
            ("--threads", "64"),
        )
    ),
    Forgery("a command without the table", "looked_up", put("provenance.command", lambda w: [x for x in w if x != "--tabular"]), r"disagree about a table"),
    Forgery("a command with another data set", "trained", put("provenance.command", word("--dataset", "synthetic_motion")), r"has --dataset synthetic_motion"),
    Forgery("an unknown hyper-parameter", "looked_up", put("provenance.command", lambda w: [*w, "--set", "speed=9"]), r"sets 'speed', which strategy\.config has not"),
    Forgery("not deterministic", "looked_up", put("provenance.deterministic", False), r"and provenance\.deterministic disagree"),
    Forgery("a run of tomorrow", "looked_up", put("provenance.created", "2099-01-01T00:00:00Z"), r"created is 2099-01-01.* in the future"),
    Forgery("a run of the last century", "looked_up", put("provenance.created", "1999-01-01T00:00:00Z"), r"before the first release"),
    Forgery("a run after the submission", "looked_up", lambda f: f.manifest(lambda m: m.update(created="2026-02-01T00:00:00Z")), r"after the submission", "raw"),
    Forgery("a version of the future", "looked_up", put("provenance.pvnas_bench", "99.0.0"), r"pvnas_bench is '99\.0\.0', the verifying"),
    Forgery("no version", "looked_up", put("provenance.pvnas_bench", "latest"), r"pvnas_bench is 'latest'"),
    Forgery("an old Python", "looked_up", put("provenance.python", "2.7.18"), r"python is '2\.7\.18', older than 3\.11"),
    Forgery("no version of torch", "looked_up", put("provenance.libraries", {"numpy": "2.0"}), r"no version of torch"),
    Forgery("a GPU that is none", "trained", put("device", "cuda:0"), r"device is 'cuda:0', provenance\.hardware has None"),
    Forgery("a table of another data set", "looked_up", put("data.name", "synthetic_motion"), r"the table is of 'synthetic_motion'|--dataset 'words'"),
    Forgery("a submission of tomorrow", "looked_up", lambda f: f.manifest(lambda m: m.update(created="2099-01-01T00:00:00Z")), r"created is 2099.* in the future", "raw"),
    Forgery("no hardware", "looked_up", put("provenance.hardware", {}), r"hardware names no processor"),
]  # fmt: skip
SCORES = [
    Forgery("a better top-1", "trained", put(f"{ONE}.test_top1", 0.97), r"test_top1 is 0\.97, confusion has"),
    Forgery("a better mean over classes", "trained", put(f"{ONE}.test_mean_class", 0.99), r"test_mean_class is 0\.99, confusion gives"),
    Forgery("a top-5 that no count gives", "trained", put(f"{ONE}.test_top5", 0.9), r"test_top5 is 0\.9"),
    Forgery("a loss that is too small", "trained", put(f"{ONE}.test_loss", 0.0), r"test_loss is 0, \d+ wrong clips cost"),
    Forgery("a perfect confusion matrix", "trained", put(f"{ONE}.confusion", [[3, 0, 0], [0, 2, 0], [0, 0, 2]]), r"confusion has 7 of 7 clips right"),
    Forgery("a confusion matrix of more clips", "trained", put(f"{ONE}.confusion.0.0", 1000), r"confusion has 10\d\d clips, the test split has 7"),
    Forgery("a smaller confusion matrix", "trained", put(f"{ONE}.confusion", [[7]]), r"confusion is not 3 × 3"),
    Forgery("no confusion matrix", "trained", put(f"{ONE}.confusion", []), r"confusion is not 3 × 3"),
    Forgery("one more clip right, consistently", "trained", better, r"confusion has other clips per class than the test split"),
    Forgery("a test on the clips that were right", "trained", fewer_test_clips, r"outcome\.cost\.(macs|samples) is .* tests take"),
    Forgery("a retraining more", "trained", lambda f: f.edit(lambda c: c["outcome"]["trained"].append(c["outcome"]["trained"][0])), r"trained has the seeds \[0, 0\]"),
    Forgery("the best of two retrainings", "trained", put(f"{ONE}.seed", 1), r"trained has the seeds \[1\]"),
    Forgery("a shorter training", "trained", put(f"{ONE}.curve", lambda c: c[:4]), r"curve does not have the epochs 1 to 8"),
    Forgery("a validation that no count gives", "trained", put(f"{ONE}.curve.0.val_top1", 0.4321), r"val_top1 is 0\.4321, no multiple of 1 / 6"),
    Forgery("a training without a loss", "trained", without(f"{ONE}.curve.0.train_loss"), r"curve lacks train_loss"),
    Forgery("a better top-1 than the table's", "looked_up", put(f"{ONE}.test_top1", 0.99), r"test_top1 is 0\.99, the table has"),
    Forgery("a better top-5 than the table's", "looked_up", put(f"{ONE}.test_top5", 1.0), r"test_top5 is 1\.0, the table has"),
    Forgery("a better loss than the table's", "looked_up", put(f"{ONE}.test_loss", 0.1), r"test_loss is 0\.1, the table has"),
    Forgery("another curve than the table's", "looked_up", put(f"{ONE}.curve.29.val_top1", 0.9), r"curve is not that of the table"),
    Forgery("a training that the table has not", "looked_up", put(f"{ONE}.seed", 77), r"\.seed is 77, the table has"),
    Forgery("a faster network", "looked_up", put("outcome.latency_ms", 0.001), r"latency_ms is 0\.001, the table has"),
    Forgery("a network without latency", "trained", put("outcome.latency_ms", None), r"latency_ms is nan"),
    Forgery("made-up ranks", "looked_up", put("diagnostics", {"rank_pairs": [[1, 0.5], [2, 0.6]], "rank_tau": 1.0}), r"rank_pairs has other accuracies"),
    Forgery("a table with less noise", "looked_up", put("diagnostics.reliability.noise", 0.001), r"diagnostics\.reliability is not what the table gives"),
    Forgery("a task with more headroom", "looked_up", put("diagnostics.headroom.best", 0.9), r"diagnostics\.headroom is not what the table gives"),
    Forgery("a correlation without ranks", "looked_up", put("diagnostics", {"rank_tau": 0.9}), r"rank_tau is there without"),
]  # fmt: skip
SEARCHES = [
    Forgery("fewer MACs", "looked_up", put("outcome.macs", 1), r"outcome\.macs is 1, the architecture has"),
    Forgery("fewer parameters", "looked_up", put("outcome.parameters", 1), r"outcome\.parameters is 1, the architecture has"),
    Forgery("another architecture", "looked_up", put("outcome.architecture", "8-16-3/s3-e1-no/s3-e1-no/s3-e1-no"), r"outcome\.architecture is .* the search ended with"),
    Forgery("no architecture of the space", "looked_up", put("outcome.architecture", "resnet50"), r"no architecture of st_micro"),
    Forgery("another network", "looked_up", put("outcome.network", lambda n: n[:-1]), r"outcome\.network is not the network"),
    Forgery("a front outside the space", "looked_up", put("outcome.front", ["nothing"]), r"outcome\.front: 'nothing' is no architecture"),
    Forgery("a cheaper search", "looked_up", put("search.macs", lambda m: m // 2), r"search\.reference_trainings is .* MACs are"),
    Forgery("a cheaper search, in its unit", "looked_up", put("search.reference_trainings", 0.5), r"trajectory ends at a cost of"),
    Forgery("an overshoot that is hidden", "looked_up", both(put("search.reference_trainings", 99.0), last("cost", 99.0)), r"search\.reference_trainings is 99, the budget is 8"),
    Forgery("an overshoot that is none", "looked_up", put("search.overshoot", 1.0), r"search\.overshoot is 1, of"),
    Forgery("a cheaper final training", "trained", put("outcome.cost.macs", lambda m: m // 2), r"outcome\.cost\.macs is .* tests take"),
    Forgery("a final training on fewer clips", "trained", put("outcome.cost.samples", 10), r"outcome\.cost\.samples is 10"),
    Forgery("a quicker search", "looked_up", put("search.wall_seconds", 0.001), r"search\.wall_seconds is 0\.001, its activities"),
    Forgery("a quicker final training", "trained", put("outcome.cost.seconds.forward", 0.0), r"outcome\.cost\.wall_seconds is"),
    Forgery("no trajectory", "looked_up", put("trajectory", []), r"trajectory is empty"),
    Forgery("a step less", "looked_up", trajectory(lambda t: t.pop(1)), r"the steps are not 1, 2, 3"),
    Forgery("steps in another order", "looked_up", trajectory(lambda t: t.reverse()), r"the steps are not 1, 2, 3"),
    Forgery("an earlier cost", "looked_up", put("trajectory.1.cost", 0.0), r"trajectory: cost falls at step 2"),
    Forgery("an earlier time", "looked_up", put("trajectory.1.wall", 0.0), r"trajectory: wall falls at step 2"),
    Forgery("a cost of no whole MAC", "looked_up", put("trajectory.0.cost", lambda c: c * (1 - 1e-9)), r"cost of step 1 is .* no whole number of MACs"),
    Forgery("an earlier incumbent", "looked_up", trajectory(lambda t: t[0].update(incumbent=t[-1]["incumbent"], macs=t[-1]["macs"], metrics={})), r"the regret of step 1 is None"),
    Forgery("a smaller regret", "looked_up", put("trajectory.0.metrics.regret", 0.0), r"the regret of step 1 is 0\.0, the table gives"),
    Forgery("an incumbent with fewer MACs", "looked_up", put("trajectory.0.macs", 5), r"step 1 has 5 MACs, its incumbent has"),
    Forgery("an incumbent above the cap", "looked_up", put("trajectory.0.macs", 10**8), r"has 100,000,000 MACs, the cap is"),
    Forgery("an incumbent outside the space", "looked_up", put("trajectory.0.incumbent", "x"), r"step 1: 'x' is no architecture"),
    Forgery("a search that ends later", "looked_up", last("wall", 1e9), r"trajectory ends after 1e\+09 s"),
    Forgery("a copy as another seed", "looked_up", copied_run, r"has the times of .* it is a copy", "renamed"),
]  # fmt: skip
STATIC = [*FILES, *MANIFESTS, *DAMAGED, *IDENTITIES, *COMMANDS, *SCORES, *SEARCHES]

REPEATED = [
    Forgery("swapped seeds", "looked_up", swapped, r"(trajectory|steps|architecture|budget used|MACs).* changed: .* in the repetition", "renamed"),
    Forgery("code that searches otherwise", "looked_up", lambda f: f.source(lambda t: t.replace("self.problem.sample()", "self.problem.mutate(self.problem.space.reference)")), r"changed: .* in the repetition", "renamed"),
    Forgery("a validation that was not measured", "looked_up", everywhere("trajectory.0.metrics.val_top1", 0.9), r"trajectory at step 1 changed"),
    Forgery("fewer evaluations", "looked_up", everywhere("search.architectures_evaluated", 2), r"architectures evaluated changed"),
    Forgery("fewer samples", "looked_up", everywhere("search.samples", 7), r"samples changed"),
]  # fmt: skip
DESCRIBED = [
    Forgery("another title", "looked_up", everywhere("strategy.title", "The best search"), r"strategy\.title is 'The best search', the code says"),
    Forgery("other levels", "looked_up", everywhere("strategy.levels", ["modular"]), r"strategy\.levels is \['modular'\], the code says"),
    Forgery("a hyper-parameter that the command does not set", "looked_up", everywhere("strategy.config.rate", 0.5), r"config\.rate is 0\.5, its command gives 0\.0"),
    Forgery("a hyper-parameter that the code has not", "looked_up", everywhere("strategy.config.trick", 1), r"config\.trick is 1, its command gives None"),
    Forgery("code that does not import", "looked_up", lambda f: f.source(lambda t: "import nonesuch\n" + t), r"does not describe itself: .*nonesuch", "renamed"),
    Forgery("code that ends the verification", "looked_up", lambda f: f.source(lambda t: "import os\nos._exit(0)\n" + t), r"does not describe itself: its process ended with exit code 0", "renamed"),
    Forgery("code of another strategy", "looked_up", lambda f: f.source(lambda t: t.replace('"hill_climb"', '"mountain"')), r"strategy\.name is 'hill_climb', the code says 'mountain'", "renamed"),
    Forgery("code that takes the name of the package's", "looked_up", lambda f: f.source(lambda t: t.replace('"hill_climb"', '"darts"')), r"does not describe itself: .*'darts'", "renamed"),
]  # fmt: skip
CLIPS = [
    Forgery("other classes", "trained", everywhere("data.classes", ["a", "b", "c"]), r"data\.classes is .* the data set has"),
    Forgery("another name of the data", "trained", both(everywhere("data.name", "mine")), r"data\.name is 'mine', the data set has"),
    Forgery("other clips", "trained", everywhere("data.fingerprint", "4" * 64), r"data\.fingerprint is .* the data set has", "renamed"),
    Forgery("clips left out", "trained", everywhere("data.skipped", [{"path": "x.mp4", "reason": "hard"}]), r"data\.skipped is .* the data set has"),
]  # fmt: skip
