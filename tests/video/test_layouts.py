"""A miniature of each published layout: rows and refusals."""

import json
import shutil
import tracemalloc
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pvnas_bench import video
from pvnas_bench.errors import UsageError
from pvnas_bench.video import layouts

Rows = list[tuple[str, str, str]]
Clips = Callable[..., None]

SPEC = video.CacheSpec(16, 6)


@pytest.fixture
def clips(tmp_path: Path, clip_file: Path) -> Clips:
    """A function that puts clips of 20 frames below the root."""

    def put(*paths: str) -> None:
        for path in paths:
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(clip_file, tmp_path / path)

    return put


def images(folder: Path, template: str, numbers: Iterable[int]) -> None:
    """A clip as a folder of uniformly grey images."""
    folder.mkdir(parents=True)
    for number in numbers:
        Image.new("RGB", (20, 12), (5 * number, 0, 0)).save(folder / template.format(number), quality=95)


def lines(path: Path, *text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(text) + "\n", encoding="utf-8")


def rows(dataset: video.Dataset) -> Rows:
    """Path, class and split of each clip."""
    names = [dataset.classes[label] for label in dataset.labels]
    return list(zip(dataset.paths.tolist(), names, dataset.splits.tolist(), strict=True))


def subjects(dataset: video.Dataset) -> list[str]:
    return [dataset.subject_names[i] if i >= 0 else "" for i in dataset.subjects]


def layout(root: Path) -> str:
    return layouts.detect(root)[0].name


def refused(name: Path) -> str:
    with pytest.raises(UsageError) as error:
        video.open_dataset(str(name))
    message = str(error.value)
    assert "\n" not in message
    return message


def assert_readable(dataset: video.Dataset, cache: Path, frames: int = 6) -> None:
    store = video.prepare(dataset, SPEC, cache_dir=cache, workers=1)
    assert len(store) == len(dataset) and not store.skipped and (store.lengths == frames).all()


def test_class_folders_below_splits(tmp_path: Path, clips: Clips) -> None:
    clips("train/a/1.mp4", "train/b/2.mp4", "val/a/3.mp4", "val/b/4.mkv")
    dataset = video.open_dataset(str(tmp_path))
    assert rows(dataset) == [
        ("train/a/1.mp4", "a", "train"),
        ("train/b/2.mp4", "b", "train"),
        ("val/a/3.mp4", "a", "test"),
        ("val/b/4.mkv", "b", "test"),
    ]
    clips("test/a/5.mp4", "test/b/6.mp4")
    assert video.open_dataset(str(tmp_path)).counts() == {"train": 2, "val": 2, "test": 2}
    assert_readable(dataset, tmp_path / "cache")


def test_classes_may_be_called_like_splits(tmp_path: Path, clips: Clips) -> None:
    clips("train/1.mp4", "train/2.mp4", "test/1.mp4", "test/2.mp4")
    (tmp_path / "train" / "notes").mkdir()
    (tmp_path / "test" / "notes").mkdir()
    assert video.open_dataset(str(tmp_path)).classes == ("test", "train")


@pytest.mark.parametrize(("template", "first"), [("img_{:05d}.jpg", 1), ("{:06d}.png", 0), ("frame{:d}.jpg", 7)])
def test_class_folders_of_images(tmp_path: Path, template: str, first: int) -> None:
    for label in "ab":
        for number in range(3):
            images(tmp_path / "data" / label / f"clip{number}", template, range(first, first + 9))
    dataset = video.open_dataset(str(tmp_path / "data"))
    assert dataset.classes == ("a", "b") and len(dataset) == 6
    assert dataset.template == (template if template != "frame{:d}.jpg" else "frame{:01d}.jpg")
    store = video.prepare(dataset, SPEC, cache_dir=tmp_path / "cache", workers=1)
    kept = first + np.array([0, 2, 3, 5, 6, 8])  # the centres of 6 segments of 9 frames
    np.testing.assert_allclose(store.frames(0)[:, 8, 8, 0], 5 * kept, atol=3)
    before = dataset.fingerprint
    (tmp_path / "data" / "b" / "clip1" / template.format(first)).unlink()
    assert video.open_dataset(str(tmp_path / "data")).fingerprint != before


