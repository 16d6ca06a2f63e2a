"""Writes schedules' values into an optimizer's parameter groups: the engine of `Scheduler` and `attach`.

Values are computed in blocks, so that an update costs a look-up and one assignment a group, whatever the schedule. The
blocks lie at fixed multiples of their size, so that a resumed run reads the very floats that an uninterrupted one reads.
"""

import math
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor
from torch.optim import Optimizer

from learnrate import checks
from learnrate.errors import AlreadyDrivenError, ArgumentError, ArgumentTypeError, PastEndWarning
from learnrate.schedules import Schedule
from learnrate.schedules.base import known_length
from learnrate.torch.inputs import check_optimizer

BLOCK = 8192
Group = dict[str, Any]


class Block:
    """The values of consecutive updates, for the parameter groups as they were when it was made.

    Attributes:
        first: Number of its first update.
        stop: Number after that of its last update.
        groups: The list of groups that the values are for; another list, or another `size` of it, needs another block.
        size: Number of groups.
        values: One float an update where all groups take the same and assignment will do, as nearly always; else empty.
        rows: One value a group, for each update, where `values` is empty.
        writers: How to write into each group, None for assignment; goes with `rows`.
    """

    __slots__ = ("first", "groups", "rows", "size", "stop", "values", "writers")

    def __init__(self, first: int, groups: list[Group], key: str, columns: list[list[float]]) -> None:
        self.first, self.stop = first, first + len(columns[0])
        self.groups, self.size = groups, len(groups)
        self.writers = [_writer(key, group) for group in groups]
        same = len(columns) == 1 and not any(self.writers)
        self.values = columns[0] if same else []
        columns = columns * self.size if len(columns) == 1 else columns
        self.rows = [] if same else list(zip(*columns, strict=True))

    def holds(self, n: int, groups: list[Group]) -> bool:
        """Whether it has the values of update `n` for these groups."""
        return self.first <= n < self.stop and groups is self.groups and len(groups) == self.size

    def row(self, n: int) -> list[float]:
        """The values of update `n`, one a group."""
        return [self.values[n - self.first]] * self.size if self.values else list(self.rows[n - self.first])


