"""CIFAR-10 and CIFAR-100 in their Python form: pickles of a dictionary that Python 2 wrote.

Unpickling may call any function that a file names. These files name only what rebuilds a NumPy array, and a file that names
anything else is refused before it is called.
"""

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.papers.data.split import Split, Subset


def cifar10(folder: Path) -> Split:
    """CIFAR-10 from the folder `cifar-10-batches-py`."""
    names = [f"data_batch_{number}" for number in range(1, 6)]
    train, test = _read(folder, names, b"labels"), _read(folder, ["test_batch"], b"labels")
    return Split(train, test, 10, "original, pickled")


def cifar100(folder: Path) -> Split:
    """CIFAR-100 with its fine labels from the folder `cifar-100-python`."""
    train, test = _read(folder, ["train"], b"fine_labels"), _read(folder, ["test"], b"fine_labels")
    return Split(train, test, 100, "original, pickled")


class ArrayUnpickler(pickle.Unpickler):
    """Unpickles dictionaries, lists, numbers, bytes and NumPy arrays; nothing else.

    Raises:
        pickle.UnpicklingError: if a file names anything else.
    """

    def find_class(self, module: str, name: str) -> Any:
        """The object that a file names, if it belongs to a NumPy array."""
        allowed = {
            # NumPy moved its module; old files name the former one.
            ("numpy.core.multiarray", "_reconstruct"): np.ndarray.__reduce__(np.empty(0))[0],  # type: ignore[index]
            ("numpy._core.multiarray", "_reconstruct"): np.ndarray.__reduce__(np.empty(0))[0],  # type: ignore[index]
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): np.dtype,
            ("_codecs", "encode"): _encode,
        }
        if (module, name) not in allowed:
            raise pickle.UnpicklingError(f"a CIFAR file must hold arrays and lists only, this one names {module}.{name}")
        return allowed[module, name]


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """Bytes in a pickle that Python 3 wrote in a protocol of Python 2."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"bytes in a CIFAR file must be encoded as latin1, received {encoding!r}")
    return text.encode("latin1")


def _read(folder: Path, names: Sequence[str], labels_key: bytes) -> Subset:
    contents = [_dictionary(folder / name) for name in names]
    images = np.concatenate([_images(folder / name, content) for name, content in zip(names, contents, strict=True)])
    labels = np.concatenate([np.asarray(content[labels_key], np.int64) for content in contents])
    return Subset.of(images, labels)


def _dictionary(path: Path) -> dict[bytes, Any]:
    with path.open("rb") as file:
        content = ArrayUnpickler(file, encoding="bytes").load()
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold a dictionary, it holds a {type(content).__name__}")
    return {key.encode() if isinstance(key, str) else key: value for key, value in content.items()}


def _images(path: Path, content: dict[bytes, Any]) -> np.ndarray:
    data = content.get(b"data")
    if not (isinstance(data, np.ndarray) and data.dtype == np.uint8 and data.ndim == 2 and data.shape[1] == 3072):
        raise ValueError(f"{path} must hold `data` of rows of 3,072 uint8, it holds {getattr(data, 'shape', data)}")
    return data.reshape(-1, 3, 32, 32)
