"""Data as `model.fit` takes it, as batches that can be started again."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

from learnrate import checks
from learnrate.batches import Batches
from learnrate.batches import check_rewindable as check_iterator
from learnrate.errors import ArgumentError, ArgumentTypeError, DataError

BATCH_SIZE = 32
"""The batch size of `model.fit`."""

Data = Any
"""A tuple (x, y) or (x, y, sample_weight) of arrays, an array, a `keras.utils.PyDataset`, or batches: a loader, a list, or a
function that returns a new iterator."""


class ArrayBatches:
    """Shuffled batches of arrays; the order follows from NumPy's global random numbers.

    The last batch of an epoch is left out if it is smaller than the others: JAX would compile an update for it alone.

    Attributes:
        steps: Batches of an epoch of `model.fit`, the last one included.
    """

    def __init__(self, arrays: Any, batch_size: int) -> None:
        self._arrays, self._batch_size = arrays, batch_size
        self._examples = len(keras.tree.flatten(arrays)[0])
        self.steps = math.ceil(self._examples / batch_size)

    def __len__(self) -> int:
        return max(1, self._examples // self._batch_size)

    def __iter__(self) -> Iterator[Any]:
        order = np.random.permutation(self._examples)
        for first in range(0, len(self) * self._batch_size, self._batch_size):
            chosen = order[first : first + self._batch_size]
            yield keras.tree.map_structure(lambda array: array[chosen], self._arrays)  # noqa: B023 - called at once


class DatasetBatches:
    """The batches of a `PyDataset`, in its present order: its `on_epoch_end`, which may change it, is not called."""

    def __init__(self, dataset: keras.utils.PyDataset) -> None:
        self._dataset = dataset
        self.steps = dataset.num_batches

    def __len__(self) -> int:
        return int(self.steps or 0)

    def __iter__(self) -> Iterator[Any]:
        if self.steps is None:
            checks.refuse("data", "a PyDataset with an end", self._dataset, "give it a __len__")
        return (self._dataset[index] for index in range(len(self)))


def batches_of(data: Data, batch_size: int | None, name: str = "data") -> Batches:
    """Data as batches; `name` is that of the argument, for errors.

    Raises:
        ArgumentError: if the arrays differ in length, or batch_size is below 1 or has no use.
        ArgumentTypeError: if it is no data, or an iterator.
        DataError: if there is none.
    """
    if isinstance(data, keras.utils.PyDataset):
        _refuse_batch_size(batch_size)
        return DatasetBatches(data)
    if _are_arrays(data):
        size = BATCH_SIZE if batch_size is None else checks.whole("batch_size", batch_size, at_least=1)
        return ArrayBatches(_checked(data, name), size)
    _refuse_batch_size(batch_size)
    if isinstance(data, list) and len(data) in (2, 3) and all(hasattr(entry, "shape") for entry in data):
        checks.refuse_type(name, "a tuple (x, y) of arrays, or batches", data, "write (x, y) in place of [x, y]")
    if isinstance(data, (str, bytes, Mapping)) or not (checks.is_iterable(data) or callable(data)):
        checks.refuse_type(name, "arrays (x, y), a PyDataset, or batches", data)
    try:
        check_iterator(data)
    except ArgumentTypeError as error:
        raise ArgumentTypeError(str(error).replace("batches", name, 1)) from None
    return data  # type: ignore[no-any-return]


def unpacked(batch: Any) -> tuple[Any, Any, Any]:
    """Inputs, targets and sample weights of a batch."""
    if isinstance(batch, list):
        batch = tuple(batch)
    x, y, weights = keras.utils.unpack_x_y_sample_weight(batch)
    return tuple(keras.tree.map_structure(_array, part) for part in (x, y, weights))


def weighted(y: Any, weights: Any, class_weight: Mapping[int, float] | None) -> Any:
    """The sample weights of a batch with the weights of its classes, as `model.fit` computes them."""
    if class_weight is None:
        return weights
    if weights is not None:
        raise ArgumentError("class_weight must be None where the data has sample weights, received both: multiply them")
    labels = np.asarray(keras.ops.convert_to_numpy(y))
    if labels.ndim > 1:
        labels = labels.argmax(-1) if labels.shape[-1] > 1 else labels[..., 0]
    values = [class_weight.get(int(label), 1.0) for label in np.round(labels)]
    return np.asarray(values, dtype=keras.config.floatx())


def examples(x: Any) -> int:
    """Examples of a batch."""
    return int(keras.tree.flatten(x)[0].shape[0])


def _array(leaf: Any) -> Any:
    """An array that the backend takes: a tensor of torch, from a DataLoader, is none for JAX."""
    if keras.backend.backend() == "jax" and hasattr(leaf, "detach"):
        return leaf.detach().cpu().numpy()
    return leaf


def _are_arrays(data: Any) -> bool:
    """Whether data is an array, or a tuple or mapping of arrays, and not an iterable of batches."""
    if isinstance(data, (tuple, Mapping)) and data:
        values = data.values() if isinstance(data, Mapping) else data
        return all(value is None or _are_arrays(value) or _is_list_of_arrays(value) for value in values)
    return (hasattr(data, "shape") and hasattr(data, "dtype")) or hasattr(data, "to_numpy")


def _is_list_of_arrays(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_are_arrays, value))


def _checked(data: Any, name: str) -> Any:
    """The arrays in main memory.

    Raises:
        ArgumentError: if they differ in length.
        DataError: if they are empty.
    """
    if isinstance(data, tuple) and len(data) > 3:
        checks.refuse(name, "(x, y) or (x, y, sample_weight)", f"a tuple of {len(data)}")
    data = keras.tree.map_structure(_in_main_memory, data)
    leaves = [leaf for leaf in keras.tree.flatten(data) if leaf is not None]
    if any(leaf.ndim == 0 for leaf in leaves):
        raise ArgumentTypeError(f"{name} must be arrays with a dimension for the examples, received a single number")
    lengths = [len(leaf) for leaf in leaves]
    if len(set(lengths)) > 1:
        raise ArgumentError(f"the arrays of {name} must have one length, received lengths of {', '.join(map(str, lengths))}")
    if not lengths or not lengths[0]:
        raise DataError(f"{name} must hold at least one example, received none")
    # An entry None, as in (x, y, None), is none: trees of Keras keep it as a leaf.
    while isinstance(data, tuple) and data[-1] is None:
        data = data[:-1]
    return data


def _in_main_memory(leaf: Any) -> Any:
    if leaf is None:
        return None
    if isinstance(leaf, np.ndarray):
        return leaf
    return np.asarray(leaf.to_numpy() if hasattr(leaf, "to_numpy") else keras.ops.convert_to_numpy(leaf))


def _refuse_batch_size(batch_size: int | None) -> None:
    if batch_size is not None:
        checks.refuse("batch_size", "left out for data that is in batches", batch_size)
