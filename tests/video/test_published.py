"""Miniatures of data sets exactly as published, read with `--dataset FOLDER` alone."""

import json
import shutil
import sys
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pvnas_bench import video
from pvnas_bench.errors import UsageError
from pvnas_bench.video import layouts

Put = Callable[..., None]


@pytest.fixture
def put(tmp_path: Path, clip_file: Path) -> Put:
    """A function that puts clips below the root."""

    def clips(*paths: str) -> None:
        for path in paths:
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(clip_file, tmp_path / path)

    return clips


def text(path: Path, *lines: str, end: str = "\n", encoding: str = "utf-8") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(f"{line}{end}" for line in lines).encode(encoding))


def images(folder: Path, template: str, numbers: Iterable[int] = range(1, 9)) -> None:
    folder.mkdir(parents=True)
    for number in numbers:
        Image.new("RGB", (20, 12), (5 * number, 0, 0)).save(folder / template.format(number))


def clips_of(dataset: video.Dataset) -> dict[str, list[str]]:
    """The clips of each split, as `class: path`."""
    found: dict[str, list[str]] = {}
    for path, label, split in zip(dataset.paths, dataset.labels, dataset.splits, strict=True):
        found.setdefault(str(split), []).append(f"{dataset.classes[label]}: {path}")
    return found


def refused(path: Path) -> str:
    with pytest.raises(UsageError) as error:
        video.open_dataset(str(path))
    message = str(error.value)
    assert "\n" not in message
    return message


def opened(root: Path, layout: str) -> video.Dataset:
    """The data set of a folder, of which every clip can be read."""
    assert layouts.detect(root)[0].name == layout
    dataset = video.open_dataset(str(root))
    store = video.prepare(dataset, video.CacheSpec(16, 6), cache_dir=root / ".cache", workers=1)
    assert len(store) == len(dataset) and not store.skipped
    return dataset


def test_something_something_v2(tmp_path: Path, put: Put) -> None:
    """The download of 2024: two zip files, of clips and of `labels`."""

    def entry(number: int, template: str) -> dict[str, object]:
        label = template.replace("[something]", "a cup")
        return {"id": str(number), "label": label, "template": template, "placeholders": ["a cup"]}

    drop, lift = "Dropping [something]", "Lifting [something] up"
    text(tmp_path / "labels/train.json", json.dumps([entry(78687, drop), entry(42326, lift)]))
    text(tmp_path / "labels/validation.json", json.dumps([entry(74225, drop), entry(116154, lift)]))
    text(tmp_path / "labels/test.json", json.dumps([{"id": "1420"}]))
    text(tmp_path / "labels/test-answers.csv", "1420;Dropping [something]")
    text(tmp_path / "labels/labels.json", json.dumps({"Dropping something": "0", "Lifting something up": "1"}))
    put(*(f"20bn-something-something-v2/{n}.webm" for n in (78687, 42326, 74225, 116154, 1420)))
    below = "20bn-something-something-v2"
    assert clips_of(opened(tmp_path, "something")) == {
        "train": [f"Lifting something up: {below}/42326.webm", f"Dropping something: {below}/78687.webm"],
        "test": [f"Lifting something up: {below}/116154.webm", f"Dropping something: {below}/74225.webm"],
    }


@pytest.mark.parametrize("name", ["something-something-v1", "jester-v1"])
@pytest.mark.parametrize("below", ["20bn-{0}", "{0}", "rawframes", "unpacked/20bn-{0}"])
def test_something_something_v1_and_jester(tmp_path: Path, name: str, below: str) -> None:
    text(tmp_path / f"{name}-labels.csv", "Swiping Left", "Drumming Fingers")
    text(tmp_path / f"{name}-train.csv", "34870;Drumming Fingers", "56557;Swiping Left")
    text(tmp_path / f"{name}-validation.csv", "9223;Drumming Fingers", "107090;Swiping Left")
    text(tmp_path / f"{name}-test.csv", "70206")
    folder = below.format(f"{name}")
    for number in (34870, 56557, 9223, 107090, 70206):
        images(tmp_path / folder / str(number), "{:05d}.jpg")
    assert clips_of(opened(tmp_path, "something")) == {
        "train": [f"Drumming Fingers: {folder}/34870", f"Swiping Left: {folder}/56557"],
        "test": [f"Swiping Left: {folder}/107090", f"Drumming Fingers: {folder}/9223"],
    }


