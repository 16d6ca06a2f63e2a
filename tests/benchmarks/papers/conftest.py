"""Small data sets in exactly the formats of the originals, so that no test of the papers needs the originals."""

import numpy as np
import pytest

CLASSES = 10


def write_cifar(folder, number, coarse):
    """Images of a colour that tells the class, as records of the binary form."""
    draws = np.random.default_rng(0)
    folder.mkdir()
    files = ("train.bin", "test.bin") if coarse else (*(f"data_batch_{n}.bin" for n in range(1, 6)), "test_batch.bin")
    for name in files:
        count = 50 if name.startswith("test") else number
        labels = draws.integers(0, CLASSES, count, np.uint8)
        images = draws.integers(0, 30, (count, 3, 32, 32), np.uint8) + 20 * labels[:, None, None, None]
        columns = [labels[:, None]] * (1 + coarse)
        (folder / name).write_bytes(np.concatenate([*columns, images.reshape(count, -1)], 1).tobytes())


@pytest.fixture(scope="session")
def small_data(tmp_path_factory):
    """CIFAR-10 (5,500 images that train) and CIFAR-100 (200) in binary form, and MNIST."""
    folder, draws = tmp_path_factory.mktemp("papers-data"), np.random.default_rng(0)
    write_cifar(folder / "cifar-10-batches-bin", 1_100, False)
    write_cifar(folder / "cifar-100-binary", 200, True)
    grey, labels = draws.integers(0, 256, (600, 28, 28), np.uint8), draws.integers(0, 10, 600, np.uint8)
    np.savez(folder / "mnist.npz", x_train=grey, y_train=labels, x_test=grey[:50], y_test=labels[:50])
    return folder


@pytest.fixture
def data(small_data, monkeypatch):
    """The same, in use."""
    monkeypatch.setenv("LEARNRATE_DATA", str(small_data))
    return small_data
