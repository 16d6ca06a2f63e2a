"""The range test of a torch model."""

import dataclasses

from torch import nn
from torch.optim import Optimizer

from learnrate import finder
from learnrate.finder import Curve
from learnrate.finder.sweep import Progress
from learnrate.torch.batches import Batches
from learnrate.torch.loop import Loop, Loss, seed_everything
from learnrate.torch.snapshot import preserve


def range_test(
    model: nn.Module,
    optimizer: Optimizer,
    batches: Batches,
    loss: Loss,
    *,
    low: float = 1e-7,
    high: float = 10.0,
    updates: int = 100,
    stop_early: bool = True,
    seed: int | None = None,
    progress: Progress | None = None,
) -> Curve:
    """Run an LR range test of a model and give everything back as it was, byte for byte (see `preserve`).

    Args:
        model: The model, on its device and with the weights to start from.
        optimizer: Its optimizer. Groups keep the ratios of their LRs; the sweep gives the LR of the group with the largest.
        batches: Anything that can be iterated again (a `DataLoader`, a list), or a function that returns a fresh iterator.
            Started again when it runs out; the curve's notes say where, if it has no length.
        loss: A criterion for batches of (inputs, target), or a function (model, batch) -> loss. The loss is a scalar tensor,
            or a mapping that holds it under "loss" beside metrics to record.
        low: LR of the first update, above 0.
        high: LR of the last update, above `low`.
        updates: Length of the sweep in updates, at least 10.
        stop_early: Whether divergence ends the sweep (see `learnrate.range_test`).
        seed: Seeds all random numbers for the sweep; by default they run on from where they are.
        progress: Called after every update with (updates made, updates planned).

    Returns:
        The curve.

    Raises:
        ArgumentError: if a number breaks its rule, or there is nothing to train.
        ArgumentTypeError: if an argument is of the wrong kind.
        AlreadyDrivenError: if a scheduler drives the optimizer.
        DataError: if there are no batches.
        LossError: if the loss is no scalar tensor with a gradient, or not finite at the first update.

    Example:
        >>> import torch, learnrate as lr
        >>> _ = torch.manual_seed(0)
        >>> model = torch.nn.Linear(4, 1)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> x = torch.randn(256, 4)
        >>> batches = list(zip(x.split(16), x.sum(1, keepdim=True).split(16)))
        >>> curve = lr.torch.range_test(model, optimizer, batches, torch.nn.MSELoss())
        >>> 0.01 < curve.bounds().max_lr < 10
        True
    """
    loop = Loop(model, optimizer, batches, loss)
    with preserve(model, optimizer, batches, loss):
        if seed is not None:
            seed_everything(seed)
        curve = finder.range_test(loop.update, low=low, high=high, updates=updates, stop_early=stop_early, progress=progress)
    curve = dataclasses.replace(curve, updates_per_epoch=loop.updates_per_epoch())
    if loop.stream.restarts and not loop.stream.has_length:
        where = ", ".join(map(str, loop.stream.restarts))
        note = f"the batches, which have no length, ran out and were started again at update {where}"
        curve = dataclasses.replace(curve, notes=(*curve.notes, note))
    return curve