@pytest.mark.parametrize("flat", [True, False])
def test_mmaction2_kinetics(tmp_path: Path, put: Put, flat: bool) -> None:
    """Of each split the list names clips relative to a folder of that split; the lists of images have no images."""
    clips = {
        "train": ["abseiling/a_000001_000011.mp4", "zumba/b_000001_000011.mp4"],
        "val": ["abseiling/c_000001_000011.mp4", "zumba/d_000001_000011.mp4"],
    }
    for split, paths in clips.items():
        named = [path.split("/")[-1] if flat else path for path in paths]
        text(tmp_path / f"kinetics400_{split}_list_videos.txt", *(f"{p} {n}" for n, p in enumerate(named)))
        text(tmp_path / f"kinetics400_{split}_list_rawframes.txt", *(f"{p[:-4]} 9 {n}" for n, p in enumerate(named)))
        put(*(f"videos_{split}/{path}" for path in named))
    text(tmp_path / "kinetics400_label_map.txt", "abseiling", "zumba")
    dataset = opened(tmp_path, "list")
    assert {split: len(paths) for split, paths in clips_of(dataset).items()} == {"train": 2, "test": 2}
    assert all(
        str(path).startswith("videos_val/") == (split == "test")
        for path, split in zip(dataset.paths, dataset.splits, strict=True)
    )


def test_lists_of_splits_whose_clips_have_the_same_names(tmp_path: Path, put: Put) -> None:
    for split in ("train", "val"):
        text(tmp_path / f"my_{split}_list.txt", "0001.mp4 0", "0002.mp4 1")
        put(f"clips_{split}/0001.mp4", f"clips_{split}/0002.mp4")
    assert clips_of(opened(tmp_path, "list")) == {
        "train": ["0: clips_train/0001.mp4", "1: clips_train/0002.mp4"],
        "test": ["0: clips_val/0001.mp4", "1: clips_val/0002.mp4"],
    }


@pytest.mark.parametrize("folder", ["frames", "20bn-something-something-v1", "data/rgb"])
def test_tsm(tmp_path: Path, folder: str) -> None:
    text(tmp_path / "train_videofolder.txt", "1001 8 0", "1002 8 1")
    text(tmp_path / "val_videofolder.txt", "1003 8 0", "1004 8 1")
    text(tmp_path / "category.txt", "Approaching something", "Attaching something")
    for number in range(1001, 1005):
        images(tmp_path / folder / str(number), "img_{:05d}.jpg")
    dataset = opened(tmp_path, "list")
    assert dataset.template == "img_{:05d}.jpg" and dataset.frames is not None and dataset.frames.tolist() == [8] * 4
    assert clips_of(dataset)["train"] == [
        f"Approaching something: {folder}/1001",
        f"Attaching something: {folder}/1002",
    ]


def test_lists_of_a_fold(tmp_path: Path, put: Put) -> None:
    """UCF101 as MMAction2 lists it."""
    for fold in (1, 2, 3):
        for split, clips in (("train", (1, 2)), ("val", (3,))):
            numbers = [(c + fold) % 3 + 1 for c in clips]
            lines = [f"{c}/v_{c}_g{n:02d}_c01.avi {at}" for at, c in enumerate(("A", "B")) for n in numbers]
            text(tmp_path / f"ucf101_{split}_split_{fold}_videos.txt", *lines)
    put(*(f"videos/{c}/v_{c}_g{n:02d}_c01.avi" for c in "AB" for n in (1, 2, 3)))
    tested = {1: "g02", 2: "g03", 3: "g01"}
    assert all(tested[1] in clip for clip in clips_of(opened(tmp_path, "list"))["test"])
    text(tmp_path / "second.toml", "fold = 2")
    assert all(tested[2] in clip for clip in clips_of(video.open_dataset(str(tmp_path / "second.toml")))["test"])
    text(tmp_path / "fourth.toml", "fold = 4")
    assert "fold = 4" in (message := refused(tmp_path / "fourth.toml")) and "folds 1, 2, 3: set fold" in message


