"""Find, schedule and compare learning rates for deep learning.

Importing learnrate imports NumPy and nothing heavier; the rooms that know a framework are loaded when first used.

Example:
    >>> import learnrate as lr
    >>> s = lr.triangular2(base_lr=1e-3, max_lr=6e-3, step_size=2000)
    >>> s(2000)
    0.006
"""

import importlib
from typing import TYPE_CHECKING, Any

from learnrate import errors
from learnrate.finder import Bounds, Curve, NoAnswer, range_test, rules, stops
from learnrate.schedules import (
    Horizon,
    Schedule,
    constant,
    cosine,
    custom,
    cyclical,
    decay,
    exp_range,
    exponential,
    exponential_decay,
    function,
    inverse_sqrt,
    inverse_sqrt_scaling,
    inverse_time,
    knee,
    linear,
    linear_scaling,
    linear_to_zero,
    multistep,
    natural_exp_decay,
    noam,
    one_cycle,
    one_minus_sqrt,
    parse,
    piecewise_constant,
    polynomial,
    rex,
    sigmoid,
    sigmoid_decay,
    sqrt_scaling,
    step_decay,
    tanh,
    time_based,
    trapezoid,
    triangular,
    triangular2,
    warm_restarts,
    warmup,
    wsd,
)
from learnrate.trainable import Trainable
from learnrate.tuner import Plan, tune

if TYPE_CHECKING:
    from learnrate import torch as torch

__all__ = [
    "Bounds",
    "Curve",
    "Horizon",
    "NoAnswer",
    "Plan",
    "Schedule",
    "Trainable",
    "constant",
    "cosine",
    "custom",
    "cyclical",
    "decay",
    "errors",
    "exp_range",
    "exponential",
    "exponential_decay",
    "function",
    "inverse_sqrt",
    "inverse_sqrt_scaling",
    "inverse_time",
    "knee",
    "linear",
    "linear_scaling",
    "linear_to_zero",
    "multistep",
    "natural_exp_decay",
    "noam",
    "one_cycle",
    "one_minus_sqrt",
    "parse",
    "piecewise_constant",
    "polynomial",
    "range_test",
    "rex",
    "rules",
    "sigmoid",
    "sigmoid_decay",
    "sqrt_scaling",
    "step_decay",
    "stops",
    "tanh",
    "time_based",
    "trapezoid",
    "triangular",
    "triangular2",
    "tune",
    "warm_restarts",
    "warmup",
    "wsd",
]

_LAZY_ROOMS = {"torch": ("torch", "PyTorch")}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("learnrate")
    if name not in _LAZY_ROOMS:
        raise AttributeError(f"module 'learnrate' has no attribute {name!r}")
    needed, title = _LAZY_ROOMS[name]
    try:
        return importlib.import_module(f"learnrate.{name}")
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != needed:
            raise
        raise errors.MissingExtraError(
            f"learnrate.{name} needs {title}, which is not installed: pip install 'learnrate[{name}]'", name=needed
        ) from error


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
