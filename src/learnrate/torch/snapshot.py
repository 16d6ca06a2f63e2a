"""Exact give-back: everything that training changes, copied and put back byte for byte."""

import copy
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from learnrate.torch.inputs import check_model, check_optimizer

Undo = Callable[[], object]


@contextmanager
def preserve(model: nn.Module, optimizer: Optimizer, batches: Any = None, loss: Any = None) -> Iterator[None]:
    """Give model and optimizer back as they were, after a normal end, an exception, and Ctrl-C alike.

    Kept byte for byte, in place, so that tensors keep their identity: parameters, buffers, gradients, the optimizer's state
    (also where it had none yet) and hyper-parameters, train/eval mode of every submodule, the random numbers of Python,
    NumPy, torch and CUDA, and the random generators of a `DataLoader`. Not kept: generators that a data set of your own
    hides, and what your functions change elsewhere.

    Args:
        model: Any module.
        optimizer: Any optimizer.
        batches: What the batches come from, for its generators.
        loss: The criterion, if it is a module, for its parameters and buffers.

    Example:
        >>> import torch, learnrate as lr
        >>> model = torch.nn.Linear(2, 1)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> before = model.weight.clone()
        >>> with lr.torch.preserve(model, optimizer):
        ...     model(torch.ones(1, 2)).sum().backward()
        ...     optimizer.step()
        >>> torch.equal(model.weight, before), model.weight.grad
        (True, None)
    """
    snapshot = Snapshot(model, optimizer, batches, loss)
    try:
        yield
    finally:
        snapshot.restore()


class Snapshot:
    """A copy of all that training changes, which `restore` puts back as often as is asked."""

    def __init__(self, model: nn.Module, optimizer: Optimizer, batches: Any = None, loss: Any = None) -> None:
        check_model(model)
        check_optimizer(optimizer)
        modules = nn.ModuleList([model, loss] if isinstance(loss, nn.Module) else [model])
        tensors = {id(t): t for t in (*modules.parameters(), *modules.buffers())}
        # An optimizer may hold parameters that are nobody's.
        tensors |= {id(t): t for group in optimizer.param_groups for t in group["params"]}
        self._undo: list[Undo] = [
            *map(_tensor, tensors.values()),
            *map(_gradient, tensors.values()),
            _structure(modules),
            _optimizer(optimizer),
            modes(modules),
            *_random_numbers(any(t.is_cuda for t in tensors.values())),
            *_generators(batches),
        ]

    def restore(self) -> None:
        """Put everything back, also what comes after a part that cannot be, and through an interrupt; then raise that."""
        failed: list[BaseException] = []
        with torch.no_grad():
            for undo in self._undo:
                try:
                    undo()
                except KeyboardInterrupt as interrupt:
                    failed.append(interrupt)
                    undo()  # it may have been done in part
                except Exception as error:
                    failed.append(error)
        if failed:
            raise failed[0]


def _tensor(tensor: Tensor) -> Undo:
    copied = tensor.detach().clone()

    def undo() -> None:
        try:
            tensor.data.copy_(copied)
        except RuntimeError:  # another shape by now, or expanded: several of its elements lie in one place
            tensor.data = copied.clone()

    return undo


def _gradient(tensor: Tensor) -> Undo:
    gradient = tensor.grad
    copied = None if gradient is None else gradient.detach().clone()

    def undo() -> None:
        if gradient is not None and copied is not None:
            gradient.copy_(copied)
        tensor.grad = gradient

    return undo


def _structure(modules: nn.Module) -> Undo:
    """Which tensor each buffer is: some modules put a new one in its place, or one where there was none."""
    held = [(module, dict(module.named_buffers(recurse=False))) for module in modules.modules()]

    def undo() -> None:
        for module, buffers in held:
            for name in dict(module.named_buffers(recurse=False)).keys() - buffers.keys():
                setattr(module, name, None)
            for name, buffer in buffers.items():
                setattr(module, name, buffer)

    return undo


def _optimizer(optimizer: Optimizer) -> Undo:
    groups = optimizer.param_groups
    held = [(group, list(group["params"]), _kept({k: v for k, v in group.items() if k != "params"})) for group in groups]
    states = {parameter: _kept(state) for parameter, state in optimizer.state.items()}

    def undo() -> None:
        # Loading a state_dict puts another list in place; adding a group lengthens this one.
        optimizer.param_groups = groups
        groups[:] = [group for group, _, _ in held]
        for group, members, put_back in held:
            group.clear()
            group.update({"params": members, **put_back()})
        optimizer.state.clear()
        optimizer.state.update({parameter: put_back() for parameter, put_back in states.items()})

    return undo


def _kept(value: Any) -> Callable[[], Any]:
    """A function that returns `value` as it is now, whatever is done to it meanwhile; tensors are put back in place."""
    if isinstance(value, Tensor):
        copied = value.detach().clone()
        return lambda: value.copy_(copied)
    if isinstance(value, dict):
        entries = {key: _kept(entry) for key, entry in value.items()}

        def refill() -> Any:
            value.clear()
            value.update({key: put_back() for key, put_back in entries.items()})
            return value

        return refill
    if isinstance(value, list):
        items = [_kept(item) for item in value]

        def replace() -> Any:
            value[:] = [put_back() for put_back in items]
            return value

        return replace
    frozen = copy.deepcopy(value)
    return lambda: copy.deepcopy(frozen)


def modes(model: nn.Module) -> Undo:
    """A function that puts back the train/eval mode of every submodule as it is now."""
    held = [(module, module.training) for module in model.modules()]

    def undo() -> None:
        for module, training in held:
            module.training = training

    return undo


def _random_numbers(cuda: bool) -> Iterator[Undo]:
    python, numpy, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
    yield lambda: random.setstate(python)
    yield lambda: np.random.set_state(numpy)
    yield lambda: torch.set_rng_state(cpu)
    if cuda:
        devices = torch.cuda.get_rng_state_all()
        yield lambda: torch.cuda.set_rng_state_all(devices)


def _generators(batches: Any) -> Iterator[Undo]:
    """The generators of a DataLoader and of its samplers, which decide the order of the data."""
    holders = [batches, getattr(batches, "sampler", None), getattr(batches, "batch_sampler", None)]
    holders.append(getattr(holders[2], "sampler", None))
    found = (getattr(holder, "generator", None) for holder in holders)
    for generator in {id(g): g for g in found if isinstance(g, torch.Generator)}.values():
        yield partial(generator.set_state, generator.get_state())