@pytest.mark.parametrize("word", ["validate", "val", "validation", ""])
@pytest.mark.parametrize("folder", ["val", "validate", "validation", "videos_val", "val_256"])
@pytest.mark.parametrize("file", ["val", "validate"])
def test_kinetics(tmp_path: Path, put: Put, word: str, folder: str, file: str) -> None:
    """DeepMind's rows say `validate`, CVDF's folders `val`, others `validation`."""
    head = "label,youtube_id,time_start,time_end,split"
    text(tmp_path / "annotations/train.csv", head, "air drumming,--aa,0,10,train", "zumba,--bb,5,15,train")
    text(tmp_path / f"annotations/{file}.csv", head, f"air drumming,--cc,20,30,{word}", f"zumba,--dd,0,10,{word}")
    put("train/air_drumming/--aa_000000_000010.mp4", "train/zumba/--bb_000005_000015.mp4")
    put(f"{folder}/air_drumming/--cc_000020_000030.mp4", f"{folder}/zumba/--dd_000000_000010.mp4")
    dataset = video.open_dataset(str(tmp_path))
    assert layouts.detect(tmp_path)[0].name == "kinetics"
    assert clips_of(dataset)["test"] == [
        f"air drumming: {folder}/air_drumming/--cc_000020_000030.mp4",
        f"zumba: {folder}/zumba/--dd_000000_000010.mp4",
    ]
    for clip in (tmp_path / folder).rglob("*.mp4"):
        clip.unlink()
    assert f"none of the first 2 clips of {file}.csv is in" in refused(tmp_path)
    assert 'with a line path = "…/{label}/{youtube_id}_{time_start:06d}_{time_end:06d}.mp4"' in refused(tmp_path)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_ucf101(tmp_path: Path, put: Put, end: str) -> None:
    """Two archives: UCF-101 and ucfTrainTestlist. The lists of test have no numbers; a class and its clips differ."""
    names = [
        f"{label}/v_{stem}_g{group:02d}_c01.avi"
        for label, stem in (("ApplyEyeMakeup", "ApplyEyeMakeup"), ("HandstandPushups", "HandStandPushups"))
        for group in range(1, 7)
    ]
    put(*(f"UCF-101/{name}" for name in names))
    lists = tmp_path / "ucfTrainTestlist"
    text(lists / "classInd.txt", "1 ApplyEyeMakeup", "2 HandstandPushups", end=end)
    for fold in (1, 2, 3):
        tested = [name for name in names if f"_g{2 * fold:02d}_" in name or f"_g{2 * fold - 1:02d}_" in name]
        text(lists / f"testlist{fold:02d}.txt", *tested, end=end)
        rest = (name for name in names if name not in tested)
        text(lists / f"trainlist{fold:02d}.txt", *(f"{name} {1 + ('Hand' in name)}" for name in rest), end=end)
    dataset = opened(tmp_path, "ucf101")
    assert dataset.counts() == {"train": 8, "test": 4} and len(dataset.subject_names) == 12
    text(tmp_path / "mine.toml", "fold = 4")
    message = refused(tmp_path / "mine.toml")
    assert message.startswith("fold = 4: ") and message.endswith(
        "has lists of the folds 1, 2, 3: set fold in the description to one of them"
    )
    text(tmp_path / "mine.toml", "fold = 4", 'format = "ucf101"')
    assert refused(tmp_path / "mine.toml") == message


