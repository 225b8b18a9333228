"""Video: from files on disk to batches of clips.

The data flow, one module each: `_registry` opens a data set by name, `_description` by a TOML file, `layouts` reads the
rows of the layout it is kept in, `_table` packs them into the columns of `_dataset`, `_splits` divides it by subject;
`_probe` looks at a file, `_decode` reads one clip with decord or PyAV, `_images` a folder of images and `_recording`
rows of temperatures, `_pool` and `_worker` do that in processes that can be killed; `_prepare` decodes every clip once
into the files of `_shards`, after `_disk` has said what they need, `_store` maps them, and `_direct` does without them;
`_sampling` picks frames and `_batches` cuts, resizes and normalises them; `_features` keeps what a frozen network makes
of every frame. `_verify` examines a data set and `_sheets` shows it. `_synthetic`, `_scenes` and `_encode` make the
embedded data set.

Only the batches need torch and only the workers need the decoders; both are imported when first used, so that
listing data sets loads neither.
"""

from typing import TYPE_CHECKING, Any

from pvnas_bench.video._cache_dir import cache_root, made_whole
from pvnas_bench.video._dataset import Dataset
from pvnas_bench.video._description import Description
from pvnas_bench.video._description import load as load_description
from pvnas_bench.video._direct import DirectStore
from pvnas_bench.video._disk import DiskNeed
from pvnas_bench.video._features import CHUNK as FEATURE_CHUNK
from pvnas_bench.video._features import Embed, FeatureStore, extract
from pvnas_bench.video._lazy import LazyStore
from pvnas_bench.video._loose import loose_clips, loose_features, reduced
from pvnas_bench.video._prepare import prepare
from pvnas_bench.video._registry import list_datasets, open_dataset
from pvnas_bench.video._sheets import write_sheets
from pvnas_bench.video._spec import MEAN, STD, CacheSpec
from pvnas_bench.video._splits import split_by_subject
from pvnas_bench.video._store import ClipStore
from pvnas_bench.video._stream import Span, Unrolled, decoded, unrolled
from pvnas_bench.video._verify import Findings, verify
from pvnas_bench.video._views import VIEWS, Views, named_views
from pvnas_bench.video.layouts import LAYOUTS, VIDEO_SUFFIXES, detect, is_manifest

if TYPE_CHECKING:
    from pvnas_bench.video._batches import ClipBatch, FrameOrder, clip_batches, images
    from pvnas_bench.video._encode import write_clip

__all__ = [
    "FEATURE_CHUNK",
    "LAYOUTS",
    "MEAN",
    "STD",
    "VIDEO_SUFFIXES",
    "VIEWS",
    "CacheSpec",
    "ClipBatch",
    "ClipStore",
    "Dataset",
    "Description",
    "DirectStore",
    "DiskNeed",
    "Embed",
    "FeatureStore",
    "Findings",
    "FrameOrder",
    "LazyStore",
    "Span",
    "Unrolled",
    "Views",
    "cache_root",
    "clip_batches",
    "decoded",
    "detect",
    "extract",
    "images",
    "is_manifest",
    "list_datasets",
    "load_description",
    "loose_clips",
    "loose_features",
    "made_whole",
    "named_views",
    "open_dataset",
    "prepare",
    "reduced",
    "split_by_subject",
    "unrolled",
    "verify",
    "write_clip",
    "write_sheets",
]


def __getattr__(name: str) -> Any:
    if name in ("ClipBatch", "FrameOrder", "clip_batches", "images"):
        from pvnas_bench.video import _batches

        return getattr(_batches, name)
    if name == "write_clip":
        from pvnas_bench.video._encode import write_clip

        return write_clip
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
