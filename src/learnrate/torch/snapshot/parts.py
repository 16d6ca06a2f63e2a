"""One function for each kind of thing that training changes: it records the present state and returns how to put it back."""

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

from learnrate.torch.snapshot.storage import TensorStorage, as_bytes, distinct, local

Undo = Callable[[], object]
"""Puts one thing back, as often as it is called."""

MARKS = ("_opt_called", "_step_count")
"""Attributes with which torch's schedulers mark an optimizer that has made an update."""

FLAGS: tuple[tuple[Any, str], ...] = (
    (torch.backends.cudnn, "enabled"),
    (torch.backends.cudnn, "benchmark"),
    (torch.backends.cudnn, "deterministic"),
)
_BACKENDS: Any = torch.backends
PRECISIONS: tuple[Any, ...] = tuple(
    backend
    for backend in (_BACKENDS.cuda.matmul, _BACKENDS.cudnn.conv, _BACKENDS.cudnn.rnn, _BACKENDS.mkldnn.matmul)
    if hasattr(backend, "fp32_precision")
)


def tensor(original: Tensor, storage: TensorStorage, *, only_if_changed: bool = False) -> Undo:
    """The elements of a tensor, put back in place, so that it keeps its identity.

    Args:
        original: The tensor.
        storage: Where its copy lives.
        only_if_changed: Whether to compare first and leave a tensor alone that still has the same bytes.
    """
    stored, kind = storage.store(original), _kind(original)

    def undo() -> None:
        before = stored()
        if original.layout != torch.strided or original.is_quantized or _kind(original) != kind:
            original.data = _rebuilt(before, kind)  # copy_ would cast it, or make it dense
            return
        present = distinct(local(original.detach()))
        if not only_if_changed or not _same_bytes(present, before):
            present.copy_(before)

    return undo


Kind = tuple[torch.device, torch.dtype, torch.Size, tuple[int, ...] | None]
"""Device, dtype, shape, and strides of a strided tensor."""


def _kind(original: Tensor) -> Kind:
    shard = local(original.detach())
    strided = shard.layout == torch.strided and not shard.is_quantized
    return original.device, original.dtype, shard.shape, shard.stride() if strided else None


def _rebuilt(elements: Tensor, kind: Kind) -> Tensor:
    """A new tensor of this kind from its `distinct` elements."""
    device, dtype, shape, strides = kind
    if strides is None:
        return elements.to(device, copy=True)
    rebuilt = torch.empty_strided(shape, strides, dtype=dtype, device=device)
    distinct(rebuilt).copy_(elements)
    return rebuilt


def _same_bytes(present: Tensor, before: Tensor) -> bool:
    if present.layout != torch.strided or present.is_quantized:
        return False
    return torch.equal(as_bytes(present), as_bytes(before.to(present.device)))


def gradient(original: Tensor, storage: TensorStorage) -> Undo:
    """A parameter's gradient, or that it has none."""
    grad = original.grad
    put_back = None if grad is None else tensor(grad, storage)

    def undo() -> None:
        if put_back is not None:
            put_back()
        original.grad = grad

    return undo


def structure(modules: nn.Module) -> Iterator[Undo]:
    """Which tensors and submodules each module has, because training may replace or add some; and which are trained."""
    for module in modules.modules():
        if isinstance(module, torch.jit.ScriptModule):  # its structure cannot change
            continue
        yield _entries(module._buffers)
        yield _entries(module._parameters)
        yield _entries(module._modules)
    for parameter in modules.parameters():
        yield partial(parameter.requires_grad_, parameter.requires_grad)


def _entries(entries: dict[str, Any]) -> Undo:
    before = dict(entries)

    def undo() -> None:
        # Written to only if it changed, so that an unchanged registry triggers nothing in whatever observes it.
        if entries.keys() != before.keys() or any(entries[name] is not value for name, value in before.items()):
            entries.clear()
            entries.update(before)

    return undo


def modes(model: nn.Module) -> Undo:
    """The train/eval mode of every submodule."""
    before = [(module, module.training) for module in model.modules()]

    def undo() -> None:
        for module, training in before:
            module.training = training

    return undo