def test_hmdb51(tmp_path: Path, put: Put) -> None:
    """Archives unpacked into a folder each, and lists whose lines end in a space."""
    for label in ("brush_hair", "cartwheel"):
        names = [
            f"{film}_{label}_{label[:1]}_cm_np1_ba_med_0.avi"
            for film in ("April_09", "(Rad)Schlag_die_Bank!", "50_FIRST")
        ]
        put(*(f"hmdb51_org/{label}/{name}" for name in names))
        for fold in (1, 2, 3):
            lines = [f"{name} {2 if at == fold - 1 else 1} " for at, name in enumerate(names)]
            text(tmp_path / "testTrainMulti_7030_splits" / f"{label}_test_split{fold}.txt", *lines)
    assert opened(tmp_path, "hmdb51").counts() == {"train": 4, "test": 2}
    text(tmp_path / "mine.toml", "fold = 5")
    assert "fold = 5" in (message := refused(tmp_path / "mine.toml")) and "folds 1, 2, 3: set fold" in message


@pytest.mark.parametrize("fold", [0, -1, 4, 10, 99, 100, 10**20])
@pytest.mark.parametrize(
    "lists",
    [
        ("lists/trainlist{0:02d}.txt", "lists/testlist{0:02d}.txt"),
        ("lists/a_test_split{0}.txt", "lists/b_test_split{0}.txt"),
        ("ucf_train_split_{0}_videos.txt", "ucf_val_split_{0}_videos.txt"),
    ],
)
@pytest.mark.parametrize("folds", [(1, 2, 3), (1,), (2, 7)])
def test_a_fold_that_does_not_exist_is_named_with_those_that_do(
    tmp_path: Path, lists: tuple[str, str], folds: tuple[int, ...], fold: int
) -> None:
    for at in folds:
        for file in lists:
            text(tmp_path / file.format(at), "a/1.avi 1", "b/2.avi 2")
    text(tmp_path / "mine.toml", f"fold = {fold}")
    message = refused(tmp_path / "mine.toml")
    assert f"fold = {fold}: " in message
    if not 1 <= fold < 100:
        assert "Input should be " in message and message.endswith(": correct it")
        return
    assert message.endswith(
        f"lists of the folds {', '.join(map(str, folds))}: set fold in the description to one of them"
    )


def test_diving48(tmp_path: Path, put: Put) -> None:
    """Both versions of the lists lie there: the second is the corrected one."""
    vocabulary = [["Back", "15som", "05Twis", "FREE"], ["Forward", "Dive", "NoTwis", "PIKE"]]
    text(tmp_path / "Diving48_vocab.json", json.dumps(vocabulary))
    for version, shift in (("Diving48", 1), ("Diving48_V2", 0)):
        for split, numbers in (("train", range(4)), ("test", range(4, 6))):
            entries = [
                {"vid_name": f"_8Vy3dlHg2w_{n:05d}", "label": (n + shift) % 2, "start_frame": 0, "end_frame": 20}
                for n in numbers
            ]
            text(tmp_path / f"{version}_{split}.json", json.dumps(entries))
    put(*(f"rgb/_8Vy3dlHg2w_{n:05d}.mp4" for n in range(6)))
    assert clips_of(opened(tmp_path, "diving48"))["test"] == [
        "Back-15som-05Twis-FREE: rgb/_8Vy3dlHg2w_00004.mp4",
        "Forward-Dive-NoTwis-PIKE: rgb/_8Vy3dlHg2w_00005.mp4",
    ]


