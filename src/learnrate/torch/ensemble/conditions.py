"""What can be trained in one batch of racers, when that pays, and whether it comes out the same."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import LBFGS
from torch.utils._python_dispatch import TorchDispatchMode

from learnrate.torch.training.trainable import TorchTrainable as Loop
from learnrate.trainable import NotBatchableError as ApartError

SMALL = 50_000
"""Trained parameters up to which batching pays on a CPU: where calls take longer than the arithmetic."""

MANY = 8
"""Racers from which batching pays on a CPU: `vmap` costs as much as three or four calls."""

RECURRENT = (nn.RNNBase, nn.RNNCellBase)
"""What `torch.func.vmap` has no rule for."""

CHEAP = (nn.Linear, nn.Embedding, nn.LayerNorm, nn.modules.batchnorm._NormBase)
"""Layers with parameters whose batched form is one call for all racers, and no slower than theirs."""

ROUNDING = {torch.float64: 1e-7, torch.float32: 3e-3}
"""What passes for rounding on a CPU, relative; elsewhere, and in lower precision, 5 % does."""


def worthwhile(model: nn.Module, device: torch.device, count: int) -> bool:
    """Whether so many racers are likely to be quicker as one batch. The same at every call, as far as the memory is.

    On a CPU batching pays for many racers of small models without convolutions (measured with torch 2.13, one thread). On
    an accelerator, where small work leaves most of it idle, wherever parameters, gradients and two moments of each fit into
    half of the free memory.
    """
    trained = [one for one in model.parameters() if one.requires_grad]
    if count < 2 or any(isinstance(module, RECURRENT) for module in model.modules()):
        return False
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return 4 * count * sum(one.numel() * one.element_size() for one in trained) <= free / 2
    holders = [module for module in model.modules() if any(True for _ in module.parameters(recurse=False))]
    cheap = all(isinstance(module, CHEAP) for module in holders)
    return device.type == "cpu" and cheap and count >= MANY and sum(one.numel() for one in trained) <= SMALL


def require_plain(loop: Loop) -> None:
    """Refuse what is known not to work, before anything is copied.

    Raises:
        ApartError: if the loop cannot be batched.
    """
    if loop.updater.closure or any(isinstance(one, LBFGS) for one in loop.optimizers.values()):
        raise ApartError("the optimizer needs a closure")
    if loop.updater.scaler is not None:
        raise ApartError("a gradient scaler decides which updates are made")
    if len(loop.objectives) > 1:
        raise ApartError("the optimizers descend losses of their own")
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        raise ApartError("several processes train together")
    if any(isinstance(module, RECURRENT) for module in loop.model.modules()):
        raise ApartError("torch cannot batch recurrent layers")


class MasksOfOnes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Dropout that drops nothing: batched, it may draw its masks in another order."""

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
def nothing_kept(model: nn.Module) -> Iterator[None]:
    """Refuse a batched pass of which modules keep a tensor as an attribute: outside of `vmap` it is of no use to anybody.

    Raises:
        ApartError: if they did; what they had before is put back.
    """
    before = _attributes(model)
    try:
        yield
    finally:
        kept = [key for key, value in _attributes(model).items() if value is not before.get(key)]
        for module, name in kept:
            vars(module).pop(name)
        for (module, name), value in before.items():
            vars(module).setdefault(name, value)
    if kept:
        raise ApartError("the model keeps a tensor of its forward pass")


def _attributes(model: nn.Module) -> dict[tuple[nn.Module, str], Tensor]:
    """Tensors that modules have as plain attributes."""
    return {(module, k): v for module in model.modules() for k, v in vars(module).items() if isinstance(v, Tensor)}


def require_same_loss(batched: Tensor, alone: float) -> None:
    """Refuse losses of racers that are not that of the model alone."""
    other = torch.full_like(batched, alone)
    if not _near(batched, other, _norm(other)):
        raise ApartError("batched, the model computes another loss")


def require_same_gradients(batched: Sequence[Tensor | None], alone: Sequence[Tensor | None]) -> None:
    """Refuse gradients of racers that are not those of the model alone."""
    # Some gradients are nothing but rounding, as before a batch norm: these are held against all of them.
    whole = math.hypot(*(_norm(one) for one in alone if one is not None))
    for many, one in zip(batched, alone, strict=True):
        if many is None and one is None:
            continue
        if many is None or one is None or not _near(many, one.expand_as(many), _norm(many) + 0.01 * whole):
            raise ApartError("batched, the model computes other gradients")


def require_same_buffer(batched: Tensor, alone: Tensor) -> None:
    """Refuse a buffer of the racers that is not that of the model alone."""
    if not alike(batched[0], alone) or not _near(
        batched, alone.expand_as(batched), _norm(batched) + 0.01 * math.sqrt(batched.numel())
    ):
        raise ApartError("batched, the model notes something else in its buffers")


def require_same_step(copied: Tensor, own: Tensor, before: Tensor) -> None:
    """Refuse an update by a copy of the optimizer that is not the optimizer's own."""
    if not _near(copied, own, _norm(own - before) + 0.001 * _norm(own)):
        raise ApartError("copies of the optimizer make other updates")


def alike(one: Tensor, other: Tensor) -> bool:
    """Whether one can take the other's values."""
    return one.shape == other.shape and one.dtype == other.dtype


def _near(one: Tensor, other: Tensor, scale: float) -> bool:
    if not other.is_floating_point():
        return torch.equal(one, other)
    rounding = ROUNDING.get(other.dtype, 0.05) if other.device.type == "cpu" else 0.05
    return _norm(one - other) <= rounding * scale


def _norm(one: Tensor) -> float:
    return float(one.detach().norm()) if one.is_floating_point() else 0.0


def said(error: Exception) -> str:
    """The first sentence of an error, short enough to stand in another."""
    first = (str(error).strip().splitlines() or [""])[0].split(". ")[0].rstrip(".")
    return f"{type(error).__name__}: {first[:150]}"
