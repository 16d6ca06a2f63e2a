"""Find, schedule and compare learning rates for deep learning.

Importing learnrate imports NumPy and nothing heavier; `learnrate.torch`, `learnrate.jax` and the other adapters are
imported on first use.

Example:
    >>> import learnrate as lr
    >>> s = lr.triangular2(base_lr=1e-3, max_lr=6e-3, step_size=2000)
    >>> s(2000)
    0.006
"""
# ruff: noqa: E402 - Ctrl-C is taken care of before the first import that takes time

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

from learnrate import interrupts

interrupts.end_plainly_while_loading()

from learnrate import errors
from learnrate.finder import Bounds, Curve, NoAnswer, range_test, rules, stops
from learnrate.recipes.recipe import Recipe
from learnrate.schedules import Horizon, Schedule, inverse_sqrt_scaling, linear_scaling, parse, sqrt_scaling
from learnrate.schedules import vocabulary as _vocabulary
from learnrate.schedules.catalogue import *  # noqa: F403 - every schedule
from learnrate.trainable import Trainable
from learnrate.tuner import Plan, Probe, probe, tune

if TYPE_CHECKING:
    from learnrate import accelerate as accelerate
    from learnrate import control as control
    from learnrate import jax as jax
    from learnrate import keras as keras
    from learnrate import lightning as lightning
    from learnrate import logs as logs
    from learnrate import torch as torch
    from learnrate import transformers as transformers
    from learnrate.control.record import Record as Record
    from learnrate.study import Arm as Arm
    from learnrate.study import Comparison as Comparison
    from learnrate.study import compare as compare

__all__ = [
    "Arm",
    "Bounds",
    "Comparison",
    "Curve",
    "Horizon",
    "NoAnswer",
    "Plan",
    "Probe",
    "Recipe",
    "Record",
    "Schedule",
    "Trainable",
    "compare",
    "errors",
    "inverse_sqrt_scaling",
    "linear_scaling",
    "parse",
    "probe",
    "range_test",
    "rules",
    "sqrt_scaling",
    "stops",
    "tune",
]
__all__ += _vocabulary.NAMES

_TORCH = {"torch": "PyTorch"}

_LAZY_MODULES = {
    "torch": _TORCH,
    "jax": {"jax": "JAX", "optax": "optax"},
    "keras": {"keras": "Keras"},
    "lightning": _TORCH | {"lightning": "Lightning"},
    "transformers": _TORCH | {"transformers": "Transformers", "accelerate": "Accelerate"},
    "accelerate": _TORCH | {"accelerate": "Accelerate"},
    "control": {},
    "logs": {},
}
"""The modules that are imported on first use; and what each of them needs, by module and by title."""


_LAZY_NAMES = {
    "Record": "learnrate.control.record",
    "Arm": "learnrate.study",
    "Comparison": "learnrate.study",
    "compare": "learnrate.study",
}
"""Names that are imported on first use, because what they need takes time to load; and their modules."""


def __getattr__(name: str) -> Any:
    if name in _LAZY_NAMES:
        return getattr(importlib.import_module(_LAZY_NAMES[name]), name)
    if name == "__version__":
        from importlib.metadata import version

        return version("learnrate")
    if name not in _LAZY_MODULES:
        raise AttributeError(f"module 'learnrate' has no attribute {name!r}")
    try:
        return importlib.import_module(f"learnrate.{name}")
    except ModuleNotFoundError as error:
        missing = (error.name or "").split(".")[0]
        if missing not in _LAZY_MODULES[name]:
            raise
        title = _LAZY_MODULES[name][missing]
        raise errors.MissingExtraError(
            f"learnrate.{name} needs {title}, which is not installed: pip install 'learnrate[{name}]'", name=missing
        ) from error


def __dir__() -> list[str]:
    # Without the modules that lack what they need: `help(learnrate)` reads every name.
    usable = {name for name, needed in _LAZY_MODULES.items() if all(importlib.util.find_spec(module) for module in needed)}
    return sorted({*globals(), *__all__, *usable, "__version__"})