def test_kinetics_official_csv(tmp_path: Path, clips: Clips) -> None:
    head = "label,youtube_id,time_start,time_end,split,is_cc"
    lines(
        tmp_path / "annotations/train.csv",
        head,
        "riding a bike,-x1,10,20,train,0",
        '"tai chi, slow",y2,3,13,train,0',
        "riding a bike,gone,1,11,train,0",
    )
    lines(
        tmp_path / "annotations/validate.csv", head, "riding a bike,z3,0,10,val,0", '"tai chi, slow",w4,100,110,val,0'
    )
    clips(
        "train/riding_a_bike/-x1_000010_000020.mp4",
        "train/tai_chi,_slow/y2_000003_000013.mp4",
        "val/riding_a_bike/z3_000000_000010.mp4",
        "val/tai_chi,_slow/w4_000100_000110.mp4",
    )
    dataset = video.open_dataset(str(tmp_path))
    assert layout(tmp_path) == "kinetics" and dataset.spans is None
    assert rows(dataset) == [
        ("train/riding_a_bike/-x1_000010_000020.mp4", "riding a bike", "train"),
        ("train/riding_a_bike/gone_000001_000011.mp4", "riding a bike", "train"),
        ("train/tai_chi,_slow/y2_000003_000013.mp4", "tai chi, slow", "train"),
        ("val/riding_a_bike/z3_000000_000010.mp4", "riding a bike", "test"),
        ("val/tai_chi,_slow/w4_000100_000110.mp4", "tai chi, slow", "test"),
    ]
    lines(tmp_path / "my.toml", "missing_ok = true", 'licence = "CC BY 4.0"')
    without = video.open_dataset(str(tmp_path / "my.toml"))
    assert len(without) == 4 and without.licence == "CC BY 4.0" and without.name == "my"
    assert_readable(without, tmp_path / "cache")


def test_kinetics_uncut_videos_and_a_pattern(tmp_path: Path, clips: Clips) -> None:
    head = "label,youtube_id,time_start,time_end,split"
    lines(tmp_path / "train.csv", head, "a,one,0,1,train", "b,one,0.2,0.6,train", "a,two,0,1,train")
    lines(tmp_path / "test.csv", head, "a,three,0,1,test", "b,three,0,9,test", ",three,1,2,test")
    clips(*(f"full/{name}.mp4" for name in ("one", "two", "three")))
    lines(tmp_path / "dataset.toml", 'path = "full/{youtube_id}.mp4"')
    dataset = video.open_dataset(str(tmp_path))
    assert dataset.counts() == {"train": 3, "test": 2} and dataset.spans is not None
    assert dataset.paths.tolist() == ["full/one.mp4"] * 2 + ["full/three.mp4"] * 2 + ["full/two.mp4"]
    assert dataset.spans.tolist() == [[0, 1], [0.2, 0.6], [0, 1], [0, 9], [0, 1]]
    assert [dataset.classes[label] for label in dataset.labels] == ["a", "b", "a", "b", "a"]
    store = video.prepare(dataset, video.CacheSpec(16, 99), cache_dir=tmp_path / "cache", workers=1)
    assert store.lengths.tolist() == [20, 10, 20, 20, 20]  # 20 frames at 25 per second: from frame 5 to frame 14
    np.testing.assert_array_equal(store.frames(1), store.frames(0)[5:15])
    lines(tmp_path / "dataset.toml", 'path = "full/{id}.mp4"')
    assert "use the fields label, label_, youtube_id" in refused(tmp_path)
    (tmp_path / "dataset.toml").unlink()
    assert "none of the first 2 clips of test.csv is in" in refused(tmp_path)


