"""Which trainings can be trained as an ensemble, when that is faster, and whether the results agree."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from learnrate.torch.training import TorchTrainable
from learnrate.trainable import NotBatchableError

SMALL = 50_000
"""Trained parameters up to which batching is faster on a CPU: calls take longer than the arithmetic there."""

MANY = 8
"""Members from which batching is faster on a CPU: `vmap` costs as much as three or four calls."""

RECURRENT = (nn.RNNBase, nn.RNNCellBase)
"""Layers for which `torch.func.vmap` has no rule."""

CHEAP = (nn.Linear, nn.Embedding, nn.LayerNorm, nn.modules.batchnorm._NormBase)
"""Layers with parameters whose batched form is one call for all members, and not slower than separate calls."""

ROUNDING = {torch.float64: 1e-7, torch.float32: 3e-3}
"""Relative difference that counts as rounding on a CPU; on other devices and in lower precision it is 5 %."""


def worthwhile(model: nn.Module, device: torch.device, count: int) -> bool:
    """Whether `count` members are likely to train faster as one batch.

    On a CPU: for many members of small models without convolutions (measured with torch 2.13, one thread). On an
    accelerator, most of which is idle under small work: if parameters, gradients and two moments of each member fit into
    half of the free memory.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if count < 2 or any(isinstance(module, RECURRENT) for module in model.modules()):
        return False
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return 4 * count * sum(parameter.nbytes for parameter in trained) <= free / 2
    holders = [module for module in model.modules() if any(True for _ in module.parameters(recurse=False))]
    cheap = all(isinstance(module, CHEAP) for module in holders)
    return device.type == "cpu" and cheap and count >= MANY and sum(parameter.numel() for parameter in trained) <= SMALL


def require_plain(trainable: TorchTrainable) -> None:
    """Refuse a training that is known not to work as an ensemble, before anything is copied.

    Raises:
        NotBatchableError: if the training cannot be batched.
    """
    if trainable.updater.needs_closure(trainable.optimizers.values()):
        raise NotBatchableError("the optimizer needs a closure")
    if trainable.updater.scaler is not None:
        raise NotBatchableError("a gradient scaler decides which updates are made")
    if len(trainable.objectives) > 1:
        raise NotBatchableError("the optimizers have losses of their own")
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        raise NotBatchableError("several processes train together")
    if any(isinstance(module, RECURRENT) for module in trainable.model.modules()):
        raise NotBatchableError("torch cannot batch recurrent layers")


class MasksOfOnes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Dropout that drops nothing, because a batched pass may draw its masks in another order."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.bernoulli_.float:
            return args[0].fill_(1)
        if func is torch.ops.aten.bernoulli.p:
            return torch.ones_like(args[0])
        if func is torch.ops.aten.native_dropout.default:
            return args[0] / (1 - args[1]), torch.ones_like(args[0], dtype=torch.bool)
        return func(*args, **(kwargs or {}))


@contextmanager
def no_new_tensors(model: nn.Module) -> Iterator[None]:
    """Refuse a batched pass in which a module assigns a tensor to an attribute: outside `vmap` the tensor cannot be used.

    Raises:
        NotBatchableError: if a module did; the attributes are put back.
    """
    before = _attributes(model)
    try:
        yield
    finally:
        assigned = [key for key, value in _attributes(model).items() if value is not before.get(key)]
        for module, name in assigned:
            vars(module).pop(name)
        for (module, name), value in before.items():
            vars(module).setdefault(name, value)
    if assigned:
        raise NotBatchableError("the model keeps a tensor of its forward pass")


def _attributes(model: nn.Module) -> dict[tuple[nn.Module, str], Tensor]:
    """Tensors that are plain attributes of modules."""
    return {(module, k): v for module in model.modules() for k, v in vars(module).items() if isinstance(v, Tensor)}


def require_same_loss(batched: Tensor, single: float) -> None:
    """Refuse losses of members that differ from the loss of the model itself."""
    expected = torch.full_like(batched, single)
    if not _near(batched, expected, _norm(expected)):
        raise NotBatchableError("batched, the model computes another loss")


def require_same_gradients(batched: Sequence[Tensor | None], single: Sequence[Tensor | None]) -> None:
    """Refuse gradients of members that differ from those of the model itself."""
    # Some gradients are nothing but rounding, for example before a batch norm: these are compared with the norm of all.
    total = math.hypot(*(_norm(gradient) for gradient in single if gradient is not None))
    for stacked, gradient in zip(batched, single, strict=True):
        if stacked is None and gradient is None:
            continue
        if stacked is None or gradient is None:
            raise NotBatchableError("batched, the model computes other gradients")
        if not _near(stacked, gradient.expand_as(stacked), _norm(stacked) + 0.01 * total):
            raise NotBatchableError("batched, the model computes other gradients")


def require_same_buffer(batched: Tensor, single: Tensor) -> None:
    """Refuse a buffer of the members that differs from that of the model itself."""
    scale = _norm(batched) + 0.01 * math.sqrt(batched.numel())
    if not alike(batched[0], single) or not _near(batched, single.expand_as(batched), scale):
        raise NotBatchableError("batched, the model writes other values into its buffers")


def require_same_step(copied: Tensor, own: Tensor, before: Tensor) -> None:
    """Refuse an update by a copy of the optimizer that differs from the optimizer's own."""
    if not _near(copied, own, _norm(own - before) + 0.001 * _norm(own)):
        raise NotBatchableError("copies of the optimizer make other updates")


def alike(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors have the same shape and dtype."""
    return a.shape == b.shape and a.dtype == b.dtype


def _near(value: Tensor, expected: Tensor, scale: float) -> bool:
    if not expected.is_floating_point():
        return torch.equal(value, expected)
    rounding = ROUNDING.get(expected.dtype, 0.05) if expected.device.type == "cpu" else 0.05
    return _norm(value - expected) <= rounding * scale


def _norm(tensor: Tensor) -> float:
    return float(tensor.detach().norm()) if tensor.is_floating_point() else 0.0


def first_sentence(error: Exception) -> str:
    """The first sentence of an error, short enough to be quoted in another message."""
    first = (str(error).strip().splitlines() or [""])[0].split(". ")[0].rstrip(".")
    return f"{type(error).__name__}: {first[:150]}"
