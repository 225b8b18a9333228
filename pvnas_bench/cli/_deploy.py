"""The commands of trained models: `train`, `predict`, `evaluate`, `export`."""

import csv
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pvnas_bench.cli import FAILED, INTERRUPTED, OK, _progress, _results
from pvnas_bench.cli._run import Shown
from pvnas_bench.deploy.export import SUFFIXES, Format
from pvnas_bench.deploy.fit import RESULT, Fit, FitRequest
from pvnas_bench.deploy.model import EvaluationResult, Split, load_model, model_path
from pvnas_bench.deploy.predictions import Predictions
from pvnas_bench.errors import UsageError
from pvnas_bench.runs import checkpoints
from pvnas_bench.runs.words import check_writable
from pvnas_bench.system.files import write_atomically
from pvnas_bench.system.masking import masked
from pvnas_bench.system.text import counted, left, no_formula, right, shortened, width
from pvnas_bench.training.workbench import TrainingFailed

SHOWN_ROWS = 40
"""Predictions that a terminal shows; a file has all."""
CLIP_WIDTH, CLASS_WIDTH = 40, 28


def train(request: FitRequest, *, as_json: bool) -> int:
    """Train, and print the scores and the model's path.

    Raises:
        UsageError: the request cannot work; nothing was written.
    """
    fit = None
    try:
        with _progress.display() as display:
            fit = Fit(request, Shown(display))
            for note in fit.notes:
                display.say(f"note: {note}")
            fitted = fit()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        if fit is not None and fit.path.parent.is_dir() and checkpoints.found(fit.path.parent):
            print("the same command goes on from its checkpoint", file=sys.stderr)
        return INTERRUPTED
    except TrainingFailed as failure:
        print(masked(f"failed: {type(failure).__name__}: {failure}"), file=sys.stderr)
        return FAILED
    info, scores = fitted.info, fitted.info.scores
    if as_json:
        print(json.dumps({"model": str(fitted.path)} | json.loads(fitted.path.with_name(RESULT).read_text("utf-8"))))
        return OK
    validated = "" if scores.val_top1 is None else f", val top-1 {scores.val_top1:.1%}"
    print(
        f"{info.architecture} of {info.space.name} on {info.data.name}, {info.protocol.name}, "
        f"{counted(info.training.epochs, 'epoch')}, seed {info.training.seed}\n"
        f"  cost          {info.macs / 1e6:.2f} MMACs, {info.parameters:,} parameters\n"
        f"  test          top-1 {scores.test_top1:.1%}, top-5 {scores.test_top5:.1%}, mean over classes "
        f"{scores.test_mean_class:.1%}{validated}\n"
    )
    print(fitted.path)
    return OK


def predict(
    path: Path,
    clips: Sequence[Path],
    *,
    top: int,
    window: str | None,
    stride: float | None,
    output: Path | None,
    plot: Path | None,
    workers: int | None,
    device: str,
    threads: int | None,
    as_json: bool,
) -> int:
    """Predict, and print or write the table.

    Raises:
        UsageError: something asked for cannot be done; nothing was written.
    """
    if output is not None and output.suffix.lower() not in (".csv", ".json"):
        raise UsageError(f"--output is a .csv or a .json file, got {str(output)!r}")
    if plot is not None and plot.suffix.lower() != ".png":
        raise UsageError(f"--plot is a .png file, got {str(plot)!r}")
    _check_file(output, "--output")
    _check_file(plot, "--plot")
    model = load_model(path, device=device, threads=threads)
    try:
        with _progress.display() as display:
            predictions = model.predict(
                clips,
                window=_window(window),
                stride=stride,
                workers=workers,
                progress=lambda done, total: display.show("clips", done, total, f"{done:,} of {total:,} files"),
            )
    except KeyboardInterrupt:
        print("interrupted: nothing was written", file=sys.stderr)
        return INTERRUPTED
    if predictions.failed and not predictions.rows:
        first = predictions.failed[0]
        many = "the clip" if len(predictions.failed) == 1 else f"all {len(predictions.failed):,} clips, such as"
        raise UsageError(f"{many} {first.clip!r} cannot be read: {first.reason}")
    for one in predictions.failed:
        print(f"not predicted: {one.clip}: {one.reason}", file=sys.stderr)
    if plot is not None:
        from pvnas_bench.deploy.drawings import picture

        with _results.writing(plot, "--plot"):
            write_atomically(plot, picture(predictions, top))
    if output is not None:
        text = predictions.as_csv(top)
        if output.suffix.lower() == ".json":
            text = json.dumps(predictions.as_json(top), ensure_ascii=False, indent=1) + "\n"
        with _results.writing(output):
            write_atomically(output, text.encode("utf-8", "surrogateescape"))
    if as_json:
        print(json.dumps(predictions.as_json(top)))
    elif output is None:
        print(table(predictions, top))
    else:
        print(output)
    if plot is not None and not as_json:
        print(plot)
    return FAILED if predictions.failed else OK


def _window(word: str | None) -> float | Literal["clip"] | None:
    """Raises UsageError where a window is neither seconds nor `clip`."""
    if word is None:
        return None
    if word == "clip":
        return "clip"
    try:
        return float(word)
    except ValueError:
        raise UsageError(f"--window is a number of seconds, or clip, got {word!r}") from None


