"""Files of the user's own: what is read, how it is split, numbered and scaled, what is refused."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hxloop.data import OwnData, TimeSeries
from hxloop.errors import ConfigError, FileFormatError, MissingDataError, UnknownNameError
from tests.data import heidelberg_files

N = 60


@pytest.fixture
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "width": rng.uniform(-5, 5, N),
            "height": np.arange(N) * 10,
            "kind": np.array(["oak", "ash", "NA"])[np.arange(N) % 3],
            "part": np.where(
                np.arange(N) < 40, "train", np.where(np.arange(N) < 50, "val", "Test")
            ),
        }
    )


def own(path: Path, **options) -> OwnData:
    return OwnData(path=path, **{"label": "kind", "ignore": ("part",), **options})


@pytest.mark.parametrize("ending", ["csv", "tsv", "csv.gz", "parquet"])
def test_tables_of_every_kind_hold_the_same(frame, tmp_path: Path, ending: str) -> None:
    frame.to_csv(tmp_path / "table.csv", index=False)
    expected = own(tmp_path / "table.csv").load("train")
    path = tmp_path / f"other.{ending}"
    if ending == "parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep="\t" if ending == "tsv" else ";")
    found = own(path).load("train")
    np.testing.assert_array_equal(found.samples, expected.samples)
    np.testing.assert_array_equal(found.labels, expected.labels)
    assert found.class_names == ("NA", "ash", "oak")  # a class, and no missing value
    assert found.features == ("width", "height")


def test_every_sample_is_in_one_split_with_its_label_and_every_class_in_each(
    frame, tmp_path: Path
) -> None:
    frame.to_csv(tmp_path / "t.csv", index=False)
    data = own(tmp_path / "t.csv", scaling="none", ignore=("part", "width"), split_seed=3)
    frame["height"] /= 10 * N
    frame.to_csv(tmp_path / "t.csv", index=False)
    rows = []
    for split, n in (("train", 42), ("validation", 6), ("test", 12)):
        part = data.load(split)
        assert len(part.labels) == n and np.bincount(part.labels).tolist() == [n // 3] * 3
        index = np.rint(part.samples[:, 0] * N).astype(int)
        names = np.array(part.class_names)[part.labels]
        np.testing.assert_array_equal(names, frame["kind"].to_numpy()[index])
        rows += index.tolist()
    assert sorted(rows) == list(range(N))
    other = own(tmp_path / "t.csv", scaling="none", ignore=("part", "width"), split_seed=4)
    assert not np.array_equal(other.load("test").samples, data.load("test").samples)


def test_a_column_says_which_split_and_scaling_is_that_of_the_training_samples(
    frame, tmp_path: Path
) -> None:
    frame.to_csv(tmp_path / "t.csv", index=False)
    data = own(tmp_path / "t.csv", split="part", ignore=("width",))
    assert [len(data.load(s).labels) for s in ("train", "validation", "test")] == [40, 10, 10]
    train, test = data.load("train"), data.load("test")
    assert (train.samples.min(), train.samples.max(), train.clipped) == (0, 1, 0)
    assert train.scaling is not None and train.scaling.high == (390.0,)
    # All test values lie beyond: cut, and counted.
    assert (test.samples == 1).all() and test.clipped == 10
    assert data.load("validation").clipped == 10


def test_files_of_their_own_for_splits(frame, tmp_path: Path) -> None:
    frame[:50].to_csv(tmp_path / "a_train.csv", index=False)
    frame[50:].to_csv(tmp_path / "a_test.csv", index=False)
    named = own(tmp_path).load("test")
    given = own(tmp_path / "a_train.csv", test_path=tmp_path / "a_test.csv").load("test")
    assert len(named.labels) == 10 == len(given.labels)
    np.testing.assert_array_equal(np.sort(named.samples, 0), np.sort(given.samples, 0))


@pytest.mark.parametrize("names", [("x", "y"), ("Samples", "labels"), ("data", "target")])
def test_arrays_with_any_usual_names(tmp_path: Path, names: tuple[str, str]) -> None:
    x = np.random.default_rng(1).integers(0, 256, (30, 3, 3), dtype=np.uint8)
    y = (np.arange(30) % 2).astype(">u2")
    np.savez(tmp_path / "a.npz", **{names[0]: x, names[1]: y})
    found = OwnData(path=tmp_path / "a.npz").load("train")
    assert found.image_side == 3 and found.samples.dtype == np.float32
    assert found.samples.max() <= 255 / 256 and str(found.scaling) == "pixels divided by 256"
    folder = tmp_path / "folder"
    folder.mkdir()
    for split, part in (("train", slice(0, 20)), ("test", slice(20, 30))):
        np.save(folder / f"{names[0]}_{split}.npy", x[part][:, ::-1])
        np.save(folder / f"{split}-{names[1]}.npy", y[part])
    assert len(OwnData(path=folder).load("test").labels) == 10


def test_time_series_keep_their_lengths_and_are_scaled_by_channel(tmp_path: Path) -> None:
    x = np.random.default_rng(2).normal(size=(30, 2, 7)) * np.array([1, 100])[:, None]
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(30) % 3)
    found = OwnData(path=tmp_path / "a.npz").load("train").samples
    assert isinstance(found, TimeSeries) and found.shape[1:] == (2, 7)
    assert found.values.min(axis=(0, 2)) == pytest.approx([0, 0])
    assert found.values.max(axis=(0, 2)) == pytest.approx([1, 1])


def idx(path: Path, array: np.ndarray, kind: int = 0x08) -> None:
    head = bytes([0, 0, kind, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    data = head + array.tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


@pytest.mark.parametrize(
    ("train", "test", "ending"),
    [
        ("train-{}-idx{}-ubyte", "t10k-{}-idx{}-ubyte", ".gz"),
        ("train-{}.idx{}-ubyte", "t10k-{}.idx{}-ubyte", ""),
        ("emnist-letters-train-{}-idx{}-ubyte", "emnist-letters-test-{}-idx{}-ubyte", ".gz"),
    ],
)
@pytest.mark.parametrize("below", ["", "raw", "MNIST/raw"])
def test_idx_files_by_all_their_names(
    tmp_path: Path, train: str, test: str, ending: str, below: str
) -> None:
    folder = tmp_path / below
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(3)
    for name, n in ((train, 40), (test, 10)):
        idx(folder / (name.format("images", 3) + ending),
            rng.integers(0, 256, (n, 4, 4), dtype=np.uint8))  # fmt: skip
        idx(folder / (name.format("labels", 1) + ending), (1 + np.arange(n) % 5).astype(np.uint8))
    found = OwnData(path=tmp_path).load("test")
    assert found.image_side == 4 and len(found.labels) == 10
    assert found.class_names == ("1", "2", "3", "4", "5")  # numbered from 1, as EMNIST's letters


def test_several_idx_data_sets_in_a_folder_are_told_apart_by_their_beginning(
    tmp_path: Path,
) -> None:
    for name, n in (("letters", 20), ("digits", 30)):
        idx(tmp_path / f"emnist-{name}-train-images-idx3-ubyte", np.zeros((n, 2, 2), np.uint8))
        idx(tmp_path / f"emnist-{name}-train-labels-idx1-ubyte", (np.arange(n) % 2).astype("u1"))
    with pytest.raises(FileFormatError, match=r"several data sets.*FOLDER/BEGINNING"):
        OwnData(path=tmp_path).load("train")
    found = OwnData(path=tmp_path / "emnist-digits")
    assert sum(len(found.load(s).labels) for s in ("train", "validation", "test")) == 30


def test_spikes_of_two_files_have_the_channels_of_both(tmp_path: Path) -> None:
    heidelberg_files.write(tmp_path / "my_train.h5", 40, n_classes=4)
    heidelberg_files.write(tmp_path / "my_test.h5", 8, n_classes=4, seed=1)
    data = OwnData(path=tmp_path)
    train, test = data.load("train"), data.load("test")
    assert train.samples.shape[1] == test.samples.shape[1] <= 700
    assert len(test.labels) == 8 and train.class_names == tuple(f"word {i}" for i in range(4))
    assert train.scaling is None


def changed(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new, 1)


CSV = "a,b,label\n" + "".join(f"{i},{i * i},{i % 2}\n" for i in range(20))


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        (changed(CSV, "\n3,9,", "\n3,,"), {}, r"column 'b', row 5: .*got nothing"),
        (changed(CSV, "\n3,9,", "\n3,inf,"), {}, r"column 'b', row 5: .*got inf"),
        (
            changed(CSV, "\n3,9,", "\n3,x,"),
            {},
            r"column 'b', row 5: expected a number; got 'x'.*ignore",
        ),
        (changed(CSV, "\n3,9,", '\n3,"9,5",'), {}, r"'9,5'. Write decimals with a point"),
        (changed(CSV, "\n3,9,1", "\n3,9,"), {}, r"the label of sample \d+ is missing"),
        (changed(CSV, "a,b,label", "a,a,label"), {}, r"two columns are called 'a'"),
        (changed(CSV, "a,b,label", ",b,label"), {}, r"column 1 has no name.*index=False"),
        (
            CSV.partition("\n")[2],
            {},
            r"names of the columns in the first line; got numbers: 0, 0, 0",
        ),
        (changed(CSV, "\n3,9,1", "\n3,9,1,7"), {}, r"cannot be read"),
        (changed(CSV, "label", "kind"), {}, r"which column holds the classes.*: a, b, kind"),
        (CSV, {"label": "lable"}, r"unknown column 'lable'.*Did you mean 'label'"),
        (CSV, {"ignore": ("c",)}, r"unknown column 'c'"),
        (CSV, {"ignore": ("a", "b")}, r"no column is left for features"),
        (CSV, {"label": "b"}, r"expected classes.*20 different labels.*right column"),
        (CSV, {"split": "a"}, r"column 'a': expected train, validation or test; got '0'"),
        (CSV, {"scaling": "none"}, r"expected values in \[0, 1\] with dataset.scaling = 'none'"),
        ("", {}, r"it is empty"),
        ("a,label\n", {}, r"two classes|no sample"),
        ("a,label\n1,x\n2,x\n3,x\n", {}, r"two classes at least; all labels are 'x'"),
    ],
)
def test_a_table_that_cannot_be_learned_from_says_why(
    tmp_path: Path, text: str, options: dict, said: str
) -> None:
    (tmp_path / "t.csv").write_text(text)
    data = OwnData(path=tmp_path / "t.csv", **options)
    with pytest.raises((FileFormatError, ConfigError, UnknownNameError, ValueError), match=said):
        data.load("train")


def test_what_is_no_data_is_refused_by_name(frame, tmp_path: Path) -> None:
    for path, said in (
        (tmp_path / "none.csv", "expected a file or folder"),
        (tmp_path, "holds none of what is read"),
    ):
        with pytest.raises(MissingDataError, match=said):
            own(path).load("train")
    for name, content, said in (
        ("a.npy", b"\x93NUMPY", "single array, without labels"),
        ("a.xlsx", b"PK", "expected CSV"),
        ("a.npz", b"PK\x03\x04", "truncated or corrupt"),
        ("a.parquet", b"PAR1", "cannot be read"),
        ("a.h5", b"\x89HDF", "no HDF5 file"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FileFormatError, match=said):
            own(tmp_path / name).load("train")
    with pytest.raises(ConfigError, match=r"dataset.test_fraction: expected .*; got 1"):
        own(tmp_path / "t.csv", test_fraction=1)
    frame.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(ConfigError, match=r"test_fraction: 0.001 of each class of 60 .* makes 0"):
        own(tmp_path / "t.csv", test_fraction=0.001).load("train")
    with pytest.raises(ConfigError, match=r"dataset.train_size: expected .*42; got 43"):
        own(tmp_path / "t.csv").load("train", 43)


def test_damaged_idx_files_are_refused(tmp_path: Path) -> None:
    images, labels = tmp_path / "train-images-idx3-ubyte", tmp_path / "train-labels-idx1-ubyte"
    idx(images, np.zeros((20, 2, 2), np.uint8))
    with pytest.raises(FileFormatError, match="no file of labels"):
        OwnData(path=tmp_path).load("train")
    idx(labels, (np.arange(20) % 2).astype(np.uint8))
    whole = images.read_bytes()
    for content in (whole[:-1], whole + b"\0", whole[:6], b"\0\0\x07\x03" + whole[4:], b""):
        images.write_bytes(content)
        with pytest.raises(FileFormatError, match=r"IDX file|declares"):
            OwnData(path=tmp_path).load("train")
    idx(images, np.zeros((19, 2, 2), np.uint8))
    with pytest.raises(FileFormatError, match="as many samples as labels"):
        OwnData(path=tmp_path).load("train")


def test_a_test_file_with_other_columns_or_classes_is_refused(frame, tmp_path: Path) -> None:
    frame.to_csv(tmp_path / "a.csv", index=False)
    for changes, said in (
        ({"width": "breadth"}, "'width' is not in both|'breadth'"),
        ({"kind": "kind"}, "is none of those of the training samples: NA, ash, oak"),
    ):
        other = frame.rename(columns=changes)
        if said.startswith("is none"):
            other.loc[3, "kind"] = "elm"
        other.to_csv(tmp_path / "b.csv", index=False)
        data = own(tmp_path / "a.csv", test_path=tmp_path / "b.csv")
        with pytest.raises(FileFormatError, match=said):
            data.load("test")


def test_folders_and_files_that_do_not_say_which_split_is_which_are_refused(
    frame, tmp_path: Path
) -> None:
    def written(*names: str) -> OwnData:
        folder = tmp_path / "-".join(names).replace("/", "")
        folder.mkdir()
        for name in names:
            frame.to_csv(folder / name, index=False)
        return own(folder)

    for names, said in (
        (("a_test.csv", "b_test.csv"), "two for 'test'"),
        (("a.csv", "b.csv"), "or one; got a.csv and b.csv"),
        (("a.csv", "a_train.csv"), r"which split is a\.csv of"),
        (("only_test.csv",), "there are no training samples; only test"),
    ):
        with pytest.raises(FileFormatError, match=said):
            written(*names).load("train")
    both = written("c_train.csv", "c_test.csv")
    with pytest.raises(ConfigError, match=r"dataset.test_path: .* has test samples itself"):
        own(both.path, test_path=Path(both.path) / "c_test.csv").load("train")
    with pytest.raises(FileFormatError, match="expected the test samples, no splits of them"):
        own(Path(both.path) / "c_train.csv", test_path=both.path).load("train")
    np.savez(tmp_path / "w.npz", x=np.ones((30, 5)), y=np.arange(30) % 3)
    with pytest.raises(FileFormatError, match="values of 2 features; got values of 5 features"):
        own(Path(both.path) / "c_train.csv", test_path=tmp_path / "w.npz").load("train")


@pytest.mark.parametrize(
    ("samples", "labels", "said"),
    [
        (np.ones((6, 2)), np.ones((6, 2)), r"labels: expected one for each sample.*\(6, 2\)"),
        (np.ones((6, 2)), np.zeros((6, 2)), r"labels: expected one for each sample"),
        (np.array([["a"]] * 6), np.arange(6) % 2, "samples: expected numbers"),
        (np.ones((6, 2)), np.arange(5) % 2, "as many samples as labels"),
        (np.ones((6, 2, 2, 2)), np.arange(6) % 2, "images of one channel"),
    ],
)
def test_arrays_of_other_shapes_are_refused(
    tmp_path: Path, samples: np.ndarray, labels: np.ndarray, said: str
) -> None:
    np.savez(tmp_path / "a.npz", x=samples, y=labels)
    with pytest.raises(FileFormatError, match=said):
        OwnData(path=tmp_path / "a.npz").load("train")
    with pytest.raises(FileFormatError, match=r"expected arrays .*samples.*; got: p, q"):
        np.savez(tmp_path / "b.npz", p=samples, q=labels)
        OwnData(path=tmp_path / "b.npz").load("train")


def test_labels_with_a_column_for_each_class_are_class_numbers(tmp_path: Path) -> None:
    y = np.arange(30) % 3
    np.savez(tmp_path / "a.npz", x=np.random.default_rng(0).random((30, 4)), y=np.eye(3)[y])
    assert np.bincount(OwnData(path=tmp_path / "a.npz").load("test").labels).tolist() == [2, 2, 2]