def test_epic_kitchens_100(tmp_path: Path, put: Put) -> None:
    head = (
        "narration_id,participant_id,video_id,narration_timestamp,start_timestamp,stop_timestamp,start_frame,"
        "stop_frame,narration,verb,verb_class,noun,noun_class,all_nouns,all_noun_classes"
    )

    def row(number: int, person: str, start: str, stop: str, verb: int) -> str:
        times = f"00:00:00.000,00:00:{start},00:00:{stop}"
        what = f"take it,take,{verb},cup,3,\"['cup', 'tea']\",\"[3, 4]\""
        return f"{person}_01_{number},{person},{person}_01,{times},1,9,{what}"

    notes = tmp_path / "epic-kitchens-100-annotations"
    text(notes / "EPIC_100_train.csv", head, row(0, "P01", "00.00", "00.20", 0), row(1, "P01", "00.40", "00.60", 1))
    text(
        notes / "EPIC_100_validation.csv", head, row(0, "P02", "00.00", "00.40", 0), row(1, "P02", "00.40", "00.80", 1)
    )
    text(notes / "EPIC_100_test_timestamps.csv", "narration_id,participant_id", "P03_0,P03")
    text(
        notes / "EPIC_100_verb_classes.csv",
        "id,key,instances,category",
        "0,take,\"['take']\",retrieve",
        "1,put,\"['put']\",leave",
    )
    put("EPIC-KITCHENS/P01/videos/P01_01.MP4", "EPIC-KITCHENS/P02/videos/P02_01.MP4")
    dataset = video.open_dataset(str(tmp_path))
    assert layouts.detect(tmp_path)[0].name == "epic"
    below = "EPIC-KITCHENS/{0}/videos/{0}_01.MP4"
    assert clips_of(dataset) == {
        "train": [f"take: {below.format('P01')}", f"put: {below.format('P01')}"],
        "test": [f"take: {below.format('P02')}", f"put: {below.format('P02')}"],
    }
    assert dataset.subject_names == ("P01", "P02") and dataset.spans is not None
    np.testing.assert_array_equal(dataset.spans, [[0, 0.2], [0.4, 0.6], [0, 0.4], [0.4, 0.8]])
    store = video.prepare(dataset, video.CacheSpec(16, 20), cache_dir=tmp_path / "cache", workers=1)
    assert store.lengths.tolist() == [5, 5, 10, 10]
    text(notes / "EPIC_100_train.csv", head, row(0, "P01", "00.00", "soon", 0))
    assert "EPIC_100_train.csv, line 2: stop_timestamp 'soon' is not a number of seconds" in refused(tmp_path)
    shutil.rmtree(tmp_path / "EPIC-KITCHENS")
    assert 'with a line folder = "…"' in refused(tmp_path)


@pytest.mark.parametrize(
    "lists",
    [
        ("train.csv", "test.csv", "{0}/{1},{0}"),
        ("train.csv", "val.csv", "{0}/{1},{0}"),
        ("train.csv", "test.csv", '"{0}/{1}","{0}"'),
        ("train.csv", "test.csv", "{0}/{1}, {0}"),
        ("annotations/trainset.csv", "annotations/testset.csv", "clips/{0}/{1},{0}"),
    ],
)
def test_lists_of_paths_and_words_without_a_header(tmp_path: Path, put: Put, lists: tuple[str, str, str]) -> None:
    """A frequent format, which was once ignored in favour of an automatic split."""
    train, test, line = lists
    train, test = train.replace("trainset", "train"), test.replace("testset", "test")
    below = "clips/" if "clips" in line else ""
    for label in ("a b", "c"):
        put(*(f"{below}{label}/{n}.mp4" for n in range(6)))
    text(tmp_path / train, *(line.format(label, f"{n}.mp4") for label in ("a b", "c") for n in (0, 2, 4)))
    text(tmp_path / test, *(line.format(label, f"{n}.mp4") for label in ("a b", "c") for n in (1, 3, 5)))
    dataset = video.open_dataset(str(tmp_path))
    assert dataset.classes == ("a b", "c")
    numbers = {split: sorted({Path(clip).stem for clip in clips}) for split, clips in clips_of(dataset).items()}
    assert numbers == {"train": ["0", "2", "4"], "test": ["1", "3", "5"]}


