"""Exact give-back: everything that training changes, copied and put back byte for byte."""

import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.optim import Optimizer

from learnrate.torch.inputs import check_model, named
from learnrate.torch.snapshot import parts, sources
from learnrate.torch.snapshot.parts import Undo
from learnrate.torch.snapshot.storage import CopyTo, Vault, place

Optimizers = Optimizer | Sequence[Optimizer] | Mapping[str, Optimizer]


@dataclass(frozen=True)
class Kept:
    """What `preserve` holds a copy of.

    Attributes:
        size: Bytes of the copy of all tensors.
        where: Where it lives: "device", "cpu", "disk", or "nowhere".
    """

    size: int
    where: str

    def __str__(self) -> str:
        return f"{self.size / 2**20:.1f} MiB on {self.where}" if self.size else "nothing"


@contextmanager
def preserve(
    model: nn.Module, optimizer: Optimizers, *others: Any, copy_to: CopyTo = "auto", restore: bool = True
) -> Iterator[Kept]:
    """Give model and optimizer back as they were, after a normal end, an exception, Ctrl-C and a full memory alike.

    Kept byte for byte, in place, so that tensors keep their identity: parameters, buffers, gradients, which parameters are
    trained, the optimizer's state (also where it had none yet) and hyper-parameters, train/eval mode of every submodule, the
    random numbers of Python, NumPy, torch and every device in use, and torch's flags for determinism, cuDNN and the
    precision of matrix products. Not kept: generators that a data set of your own hides, and what your functions change
    elsewhere.

    At most one copy of the tensors is made, and restoring them makes no further one.

    Args:
        model: Any module, also a compiled one, or one spread over processes.
        optimizer: Any optimizer, or several.
        others: What else training changes: criteria, gradient scalers, schedulers, loaders (their generators and samplers,
            and all of those that have a state_dict), generators of random numbers, anything with a state_dict. An iterator
            cannot be rewound, and a warning says so.
        copy_to: Where the copy lives. "device" is beside the tensors, and fastest; "cpu" is main memory; "disk" is a
            temporary file (TMPDIR says where). "auto" takes the first of them whose free memory is twice the copy.
        restore: False to copy nothing and put nothing back, for those who build the model anew anyway.

    Yields:
        What is kept: its size and place.

    Raises:
        ArgumentTypeError: if an argument is of the wrong kind.
        ArgumentError: if the model has no trainable parameters, or `copy_to` is none of its words.
        OutputError: if the disk has no room for the copy.

    Example:
        >>> import torch, learnrate as lr
        >>> model = torch.nn.Linear(2, 1)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> before = model.weight.clone()
        >>> with lr.torch.preserve(model, optimizer) as kept:
        ...     model(torch.ones(1, 2)).sum().backward()
        ...     optimizer.step()
        >>> torch.equal(model.weight, before), model.weight.grad, kept.size
        (True, None, 12)
    """
    if not restore:
        yield Kept(0, "nowhere")
        return
    snapshot = Snapshot(model, optimizer, *others, copy_to=copy_to)
    try:
        yield Kept(snapshot.size, snapshot.where)
    finally:
        snapshot.restore()
        snapshot.close()


class Snapshot:
    """A copy of all that training changes, which `restore` puts back as often as is asked.

    Attributes:
        size: Bytes of the copy of all tensors.
        where: "device", "cpu" or "disk".
    """

    def __init__(self, model: nn.Module, optimizer: Optimizers, *others: Any, copy_to: CopyTo = "auto") -> None:
        check_model(model)
        optimizers = list(named(optimizer).values())
        self._reshard = [module.reshard for module in model.modules() if isinstance(module, FSDPModule)]
        self._gather_nothing()
        # Taken before others are asked for their state, and put back after: that may draw numbers.
        kinds = {t.device.type for t in chain(model.parameters(), model.buffers())}
        numbers = list(parts.random_numbers(kinds))
        modules = nn.ModuleList([model, *(thing for thing in others if isinstance(thing, nn.Module))])
        others = tuple(thing for thing in others if not isinstance(thing, nn.Module))
        # An optimizer may hold parameters that are nobody's.
        groups = [group["params"] for one in optimizers for group in one.param_groups]
        tensors: dict[int, Tensor] = {id(t): t for t in chain(modules.parameters(), modules.buffers(), *groups)}
        gradients = [t.grad for t in tensors.values() if t.grad is not None]
        states = [v for one in optimizers for state in one.state.values() for v in _tensors_in(state)]
        vault = Vault(place(copy_to, [*tensors.values(), *gradients, *states]))
        # What frees memory comes first: the sweep may have ended because there was none left.
        self._undo: list[Undo] = [
            *(partial(setattr, t, "grad", None) for t in tensors.values()),
            *(undo for thing in others for undo in sources.undos(thing, vault)),
            *(parts.optimizer(one, vault) for one in optimizers),
            *parts.structure(modules),
            *(parts.tensor(t, vault) for t in tensors.values()),
            *(parts.gradient(t, vault) for t in tensors.values()),
            parts.modes(modules),
            *parts.flags(),
            *numbers,
        ]
        self._vault = vault
        self.size, self.where = vault.size, vault.where

    def restore(self) -> None:
        """Put everything back, also what comes after a part that cannot be, and through an interrupt; then raise that."""
        failed: list[BaseException] = []
        with interrupts_held_back() as interrupts, torch.no_grad():
            self._gather_nothing()
            for undo in self._undo:
                try:
                    undo()
                except KeyboardInterrupt as interrupt:  # raised by hand, or in another thread than the main one
                    failed.append(interrupt)
                    undo()
                except Exception as error:
                    failed.append(error)
        if failed:
            raise failed[0]
        if interrupts:
            raise KeyboardInterrupt

    def close(self) -> None:
        """Give the room of the copy back, as far as it is on disk."""
        self._vault.close()

    def _gather_nothing(self) -> None:
        """Let each process hold its own part of parameters that are spread over them (FSDP2 gathers them for a while)."""
        for reshard in self._reshard:
            reshard()


@contextmanager
def interrupts_held_back() -> Iterator[list[int]]:
    """Note Ctrl-C in a list instead of raising it, for what must not be left half done."""
    noted: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return
    before = signal.signal(signal.SIGINT, lambda number, frame: noted.append(number))
    try:
        yield noted
    finally:
        signal.signal(signal.SIGINT, before)


def _tensors_in(state: Any) -> Iterator[Tensor]:
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, Mapping):
        for value in state.values():
            yield from _tensors_in(value)