class Drive:
    """The values of one hyper-parameter, for every group of an optimizer.

    Args:
        optimizer: Its groups are looked up anew at every update, so groups added later and groups replaced by
            `load_state_dict` are followed.
        key: "lr" or "momentum" (the first of `betas` where the optimizer has those).
        schedule: One for all groups, or one a group.
        relative: Whether groups keep their ratios: the schedule gives the value of the group whose value was largest at the
            start, and the others follow in proportion.
        frames: Calls between the user's line, which a warning names, and the making of a block; 7 for `Scheduler.step`.

    Attributes:
        key: The name under which the groups hold the hyper-parameter.
        block: The values of the updates around the last one asked for.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        key: str,
        schedule: Schedule | Sequence[Schedule],
        *,
        relative: bool = False,
        frames: int = 7,
    ) -> None:
        self._schedules = _schedules(key, schedule, optimizer)
        self._relative = relative
        self._frames = frames
        self._optimizer = optimizer
        self.key = _field(key, optimizer)
        lengths = [length for s in self._schedules if (length := known_length(s)) is not None]
        # After the last update of a finite schedule the count is its length; only the next one is past the end.
        self._overrun = min(lengths) + 1 if lengths else None
        self.block = self._make_block(0)

    def set(self, n: int) -> None:
        """Write the values of update `n` into all groups."""
        block = self.block_of(n)
        if block.values:
            value, key = block.values[n - block.first], self.key
            for group in block.groups:
                group[key] = value
        else:
            for group, special, value in zip(block.groups, block.writers, block.rows[n - block.first], strict=True):
                if special is None:
                    group[self.key] = value
                else:
                    special(group, value)

    def block_of(self, n: int) -> Block:
        """The block of update `n`, made anew where the present one does not hold it."""
        if not self.block.holds(n, self._optimizer.param_groups):
            self.block = self._make_block(n)
        return self.block

    def _make_block(self, n: int) -> Block:
        first = n - n % BLOCK
        stop = first + BLOCK
        if self._overrun is not None:
            if n < self._overrun:
                # The block ends here, so that the overrun is noticed without a comparison at every update.
                stop = min(stop, self._overrun)
            else:
                self._overrun = None
                warnings.warn(
                    f"{self.key} is driven past the end of {', '.join(map(repr, self._schedules))} and is held: "
                    "train for fewer updates or give a longer schedule",
                    PastEndWarning,
                    stacklevel=self._frames,
                )
        groups = self._optimizer.param_groups
        counts = np.arange(first, stop)
        columns = [schedule(counts).tolist() for schedule in self._schedules]
        if self.key != "lr" and (greatest := max(map(max, columns))) >= 1:
            raise ArgumentError(
                f"momentum must be below 1, received {greatest} from {', '.join(map(repr, self._schedules))}: "
                "with 1 no gradient is ever forgotten"
            )
        if len(columns) not in (1, len(groups)):
            raise ArgumentError(
                f"schedules must be one, or one for each parameter group, received {len(columns)} for {len(groups)} groups"
            )
        if self._relative:
            columns = columns * len(groups) if len(columns) == 1 else columns
            ratios = initial_ratios(groups)
            columns = [[value * ratio for value in column] for column, ratio in zip(columns, ratios, strict=True)]
        if len(columns) > 1:
            unshare(self.key, groups)
        return Block(first, groups, self.key, columns)


def _schedules(key: str, schedule: Schedule | Sequence[Schedule], optimizer: Optimizer) -> tuple[Schedule, ...]:
    found = tuple(schedule) if isinstance(schedule, (list, tuple)) else (schedule,)
    for entry in found:
        if not isinstance(entry, Schedule):
            raise ArgumentTypeError(
                f"the schedule of {key} must be a learnrate schedule, received {entry!r} of type {type(entry).__name__}: "
                "read a text with learnrate.parse, hold a number with learnrate.constant"
            )
    if found != (schedule,) and len(found) != len(optimizer.param_groups):
        raise ArgumentError(
            f"schedules of {key} must be one for each parameter group, received {len(found)} for "
            f"{len(optimizer.param_groups)} groups"
        )
    return found


def _field(key: str, optimizer: Optimizer) -> str:
    """The name under which every group of this optimizer holds the hyper-parameter."""
    names = {"lr": ("lr",), "momentum": ("momentum", "betas")}[key]
    for name in names:
        if all(name in group for group in optimizer.param_groups):
            return name
    raise ArgumentError(
        f"the optimizer must have {' or '.join(names)} in its parameter groups, {type(optimizer).__name__} has not"
    )


def initial_ratios(groups: list[Group]) -> list[float]:
    """Each group's initial LR as a share of the largest.

    Noted in the group under torch's own name for it, "initial_lr", so that it travels with the optimizer's checkpoint: the
    LRs of a run that is under way no longer tell it, least of all one that has come to 0.
    """
    for group in groups:
        group.setdefault("initial_lr", float(group["lr"]))
    return ratios([float(group["initial_lr"]) for group in groups])


def ratios(lrs: list[float]) -> list[float]:
    """Each LR as a share of the largest.

    Raises:
        ArgumentError: if none is above 0, or one is no LR.
    """
    if not all(math.isfinite(lr) and lr >= 0 for lr in lrs):
        checks.refuse("each group's LR", "finite and at least 0 where their ratios are to be kept", lrs)
    largest = max(lrs)
    if not largest > 0:
        raise ArgumentError(
            f"the groups' LRs must not all be 0 where their ratios are to be kept, received {lrs}: "
            "build the optimizer with the LRs whose ratios you mean"
        )
    return [lr / largest for lr in lrs]


def _writer(key: str, group: Group) -> Callable[[Group, float], None] | None:
    """How to write into a group what plain assignment would spoil; None where assignment will do."""
    if key == "betas":
        return _write_first_beta
    if not isinstance(group[key], Tensor):
        return None
    if not group[key].is_floating_point():
        raise ArgumentError(
            f"the tensor of {key} must hold a float, received {group[key]!r}: build the optimizer with torch.tensor(0.1)"
        )
    return partial(_fill, key)


def _write_first_beta(group: Group, value: float) -> None:
    first, *others = group["betas"]
    if isinstance(first, Tensor):
        first.fill_(value)
    else:
        group["betas"] = (value, *others)


def _fill(key: str, group: Group, value: float) -> None:
    # In place: a compiled or captured optimizer holds this very tensor.
    group[key].fill_(value)


def unshare(key: str, groups: list[Group]) -> None:
    """Give each group a tensor of its own: an optimizer built with one tensor LR hands that very tensor to every group."""
    seen: set[int] = set()
    for group in groups:
        if isinstance(group[key], Tensor):
            if id(group[key]) in seen:
                group[key] = group[key].clone()
            seen.add(id(group[key]))


def write(key: str, group: Group, value: float) -> None:
    """Write one value into one group, in place where it is a tensor."""
    special = _writer(key, group)
    if special is None:
        group[key] = value
    else:
        special(group, value)


_drivers: "weakref.WeakKeyDictionary[Optimizer, dict[str, weakref.ref[Any]]]" = weakref.WeakKeyDictionary()
"""Who drives which hyper-parameter of an optimizer. Weak on both sides: a driver that is gone drives nothing."""


def claim(optimizer: Optimizer, keys: Iterable[str], driver: object) -> None:
    """Enter `driver` as what drives these hyper-parameters.

    Raises:
        AlreadyDrivenError: if something else drives one of them.
    """
    keys = tuple(keys)
    require_undriven(optimizer, *keys)
    _drivers.setdefault(optimizer, {}).update({key: weakref.ref(driver) for key in keys})


def release(optimizer: Optimizer, driver: object) -> None:
    """Strike out `driver`."""
    held = _drivers.get(optimizer, {})
    for key in [key for key, holder in held.items() if holder() is driver]:
        del held[key]


def require_attached(driver: object, attached: bool) -> None:
    """Refuse to drive an optimizer that was given up.

    Raises:
        AlreadyDrivenError: if `driver` was detached.
    """
    if not attached:
        raise AlreadyDrivenError(f"this {type(driver).__name__} was detached from its optimizer: build a new one")


@contextmanager
def at_rest(optimizers: Iterable[Optimizer]) -> Iterator[None]:
    """Let whatever follows these optimizers' updates by itself rest for a while."""
    with ExitStack() as stack:
        for optimizer in optimizers:
            holders = {id(holder): holder for held in _drivers.get(optimizer, {}).values() if (holder := held()) is not None}
            for holder in holders.values():
                if hasattr(holder, "paused"):
                    stack.enter_context(holder.paused())
        yield


def require_undriven(optimizer: Optimizer, *keys: str) -> None:
    """Refuse what is no optimizer, or one whose hyper-parameters something else drives already.

    Raises:
        ArgumentTypeError: if it is no optimizer.
        AlreadyDrivenError: if a learnrate or torch scheduler drives one of them.
    """
    check_optimizer(optimizer)
    for key in keys:
        holder = _drivers.get(optimizer, {}).get(key, lambda: None)()
        if holder is not None:
            raise AlreadyDrivenError(
                f"the optimizer's {key} must not be driven by anything else, "
                f"it already is by a learnrate.torch.{type(holder).__name__}: "
                "build a new optimizer, or detach() the other first"
            )
    # torch gives no public sign of a scheduler on an optimizer; this mark on the patched `step` is the one that its own
    # schedulers go by.
    if "lr" in keys and hasattr(optimizer.step, "_wrapped_by_lr_sched"):
        raise AlreadyDrivenError(
            "the optimizer's lr must not be driven by anything else, it already has a torch LRScheduler: "
            "build the optimizer without one"
        )
