"""CIFAR in each of its forms: small files written here in exactly these formats, and refusals of files that are not."""

import hashlib
import os
import pickle
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from benchmarks.papers.data import MissingDataError, binary, cifar10, cifar100, dct, pickles

RNG = np.random.default_rng(0)
TRAIN = RNG.integers(0, 256, (5, 3, 3, 32, 32), np.uint8), RNG.integers(0, 10, (5, 3), np.uint8)
TEST = RNG.integers(0, 256, (4, 3, 32, 32), np.uint8), RNG.integers(0, 10, 4, np.uint8)
COARSE = RNG.integers(0, 20, 15, np.uint8)


def binary10(folder):
    folder.mkdir()
    for number, (images, labels) in enumerate(zip(*TRAIN, strict=True), 1):
        write_records(folder / f"data_batch_{number}.bin", images, labels)
    write_records(folder / "test_batch.bin", *TEST)


def binary100(folder):
    folder.mkdir()
    images, labels = TRAIN[0].reshape(-1, 3, 32, 32), TRAIN[1].reshape(-1)
    write_records(folder / "train.bin", images, COARSE, labels)
    write_records(folder / "test.bin", TEST[0], COARSE[:4], TEST[1])


def write_records(path, images, *labels):
    path.write_bytes(
        b"".join(bytes([*bytes_of]) + image.tobytes() for image, *bytes_of in zip(images, *labels, strict=True))
    )


