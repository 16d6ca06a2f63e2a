"""The register of which scheduler or attachment drives which hyper-parameter of an optimizer."""

import weakref
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch.optim import Optimizer

from learnrate.errors import AlreadyDrivenError
from learnrate.torch.inputs import check_optimizer

_drivers: "weakref.WeakKeyDictionary[Optimizer, dict[str, weakref.ref[Any]]]" = weakref.WeakKeyDictionary()
"""The driver of each hyper-parameter of an optimizer. Weak on both sides: a deleted driver drives nothing."""


def claim(optimizer: Optimizer, keys: Iterable[str], driver: object) -> None:
    """Register `driver` as what drives these hyper-parameters.

    Args:
        optimizer: The optimizer.
        keys: Names of hyper-parameters: "lr", "momentum".
        driver: Any object that can be referenced weakly. If it has a method `paused()` that returns a context manager,
            `drivers_paused` enters it.

    Raises:
        AlreadyDrivenError: if something else drives one of them.
    """
    keys = tuple(keys)
    require_undriven(optimizer, *keys)
    _drivers.setdefault(optimizer, {}).update({key: weakref.ref(driver) for key in keys})


def release(optimizer: Optimizer, driver: object) -> None:
    """Remove `driver` from the register."""
    drivers = _drivers.get(optimizer, {})
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
def drivers_paused(optimizers: Iterable[Optimizer]) -> Iterator[None]:
    """Pause everything that follows the updates of these optimizers by itself (attachments) while the block runs."""
    with ExitStack() as stack:
        for optimizer in optimizers:
            drivers = {id(driver): driver for ref in _drivers.get(optimizer, {}).values() if (driver := ref()) is not None}
            for driver in drivers.values():
                if hasattr(driver, "paused"):
                    stack.enter_context(driver.paused())
        yield


def require_undriven(optimizer: Optimizer, *keys: str) -> None:
    """Refuse an optimizer whose hyper-parameters are driven by something else.

    Raises:
        ArgumentTypeError: if `optimizer` is not an optimizer.
        AlreadyDrivenError: if a learnrate or torch scheduler drives one of them.
    """
    check_optimizer(optimizer)
    for key in keys:
        driver = _drivers.get(optimizer, {}).get(key, lambda: None)()
        if driver is not None:
            raise AlreadyDrivenError(
                f"the optimizer's {key} must not be driven by anything else, "
                f"it already is by a learnrate.torch.{type(driver).__name__}: "
                "build a new optimizer, or detach() the other first"
            )
    # torch has no public way to ask whether an optimizer has a scheduler. Its own schedulers rely on this mark on the
    # patched `step` too.
    if "lr" in keys and hasattr(optimizer.step, "_wrapped_by_lr_sched"):
        raise AlreadyDrivenError(
            "the optimizer's lr must not be driven by anything else, it already has a torch LRScheduler: "
            "build the optimizer without one"
        )