def test_something_something_v2(tmp_path: Path, clips: Clips) -> None:
    def entry(number: int, template: str) -> dict[str, object]:
        return {"id": str(number), "label": "pushing a cup", "template": template, "placeholders": ["a cup"]}

    push, pull = "Pushing [something] from left to right", "Pulling [something]"
    for split, entries in (
        ("train", [entry(1, push), entry(2, pull), entry(10, push)]),
        ("validation", [entry(3, push), entry(4, pull)]),
    ):
        (tmp_path / f"something-something-v2-{split}.json").write_text(json.dumps(entries, indent=1))
    (tmp_path / "something-something-v2-test.json").write_text('[{"id": "5"}]')
    (tmp_path / "something-something-v2-labels.json").write_text('{"Pulling something": "0"}')
    clips(*(f"20bn-something-something-v2/{n}.webm" for n in (1, 2, 3, 4, 10)))
    dataset = video.open_dataset(str(tmp_path))
    assert layout(tmp_path) == "something" and not dataset.flip_safe
    assert dataset.classes == ("Pulling something", "Pushing something from left to right")
    assert dataset.counts() == {"train": 3, "test": 2}
    assert rows(dataset)[0] == ("20bn-something-something-v2/1.webm", dataset.classes[1], "train")
    assert_readable(dataset, tmp_path / "cache")
    (tmp_path / "something-something-v2-train.json").write_text('[{"id": "1"}]')
    assert "something-something-v2-train.json, entry 1: no id or no template" in refused(tmp_path)
    (tmp_path / "something-something-v2-train.json").write_text('[{"id": "1", "template"')
    assert "expected a JSON array of objects" in refused(tmp_path)


@pytest.mark.parametrize("name", ["jester-v1", "something-something-v1"])
def test_jester_and_something_something_v1(tmp_path: Path, name: str) -> None:
    lines(tmp_path / f"{name}-labels.csv", "Swiping Left", "Swiping Right")
    lines(tmp_path / f"{name}-train.csv", "1;Swiping Left", "2;Swiping Right")
    lines(tmp_path / f"{name}-validation.csv", "3;Swiping Left", "4;Swiping Right")
    for number in range(1, 5):
        images(tmp_path / f"20bn-{name}" / str(number), "{:05d}.jpg", range(1, 9))
    dataset = video.open_dataset(str(tmp_path))
    assert layout(tmp_path) == "something" and dataset.template == "{:05d}.jpg"
    assert rows(dataset) == [
        (f"20bn-{name}/1", "Swiping Left", "train"),
        (f"20bn-{name}/2", "Swiping Right", "train"),
        (f"20bn-{name}/3", "Swiping Left", "test"),
        (f"20bn-{name}/4", "Swiping Right", "test"),
    ]
    assert_readable(dataset, tmp_path / "cache")


def test_ucf101_three_folds_by_group(tmp_path: Path, clips: Clips) -> None:
    names = [f"{c}/v_{c}_g{g:02d}_c01.avi" for c in ("Archery", "Bowling") for g in range(1, 4)]
    clips(*(f"UCF-101/{name}" for name in names))
    lists = tmp_path / "ucfTrainTestlist"
    lines(lists / "classInd.txt", "1 Archery", "2 Bowling")
    for fold in (1, 2, 3):
        tested = [name for name in names if f"_g{fold:02d}_" in name]
        lines(lists / f"testlist{fold:02d}.txt", *tested)
        lines(
            lists / f"trainlist{fold:02d}.txt",
            *(f"{name} {1 + name.startswith('B')}" for name in names if name not in tested),
        )
    dataset = video.open_dataset(str(tmp_path))
    assert layout(tmp_path) == "ucf101"
    assert dataset.paths.tolist() == [f"UCF-101/{name}" for name in names]
    assert dataset.splits.tolist() == ["test", "train", "train"] * 2
    assert subjects(dataset) == [f"{c}/g{g:02d}" for c in ("Archery", "Bowling") for g in range(1, 4)]
    lines(tmp_path / "third.toml", "fold = 3", "flip_safe = true")
    third = video.open_dataset(str(tmp_path / "third.toml"))
    assert third.splits.tolist() == ["train", "train", "test"] * 2 and third.flip_safe
    assert_readable(dataset, tmp_path / "cache")


