"""Video: from files on disk to batches of clips.

Modules, in the order of the data flow:

- Data set: `_registry` opens it by name, `_description` from a TOML file. `layouts` reads the rows of its annotation
  files, `_rows` packs them into the columns of `_dataset`, and `_splits` splits them by subject.
- Decoding: `_probe` inspects a file. `_decode` reads a clip with decord or PyAV, `_images` reads a folder of images and
  `_recording` reads temperatures. `_pool` and `_worker` run these in processes that can be killed.
- Cache: `_disk` checks the free space, `_prepare` decodes every clip once into the files of `_shards`, and `_store`
  maps these files. `_direct` decodes on demand instead. `_features` caches a frozen network's features.
- Batches: `_sampling` picks frames; `_batches` crops, resizes and normalises them.
- Checks: `_verify` finds faulty clips, `_sheets` draws contact sheets.
- Synthetic data: `_scenes` and `_activities` render it, `_encode` encodes it, `_synthetic` opens it.

Only batches need torch and only workers need the decoders. Both are imported when first used, so listing data sets
loads neither.
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
from pvnas_bench.video._registry import fingerprint_of, list_datasets, open_dataset
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
    "fingerprint_of",
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
