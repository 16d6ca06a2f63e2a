"""The range test of the CLR paper: accuracy on held-out data against an LR that rises linearly."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import Any, Unpack

from torch import Tensor, nn

from learnrate import checks
from learnrate.errors import ArgumentError
from learnrate.finder import Curve
from learnrate.finder.sweep import Stop
from learnrate.interrupts import within
from learnrate.torch.driving import Only
from learnrate.torch.inputs import Optimizers, check_model
from learnrate.torch.range_test import range_test
from learnrate.torch.snapshot import CopyTo, TensorStorage, same_random_numbers, undos
from learnrate.torch.training import Batches, Losses, TorchTrainable, UpdateOptions, Updater
from learnrate.torch.training.batches import to_device
from learnrate.updates import Progress


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
    stop: Stop = None,
    time_limit: float | None = None,
    only: Only = None,
    seed: int | Sequence[int] | None = None,
    also_keep: Sequence[Any] = (),
    copy_to: CopyTo = "auto",
    restore: bool = True,
    progress: Progress | None = None,
    **update: Unpack[UpdateOptions],
) -> Curve:
    """The range test as Smith published it: the LR rises linearly over several epochs, and accuracy is plotted against it.

    "Run your model for several epochs while letting the learning rate increase linearly between low and high LR values. ...
    Next, plot the accuracy versus learning rate" (arXiv 1506.01186, section 3.3; the figure there is of 8 epochs). Accuracy
    is measured on the same held-out batches every time. Read it with `curve.bounds(learnrate.rules.accuracy)`.

    Args:
        model: A classifier, from the inputs to one score for each class, in the second dimension.
        optimizer: See `range_test`.
        batches: See `range_test`. It must have a length, which is that of an epoch.
        loss: See `range_test`.
        held_out: Batches of (inputs, target classes), of which the first are used.
        low: LR of the first update, at least 0.
        high: LR of the last update.
        epochs: Length of the test in epochs.
        held_out_batches: Maximum number of held-out batches that are used.
        points: Number of measurements of the accuracy, about.
        stop: What ends the test early; by default nothing but a loss that is not finite, because accuracy shows the end.
        time_limit: See `range_test`.
        only: See `range_test`.
        seed: See `range_test`.
        also_keep: See `range_test`.
        copy_to: See `range_test`.
        restore: See `range_test`.
        progress: See `range_test`.
        **update: How an update is made; see `UpdateOptions`.

    Returns:
        The curve, with the metric "accuracy" in [0, 1], NaN between two measurements.

    Raises:
        ArgumentError: if batches have no length, there is nothing held out, or a number breaks its rule.
        ArgumentTypeError: if an argument is of the wrong kind.
        DataError: if there are no batches.
        LossError: if the loss is no scalar tensor with a gradient, or not finite at the first update.
        OutputError: if the copy of the state does not fit on the disk.
        RankError: if one of several processes failed.

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
    subset = _subset(model, held_out, checks.length("held_out_batches", held_out_batches))
    per_epoch = TorchTrainable(
        model, optimizer, batches, loss, updater=Updater.of(update, accuracy_test)
    ).updates_per_epoch()
    if per_epoch is None:
        raise ArgumentError("batches must have a length, because the test lasts whole epochs: give a list or a DataLoader")
    updates = checks.whole("epochs", epochs, at_least=1) * per_epoch
    every = max(1, updates // checks.whole("points", points, at_least=1))
    return range_test(
        *(model, optimizer, batches, loss),
        low=low,
        high=high,
        updates=updates,
        schedule="linear",
        stop=stop,
        time_limit=time_limit,
        only=only,
        evaluate=partial(_accuracy, subset),
        evaluate_every=every,
        seed=seed,
        also_keep=also_keep,
        copy_to=copy_to,
        restore=restore,
        progress=progress,
        **update,
    )


def _accuracy(batches: Sequence[tuple[Any, Tensor]], model: nn.Module) -> dict[str, float]:
    model.eval()
    device = next(model.parameters()).device
    correct = count = 0
    for inputs, targets in batches:
        predictions: Tensor = model(to_device(inputs, device)).argmax(1)
        if predictions.shape != targets.shape:
            raise ArgumentError(
                "held_out must hold one class for each prediction, received targets of shape "
                f"{tuple(targets.shape)} for predictions of shape {tuple(predictions.shape)}: use range_test with evaluate"
            )
        correct += int((predictions == targets.to(device)).sum())
        count += targets.numel()
    return {"accuracy": correct / count}


def _subset(model: nn.Module, held_out: Iterable[Any], number: int) -> list[tuple[Any, Tensor]]:
    """The first batches, read without a change of the random numbers.

    Raises:
        ArgumentError: if there are none, or they are no pairs of inputs and target classes.
    """
    check_model(model)
    if not checks.is_iterable(held_out):
        checks.refuse_type("held_out", "batches of (inputs, targets)", held_out)
    subset = within(_unchanged(model, held_out), lambda _: list(islice(held_out, number)))
    if not subset:
        raise ArgumentError("held_out must hold at least one batch of (inputs, targets), received none")
    if not all(isinstance(batch, (tuple, list)) and len(batch) == 2 and isinstance(batch[1], Tensor) for batch in subset):
        raise ArgumentError("held_out must hold batches of (inputs, targets): for others use range_test with evaluate=...")
    return [(inputs, targets) for inputs, targets in subset]


@contextmanager
def _unchanged(model: nn.Module, held_out: Iterable[Any]) -> Iterator[None]:
    """Put back the random numbers, and what decides the order of the data."""
    put_back = list(undos(held_out, TensorStorage("device")))
    with same_random_numbers(model):
        try:
            yield
        finally:
            for undo in put_back:
                undo()