def test_hmdb51_three_folds_by_film(tmp_path: Path, clips: Clips) -> None:
    films = ["Alien_III", "Brazil", "Casablanca"]
    for label in ("brush_hair", "wave"):
        names = [f"{film}_{label}_f_cm_np1_ba_med_0.avi" for film in films]
        clips(*(f"videos/{label}/{name}" for name in names))
        for fold in (1, 2, 3):
            marks = (2 if fold == n else 1 if n != 3 or fold == 1 else 0 for n in (1, 2, 3))
            lines(
                tmp_path / "testTrainMulti_7030_splits" / f"{label}_test_split{fold}.txt",
                *(f"{name} {mark} " for name, mark in zip(names, marks, strict=True)),
            )
    dataset = video.open_dataset(str(tmp_path))
    assert layout(tmp_path) == "hmdb51" and dataset.classes == ("brush_hair", "wave")
    assert dataset.splits.tolist() == ["test", "train", "train"] * 2 and subjects(dataset) == films * 2
    lines(tmp_path / "second.toml", 'format = "hmdb51"', "fold = 2")
    assert video.open_dataset(str(tmp_path / "second.toml")).counts() == {"train": 2, "test": 2}
    assert_readable(dataset, tmp_path / "cache")


def test_diving48(tmp_path: Path, clips: Clips) -> None:
    vocabulary = [["Back", "15som", "05Twis", "FREE"], ["Forward", "Dive", "NoTwis", "PIKE"]]
    (tmp_path / "Diving48_vocab.json").write_text(json.dumps(vocabulary))
    for split, numbers in (("train", range(4)), ("test", range(4, 6))):
        entries = [{"vid_name": f"v{n}", "label": n % 2, "start_frame": 0, "end_frame": 20} for n in numbers]
        (tmp_path / f"Diving48_V2_{split}.json").write_text(json.dumps(entries))
    clips(*(f"rgb/v{n}.mp4" for n in range(6)))
    dataset = video.open_dataset(str(tmp_path))
    assert layout(tmp_path) == "diving48"
    assert dataset.classes == ("Back-15som-05Twis-FREE", "Forward-Dive-NoTwis-PIKE")
    assert rows(dataset)[1] == ("rgb/v1.mp4", "Forward-Dive-NoTwis-PIKE", "train")
    assert dataset.counts() == {"train": 4, "test": 2}
    assert_readable(dataset, tmp_path / "cache")


def test_lists_of_path_and_label(tmp_path: Path, clips: Clips) -> None:
    """Kinetics as MMAction2 and SlowFast list it: with spaces in paths, and with the whole path."""
    lines(tmp_path / "label_map.txt", "jump", "run")
    lines(tmp_path / "k400_train_list_videos.txt", "jump/clip 1.mp4 0", f"{tmp_path.resolve()}/run/2.mp4 1")
    lines(tmp_path / "k400_val_list_videos.txt", "jump/3.mp4 0", "run/4.mp4 1")
    clips("jump/clip 1.mp4", "run/2.mp4", "jump/3.mp4", "run/4.mp4")
    dataset = video.open_dataset(str(tmp_path))
    assert layout(tmp_path) == "list"
    assert rows(dataset) == [
        ("jump/3.mp4", "jump", "test"),
        ("jump/clip 1.mp4", "jump", "train"),
        ("run/2.mp4", "run", "train"),
        ("run/4.mp4", "run", "test"),
    ]
    assert_readable(dataset, tmp_path / "cache")
    lines(tmp_path / "k400_val_list_videos.txt", "jump/3.mp4 0", "run/4.mp4 2")
    assert "k400_val_list_videos.txt, line 2: label '2', but the classes are numbered 0 to 1" in refused(tmp_path)
    lines(tmp_path / "k400_val_list_videos.txt", "jump/3.mp4 0", "run/4.mp4 x")
    assert "line 2: expected 'path label' or 'folder frames label', found 'run/4.mp4 x'" in refused(tmp_path)
    lines(tmp_path / "k400_val_list_videos.txt", "jump/3.mp4 0", "/elsewhere/4.mp4 1")
    assert "give the folder as root" in refused(tmp_path)
    lines(tmp_path / "k400_val_list_videos.txt", "jump/3.mp4 0", "../4.mp4 1")
    assert "leaves the manifest's folder" in refused(tmp_path)