class Python2Pickler(pickle._Pickler):
    """Protocol 2 with `str` as Python 2 wrote it (BINSTRING opcodes), and NumPy's module by its name of that time."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_bytes(self, value):
        if len(value) < 256:
            self.write(pickle.SHORT_BINSTRING + bytes([len(value)]) + value)
        else:
            self.write(pickle.BINSTRING + len(value).to_bytes(4, "little") + value)
        self.memoize(value)

    def save_str(self, value):
        self.save_bytes(value.encode("latin1"))

    def save_global(self, value, name=None):
        module = {"numpy._core.multiarray": "numpy.core.multiarray"}.get(value.__module__, value.__module__)
        self.write(pickle.GLOBAL + f"{module}\n{value.__name__}\n".encode())
        self.memoize(value)

    dispatch[bytes] = save_bytes
    dispatch[str] = save_str
    dispatch[type] = dispatch[type(len)] = dispatch[type(write_records)] = save_global


def write_pickle(path, images, **lists):
    content = {"data": images.reshape(len(images), -1), **{name: [int(v) for v in values] for name, values in lists.items()}}
    with path.open("wb") as file:
        Python2Pickler(file, 2).dump({**content, "batch_label": path.name, "filenames": ["a.png"] * len(images)})


def pickled10(folder):
    folder.mkdir()
    for number, (images, labels) in enumerate(zip(*TRAIN, strict=True), 1):
        write_pickle(folder / f"data_batch_{number}", images, labels=labels)
    write_pickle(folder / "test_batch", TEST[0], labels=TEST[1])


def pickled100(folder):
    folder.mkdir()
    images, labels = TRAIN[0].reshape(-1, 3, 32, 32), TRAIN[1].reshape(-1)
    write_pickle(folder / "train", images, fine_labels=labels, coarse_labels=COARSE)
    write_pickle(folder / "test", TEST[0], fine_labels=TEST[1], coarse_labels=COARSE[:4])


@pytest.mark.parametrize(
    ("write", "read", "classes"),
    [(binary10, binary.cifar10, 10), (binary100, binary.cifar100, 100), (pickled10, pickles.cifar10, 10), (pickled100, pickles.cifar100, 100)],
)  # fmt: skip
def test_each_form_gives_the_same_images_and_fine_labels(tmp_path, write, read, classes):
    write(tmp_path / "data")
    data = read(tmp_path / "data")
    assert data.classes == classes
    np.testing.assert_array_equal(data.train.images, TRAIN[0].reshape(-1, 3, 32, 32))
    np.testing.assert_array_equal(data.train.labels, TRAIN[1].reshape(-1))
    np.testing.assert_array_equal(data.test.images, TEST[0])
    np.testing.assert_array_equal(data.test.labels, TEST[1])
    assert data.train.labels.dtype == torch.int64


def test_the_original_comes_first_and_the_binary_one_before_the_pickled_one(tmp_path, monkeypatch):
    for name in ("pickled", "both"):  # a folder of its own each time, because what was read is kept
        (tmp_path / name).mkdir()
        pickled10(tmp_path / name / "cifar-10-batches-py")
    binary10(tmp_path / "both" / "cifar-10-batches-bin")
    for name, source in {"pickled": "pickled", "both": "binary"}.items():
        monkeypatch.setenv("LEARNRATE_DATA", str(tmp_path / name))
        assert source in cifar10().source


@pytest.mark.parametrize(("read", "name"), [(cifar10, "CIFAR-10"), (cifar100, "CIFAR-100")])
def test_missing_data_is_one_line_that_names_the_variable(tmp_path, monkeypatch, read, name):
    monkeypatch.setenv("LEARNRATE_DATA", str(tmp_path))
    with pytest.raises(MissingDataError, match=rf"{name}.*LEARNRATE_DATA") as raised:
        read()
    assert "\n" not in str(raised.value)


class Malicious:
    def __reduce__(self):
        return os.mkdir, ("executed",)


def test_a_pickle_that_calls_a_function_is_refused_before_it_is_called(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pickled10(tmp_path / "data")
    (tmp_path / "data" / "test_batch").write_bytes(pickle.dumps({b"data": Malicious(), b"labels": []}, 2))
    with pytest.raises(pickle.UnpicklingError, match="mkdir"):
        pickles.cifar10(tmp_path / "data")
    assert not (tmp_path / "executed").exists()


def test_a_file_that_was_cut_off_is_refused_by_its_name(tmp_path):
    binary10(tmp_path / "data")
    path = tmp_path / "data" / "data_batch_3.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"data_batch_3\.bin"):
        binary.cifar10(tmp_path / "data")


def coefficients(size=32, number=3):
    """Small coefficients, and one beyond int8."""
    blocks = 6 * (size // 16) ** 2
    values = RNG.integers(-3, 4, (64, blocks, number)).astype(np.int8)
    values[0] = RNG.integers(-20, 20, (blocks, number))
    over = np.ravel_multi_index((0, 1, 2), values.shape)
    return values, np.array([over]), np.array([-130], np.int16), np.full(64, 4, np.uint8), np.full(64, 6, np.uint8)


def write_dct(path, arrays):
    values, places, beyond, luma, chroma = arrays
    parts = {
        f"{key}_{part}": value
        for part in ("train", "test")
        for key, value in [("coef", values), ("over_idx", places), ("over_val", beyond), ("y", np.arange(3, dtype=np.uint8))]
    }
    np.savez(path, q_luma=luma, q_chroma=chroma, size=32, **parts)


def test_luma_is_the_inverse_dct_of_its_definition(tmp_path):
    """ITU-T T.81, A.3.3, written as a sum; grey images, so that luma is all there is."""
    arrays = coefficients()
    arrays[0][:, 16:] = 0
    write_dct(tmp_path / "a.npz", arrays)
    images, labels = dct.decoded(tmp_path / "a.npz", "train", tmp_path / "cache")
    block = arrays[0][:, 1, 2].astype(float) * 4
    block[0] = -130 * 4
    x, u = np.arange(8), np.arange(8)
    scale = np.where(u == 0, 2**-0.5, 1.0)
    cosines = np.cos((2 * x[:, None] + 1) * u * np.pi / 16) * scale
    pixels = np.einsum("yv,xu,vu->yx", cosines, cosines, block.reshape(8, 8)) / 4 + 128
    np.testing.assert_array_equal(images[2, 0, :8, 8:16], np.clip(np.rint(pixels), 0, 255))
    assert (images[:, 0] == images[:, 2]).all()
    assert labels.tolist() == [0, 1, 2]


def test_decoded_images_are_kept_and_belong_to_their_file(tmp_path, monkeypatch):
    write_dct(tmp_path / "a.npz", coefficients())
    first, _ = dct.decoded(tmp_path / "a.npz", "train", tmp_path / "cache")
    with monkeypatch.context() as patched:
        patched.setattr(dct, "decode", None)  # it would fail
        again, _ = dct.decoded(tmp_path / "a.npz", "train", tmp_path / "cache")
    np.testing.assert_array_equal(first, again)
    write_dct(tmp_path / "a.npz", coefficients())
    other, _ = dct.decoded(tmp_path / "a.npz", "train", tmp_path / "cache")
    assert (other != first).any()


def test_the_copies_here_decode_to_the_published_pixels():
    """The sha256 is that of the README beside the data."""
    path = Path(os.environ.get("LEARNRATE_DATA", "missing")) / "cifar10_dct.npz"
    if not path.is_file():
        pytest.skip("cifar10_dct.npz is not there: set LEARNRATE_DATA to the folder of data sets")
    images, _ = dct.decoded(path, "test")
    digest = hashlib.sha256(np.ascontiguousarray(images.transpose(0, 2, 3, 1))).hexdigest()
    assert digest == "0a55da177be975c02e1b2c9f26cf95248096bf752d69a9214ddbd7122dcf4fcd"
