"""Checks of the series of a curve: floats and counts as read-only arrays."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from learnrate import checks
from learnrate.errors import ArgumentError, LearnrateError
from learnrate.finder.smoothing import Floats

Counts = NDArray[np.int64]

LARGEST_COUNT = 2**53
"""Whole numbers up to here are the same as a float and as an integer."""


def floats(name: str, values: object) -> Floats:
    """A series of numbers, finite or not."""
    try:
        raw = np.asarray(values)
        if raw.dtype.kind == "O":  # NumPy would read None as NaN
            raw = _floats_of_objects(name, raw)
        if raw.dtype.kind in "bSUcmM":
            raise TypeError
        array: Floats = np.array(raw, dtype=np.float64)
    except LearnrateError:
        raise
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:  # the last from torch
        raise ArgumentError(f"{name} must be a sequence of numbers, received {checks.shown(values)}") from error
    if array.ndim != 1:
        raise ArgumentError(f"{name} must have one dimension, received shape {array.shape}")
    array.flags.writeable = False
    return array


LARGEST_LOSS = 1e150
"""A loss beyond it is taken as infinite: the squares of larger ones, as in a standard deviation, soon are."""


def losses(name: str, values: object) -> Floats:
    """A series of losses, finite or not; those beyond `LARGEST_LOSS` are infinite."""
    series = floats(name, values)
    if not np.any(np.abs(series) > LARGEST_LOSS):
        return series
    limited: Floats = np.where(np.abs(series) > LARGEST_LOSS, np.copysign(np.inf, series), series)
    limited.flags.writeable = False
    return limited


def _floats_of_objects(name: str, values: NDArray[Any]) -> Floats:
    entries = [checks.representable(f"{name}[{index}]", value) for index, value in enumerate(values.ravel())]
    return np.array(entries).reshape(values.shape)


def counts(name: str, values: object) -> Counts:
    """A series of rising numbers of updates."""
    series = floats(name, values)
    if not (np.all(series >= 0) and np.all(series <= LARGEST_COUNT) and np.all(series % 1 == 0)):
        checks.refuse(name, "integers from 0 to 2 ** 53", values)
    if not np.all(np.diff(series) > 0):
        checks.refuse(name, "rising", values)
    array: Counts = series.astype(np.int64)
    array.flags.writeable = False
    return array


def metrics(name: str, values: object) -> Mapping[str, Floats]:
    """Series of numbers by name."""
    if not isinstance(values, Mapping):
        checks.refuse_type(name, "a mapping from names to series of numbers", values)
    named = {checks.text("the name of a metric", key): floats(f"{name}[{checks.shown(key)}]", values[key]) for key in values}
    return MappingProxyType(named)


def selection(name: str, keep: object, length: int) -> Any:
    """A slice, or a boolean array of this length, as something that selects entries of a series."""
    if isinstance(keep, slice):
        try:
            keep.indices(length)
        except (TypeError, ValueError):
            checks.refuse(name, "a slice of integers", keep)
        return keep
    try:
        selected = np.asarray(keep)
    except (TypeError, ValueError, RuntimeError):
        checks.refuse_type(name, "a boolean array or a slice", keep)
    if selected.dtype != np.bool_ or selected.shape != (length,):
        checks.refuse_type(name, f"a slice, or a boolean array of {length} entries", keep)
    return selected


def mean(series: list[Floats]) -> Floats:
    """The mean of several series."""
    with np.errstate(invalid="ignore"):  # the mean of infinities of both signs is NaN
        average: Floats = np.mean(series, axis=0)
    return average


def equal(value: Any, other: Any) -> bool:
    """Whether two fields of curves are equal; NaN equals NaN."""
    if isinstance(value, np.ndarray):
        return np.array_equal(value, other, equal_nan=True)
    if isinstance(value, Mapping):
        return value.keys() == other.keys() and all(equal(value[key], other[key]) for key in value)
    return cast(bool, value == other)
