"""One function for each kind of thing that training changes: each notes how it is now and returns how to put it back."""

import copy
import random
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from learnrate.torch.snapshot.storage import Vault, local

Undo = Callable[[], object]

FLAGS: tuple[tuple[Any, str], ...] = (
    (torch.backends.cudnn, "enabled"),
    (torch.backends.cudnn, "benchmark"),
    (torch.backends.cudnn, "deterministic"),
)
_BACKENDS: Any = torch.backends
PRECISIONS: tuple[Any, ...] = tuple(
    room
    for room in (_BACKENDS.cuda.matmul, _BACKENDS.cudnn.conv, _BACKENDS.cudnn.rnn, _BACKENDS.mkldnn.matmul)
    if hasattr(room, "fp32_precision")
)


def tensor(one: Tensor, vault: Vault) -> Undo:
    """The elements of a tensor, put back in place, so that it keeps its identity."""
    copied, kind = vault.keep(one), _kind(one)

    def undo() -> None:
        held = copied()
        if one.is_sparse or _kind(one) != kind:  # a copy would be cast, or spread out
            one.data = held.to(kind[0], copy=True)
            return
        try:
            local(one.detach()).copy_(held)
        except RuntimeError:  # expanded: several of its elements lie in one place
            one.data = held.to(kind[0], copy=True)

    return undo


def _kind(one: Tensor) -> tuple[torch.device, torch.dtype, torch.Size]:
    return one.device, one.dtype, local(one.detach()).shape


def gradient(one: Tensor, vault: Vault) -> Undo:
    """A parameter's gradient, or that it has none."""
    held = one.grad
    put_back = None if held is None else tensor(held, vault)

    def undo() -> None:
        if put_back is not None:
            put_back()
        one.grad = held

    return undo


def structure(modules: nn.Module) -> Iterator[Undo]:
    """Which tensors and submodules each module has: some put a new one in its place, or one where there was none.

    And which parameters are to be trained.
    """
    for module in modules.modules():
        yield _entries(module._buffers)
        yield _entries(module._parameters)
        yield _entries(module._modules)
    for parameter in modules.parameters():
        yield partial(parameter.requires_grad_, parameter.requires_grad)


def _entries(entries: dict[str, Any]) -> Undo:
    held = dict(entries)

    def undo() -> None:
        # Written to only where something changed: an unchanged registry is left alone, and so are those who watch it.
        if entries.keys() != held.keys() or any(entries[name] is not value for name, value in held.items()):
            entries.clear()
            entries.update(held)

    return undo


def modes(model: nn.Module) -> Undo:
    """The train/eval mode of every submodule."""
    held = [(module, module.training) for module in model.modules()]

    def undo() -> None:
        for module, training in held:
            module.training = training

    return undo


def optimizer(one: Optimizer, vault: Vault) -> Undo:
    """An optimizer's groups and state, also where it has no state yet."""
    groups = one.param_groups
    held = [
        (group, list(group["params"]), anything({k: v for k, v in group.items() if k != "params"}, vault))
        for group in groups
    ]
    states = {parameter: anything(state, vault) for parameter, state in one.state.items()}
    # torch's schedulers mark an optimizer that has made an update.
    marks = {name: value for name, value in vars(one).items() if name in ("_opt_called", "_step_count")}

    def undo() -> None:
        # Loading a state_dict puts another list in place; adding a group lengthens this one.
        one.param_groups = groups
        groups[:] = [group for group, _, _ in held]
        for group, members, put_back in held:
            group.clear()
            group.update({"params": members, **put_back()})
        one.state.clear()
        one.state.update({parameter: put_back() for parameter, put_back in states.items()})
        for name in ("_opt_called", "_step_count"):
            vars(one).pop(name, None)
        vars(one).update(marks)

    return undo


def anything(value: Any, vault: Vault) -> Callable[[], Any]:
    """A function that returns `value` as it is now, whatever is done to it meanwhile; tensors are put back in place.

    Containers are followed; an object of another kind is put back as the very object that it was, not what is in it.
    """
    if isinstance(value, Tensor):
        put_back = tensor(value, vault)

        def restored() -> Any:
            put_back()
            return value

        return restored
    if isinstance(value, dict):
        entries = {key: anything(entry, vault) for key, entry in value.items()}

        def refill() -> Any:
            filled = {key: put_back() for key, put_back in entries.items()}
            value.clear()
            value.update(filled)
            return value

        return refill
    if isinstance(value, list):
        items = [anything(item, vault) for item in value]

        def replace() -> Any:
            value[:] = [put_back() for put_back in items]
            return value

        return replace
    if isinstance(value, tuple):
        parts = [anything(part, vault) for part in value]

        def refreshed() -> Any:
            for put_back in parts:
                put_back()
            return value

        return refreshed
    if isinstance(value, (set, deque)):
        frozen = copy.copy(value)
        return lambda: copy.copy(frozen)
    # A number, a word, or an object of the user's own, whose insides nobody here knows how to copy.
    return lambda: value


def random_numbers(devices: set[str]) -> Iterator[Undo]:
    """The random numbers of Python, NumPy, torch, and of every device of these kinds."""
    python, numpy, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
    yield lambda: random.setstate(python)
    yield lambda: np.random.set_state(numpy)
    yield lambda: torch.set_rng_state(cpu)
    for kind in sorted(devices - {"cpu", "meta"}):
        room = torch.get_device_module(kind)
        if hasattr(room, "get_rng_state_all"):
            yield partial(room.set_rng_state_all, room.get_rng_state_all())
        elif hasattr(room, "get_rng_state"):
            yield partial(room.set_rng_state, room.get_rng_state())


@contextmanager
def same_random_numbers(model: nn.Module) -> Iterator[None]:
    """Put back the random numbers of the host and of the model's devices."""
    undos = list(random_numbers({parameter.device.type for parameter in model.parameters()}))
    try:
        yield
    finally:
        for undo in undos:
            undo()


def flags() -> Iterator[Undo]:
    """What makes results repeatable or fast: a training step may well set it."""
    for room, name in FLAGS:
        yield partial(setattr, room, name, getattr(room, name))
    strict, warn_only = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    yield lambda: torch.use_deterministic_algorithms(strict, warn_only=warn_only)
    for room in PRECISIONS:
        yield partial(_put_back_precision, room, room.fp32_precision)
    # Last: what it sets is seen in those before it.
    try:
        precision = torch.get_float32_matmul_precision()
    except RuntimeError:  # those before it were set one by one, and it has no word for them
        return
    yield partial(_put_back_legacy_precision, precision)


def _put_back_precision(room: Any, value: str) -> None:
    if room.fp32_precision != value:
        room.fp32_precision = value


def _put_back_legacy_precision(value: str) -> None:
    try:
        same = torch.get_float32_matmul_precision() == value
    except RuntimeError:
        same = False
    if not same:
        torch.set_float32_matmul_precision(value)