def test_lists_of_folders_frames_and_label(tmp_path: Path) -> None:
    """TSM and MMAction2's raw frames, by a description that names everything."""
    for number in range(4):
        images(tmp_path / "data" / "frames" / f"v{number}", "img_{:05d}.jpg", range(1, 9))
        images(tmp_path / "data" / "frames" / f"v{number}" / "sub", "flow_x_{:05d}.jpg", range(1, 3))
    lines(tmp_path / "data" / "category.txt", "jump", "run")
    lines(tmp_path / "data" / "train_videofolder.txt", "v0 8 0", "v1 6 1")
    lines(tmp_path / "data" / "val_videofolder.txt", "v2 8 0", "v3 9 1")
    lines(
        tmp_path / "set.toml",
        'name = "somethings"',
        'root = "data"',
        'format = "list"',
        'classes = "category.txt"',
        'template = "img_{:05d}.jpg"',
        "[splits]",
        'train = {list = "train_videofolder.txt", folder = "frames"}',
        'test = {list = ["val_videofolder.txt"], folder = "frames"}',
    )
    dataset = video.open_dataset(str(tmp_path / "set.toml"))
    assert dataset.name == "somethings" and dataset.template == "img_{:05d}.jpg" and dataset.frames is not None
    assert rows(dataset)[0] == ("frames/v0", "jump", "train") and dataset.frames.tolist() == [8, 6, 8, 9]
    with pytest.raises(UsageError, match=r"'frames/v3' \(truncated: holds 8 of 9 frames\)"):
        video.prepare(dataset, video.CacheSpec(16, 20), cache_dir=tmp_path / "cache", workers=1)
    lines(tmp_path / "data" / "val_videofolder.txt", "v2 8 0", "v3 8 1")
    dataset = video.open_dataset(str(tmp_path / "set.toml"))
    store = video.prepare(dataset, video.CacheSpec(16, 20), cache_dir=tmp_path / "cache", workers=1)
    assert store.lengths.tolist() == [8, 6, 8, 8]


def test_manifest_with_parts_and_checksums(tmp_path: Path, clips: Clips) -> None:
    import hashlib

    clips("a.mp4", "b.mp4")
    digest = hashlib.sha256((tmp_path / "a.mp4").read_bytes()).hexdigest()
    other = "0" * 63 + "1"
    text = ["path,label,split,time_start,time_end,sha256"]
    text += [f"a.mp4,x,train,0,0.4,{digest}", f"a.mp4,y,train,0.4,,{digest.upper()}"]
    text += ["b.mp4,x,test,,0.4,", f"b.mp4,y,test,0.4,9,{other}"]
    lines(tmp_path / "set.csv", *text)
    dataset = video.open_dataset(str(tmp_path / "set.csv"))
    store = video.prepare(dataset, video.CacheSpec(16, 20), cache_dir=tmp_path / "cache", workers=1, tolerated=0.5)
    assert store.lengths.tolist() == [10, 10, 10]
    assert store.skipped == ({"path": "b.mp4", "reason": "SHA-256 differs from the one in the data set's list"},)
    lines(tmp_path / "set.csv", *text[:-1], "b.mp4,y,test,soon,9,")
    assert "line 5: time_start 'soon' is not a number of seconds" in refused(tmp_path / "set.csv")
    lines(tmp_path / "set.csv", *text[:-1], "b.mp4,y,test,1,9,abc")
    assert "line 5: sha256 'abc' is not 64 hexadecimal digits" in refused(tmp_path / "set.csv")
    lines(tmp_path / "set.csv", *text, "b.mp4,x,test,0,0.4,")
    assert "lists 'b.mp4' twice" in refused(tmp_path / "set.csv")


