"""Schedules in a loop of Accelerate: attached to the optimizer inside, and saved with the rest."""

import math
import os
from typing import Any

from accelerate import Accelerator
from torch import nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader, Dataset, IterableDataset

from learnrate import checks
from learnrate.accelerate.attachment import Attachment, Given, follow
from learnrate.errors import ArgumentError
from learnrate.schedules import Horizon
from learnrate.schedules.resume import OnChange, check_on_change


def prepare(
    accelerator: Accelerator,
    optimizer: Optimizer,
    schedule: Given = None,
    momentum: Given = None,
    *,
    updates: int | None = None,
    epochs: float | None = None,
    loader: "DataLoader[object] | None" = None,
    relative: bool = False,
    on_change: OnChange = "error",
    start: int = 0,
    control: Any = None,
    model: nn.Module | None = None,
    record: str | os.PathLike[str] | None = None,
    page: Any = False,
    **others: Given,
) -> Attachment:
    """Let an optimizer follow schedules in a loop of Accelerate, and register them for its checkpoints.

    Exactly the real updates are counted, in every process: not the micro-batches of `accelerator.accumulate`, not the
    updates that a gradient scaler skips, and not the processes. There is nothing to call, and nothing to give to
    `accelerator.prepare`. `accelerator.save_state` and `load_state` save and load the count, so that a run resumes exactly
    at any update. After `accelerator.load_state` the number of updates is `attachment.updates`.

    Args:
        accelerator: The accelerator.
        optimizer: The optimizer, before or after `accelerator.prepare`.
        schedule: Schedule of the LR, or its text; or one for each parameter group.
        momentum: Schedule of the momentum.
        updates: Length of the run in updates, of which "5%" is a share.
        epochs: Length of the run in passes over `loader`, in place of `updates`.
        loader: The prepared loader, for lengths in epochs: an epoch has as many updates as the loader has batches on this
            process, divided by `accelerator.gradient_accumulation_steps` and rounded up.
        relative: Keep the ratios between the groups' LRs; see `learnrate.torch.attach`.
        on_change: What `load_state` does if the schedule of the checkpoint is another one: "error" refuses, "keep" goes on
            with that of the checkpoint, "rebase" stretches what remains of it to the length of the new one, "new" takes the
            new one at the same count. All but "error" warn.
        start: Number of updates so far.
        control: A controller of `learnrate.control`, several in a list, or a mapping from names. Give it the losses, in
            every process: `attachment.observe(loss)` after `accelerator.backward(loss)`, once for each micro-batch; and look
            at `attachment.stopped`. What it has done is in the accelerator's checkpoints.
        model: The model, of which a guard keeps snapshots.
        record: File of the record of the run; see `learnrate.Record`.
        page: Whether a live page is served; or its settings, a `learnrate.control.Page`.
        **others: Schedules of other hyper-parameters, by their names in the groups.

    Returns:
        The attachment: `updates`, `replace()`, `detach()`, `observe()`, `scale()`, `stopped`, `control`.

    Raises:
        ArgumentError: if no schedule is given, a length cannot be resolved, the loader is not prepared, or a number breaks
            its rule.
        ArgumentTypeError: if an argument is of the wrong kind.
        AlreadyDrivenError: if something else drives the optimizer, or it was prepared before.

    Example:
        >>> import torch, accelerate, learnrate as lr
        >>> accelerator = accelerate.Accelerator(cpu=True)
        >>> model = torch.nn.Linear(2, 1)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> model, optimizer = accelerator.prepare(model, optimizer)
        >>> attachment = lr.accelerate.prepare(accelerator, optimizer, "linear(1, 0)", updates=4)
        >>> optimizer.step()
        >>> attachment
        <Attachment at update 1: lr 0.75 of linear(start=1.0, end=0.0, length=4)>
    """
    require_accelerator(accelerator)
    checks.flag("relative", relative)
    attachment = follow(
        optimizer,
        {"lr": schedule, "momentum": momentum, **others},
        _horizon(accelerator, updates, epochs, loader),
        relative=relative,
        start=checks.whole("start", start, at_least=0, at_most=checks.LONGEST),
        on_change=check_on_change(on_change),
        control={"control": control, "model": model, "scaler": accelerator.scaler, "record": record, "page": page},
    )
    attachment.prepared_by(accelerator)
    _forget_detached(accelerator)
    accelerator.register_for_checkpointing(attachment)
    return attachment


def _forget_detached(accelerator: Accelerator) -> None:
    """Take what was detached out of the accelerator's checkpoints: it is replaced, and cannot be loaded.

    Accelerate has no public way to do so.
    """
    objects = accelerator._custom_objects
    objects[:] = [entry for entry in objects if not isinstance(entry, Attachment) or entry.is_attached]


def require_accelerator(accelerator: object) -> None:
    """Refuse something else.

    Raises:
        ArgumentTypeError: if it is no `accelerate.Accelerator`.
    """
    if not isinstance(accelerator, Accelerator):
        checks.refuse_type("accelerator", "an accelerate.Accelerator", accelerator)


def _horizon(
    accelerator: Accelerator, updates: int | None, epochs: float | None, loader: "DataLoader[object] | None"
) -> Horizon | None:
    per_epoch = None if loader is None else updates_per_epoch(accelerator, loader)
    if epochs is not None:
        if updates is not None or per_epoch is None:
            raise ArgumentError(
                f"epochs must be given with loader and without updates, received {epochs!r} with updates={updates!r} and "
                f"{'no loader' if loader is None else 'a loader'}"
            )
        updates = math.ceil(checks.positive("epochs", epochs) * per_epoch)
    if updates is None and per_epoch is None:
        return None
    return Horizon(updates=updates, updates_per_epoch=per_epoch)


def updates_per_epoch(accelerator: Accelerator, loader: "DataLoader[object]") -> int:
    """Updates in a pass over a prepared loader.

    Raises:
        ArgumentError: if it is not prepared, or has no length.
    """
    if accelerator.num_processes > 1 and not hasattr(loader, "total_batch_size"):
        raise ArgumentError(
            "loader must be the one that accelerator.prepare returned, received one with the batches of all processes, a "
            f"{type(loader).__name__}"
        )
    if isinstance(loader, Dataset) and not isinstance(loader, IterableDataset):
        checks.refuse_type("loader", "the prepared loader", loader, "its length would be a number of examples")
    try:
        batches = len(loader)
    except TypeError:
        raise ArgumentError(
            f"loader must have a length, {type(loader).__name__} has none: give updates=, and lengths in updates or percent"
        ) from None
    accumulated: int = accelerator.gradient_accumulation_steps
    return max(1, math.ceil(batches / accumulated))