def table(predictions: Predictions, k: int) -> str:
    """The predictions for a terminal: a line for each clip or window."""
    lines = []
    names = [_end(row.clip, CLIP_WIDTH) for row in predictions.rows[:SHOWN_ROWS]]
    broad = max(map(width, names), default=0)
    for name, row in zip(names, predictions.rows, strict=False):
        when = "" if row.start is None or row.end is None else f"{row.start:8.2f} – {row.end:.2f} s"
        top = [f"{shortened(word, CLASS_WIDTH)} {share:.1%}" for word, share in predictions.top(row, k)]
        lines.append("  ".join(filter(None, (left(name, broad), when, ", ".join(top)))))
    if len(predictions) > SHOWN_ROWS:
        lines.append(f"… and {len(predictions) - SHOWN_ROWS:,} more: --output FILE writes all")
    failed = f", {counted(len(predictions.failed), 'file')} not read" if predictions.failed else ""
    lines.append(f"{counted(len(predictions), 'prediction')}{failed}")
    return "\n".join(lines)


def _end(text: str, columns: int) -> str:
    """The text in at most so many columns, with … for what is left out of its beginning."""
    if width(text) <= columns:
        return text
    while width(text) >= columns:
        text = text[1:]
    return f"…{text}"


def evaluate(
    path: Path, dataset: str, *, split: Split, output: Path | None, device: str, threads: int | None, as_json: bool
) -> int:
    """Test a model and print its scores.

    Raises:
        UsageError: something asked for cannot be done; nothing was written.
    """
    if output is not None:
        check_writable(output, "folder", "--output")
    model = load_model(path, device=device, threads=threads)
    try:
        with _progress.display() as display:
            result = model.evaluate(dataset, split=split, observer=Shown(display))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    if output is not None:
        from pvnas_bench.deploy.drawings import confusion_picture

        title = f"{result.dataset}, {result.split}: top-1 {result.scores.top1:.1%}"
        with _results.writing(output):
            write_atomically(output / "confusion.csv", _confusion(result).encode())
            write_atomically(output / "classes.csv", _classes(result).encode())
            write_atomically(output / "clips.csv", _clips(result).encode("utf-8", "surrogateescape"))
            picture = confusion_picture(result.scores.confusion, result.classes, title)
            write_atomically(output / "confusion.png", picture)
    print(json.dumps(facts(result)) if as_json else described(result))
    if output is not None and not as_json:
        print(output)
    return OK


def facts(result: EvaluationResult) -> dict[str, Any]:
    """The scores as JSON values."""
    scores = result.scores
    return {
        "dataset": result.dataset,
        "split": result.split,
        "clips": len(result.clips),
        "top1": scores.top1,
        "top5": scores.top5,
        "mean_class": scores.mean_class,
        "loss": scores.loss,
        "latency_ms": result.latency_ms,
        "classes": result.per_class(),
        "confusion": scores.confusion.tolist(),
        "skipped": list(result.skipped),
    }


def described(result: EvaluationResult) -> str:
    """The scores in a few lines, and a line for each class."""
    scores = result.scores
    rows = result.per_class()
    broad = max(5, *(width(shortened(row["class"], CLASS_WIDTH)) for row in rows))
    lines = [
        f"{result.dataset}, {result.split}: {counted(len(result.clips), 'clip')}",
        f"  top-1 {scores.top1:.1%}, top-5 {scores.top5:.1%}, mean over classes {scores.mean_class:.1%}, "
        f"loss {scores.loss:.3f}, {result.latency_ms:.2f} ms a view",
        "",
        f"  {left('class', broad)}  {'clips':>6}  {'recall':>7}  {'precision':>9}  {'F1':>7}",
    ]
    for row in rows:
        shares = [_share(row[key]) for key in ("recall", "precision", "f1")]
        name = left(shortened(row["class"], CLASS_WIDTH), broad)
        lines.append(f"  {name}  {row['clips']:>6,}  {shares[0]:>7}  {right(shares[1], 9)}  {shares[2]:>7}")
    if result.skipped:
        lines.append(f"  left out {counted(len(result.skipped), 'clip')} that cannot be read")
    return "\n".join(lines)


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _confusion(result: EvaluationResult) -> str:
    rows = [["true \\ predicted", *map(no_formula, result.classes)]]
    rows += [
        [no_formula(name), *row] for name, row in zip(result.classes, result.scores.confusion.tolist(), strict=True)
    ]
    return _csv(rows)


def _classes(result: EvaluationResult) -> str:
    rows: list[list[Any]] = [["class", "clips", "recall", "precision", "f1"]]
    for row in result.per_class():
        rows.append([no_formula(row["class"]), row["clips"], *("" if row[k] is None else row[k] for k in rows[0][2:])])
    return _csv(rows)


def _clips(result: EvaluationResult) -> str:
    rows: list[list[Any]] = [["clip", "class", "predicted", "probability"]]
    for clip, label, shares in zip(result.clips, result.labels.tolist(), result.probabilities, strict=True):
        best = int(shares.argmax())
        names = (no_formula(result.classes[i]) for i in (label, best))
        rows.append([no_formula(clip), *names, f"{shares[best]:.6f}"])
    return _csv(rows)


def _csv(rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def export(path: Path, format: Format, output: Path | None) -> int:
    """Write a model's graph and print its path.

    Raises:
        UsageError: something asked for cannot be done; nothing was written.
    """
    file = model_path(path)
    print(load_model(file, device="cpu").export(output or file.with_suffix(SUFFIXES[format]), format))
    return OK


def _check_file(file: Path | None, option: str) -> None:
    """Raise UsageError where a file cannot be written that an option names."""
    if file is not None and file.is_dir():
        raise UsageError(f"{str(file)!r} is a folder: name a file with {option}")
    if file is not None:
        check_writable(file.parent, "folder", option)