def test_a_manifest_for_each_split(tmp_path: Path, put: Put) -> None:
    put(*(f"clips/{n}.mp4" for n in range(4)))
    text(tmp_path / "train.csv", "path,label", "0.mp4,x", "1.mp4,y")
    text(tmp_path / "test.csv", "path,label", "2.mp4,x", "3.mp4,y")
    assert clips_of(opened(tmp_path, "manifest")) == {
        "train": ["x: clips/0.mp4", "y: clips/1.mp4"],
        "test": ["x: clips/2.mp4", "y: clips/3.mp4"],
    }


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("train.csv", "{0};{1}"),
        ("train.csv", "name,tag\n{1},{0}"),
        ("train.txt", "{1}"),
        ("splits/train.json", '{{"{1}": "{0}"}}'),
        ("trainlist.tsv", "{0}/{1}\t{0}"),
        ("trainingSet.csv", "{1}|{0}|5|2"),
        ("testlist.txt", "{0} -> {1}"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_a_list_in_an_unknown_format_is_refused(tmp_path: Path, put: Put, file: str, line: str, encoding: str) -> None:
    for label in ("é", "c"):
        put(*(f"{label}/{label}{n}.mp4" for n in range(6)))
    assert video.open_dataset(str(tmp_path)).counts()
    before = video.open_dataset(str(tmp_path)).fingerprint
    text(tmp_path / file, *(line.format(label, f"{label}{n}.mp4") for label in "éc" for n in (0, 2)), encoding=encoding)
    assert (
        "lists clips by split" in (message := refused(tmp_path)) and 'with the line format = "class_folders"' in message
    )
    text(tmp_path / "dataset.toml", 'format = "class_folders"')
    assert video.open_dataset(str(tmp_path)).fingerprint == before
    (tmp_path / "dataset.toml").unlink()
    text(tmp_path / file, "how these clips were chosen for training", "and nothing else")
    assert video.open_dataset(str(tmp_path)).fingerprint == before


def test_clips_that_are_not_located_give_the_line_to_add(tmp_path: Path, put: Put) -> None:
    text(tmp_path / "train_list.txt", "a.mp4 0", "b.mp4 1")
    text(tmp_path / "val_list.txt", "c.mp4 0", "d.mp4 1")
    put(*(f"very/deep/down/{name}.mp4" for name in "abcd"))
    message = refused(tmp_path)
    assert "none of the first 2 clips of 'train_list.txt', such as 'a.mp4'" in message
    assert f'add their folder to {str(tmp_path / "dataset.toml")!r} with a line folder = "…"' in message
    text(tmp_path / "dataset.toml", 'folder = "very/deep/down"')
    assert clips_of(video.open_dataset(str(tmp_path))) == {
        "train": ["0: very/deep/down/a.mp4", "1: very/deep/down/b.mp4"],
        "test": ["0: very/deep/down/c.mp4", "1: very/deep/down/d.mp4"],
    }
    text(tmp_path / "dataset.toml", 'folder = "elsewhere"')
    assert "no such folder" in refused(tmp_path)
    text(tmp_path / "dataset.toml", 'folder = "very/deep/down"', "fold = 2", 'format = "manifest"')
    assert "no files of format manifest" in refused(tmp_path)


def test_a_fold_of_a_layout_without_folds_is_refused(tmp_path: Path, put: Put) -> None:
    put(*(f"{label}/{n}.mp4" for label in "ab" for n in range(4)))
    text(tmp_path / "dataset.toml", "fold = 2")
    assert "fold = 2, but class_folders has no folds: remove fold" in refused(tmp_path)


HUGE = ["99999999999999999999", "2147483648", "9" * 5000, "-1", "1.5", "nan", "inf", "1e400", "²", "٣x", "0x10"]


@pytest.mark.parametrize("number", HUGE)
def test_numbers_out_of_range_are_bad_lines(tmp_path: Path, put: Put, number: str) -> None:
    for name in ("a", "b", "c", "d"):
        images(tmp_path / "set" / name, "img_{:05d}.jpg")
    text(tmp_path / "set/val.txt", "c 8 0", "d 8 1")
    text(tmp_path / "set/train.txt", "a 8 0", f"b {number} 1")
    if number.isdigit() and number != "²":  # otherwise part of the path, which may contain spaces
        assert refused(tmp_path / "set").startswith("train.txt, line 2: the number of frames ")
    text(tmp_path / "set/train.txt", "a 8 0", f"b 8 {number}")
    text(tmp_path / "set/category.txt", "x", "y")
    assert "train.txt, line 2: " in refused(tmp_path / "set")
    put("a.mp4", "b.mp4")
    for column in ("frames", "time_start", "time_end", "sha256"):
        if (column, number) in (("time_end", "inf"), ("time_start", "1.5"), ("time_end", "1.5")):
            continue  # which they may be
        if column.startswith("time") and number == "2147483648":
            continue
        text(tmp_path / "set.csv", f"path,label,split,{column}", "a.mp4,x,train,", f"b.mp4,y,test,{number}")
        assert refused(tmp_path / "set.csv").startswith(f"set.csv, line 3: {column} "), column
    text(tmp_path / "k/train.csv", "label,youtube_id,time_start,time_end", "x,q,0,10", f"y,r,{number},10")
    text(tmp_path / "k/val.csv", "label,youtube_id,time_start,time_end", "x,s,0,10", "y,t,0,10")
    refused(tmp_path / "k")
    text(
        tmp_path / "d/Diving48_train.json",
        '[{"vid_name": "a", "label": 0}, {"vid_name": "b", "label": ' + number + "}]",
    )
    text(tmp_path / "d/Diving48_test.json", '[{"vid_name": "a", "label": 0}, {"vid_name": "b", "label": 1}]')
    refused(tmp_path / "d")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(frames=st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=1, max_size=30))
