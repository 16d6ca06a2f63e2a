"""Exact give-back: everything that training changes is copied and put back byte for byte."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from learnrate import checks
from learnrate.interrupts import Uninterrupted, act_on, recorded_interrupts
from learnrate.torch.inputs import Optimizers, check_model, optimizers_by_name
from learnrate.torch.snapshot import extras, functions, parts, sources
from learnrate.torch.snapshot.parts import Undo
from learnrate.torch.snapshot.storage import CopyTo, TensorStorage, choose_location
from learnrate.torch.snapshot.watched import Watch, memory_of


@dataclass(frozen=True)
class Preserved:
    """The copy that `preserve` made.

    Attributes:
        size: Bytes of the copy of all tensors.
        where: Its location: "device", "cpu", "disk", or "nowhere".
    """

    size: int
    where: str

    def __str__(self) -> str:
        return f"{self.size / 2**20:.1f} MiB on {self.where}" if self.size else "nothing"


def preserve(
    model: nn.Module, optimizer: Optimizers, *others: Any, copy_to: CopyTo = "auto", restore: bool = True
) -> AbstractContextManager[Preserved]:
    """Give model and optimizer back as they were: after a normal end, an exception, Ctrl-C, and when memory has run out.

    Preserved byte for byte, in place, so that tensors keep their identity: parameters, buffers, gradients, which parameters
    are trained, extra state and attributes of modules, the optimizer's state (also if it had none yet), hyper-parameters,
    attributes, and optimizers inside it, train/eval mode of every submodule, the random numbers of Python, NumPy, torch and
    every device in use, and torch's flags for gradients, determinism, cuDNN and the precision of matrix products. Not
    preserved: global variables that a function sets, and generators inside a data set of your own. The random numbers belong
    to the whole process: preserve in one thread at a time.

    At most one copy of the tensors is made, and putting them back makes no further copy.

    Args:
        model: Any module, also a compiled one, or one that is distributed over processes.
        optimizer: Any optimizer, or several.
        others: What else training changes: criteria, gradient scalers, schedulers, loaders (their generators and samplers,
            and all of them that have a state_dict), generators of random numbers, objects with a state_dict, and functions
            (loss, evaluation, batches) that keep state in themselves: in attributes, nonlocal variables, default arguments.
            In functions, tensors and arrays of up to 1 MiB are preserved; a warning names a larger one that is changed in
            place. An iterator cannot be rewound, and a warning says so.
        copy_to: Where the copy lives. "device" is beside the tensors, and fastest; "cpu" is main memory; "disk" is a
            temporary file (TMPDIR sets its folder). "auto" takes the first of them whose free memory is twice the copy.
        restore: False to copy nothing and put nothing back, for callers that build the model again anyway.

    Returns:
        A context manager; its value is the size and the location of the copy.

    Raises:
        ArgumentTypeError: if an argument is of the wrong kind.
        ArgumentError: if the model has no trainable parameters, or `copy_to` is not one of its words.
        OutputError: if the disk has no room for the copy.

    Warns:
        NotRewoundWarning: if one of `others` is an iterator.
        NotRestoredWarning: if a function changed a tensor or array in place that was too large to be copied; if an object
            was changed that model, optimizer or functions refer to, and that is neither plain data nor has a state_dict; or
            if the extra state of a module cannot be copied or set.

    Example:
        >>> import torch, learnrate as lr
        >>> model = torch.nn.Linear(2, 1)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> before = model.weight.clone()
        >>> with lr.torch.preserve(model, optimizer) as preserved:
        ...     model(torch.ones(1, 2)).sum().backward()
        ...     optimizer.step()
        >>> torch.equal(model.weight, before), model.weight.grad, preserved.size
        (True, None, 12)
    """
    checks.flag("restore", restore)
    return Uninterrupted(_preserved(model, optimizer, *others, copy_to=copy_to, restore=restore))


@contextmanager
def _preserved(model: nn.Module, optimizer: Optimizers, *others: Any, copy_to: CopyTo, restore: bool) -> Iterator[Preserved]:
    if not restore:
        yield Preserved(0, "nowhere")
        return
    snapshot = Snapshot(model, optimizer, *others, copy_to=copy_to)
    try:
        yield Preserved(snapshot.size, snapshot.where)
    finally:
        try:
            snapshot.restore()
        finally:
            snapshot.close()


class Snapshot:
    """A copy of all that training changes, which `restore` puts back as often as it is called.

    Attributes:
        size: Bytes of the copy of all tensors.
        where: "device", "cpu" or "disk".
    """

    def __init__(self, model: nn.Module, optimizer: Optimizers, *others: Any, copy_to: CopyTo = "auto") -> None:
        check_model(model)
        others_too = (item for item in others if isinstance(item, Optimizer))
        optimizers = extras.with_inner([*optimizers_by_name(optimizer).values(), *others_too])
        self._reshard = _functions_that_reshard(model)
        self._reshard_all()
        # Recorded before others are asked for their state, and put back after them, because that may draw random numbers.
        devices = {t.device.type for t in chain(model.parameters(), model.buffers())}
        random_numbers = list(parts.random_numbers(devices))
        modules = nn.ModuleList([model, *(item for item in others if isinstance(item, nn.Module))])
        others = tuple(item for item in others if not isinstance(item, (nn.Module, Optimizer)))
        # An optimizer may hold parameters that no module has.
        groups = [group["params"] for optimizer in optimizers for group in optimizer.param_groups]
        tensors: dict[int, Tensor] = {id(t): t for t in chain(modules.parameters(), modules.buffers(), *groups)}
        gradients = [t.grad for t in tensors.values() if t.grad is not None]
        states = [t for optimizer in optimizers for state in optimizer.state.values() for t in _tensors_in(state)]
        storage = TensorStorage(choose_location(copy_to, [*tensors.values(), *gradients, *states]))
        copied = {memory_of(t) for t in (*tensors.values(), *gradients, *states)}
        copied |= {id(thing) for thing in (*modules.modules(), *optimizers, *others)}
        # First the parts that free memory, because the sweep may have ended when memory ran out.
        self._undos: list[Undo] = [
            *(partial(setattr, t, "grad", None) for t in tensors.values()),
            *(undo for item in others for undo in sources.undos(item, storage, copied)),
            *(parts.optimizer(optimizer, storage) for optimizer in optimizers),
            *(undo for optimizer in optimizers for undo in extras.of_optimizer(optimizer, storage, copied)),
            *parts.structure(modules),
            *(undo for module in modules.modules() for undo in functions.module_undos(module, storage, copied)),
            # After the attributes, because setting the extra state may replace them.
            *(undo for module in modules.modules() for undo in extras.of_module(module, storage, copied)),
            *(parts.tensor(t, storage) for t in tensors.values()),
            *(parts.gradient(t, storage) for t in tensors.values()),
            parts.modes(modules),
            *parts.flags(),
            *random_numbers,
        ]
        self._undos.sort(key=lambda undo: isinstance(undo, Watch))  # what differs in the end was not put back
        self._grad_enabled = torch.is_grad_enabled()
        self._storage = storage
        self.size, self.where = storage.size, storage.where

    def restore(self) -> None:
        """Put everything back.

        A part that cannot be put back, or Ctrl-C, does not keep the rest from being put back.

        Raises:
            Exception: the first error, after everything else was put back.
            KeyboardInterrupt: at Ctrl-C, after everything else was put back.
        """
        failed: list[BaseException] = []
        with recorded_interrupts() as interrupts, _grad_mode_at_end(self._grad_enabled), torch.no_grad():
            self._reshard_all()
            for undo in self._undos:
                try:
                    undo()
                except KeyboardInterrupt as interrupt:  # raised by code, or outside the main thread
                    failed.append(interrupt)
                    undo()
                except Exception as error:
                    failed.append(error)
        try:
            if failed:
                raise failed[0]
        finally:
            act_on(interrupts)

    def close(self) -> None:
        """Free the space of a copy on disk."""
        self._storage.close()

    def _reshard_all(self) -> None:
        """Let each process hold its own shard only, because FSDP2 temporarily gathers whole parameters."""
        for reshard in self._reshard:
            reshard()


@contextmanager
def _grad_mode_at_end(enabled: bool) -> Iterator[None]:
    try:
        yield
    finally:
        torch.set_grad_enabled(enabled)


def _functions_that_reshard(model: nn.Module) -> list[Callable[[], None]]:
    """Those of the modules that `fully_shard` changed.

    Importing FSDP takes half as long as importing torch: a model can only use it if the user has imported it.
    """
    fsdp = sys.modules.get("torch.distributed.fsdp")
    return [] if fsdp is None else [module.reshard for module in model.modules() if isinstance(module, fsdp.FSDPModule)]


def _tensors_in(state: Any) -> Iterator[Tensor]:
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, Mapping):
        for value in state.values():
            yield from _tensors_in(value)