def optimizer(original: Optimizer, storage: TensorStorage) -> Undo:
    """An optimizer's groups and state, also if it has no state yet."""
    groups, states_by_parameter = original.param_groups, original.state
    before = [
        (group, list(group["params"]), anything({k: v for k, v in group.items() if k != "params"}, storage))
        for group in groups
    ]
    states = {parameter: anything(state, storage) for parameter, state in original.state.items()}
    marks = {name: value for name, value in vars(original).items() if name in MARKS}

    def undo() -> None:
        # Loading a state_dict replaces the list; adding a group makes it longer.
        original.param_groups = groups
        groups[:] = [group for group, _, _ in before]
        for group, parameters, put_back in before:
            group.clear()
            group.update({"params": parameters, **put_back()})
        if original.state is not states_by_parameter:
            original.state = states_by_parameter
        original.state.clear()
        original.state.update({parameter: put_back() for parameter, put_back in states.items()})
        for name in MARKS:
            vars(original).pop(name, None)
        vars(original).update(marks)

    return undo


def anything(value: Any, storage: TensorStorage) -> Callable[[], Any]:
    """A function that returns `value` as it is now, whatever happens to it meanwhile; tensors are put back in place.

    Containers are followed. Any other object is put back as the same object, whatever changed inside it.
    """
    if isinstance(value, Tensor):
        put_back = tensor(value, storage)

        def restored() -> Any:
            put_back()
            return value

        return restored
    if isinstance(value, dict):
        entries = {key: anything(entry, storage) for key, entry in value.items()}

        def refilled() -> Any:
            filled = {key: put_back() for key, put_back in entries.items()}
            value.clear()
            value.update(filled)
            return value

        return refilled
    if isinstance(value, list):
        items = [anything(item, storage) for item in value]

        def replaced() -> Any:
            value[:] = [put_back() for put_back in items]
            return value

        return replaced
    if isinstance(value, tuple):
        parts = [anything(part, storage) for part in value]

        def unchanged() -> Any:
            for put_back in parts:
                put_back()
            return value

        return unchanged
    if isinstance(value, (set, deque)):
        before = copy.copy(value)
        return lambda: copy.copy(before)
    # A number, a string, or an object of a kind that is not known here.
    return lambda: value


def is_stateful(thing: Any) -> bool:
    """Whether an object has a state_dict that can be loaded again."""
    methods = (getattr(thing, name, None) for name in ("state_dict", "load_state_dict"))
    return not isinstance(thing, type) and all(map(callable, methods))


def generator(value: object) -> Undo | None:
    """The state of a generator of random numbers (of torch, NumPy or Python); None for anything else."""
    if isinstance(value, torch.Generator):
        return partial(value.set_state, value.get_state())
    if isinstance(value, np.random.RandomState):
        return partial(value.set_state, value.get_state())
    if isinstance(value, np.random.Generator):
        return partial(setattr, value.bit_generator, "state", value.bit_generator.state)
    if isinstance(value, random.Random) and not isinstance(value, random.SystemRandom):
        return partial(value.setstate, value.getstate())
    return None


def random_numbers(devices: set[str]) -> Iterator[Undo]:
    """The global random numbers of Python, NumPy and torch, and those of every device of these kinds.

    Args:
        devices: Device types, such as "cuda".
    """
    python, numpy, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
    yield lambda: random.setstate(python)
    yield lambda: np.random.set_state(numpy)
    yield lambda: torch.set_rng_state(cpu)
    for kind in sorted(devices - {"cpu", "meta"}):
        backend = torch.get_device_module(kind)
        if hasattr(backend, "get_rng_state_all"):
            yield partial(backend.set_rng_state_all, backend.get_rng_state_all())
        elif hasattr(backend, "get_rng_state"):
            yield partial(backend.set_rng_state, backend.get_rng_state())


@contextmanager
def same_random_numbers(model: nn.Module) -> Iterator[None]:
    """Put back the random numbers of the host and of the model's devices after the block."""
    undos = list(random_numbers({parameter.device.type for parameter in model.parameters()}))
    try:
        yield
    finally:
        for undo in undos:
            undo()


def flags() -> Iterator[Undo]:
    """The flags of torch for determinism, cuDNN and the precision of matrix products: a training step may set them."""
    for backend, name in FLAGS:
        yield partial(setattr, backend, name, getattr(backend, name))
    strict, warn_only = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    yield lambda: torch.use_deterministic_algorithms(strict, warn_only=warn_only)
    for backend in PRECISIONS:
        yield partial(_put_back_precision, backend, backend.fp32_precision)
    # Last, because setting it changes those before it.
    try:
        precision = torch.get_float32_matmul_precision()
    except RuntimeError:  # the backends were set one by one, to a combination that has no name here
        return
    yield partial(_put_back_legacy_precision, precision)


def _put_back_precision(backend: Any, value: str) -> None:
    if backend.fp32_precision != value:
        backend.fp32_precision = value


def _put_back_legacy_precision(value: str) -> None:
    try:
        same = torch.get_float32_matmul_precision() == value
    except RuntimeError:
        same = False
    if not same:
        torch.set_float32_matmul_precision(value)
