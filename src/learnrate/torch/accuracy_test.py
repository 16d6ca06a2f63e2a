"""The range test of the CLR paper: accuracy on held-out data against an LR that rises linearly."""

from collections.abc import Iterable
from itertools import islice
from typing import Any

from torch import Tensor, nn

from learnrate import checks
from learnrate.errors import ArgumentError, ArgumentTypeError
from learnrate.finder import Curve
from learnrate.torch.inputs import Optimizers
from learnrate.torch.range_test import range_test
from learnrate.torch.snapshot import TensorStorage, same_random_numbers, undos
from learnrate.torch.training.batches import Batches, to_device
from learnrate.torch.training.loop import Loop, Losses
from learnrate.torch.training.update import Updating


def accuracy_test(
    model: nn.Module,
    optimizer: Optimizers,
    batches: Batches,
    loss: Losses,
    held_out: Iterable[Any],
    *,
    low: float,
    high: float,
    epochs: int = 8,
    held_out_batches: int = 10,
    points: int = 50,
    **options: Any,
) -> Curve:
    """The range test as Smith published it: the LR rises linearly over several epochs, and accuracy is plotted against it.

    "Run your model for several epochs while letting the learning rate increase linearly between low and high LR values. ...
    Next, plot the accuracy versus learning rate" (arXiv 1506.01186, section 3.3; the figure there is of 8 epochs). Accuracy
    is measured on the same held-out batches every time. Read it with `curve.bounds(learnrate.rules.accuracy)`.

    Args:
        model: A classifier: from the inputs to one score a class, in the second dimension.
        optimizer: See `range_test`.
        batches: See `range_test`; its length tells that of an epoch.
        loss: See `range_test`.
        held_out: Batches of (inputs, target classes), of which the first are used.
        low: LR of the first update, above 0.
        high: LR of the last update.
        epochs: Length of the test.
        held_out_batches: How many of the held-out batches are used, at most.
        points: How often accuracy is measured.
        options: All other arguments of `range_test`; by default nothing but a loss that is not finite ends the test early.

    Returns:
        The curve, with the metric "accuracy" in [0, 1], NaN between two measurements.

    Raises:
        ArgumentError: if batches have no length, there is nothing held out, or a number breaks its rule.

    Example:
        >>> import torch, learnrate as lr
        >>> _ = torch.manual_seed(0)
        >>> model = torch.nn.Linear(4, 2)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> x = torch.randn(640, 4)
        >>> data = list(zip(x.split(16), (x.sum(1) > 0).long().split(16)))
        >>> train, held_out = data[:30], data[30:]
        >>> cross_entropy = torch.nn.CrossEntropyLoss()
        >>> curve = lr.torch.accuracy_test(model, optimizer, train, cross_entropy, held_out, low=1e-3, high=1.0, epochs=4)
        >>> len(curve), bool(curve.metrics["accuracy"][-1] > 0.9)
        (120, True)
    """
    if strange := {"evaluate", "evaluate_every", "updates", "schedule"} & options.keys():
        raise ArgumentTypeError(f"the accuracy test sets {', '.join(sorted(strange))} itself: use range_test")
    subset = _subset(model, held_out, checks.whole("held_out_batches", held_out_batches, at_least=1))
    per_epoch = Loop(model, optimizer, batches, loss, updating=Updating(options.get("accumulate", 1))).updates_per_epoch()
    if per_epoch is None:
        raise ArgumentError("batches must have a length, for the test is so many epochs long: give a list or a DataLoader")
    options.setdefault("stop", None)  # it is for accuracy to say where the end is
    updates = checks.whole("epochs", epochs, at_least=1) * per_epoch
    every = max(1, updates // checks.whole("points", points, at_least=1))

    def accuracy(model: nn.Module) -> dict[str, float]:
        model.eval()
        device = next(model.parameters()).device
        right = count = 0
        for inputs, targets in subset:
            found: Tensor = model(to_device(inputs, device)).argmax(1)
            if found.shape != targets.shape:
                raise ArgumentError(
                    "held_out must hold one class for each prediction, received targets of shape "
                    f"{tuple(targets.shape)} for predictions of shape {tuple(found.shape)}: use range_test with evaluate=..."
                )
            right += int((found == targets.to(device)).sum())
            count += targets.numel()
        return {"accuracy": right / count}

    return range_test(
        model,
        optimizer,
        batches,
        loss,
        low=low,
        high=high,
        updates=updates,
        schedule="linear",
        evaluate=accuracy,
        evaluate_every=every,
        **options,
    )


def _subset(model: nn.Module, held_out: Iterable[Any], number: int) -> list[tuple[Any, Tensor]]:
    """The first batches, read without a trace in the random numbers.

    Raises:
        ArgumentError: if there are none, or they are no pairs of inputs and target classes.
    """
    if not isinstance(held_out, Iterable):
        raise ArgumentTypeError(f"held_out must be batches of (inputs, targets), received {held_out!r}")
    put_back = list(undos(held_out, TensorStorage("device")))
    with same_random_numbers(model):
        subset = list(islice(held_out, number))
        for undo in put_back:
            undo()
    if not subset:
        raise ArgumentError("held_out must hold at least one batch of (inputs, targets), received none")
    if not all(isinstance(batch, (tuple, list)) and len(batch) == 2 and isinstance(batch[1], Tensor) for batch in subset):
        raise ArgumentError("held_out must hold batches of (inputs, targets): for others use range_test with evaluate=...")
    return [(inputs, targets) for inputs, targets in subset]
