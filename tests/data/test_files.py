"""Reading data files: what is right comes out bit for bit, what is wrong is named, nothing runs."""

import gzip
import io
import os
import struct
import tarfile
from dataclasses import replace

import numpy as np
import pytest

import pcx.data as pxd
from pcx.data import _images

IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


@pytest.fixture(autouse=True)
def nowhere_else(monkeypatch, tmp_path):
    """No data sets but those that a test makes."""
    monkeypatch.delenv("PCX_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("pcx.data._search._SYSTEM", ())
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")


def idx(array):
    return struct.pack(">BBBB", 0, 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def small(n=7, n_test=3, seed=0):
    rng = np.random.default_rng(seed)
    splits = []
    for count in (n, n_test):
        splits += [rng.integers(0, 256, (count, 28, 28), np.uint8), rng.integers(0, 10, count, np.uint8)]
    splits[0][0, 0, :2] = 0, 255
    return splits


def write_idx(folder, arrays, packed=True, names=IDX):
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in zip(names, arrays, strict=True):
        data = idx(array)
        (folder / (name + (".gz" if packed else ""))).write_bytes(gzip.compress(data) if packed else data)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("load", [pxd.mnist, pxd.fashion_mnist])
def test_idx_files(tmp_path, load, packed):
    x, y, x_test, y_test = small()
    write_idx(tmp_path / "here", small(), packed)
    data = load(tmp_path / "here")
    assert data.train.x.shape == (7, 28, 28)
    assert data.train.x.dtype == np.float32
    assert data.train.y.dtype == np.int32
    assert (data.train.x.min(), data.train.x.max()) == (0, 1)
    np.testing.assert_array_equal(data.train.x, x.astype(np.float32) / np.float32(255))
    np.testing.assert_array_equal(data.test.x, x_test.astype(np.float32) / np.float32(255))
    np.testing.assert_array_equal(data.train.y, y)
    np.testing.assert_array_equal(data.test.y, y_test)
    assert (len(data.classes), data.channels, data.scaling, len(data.train)) == (10, 1, None, 7)
    assert data.origin == str(tmp_path / "here")


def test_options_of_images(tmp_path):
    write_idx(tmp_path, small())
    x, *_ = small()
    flat, raw = pxd.mnist(tmp_path, flat=True), pxd.mnist(tmp_path, dtype="uint8")
    assert flat.train.x.shape == (7, 784)
    assert flat.test.x.shape == (3, 784)
    np.testing.assert_array_equal(raw.train.x, x)
    assert raw.train.x.dtype == np.uint8
    scaled = pxd.mnist(tmp_path, flat=True, standardise=True)
    assert abs(float(scaled.train.x.mean())) < 1e-6
    assert abs(float(scaled.train.x.std()) - 1) < 1e-6
    assert scaled.scaling == pxd.Scaling.of(flat.train.x)
    with pytest.raises(ValueError, match=r"mnist: dtype is .* not float64"):
        pxd.mnist(tmp_path, dtype=np.float64)
    with pytest.raises(ValueError, match="uint8 with standardise"):
        pxd.mnist(tmp_path, dtype=np.uint8, standardise=True)


def test_a_packed_file_is_known_by_its_content(tmp_path):
    write_idx(tmp_path, small(), packed=True)
    for name in IDX:  # as browsers do: unpacked, with the old name
        path = tmp_path / f"{name}.gz"
        path.write_bytes(gzip.decompress(path.read_bytes()))
    assert len(pxd.mnist(tmp_path).train) == 7


def broken(arrays):
    """Name of the fault -> (file, its bytes, what the message says)."""
    x, y, *_ = arrays
    images, labels = idx(x), idx(y)
    packed = gzip.compress(images)
    flipped = bytearray(packed)
    flipped[-6] ^= 0xFF  # in the checksum
    return {
        "empty": (0, b"", "0 of the 4 bytes"),
        "short header": (0, images[:9], "of its header"),
        "cut off": (0, images[:-1], "cut off: 1 of the 5488 bytes"),
        "too long": (0, images + b"\0", "goes on"),
        "cut off, packed": (0, packed[: len(packed) // 2], "can't be decompressed"),
        "wrong checksum": (0, bytes(flipped), "can't be decompressed"),
        "garbage, packed": (0, packed[:10] + b"\xff" * 100, "can't be decompressed"),
        "short, packed well": (0, gzip.compress(images[:-5]), "cut off: 5 of"),
        "too long, packed": (0, gzip.compress(images + b"x"), "goes on"),
        "magic of labels": (0, labels, "magic number"),
        "floats": (0, b"\0\0\x0d\3" + images[4:], "magic number"),
        "a pickle": (0, b"cos\nsystem\n(S'exit 1'\ntR.", "magic number"),
        "text": (1, b"<html>not found</html>", "magic number"),
        "other images": (0, idx(np.zeros((7, 32, 32), np.uint8)), "shape \\(32, 32\\), not \\(28, 28\\)"),
        "claims too much": (0, images[:4] + struct.pack(">III", 2**32 - 1, 28, 28), "too short for the shape"),
        "claims too much, packed": (
            0,
            gzip.compress(images[:4] + struct.pack(">III", 2**32 - 1, 28, 28)),
            "too short for the shape",
        ),
        "no images": (0, idx(x[:0]), "has 0 images, but"),
        "other length": (1, idx(y[:-1]), "has 7 images, but .*train-labels.* has 6 labels"),
        "test labels": (3, idx(np.array([0, 10, 1], np.uint8)), "label 10 of sample 1 is outside the 10 classes"),
    }


@pytest.mark.parametrize("fault", broken(small()))
def test_broken_idx_files_are_named(tmp_path, fault):
    write_idx(tmp_path, small())
    which, data, message = broken(small())[fault]
    path = tmp_path / f"{IDX[which]}.gz"
    path.write_bytes(data)
    with pytest.raises(pxd.DataError, match=message) as error:
        pxd.mnist(tmp_path)
    assert str(path) in str(error.value)


def test_empty_files_of_both_kinds(tmp_path):
    x, y, x_test, y_test = small()
    write_idx(tmp_path, [x[:0], y[:0], x_test, y_test])
    with pytest.raises(pxd.DataError, match=r"train-images.*: has no images"):
        pxd.mnist(tmp_path)


def test_mnist_is_not_taken_for_fashion_mnist(tmp_path):
    arrays = small(12)
    arrays[1][:10] = 5, 0, 4, 1, 9, 2, 1, 3, 1, 4  # the first labels of MNIST
    write_idx(tmp_path, arrays)
    assert len(pxd.mnist(tmp_path).train) == 12
    with pytest.raises(pxd.DataError, match="these are the labels of MNIST"):
        pxd.fashion_mnist(tmp_path)


# CIFAR. The records per file are fewer here.


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr("pcx.data._cifar._STEP", 10)
    for name in ("CIFAR10_RECORDS", "CIFAR100_RECORDS"):
        monkeypatch.setattr(_images, name, replace(getattr(_images, name), per_train=13, per_test=4))


def cifar_files(kind, seed=0):
    rng = np.random.default_rng(seed)
    records = getattr(_images, f"CIFAR{kind}_RECORDS")
    files = {}
    for names, count in ((records.train, 13), (records.test, 4)):
        for name in names:
            rows = rng.integers(0, 256, (count, records.labels + 3072), np.uint8)
            rows[:, : records.labels] %= np.array([10] if kind == 10 else [20, 100], np.uint8)
            files[name] = rows
    return files


def write_cifar(folder, kind, form, files=None):
    """Gives the path of the archive that `form="archive"` asks for. A file that is None in `files` is left out."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: rows.tobytes() for name, rows in cifar_files(kind).items()} | (files or {})
    path = folder / f"cifar-{kind}-binary.tar.gz"
    if form == "files":
        for name, data in files.items():
            (folder / name).write_bytes(data)
        return path
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        archive.addfile(tarfile.TarInfo("inner/readme.html"), io.BytesIO())
        for name in sorted(files, reverse=True):  # in another order than they are wanted
            if files[name] is not None:
                info = tarfile.TarInfo(f"inner/{name}")
                info.size = len(files[name])
                archive.addfile(info, io.BytesIO(files[name]))
    return path


@pytest.mark.parametrize("form", ["files", "archive"])
@pytest.mark.parametrize("kind", [10, 100])
def test_cifar(tmp_path, few, kind, form):
    write_cifar(tmp_path, kind, form)
    load = {10: pxd.cifar10, 100: pxd.cifar100}[kind]
    files, skip = cifar_files(kind), {10: 1, 100: 2}[kind]
    names = [name for name in files if not name.startswith("test")]
    rows = np.concatenate([files[name] for name in names])
    data = load(tmp_path, dtype=np.uint8)
    assert data.train.x.shape == (13 * len(names), 3, 32, 32)
    assert data.train.x.flags.c_contiguous
    np.testing.assert_array_equal(data.train.x.reshape(len(rows), -1), rows[:, skip:])
    np.testing.assert_array_equal(data.train.y, rows[:, skip - 1])
    assert data.test.x.shape == (4, 3, 32, 32)
    assert (len(data.classes), data.channels) == (kind, 3)
    assert len(set(data.classes)) == kind
    floats = load(tmp_path, flat=True)
    np.testing.assert_array_equal(floats.train.x, rows[:, skip:] / np.float32(255))


def test_coarse_labels(tmp_path, few):
    write_cifar(tmp_path, 100, "files")
    data = pxd.cifar100(tmp_path, coarse=True)
    np.testing.assert_array_equal(data.train.y, cifar_files(100)["train.bin"][:, 0])
    assert len(data.classes) == 20


def test_cifar_is_standardised_by_colour(tmp_path, few):
    write_cifar(tmp_path, 100, "files")
    data, flat = pxd.cifar100(tmp_path, standardise=True), pxd.cifar100(tmp_path, standardise=True, flat=True)
    assert data.scaling
    assert len(data.scaling.mean) == 3
    np.testing.assert_allclose(data.train.x.mean(axis=(0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(data.train.x.std(axis=(0, 2, 3)), 1, atol=1e-5)
    np.testing.assert_array_equal(data.test.x.reshape(4, -1), flat.test.x)
    by_hand = pxd.standardise(pxd.cifar100(tmp_path))
    assert by_hand.scaling == data.scaling
    np.testing.assert_array_equal(by_hand.test.x, data.test.x)


@pytest.mark.parametrize("form", ["files", "archive"])
def test_broken_cifar_files_are_named(tmp_path, few, form):
    good = cifar_files(10)["data_batch_3.bin"]
    write_cifar(tmp_path / "a", 10, form, {"data_batch_3.bin": good.tobytes()[:-1]})
    with pytest.raises(pxd.DataError, match=r"data_batch_3.bin: has 39948 bytes; 13 records of 3073 bytes would be"):
        pxd.cifar10(tmp_path / "a")
    bad = good.copy()
    bad[11, 0] = 10
    write_cifar(tmp_path / "b", 10, form, {"data_batch_3.bin": bad.tobytes()})
    with pytest.raises(pxd.DataError, match=r"data_batch_3.bin: label 10 of sample 11 is outside the 10 classes"):
        pxd.cifar10(tmp_path / "b")


def test_broken_archives_are_named(tmp_path, few):
    path = write_cifar(tmp_path, 10, "archive", {"data_batch_2.bin": None})
    with pytest.raises(pxd.DataError, match=r"cifar-10-binary.tar.gz: lacks data_batch_2.bin"):
        pxd.cifar10(tmp_path)
    path = write_cifar(tmp_path, 10, "archive")
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[len(damaged) // 2] ^= 0xFF
    wrong_sum = bytearray(whole)
    wrong_sum[-5] ^= 0xFF
    for data in (
        whole[: len(whole) // 2],
        damaged,
        wrong_sum,
        b"not a tar file",
        gzip.compress(b"nor this" * 100),
        b"",
    ):
        path.write_bytes(bytes(data))
        with pytest.raises(pxd.DataError, match=r"cifar-10-binary.tar.gz"):
            pxd.cifar10(tmp_path)


# Where files are looked for.


def test_the_search_path_in_order(tmp_path, monkeypatch):
    monkeypatch.setenv("PCX_DATA", os.pathsep.join([str(tmp_path / "one"), "", str(tmp_path / "two")]))
    found = pxd.search_path(tmp_path / "given")
    assert [path.name for path in found] == ["given", "one", "two", "data", "data"]
    assert found[3] == pxd.cache_folder() == tmp_path / "cache" / "pcx" / "data"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert pxd.cache_folder().is_absolute()
    # The first place that has all the files is taken, whatever the later ones hold.
    places = [tmp_path / "given", tmp_path / "one" / "mnist", tmp_path / "two" / "MNIST" / "raw", tmp_path / "cwd/data"]
    for seed, place in reversed(list(enumerate(places))):
        write_idx(place, small(n=seed + 1), packed=seed % 2 == 0)
        origin = pxd.mnist(tmp_path / "given").origin if seed == 0 else pxd.mnist().origin
        assert os.path.abspath(origin) == str(place)
    os.unlink(tmp_path / "one" / "mnist" / IDX[2])  # not complete: passed over
    assert len(pxd.mnist().train) == 3


@pytest.mark.parametrize("inside", ["cifar-10-batches-bin", "cifar-10/cifar-10-batches-bin", "CIFAR10", "."])
def test_usual_folders_of_cifar(tmp_path, few, inside):
    write_cifar(tmp_path / "root" / inside, 10, "files")
    assert len(pxd.cifar10(tmp_path / "root").test) == 4


def test_a_data_set_that_is_nowhere(tmp_path, monkeypatch):
    monkeypatch.setenv("PCX_DATA", str(tmp_path / "away"))
    write_idx(tmp_path / "given" / "MNIST", small())
    os.unlink(tmp_path / "given" / "MNIST" / f"{IDX[1]}.gz")
    with pytest.raises(FileNotFoundError) as error:
        pxd.mnist(tmp_path / "given")
    text = str(error.value)
    for part in (
        *IDX,
        "mnist: ",
        str(tmp_path / "given"),
        "away (no such folder)",
        "https://",
        "download=True",
        "PCX_DATA",
    ):
        assert part in text
    assert f"MNIST has only {IDX[0]}.gz, {IDX[2]}.gz, {IDX[3]}.gz" in text


def test_pickles_are_pointed_out_and_not_read(tmp_path):
    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "cifar-10-batches-py" / "data_batch_1").write_bytes(b"cos\n_exit\n(I3\ntR.")
    with pytest.raises(FileNotFoundError, match="cifar-10-batches-py is pickles, which are not read"):
        pxd.cifar10(tmp_path)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"mnist: folder='.*nothing' is not a folder"):
        pxd.mnist(tmp_path / "nothing")
