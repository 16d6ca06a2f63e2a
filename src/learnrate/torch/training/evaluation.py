"""Evaluation on held-out batches: how good a model is by its loss on data that it does not train on."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from learnrate.errors import ArgumentTypeError, DataError
from learnrate.finder.recording import scalars
from learnrate.torch.training.batches import to_device
from learnrate.torch.training.loop import Evaluate, Losses, of_batch

HeldOut = Any
"""Batches as they are trained on: a list, a `DataLoader`, anything that can be iterated again and again."""


def evaluation(evaluate: Evaluate | HeldOut | None, loss: Losses) -> Evaluate | None:
    """An evaluation as a user may give it, as a function from a model to how good it is.

    Args:
        evaluate: Such a function; or held-out batches, on which the mean loss, negated, is taken in evaluation mode.
        loss: The loss of the training.

    Raises:
        ArgumentTypeError: if it is neither, or there are several losses to take on the batches.
        DataError: if there are no batches.
    """
    if evaluate is None or callable(evaluate):
        return evaluate
    if isinstance(evaluate, str) or not hasattr(evaluate, "__iter__") or iter(evaluate) is evaluate:
        raise ArgumentTypeError(
            "evaluate must be a function from a model to a number, or batches that can be iterated again and again, "
            f"received {evaluate!r} of type {type(evaluate).__name__}"
        )
    if isinstance(loss, (Mapping, Sequence)):
        raise ArgumentTypeError("evaluate must be a function where there are several losses, received batches")
    of = of_batch(loss)

    def negated_loss(model: nn.Module) -> float:
        device = next(model.parameters()).device
        model.eval()
        with torch.no_grad():
            losses = [scalars(of(model, to_device(batch, device)), 0.0)["loss"] for batch in evaluate]
        if not losses:
            raise DataError("evaluate must hold at least one batch, received none")
        return -sum(losses) / len(losses)

    return negated_loss