def test_a_described_manifest_may_name_its_own_splits(tmp_path: Path, clips: Clips) -> None:
    clips("data/a.mp4", "data/b.mp4", "data/c.mp4", "data/d.mp4")
    told = ["path,label,split", "a.mp4,x,test", "b.mp4,y,test", "c.mp4,x,train", "d.mp4,y,train"]
    lines(tmp_path / "data" / "some.csv", *told)
    described = ['root = "data"', 'format = "manifest"', "flip_safe = true"]
    lines(tmp_path / "set.toml", *described, "[splits]", 'all = "some.csv"')
    dataset = video.open_dataset(str(tmp_path / "set.toml"))
    assert dataset.flip_safe and rows(dataset) == [tuple(row.split(",")) for row in told[1:]]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("fold = 0", "fold = 0: Input should be greater than or equal to 1: correct it"),
        ("fold = 'two'", "fold = 'two': Input should be a valid integer"),
        ("licence = 3", "licence = 3: Input should be a valid string"),
        ("formt = 'list'", "formt: Extra inputs are not permitted: valid keys are name, root, format, splits"),
        ("format = 'kinetic'", "unknown format 'kinetic': choose manifest, something"),
        ("format = 'ucf101'", "no files of format ucf101 in"),
        ("root = 'nowhere'", "no such folder"),
        ("template = 'img.jpg'", "is not a file name with one number"),
        ("template = '{:05d}/{:05d}.jpg'", "is not a file name with one number"),
        ("[splits]\ntraining = 'x.txt'", "unknown split 'training': choose train, val, test or all"),
        ("[splits]\ntrain = 'x.txt'", "no such list"),
        ("[splits]\ntrain = {folder = 'x'}", "no such folder"),
        ("= 3", "expected TOML in UTF-8"),
    ],
)
def test_invalid_descriptions_are_refused(tmp_path: Path, text: str, part: str) -> None:
    lines(tmp_path / "set.toml", text)
    assert part in refused(tmp_path / "set.toml")


def test_whether_clips_may_be_mirrored_is_part_of_the_fingerprint(
    folder: Callable[[dict[str, int]], Path], tmp_path: Path
) -> None:
    root = folder({"a": 4, "b": 4})
    prints = set()
    for flip_safe in ("true", "false"):
        lines(tmp_path / "set.toml", 'root = "data"', f"flip_safe = {flip_safe}")
        prints.add(video.open_dataset(str(tmp_path / "set.toml")).fingerprint)
    assert len(prints) == 2 and video.open_dataset(str(root)).fingerprint in prints


def test_fingerprints_of_class_folders_and_manifests_stay_what_they_were(tmp_path: Path) -> None:
    """Published records hold such fingerprints."""
    root = tmp_path / "pinned"
    for label in "ab":
        (root / label).mkdir(parents=True)
        for number in range(4):
            (root / label / f"{number}.mp4").write_bytes(f"{label}{number}".encode() * number * 1000)
    listed = "4424672de8cb45ebd6eb08fe90f9a3578c55207448efe5f6a4328b3c469780a1"
    assert video.open_dataset(str(root)).fingerprint == listed
    text = ["path,label,subject,split,frames"]
    for label in "ab":
        text += [f"{label}/{n}.mp4,{label},s{n},{'test' if n == 3 else 'train'},{n}" for n in range(5)]
    lines(root / "set.csv", *text)
    manifest = "69e22b31e0a74b9432957007544d2670ef6b921bef9644dff106579df50ae861"
    assert video.open_dataset(str(root / "set.csv")).fingerprint == manifest


@pytest.mark.parametrize("kind", ["csv", "json", "list"])
def test_the_memory_of_readers_does_not_grow_with_the_rows(tmp_path: Path, kind: str) -> None:
    """A reader's memory, beyond yielded rows, does not grow with the file."""

    def peak(count: int) -> int:
        root = tmp_path / f"{kind}{count}"
        if kind == "csv":
            lines(root / "manifest.csv", "path,label", *(f"clips/{n:07d}.mp4,c{n % 9}" for n in range(count)))
            source = layouts.Source(root, {"": layouts.Lists((root / "manifest.csv",))})
            read = layouts.LAYOUTS["manifest"].read
        elif kind == "json":
            root.mkdir()
            entries = [{"id": str(n), "template": f"Doing {n % 9}", "label": "x" * 50} for n in range(count)]
            (root / "train.json").write_text(json.dumps(entries))
            source = layouts.Source(root, {"train": layouts.Lists((root / "train.json",))}, suffix=".webm")
            read = layouts.LAYOUTS["something"].read
        else:
            lines(root / "train.txt", *(f"clips/{n:07d}.mp4 {n % 9}" for n in range(count)))
            source = layouts.Source(root, {"train": layouts.Lists((root / "train.txt",))})
            read = layouts.LAYOUTS["list"].read
        tracemalloc.start()
        try:
            assert sum(1 for _ in read(source)) == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    small, large = peak(2_000), peak(20_000)
    assert large < 1.2 * small + 20_000
