"""The register of which scheduler or attachment drives which hyper-parameter of an optimizer."""

import weakref
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import product
from typing import Any

from torch.optim import Optimizer

from learnrate.errors import AlreadyDrivenError
from learnrate.torch.inputs import check_optimizer, optimizers_within, stepping

_drivers: "weakref.WeakKeyDictionary[Optimizer, dict[str, weakref.ref[Any]]]" = weakref.WeakKeyDictionary()
"""The driver of each hyper-parameter of an optimizer, and of the optimizers inside it. Weak on both sides: a deleted driver
drives nothing."""

STEP_MARK = "_wrapped_by_lr_sched"
"""The mark of the `step` that torch's schedulers put into an optimizer, and rely on: they would not patch one that lost only
the mark. torch has no public way to ask whether an optimizer has a scheduler."""


def claim(optimizer: Optimizer, keys: Iterable[str], driver: object) -> None:
    """Register `driver` as what drives these hyper-parameters.

    Args:
        optimizer: The optimizer.
        keys: Names of hyper-parameters: "lr", "momentum".
        driver: Any object that can be referenced weakly. `drivers_paused` calls two methods, if it has them: `paused()`,
            which returns a context manager, and `write_values()`, which writes the values of the next update.

    Raises:
        AlreadyDrivenError: if something else drives one of them.
    """
    keys = tuple(keys)
    require_undriven(optimizer, *keys)
    for inner in optimizers_within(optimizer):
        _drivers.setdefault(inner, {}).update({key: weakref.ref(driver) for key in keys})


def release(optimizer: Optimizer, driver: object) -> None:
    """Remove `driver` from the register."""
    for inner in optimizers_within(optimizer):
        drivers = _drivers.get(inner, {})
        for key in [key for key, registered in drivers.items() if registered() is driver]:
            del drivers[key]


def require_attached(driver: object, attached: bool) -> None:
    """Refuse to drive an optimizer after `detach()`.

    Raises:
        AlreadyDrivenError: if `driver` was detached.
    """
    if not attached:
        raise AlreadyDrivenError(f"this {type(driver).__name__} was detached from its optimizer: build a new one")


@contextmanager
def drivers_paused(optimizers: Iterable[Optimizer], *, restored: bool = True) -> Iterator[None]:
    """Pause everything that follows the updates of these optimizers by itself (attachments) while the block runs.

    Args:
        optimizers: The optimizers.
        restored: Whether the block gives back the values that it changes. Otherwise the drivers write theirs at the end: the
            last LR of a sweep is no LR to train with.
    """
    with ExitStack() as stack:
        within = [inner for optimizer in optimizers for inner in optimizers_within(optimizer)]
        refs = [ref for inner in within for ref in _drivers.get(inner, {}).values()]
        for driver in {id(driver): driver for ref in refs if (driver := ref()) is not None}.values():
            if not restored and hasattr(driver, "write_values"):
                stack.callback(driver.write_values)
            if hasattr(driver, "paused"):
                stack.enter_context(driver.paused())
        yield


def require_undriven(optimizer: Optimizer, *keys: str) -> None:
    """Refuse an optimizer whose hyper-parameters are driven by something else.

    Raises:
        ArgumentTypeError: if `optimizer` is not an optimizer.
        ArgumentError: if it wraps an optimizer with parameter groups of its own.
        AlreadyDrivenError: if a learnrate or torch scheduler drives one of them.
    """
    check_optimizer(optimizer)
    stepping(optimizer)
    within = optimizers_within(optimizer)
    for key, inner in product(keys, within):
        driver = _drivers.get(inner, {}).get(key, lambda: None)()
        if driver is not None:
            raise AlreadyDrivenError(
                f"the optimizer's {key} must not be driven by anything else, "
                f"it already is by a learnrate.torch.{type(driver).__name__}: "
                "build a new optimizer, or detach() the other first"
            )
    if "lr" in keys and any(hasattr(inner.step, STEP_MARK) for inner in within):
        raise AlreadyDrivenError(
            "the optimizer's lr must not be driven by anything else, it already has a torch LRScheduler: "
            "build the optimizer without one"
        )
