"""Evaluation: how good a model is, by a function of the user or by the loss on held-out batches."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from learnrate import checks
from learnrate.errors import ArgumentTypeError, DataError
from learnrate.torch.snapshot import modes, same_random_numbers
from learnrate.torch.training.batches import to_device
from learnrate.torch.training.losses import Objective
from learnrate.trainable import scalars, scores

Evaluate = Callable[[nn.Module], Any]
"""From a model to how good it is, higher is better: a number, or a mapping of numbers, of which the first decides."""

HeldOut = Any
"""Batches like those of the training: a list, a `DataLoader`, anything that can be iterated again and again."""


HELD_OUT_LOSS = "negated held-out loss"
"""Name of the score on held-out batches."""


def evaluation(
    evaluate: Evaluate | HeldOut | None, objectives: Sequence[Objective], metric: str = "score"
) -> Callable[[nn.Module], dict[str, float]] | None:
    """An evaluation as users write it, as a function from a model to numbers by name, of which the first decides.

    Args:
        evaluate: A function from the model to a number or a mapping of numbers; or held-out batches, on which the mean loss
            in evaluation mode is computed, negated, because higher is better.
        objectives: The losses of the training.
        metric: The name of a plain number that a function returns.

    Raises:
        ArgumentTypeError: if it is of another kind, or there are several losses to compute on the batches.
    """
    if evaluate is None:
        return None
    function = evaluate if callable(evaluate) else _held_out_loss(evaluate, objectives)

    def named(model: nn.Module) -> dict[str, float]:
        value = function(model)
        if value is None:
            raise ArgumentTypeError("evaluate must return a number or a mapping of numbers, received None")
        return scores(value, metric)

    return named


def _held_out_loss(batches: Any, objectives: Sequence[Objective]) -> Evaluate:
    # Not `iter(batches) is batches`: to begin an iteration of a DataLoader draws from the global random numbers.
    if isinstance(batches, (str, Mapping, Iterator)) or not checks.is_iterable(batches):
        rule = "a function from a model to a number, or batches that can be iterated again and again"
        checks.refuse_type("evaluate", rule, batches)
    if len(objectives) > 1:
        raise ArgumentTypeError("evaluate must be a function if there are several losses, received batches")

    def negated_loss(model: nn.Module) -> dict[str, float]:
        device = next(model.parameters()).device
        model.eval()
        losses = [scalars(objectives[0].loss(model, to_device(batch, device)))["loss"] for batch in batches]
        if not losses:
            raise DataError("evaluate must hold at least one batch, received none")
        return {HELD_OUT_LOSS: -sum(losses) / len(losses)}

    return negated_loss


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """No gradients; the train/eval mode of every submodule and the random numbers are restored at the end."""
    restore_modes = modes(model)
    try:
        with same_random_numbers(model), torch.no_grad():
            yield
    finally:
        restore_modes()