def test_any_number_of_frames_is_read_or_named(tmp_path: Path, frames: str) -> None:
    path = tmp_path / "set.csv"
    text(
        path,
        "path,label,split,frames",
        "a.mp4,x,train,3",
        "c.mp4,y,train,1",
        "d.mp4,x,test,",
        f'b.mp4,y,test,"{frames.replace(chr(34), chr(34) * 2)}"',
    )
    right = frames.isascii() and frames.isdecimal() and int(frames) < 2**31
    if right:
        assert len(video.open_dataset(str(path))) == 4
    else:
        assert refused(path).startswith("set.csv, line 5: frames ")


NAMES = st.text(st.sampled_from("aeo\u0301\u0308\u030aéüÅ한각가"), min_size=1, max_size=4).filter(
    lambda name: not unicodedata.combining(name[0])
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(NAMES, min_size=2, max_size=4, unique_by=lambda name: unicodedata.normalize("NFC", name)))
def test_names_in_two_unicode_forms_are_one_class(tmp_path: Path, names: list[str]) -> None:
    path, rows = tmp_path / "set.csv", ["path,label,subject,split"]
    for number, name in enumerate(names):
        for form in ("NFC", "NFD"):
            spelled = unicodedata.normalize(form, name)
            rows += [f"{number}{form}{split}.mp4,{spelled},{spelled},{split}" for split in ("train", "test")]
    text(path, *rows)
    dataset = video.open_dataset(str(path))
    assert dataset.classes == tuple(sorted(unicodedata.normalize("NFC", name) for name in names))
    assert dataset.subject_names == dataset.classes
    assert np.bincount(dataset.labels).tolist() == [4] * len(names)


@pytest.mark.skipif(sys.platform == "darwin", reason="its file systems have one form only")
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(NAMES, min_size=2, max_size=4, unique_by=lambda name: unicodedata.normalize("NFC", name)))
def test_class_folders_in_two_unicode_forms_are_one_class(tmp_path: Path, clip_file: Path, names: list[str]) -> None:
    root = tmp_path / "folders"
    shutil.rmtree(root, ignore_errors=True)
    for number, name in enumerate(names):
        for form in ("NFC", "NFD"):
            for copy in range(3):
                path = root / unicodedata.normalize(form, name) / f"{number}{form}{copy}.mp4"
                path.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(clip_file, path)
    dataset = video.open_dataset(str(root))
    assert dataset.classes == tuple(sorted(unicodedata.normalize("NFC", name) for name in names))
    assert np.bincount(dataset.labels).tolist() == [6] * len(names)


def test_names_in_one_unicode_form_stay_as_they_are(tmp_path: Path) -> None:
    """Such data sets have published fingerprints."""
    decomposed = unicodedata.normalize("NFD", "é")
    text(
        tmp_path / "set.csv",
        "path,label,split",
        *(f"{n}.mp4,{'ab'[n % 2]}{decomposed},{'train' if n < 4 else 'test'}" for n in range(8)),
    )
    assert video.open_dataset(str(tmp_path / "set.csv")).classes == (f"a{decomposed}", f"b{decomposed}")
