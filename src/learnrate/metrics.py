"""The numbers that updates and evaluations return, of any library, as Python floats by name."""

import math
from collections.abc import Mapping
from typing import Any

from learnrate import checks
from learnrate.errors import ArgumentError, ArgumentTypeError, LossError

Metrics = Mapping[str, float]
"""The metrics of one update as Python floats by name, "loss" among them."""


def scalars(returned: Any) -> dict[str, float]:
    """What an update returned as floats by name, "loss" among them.

    Raises:
        LossError: if a value is not a scalar, or there is no loss.
    """
    if not isinstance(returned, Mapping):
        return {"loss": scalar("loss", returned)}
    if "loss" not in returned:
        raise LossError(
            f"a mapping returned by update must have the key 'loss', received the keys {sorted(map(str, returned))}"
        )
    return {str(name): scalar(str(name), value) for name, value in returned.items()}


def scalar(name: str, value: Any) -> float:
    """A number of any library as a float.

    Raises:
        LossError: if it is not a number, nor an array or tensor with one element.
    """
    if value is None:
        raise LossError(f"{name} must be a number, received None: is a return statement missing?")
    try:
        if isinstance(value, (str, bytes)):
            raise TypeError
        return float(value.item() if hasattr(value, "item") else value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        shape = getattr(value, "shape", None)
        kind = type(value).__name__ + (f" of shape {tuple(shape)}" if shape is not None else "")
        raise LossError(
            f"{name} must be a scalar, received a {kind}: reduce it, for example with .mean(), or leave it out"
        ) from None


def scores(evaluation: Any, metric: str = "score") -> dict[str, float]:
    """The result of an evaluation as floats by name; the first decides. Empty if there was no evaluation.

    Args:
        evaluation: A number, or a mapping of numbers.
        metric: The name of a plain number.

    Raises:
        ArgumentTypeError: if it is something else, or an empty mapping.
    """
    if evaluation is None:
        return {}
    named = evaluation if isinstance(evaluation, Mapping) else {metric: evaluation}
    try:
        if not named:
            raise LossError("the mapping is empty")
        return {str(name): scalar(str(name), value) for name, value in named.items()}
    except LossError as error:
        raise ArgumentTypeError(
            f"evaluate must return a number or a mapping of numbers, received {checks.shown(evaluation)}: {error}"
        ) from None


def require_same_first(before: Mapping[str, float], now: Mapping[str, float]) -> None:
    """Refuse an evaluation that another metric decides than an earlier one: a series of both would mean nothing.

    Raises:
        ArgumentError: if the first names differ.
    """
    first, second = next(iter(before)), next(iter(now))
    if first != second:
        raise ArgumentError(
            f"evaluate must return the same metric first at every call, received {second!r} after {first!r}: "
            "the first one is the score"
        )


def first_finite(evaluation: Mapping[str, float]) -> float | None:
    """The number that decides; None if there is none, or if it is not finite and so cannot be compared."""
    value = next(iter(evaluation.values()), math.nan)
    return value if math.isfinite(value) else None
