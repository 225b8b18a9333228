"""A trained model in use: `load_model`, then `predict` and `evaluate`."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pvnas_bench import records
from pvnas_bench.deploy.clips import listed
from pvnas_bench.deploy.export import Graph, export
from pvnas_bench.deploy.predictions import Prediction, Predictions, Unpredicted
from pvnas_bench.errors import UsageError
from pvnas_bench.ledger import Ledger
from pvnas_bench.runs.clips import open_clips
from pvnas_bench.runs.final import latency
from pvnas_bench.runs.observer import Observer
from pvnas_bench.system import machine
from pvnas_bench.training import process
from pvnas_bench.training.backbone_features import embedding, features_of
from pvnas_bench.training.model_file import FILE_NAME, ModelInfo, TrainedNetwork, load
from pvnas_bench.training.testing import Scores, classify, probabilities, score
from pvnas_bench.training.workbench import EVALUATION_BATCH, Clock, Workbench
from pvnas_bench.video import (
    FEATURE_CHUNK,
    CacheSpec,
    ClipBatch,
    ClipStore,
    Unrolled,
    clip_batches,
    decoded,
    loose_clips,
    loose_features,
    reduced,
    unrolled,
)

Split = Literal["train", "val", "test", "all"]
Progress = Callable[[int, int], None]
Frames = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class EvaluationResult:
    """Scores of a model on labelled clips.

    Attributes:
        classes: names in the order of rows and columns.
        clips: paths relative to the data set, as in the rows of `probabilities`.
        labels: (N,) positions in `classes`.
        probabilities: (N, classes).
        latency_ms: median milliseconds of one view's forward pass, batch of one.
        skipped: unreadable clips, `path` and `reason` of each.
    """

    dataset: str
    split: str
    classes: tuple[str, ...]
    clips: tuple[str, ...]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    scores: Scores
    latency_ms: float
    skipped: tuple[dict[str, str], ...]

    def per_class(self) -> list[dict[str, Any]]:
        """Of each class: its name, ``clips``, ``recall``, ``precision`` and ``f1``; None where one has no meaning."""
        confusion = self.scores.confusion
        rows: list[dict[str, Any]] = []
        for i, name in enumerate(self.classes):
            right, there, called = int(confusion[i, i]), int(confusion[i].sum()), int(confusion[:, i].sum())
            rows.append(
                {
                    "class": name,
                    "clips": there,
                    "recall": right / there if there else None,
                    "precision": right / called if called else None,
                    "f1": 2 * right / (there + called) if there + called else None,
                }
            )
        return rows


class Model:
    """A trained network with everything needed to use it.

    Attributes:
        info: its metadata.
    """

    def __init__(self, trained: TrainedNetwork, *, device: str = "auto", threads: int | None = None) -> None:
        """Put a network on a device.

        Args:
            threads: CPU threads; None: those of its training, as far as this machine has them. The same machine and
                threads give the same scores to the last bit.

        Raises:
            UsageError: there is no such device.
        """
        self.info: ModelInfo = trained.info
        self.device = process.choose_device(device)
        self.threads = threads or max(min(trained.info.training.threads, machine.usable_cores()), 1)
        self.protocol = trained.protocol
        self.network = trained.network.to(self.device)
        self.backbone, self.backbone_spec = trained.backbone, trained.backbone_spec
        if self.backbone is not None:
            self.backbone = self.backbone.to(self.device)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of probabilities."""
        return self.info.classes

    @property
    def spec(self) -> CacheSpec:
        """How a clip's frames are stored before they are sampled."""
        return CacheSpec(self.protocol.cache_size, self.protocol.cache_frames, self.protocol.fit)

    def predict(
        self,
        clips: str | Path | Iterable[str | Path],
        *,
        window: float | Literal["clip"] | None = None,
        stride: float | None = None,
        workers: int | None = None,
        progress: Progress | None = None,
    ) -> Predictions:
        """Class probabilities of video files, by the frames, views and sampling of the model's tests.

        Args:
            clips: a file, a folder whose video files are taken, or several of them.
            window: seconds of a window that slides along each file, or ``clip``: as many frames as the median training
                clip has. None: a file is one clip.
            stride: seconds from a window to the next; None: half a window.
            workers: processes that decode; None: one per usable core.
            progress: called with (files done, files in all).

        Raises:
            UsageError: a path does not exist, there is no clip, or a window or stride is not positive.
        """
        paths = listed(map(Path, [clips] if isinstance(clips, str | Path) else clips))
        width, step = self._window(window, stride)
        rows: list[Prediction] = []
        failed: list[Unpredicted] = []
        with self._configured():
            for one in self._predicted(self._pieces(paths, width, step, workers, progress), failed):
                rows.append(one if width is not None else replace(one, start=None, end=None))
        return Predictions(self.classes, tuple(rows), tuple(failed))

    def evaluate(
        self,
        dataset: str | Path,
        *,
        split: Split = "test",
        cache: Path | None = None,
        observer: Observer | None = None,
    ) -> EvaluationResult:
        """Test on a split of a data set whose classes are among the model's; on the model's own as in its record.

        Args:
            dataset: a name of `list datasets`, a folder, a manifest or a description.
            cache: folder of decoded clips; None: the user's.

        Raises:
            UsageError: the data set does not exist, has classes that the model has not, or no clip in the split.
        """
        dataset, observer = str(dataset), observer or Observer()
        store = self._with_features(
            self._relabelled(open_clips(dataset, self.protocol, cache, observer)), cache, observer
        )
        indices = np.arange(len(store)) if split == "all" else store.indices(split)
        if not len(indices):
            there = ", ".join(store.dataset.counts())
            raise UsageError(f"{dataset} has no clip in split {split!r}: it has {there}, or choose all")
        bench = Workbench(store, self.protocol, self.device, Ledger(1), Clock())
        with self._configured():
            predicted, labels = probabilities(self.network, self.info.macs, bench, indices)
            seconds = latency(self.network, self.device)
        return EvaluationResult(
            dataset=store.dataset.name,
            split=split,
            classes=self.classes,
            clips=tuple(map(str, store.dataset.paths[store.clips[indices]])),
            labels=labels.numpy(),
            probabilities=predicted.numpy(),
            scores=score(predicted, labels),
            latency_ms=1e3 * seconds,
            skipped=store.skipped,
        )

    def export(self, path: str | Path, format: str = "onnx") -> Path:
        """Write the network as a graph from pixels to logits; see `deploy.export`.

        Raises:
            UsageError: the format is unknown or needs packages that are not installed, the graph differs from the
                network, or the path cannot be written; nothing was written.
        """
        return export(Graph(self.network, self.backbone, self.info), Path(path), format)

    def _configured(self) -> AbstractContextManager[None]:
        mixed = self.device.type if self.protocol.precision == "bfloat16" else None
        return process.configured(self.threads, self.info.training.deterministic, mixed)

    def _window(
        self, window: float | Literal["clip"] | None, stride: float | None
    ) -> tuple[float | int | None, float | int | None]:
        """Window and stride in seconds or frames.

        Raises:
            UsageError: one is not positive, or a stride has no window.
        """
        if window is None:
            if stride is not None:
                raise UsageError("--stride is from one window to the next: add --window")
            return None, None
        if window == "clip":
            if stride is not None:
                raise UsageError("--window clip counts frames and --stride seconds: give --window in seconds")
            frames = self.info.data.median_frames
            return frames, max(frames // 2, 1)
        width, step = float(window), float(window) / 2 if stride is None else float(stride)
        if not (0 < width < np.inf and 0 < step < np.inf):
            raise UsageError(f"a window and a stride are positive seconds, got {width:g} and {step:g}")
        return width, step

    def _relabelled(self, store: ClipStore) -> ClipStore:
        """The store with labels that are positions in the model's classes.

        Raises:
            UsageError: a class of the data set is not one of the model's.
        """
        dataset = store.dataset
        unknown = [name for name in dataset.classes if name not in self.classes]
        if unknown:
            raise UsageError(
                f"class {unknown[0]!r} of data set {dataset.name!r} is not one of the model's: it knows "
                f"{', '.join(self.classes[:8])}{', …' if len(self.classes) > 8 else ''}"
            )
        positions = np.array([self.classes.index(name) for name in dataset.classes], dtype=np.int32)
        return replace(store, dataset=replace(dataset, classes=self.classes, labels=positions[dataset.labels]))

    def _with_features(self, store: ClipStore, cache: Path | None, observer: Observer) -> ClipStore:
        if self.backbone is None or self.backbone_spec is None:
            return store
        with process.configured(threads=1, deterministic=True):
            return features_of(
                store, self.backbone, self.backbone_spec, self.device, cache_dir=cache, progress=observer.extracting
            )

    def _pieces(
        self,
        paths: Sequence[Path],
        window: float | int | None,
        stride: float | int | None,
        workers: int | None,
        progress: Progress | None,
    ) -> "Iterator[tuple[Prediction, NDArray[Any]] | Unpredicted]":
        """What goes through the network: a row without probabilities, with its frames or features."""
        nothing = np.empty(0, dtype=np.float32)
        if window is None and self.backbone is None:
            for number, frames in enumerate(decoded(paths, self.spec, workers=workers)):
                name = str(paths[number])
                yield Unpredicted(name, frames) if isinstance(frames, str) else (Prediction(name, nothing), frames)
                if progress is not None:
                    progress(number + 1, len(paths))
            return
        for number, unfolded in unrolled(paths, self.spec, window=window, stride=stride, workers=workers):
            name = str(paths[number])
            if isinstance(unfolded, str):
                yield Unpredicted(name, unfolded)
            else:
                for span, piece in zip(unfolded.spans, self._spans(unfolded), strict=True):
                    yield Prediction(name, nothing, span.start, span.end), piece
            if progress is not None:
                progress(number + 1, len(paths))

    def _spans(self, unfolded: Unrolled) -> Iterator[NDArray[Any]]:
        """The frames of each window as a store keeps them, or the features of all its frames."""
        if self.backbone is None or self.backbone_spec is None:
            for span in unfolded.spans:
                yield reduced(unfolded.frames[span.first : span.last], self.spec)
            return
        embed, frames = embedding(self.backbone, self.backbone_spec, self.device), unfolded.frames
        with process.configured(threads=1, deterministic=True):
            vectors = np.concatenate(
                [embed(frames[i : i + FEATURE_CHUNK]) for i in range(0, len(frames), FEATURE_CHUNK)]
            )
        for span in unfolded.spans:
            yield vectors[span.first : span.last]

    def _predicted(
        self, pieces: "Iterator[tuple[Prediction, NDArray[Any]] | Unpredicted]", failed: list[Unpredicted]
    ) -> Iterator[Prediction]:
        """The rows with their probabilities, in batches as large as a test's."""
        rows: list[Prediction] = []
        inputs: list[NDArray[Any]] = []
        for piece in pieces:
            if isinstance(piece, Unpredicted):
                failed.append(piece)
                continue
            rows.append(piece[0])
            inputs.append(piece[1])
            if len(rows) == EVALUATION_BATCH:
                yield from self._batch(rows, inputs)
                rows, inputs = [], []
        if rows:
            yield from self._batch(rows, inputs)

    def _batch(self, rows: Sequence[Prediction], inputs: Sequence[NDArray[Any]]) -> Iterator[Prediction]:
        store = loose_clips(inputs, self.spec) if self.backbone is None else loose_features(inputs, self.spec)
        inside = self.network.inputs(self.batch(store)).to(self.device)
        for row, shares in zip(rows, classify(self.network, inside, len(rows)).float().numpy(), strict=True):
            yield replace(row, probabilities=shares)

    def batch(self, store: ClipStore) -> ClipBatch:
        """All clips of a store as one batch, in the model's test views."""
        return next(
            clip_batches(
                store,
                np.arange(len(store)),
                batch_size=len(store),
                train=False,
                sampling=self.protocol.sampling,
                stride=self.protocol.stride,
                views=self.protocol.test_views,
            )
        )


def load_model(path: str | Path, *, device: str = "auto", threads: int | None = None) -> Model:
    """Read a model.

    Args:
        path: a file written by `run` or `train`, the record beside it, or a folder that holds one such file, however
            deep.
        device: auto, cpu, cuda or cuda:N.
        threads: CPU threads; None: those of the model's training, as far as this machine has them.

    Raises:
        UsageError: there is none, it is not one that this program can use, or there is no such device.
    """
    return Model(load(model_path(Path(path))), device=device, threads=threads)


def model_path(path: Path) -> Path:
    """The file of a model: the path itself, the one beside a record, or the single model in a folder.

    Raises:
        UsageError: the path does not exist, the folder holds none or several, or the record's run kept no weights.
    """
    if not path.is_dir():
        if not path.exists():
            raise UsageError(f"no such model: {str(path)!r}")
        if path.name != records.FILE_NAME:
            return path
        if not (beside := path.with_name(FILE_NAME)).exists():
            raise UsageError(
                f"no {FILE_NAME} beside {str(path)!r}: that run kept no weights, train {str(path)!r} instead"
            )
        return beside
    models = sorted(path.rglob(FILE_NAME))
    if len(models) != 1:
        several = f"{len(models)} models, such as {str(models[0])!r}: name one" if models else f"no {FILE_NAME}"
        raise UsageError(f"the folder {str(path)!r} holds {several}")
    return models[0]
