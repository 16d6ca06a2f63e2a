"""The range test of a torch model."""

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal, Unpack

import numpy as np
from torch import nn

from learnrate import checks
from learnrate.finder import Curve
from learnrate.finder.nonfinite import NothingFiniteError, rises
from learnrate.finder.recording import record
from learnrate.finder.stops import diverged
from learnrate.finder.sweep import Stop, Sweep, sweep_of
from learnrate.interrupts import within
from learnrate.schedules import Schedule
from learnrate.torch.distributed import all_processes
from learnrate.torch.driving import Only, drivers_paused
from learnrate.torch.inputs import Optimizers
from learnrate.torch.snapshot import CopyTo, Snapshot
from learnrate.torch.training import (
    Batches,
    Evaluate,
    HeldOut,
    Losses,
    TorchTrainable,
    UpdateOptions,
    Updater,
    check_rewindable,
    check_seed,
    seed_everything,
)
from learnrate.trainable import restored
from learnrate.updates import Progress


def range_test(
    model: nn.Module,
    optimizer: Optimizers,
    batches: Batches,
    loss: Losses,
    *,
    low: float | None = None,
    high: float | None = None,
    updates: int | None = None,
    schedule: Literal["exponential", "linear"] | Schedule = "exponential",
    stop: Stop = diverged(),  # noqa: B008 - frozen and without state
    time_limit: float | None = None,
    only: Only = None,
    evaluate: Evaluate | HeldOut | None = None,
    evaluate_every: int = 1,
    seed: int | Sequence[int] | None = None,
    also_keep: Sequence[Any] = (),
    copy_to: CopyTo = "auto",
    restore: bool = True,
    progress: Progress | None = None,
    **update: Unpack[UpdateOptions],
) -> Curve:
    """Run an LR range test of a model and give everything back as it was, byte for byte (see `preserve`).

    A model in eval mode is trained in train mode; submodules that are frozen in eval mode stay frozen. A scheduler or an
    attachment that drives the optimizer is paused during the test. Ctrl-C ends the sweep and returns the curve so far. With
    `torch.distributed`, call it in every process: the losses are averaged over the processes, which decide together and
    return the same curve; if one process fails, the test ends in all of them (`RankError`).

    A batch whose loss is not finite, while that of other batches is with the same weights, is left out and named in the
    notes; the next batch takes its LR. On an accelerator, where a loss is read after its update, the sweep is made once more
    for it, from the copy of the start. Without a copy (`restore=False`) and with many processes, such a loss ends the sweep.

    Args:
        model: The model, on its device and with the weights to start from; also compiled, or wrapped for many processes.
        optimizer: Its optimizer, or several: a list, or a mapping from names. The sweep gives the LR of the parameter group
            with the largest LR; the other groups keep their ratios to it, and a factor "lr_scale" that timm has written.
        batches: Anything that can be iterated (a `DataLoader`, a list, a stream), or a function that returns a new iterator;
            of any structure, moved to the model's device. Started again when it runs out; the curve's notes say where. An
            iterator ends the sweep when it runs out, and cannot be given back.
        loss: A criterion (outputs, target) -> loss for batches of (inputs, target), or a function (model, batch) -> loss.
            The loss is a scalar tensor, or a mapping that holds it under "loss" beside metrics to record. With several
            optimizers also a mapping from their names to a loss each: they take turns, as in a GAN, and the curve's loss is
            the sum of the losses that are swept (`curve.of(name)` is the curve of one of them).
        low: LR of the first update, above 0; 1e-7 by default.
        high: LR of the last update; 10 by default.
        updates: Length of the sweep in updates, at least 10; 100 by default.
        schedule: "exponential", "linear", or a schedule (see `learnrate.range_test`).
        stop: What ends the sweep early (see `learnrate.stops`); None for nothing but a loss that is not finite.
        time_limit: Seconds.
        only: What is swept while the rest keeps its LR: names of optimizers, or names or indices of parameter groups.
        evaluate: How good the model is: a function from the model to a number ("score" in the curve) or to a mapping of
            numbers; or held-out batches, whose mean loss is computed and negated.
        evaluate_every: Number of updates between two evaluations.
        seed: Seeds all random numbers for the sweep; by default they continue from their present state. Several seeds make
            several sweeps from the same start, merged into one curve with a band.
        also_keep: What else the training changes and should be given back (see `preserve`).
        copy_to: Where the copy of the state lives: "device", "cpu", "disk", or "auto" (see `preserve`).
        restore: False leaves everything as the sweep left it, except that a scheduler or an attachment writes the LR of the
            next update.
        progress: Called after every update with (updates so far, updates planned).
        **update: How an update is made; see `UpdateOptions`.

    Returns:
        The curve.

    Raises:
        ArgumentError: if a number breaks its rule, or there is nothing to train.
        ArgumentTypeError: if an argument is of the wrong kind.
        DataError: if there are no batches.
        LossError: if the loss is no scalar tensor with a gradient, or not finite for several batches at the first update.
        OutputError: if the copy of the state does not fit on the disk.
        RankError: if one of several processes failed.

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
    with all_processes("range_test") as processes:
        checks.flag("restore", restore)
        trainable = TorchTrainable(
            *(model, optimizer, batches, loss, evaluate),
            updater=Updater.of(update, range_test),
            only=only,
            also_keep=also_keep,
            copy_to=copy_to,
            processes=processes,
            in_blocks=True,
        )
        every = checks.whole("evaluate_every", evaluate_every, at_least=1)
        evaluations = None if evaluate is None else every
        sweep = sweep_of(low, high, updates, schedule, stop, time_limit, evaluations, processes.guarded(progress))
        seeds = _seeds(seed, batches)
        processes.require_same(
            lrs=sweep.lrs.tolist(),
            seeds=len(seeds),
            evaluate=evaluate is not None,
            evaluate_every=evaluations,
            only=only,
            **trainable.updater.shared(),
        )
        borrowed = _borrowed(trainable, restore=restore, sweeps=len(seeds))
        curves = within(borrowed, partial(_sweeps, trainable, sweep, seeds))
        return curves[0] if len(curves) == 1 else _merged(curves)


@contextmanager
def _borrowed(trainable: TorchTrainable, *, restore: bool, sweeps: int) -> Iterator[Snapshot | None]:
    """The start of the sweeps, if it is needed; everything is put back at the end if `restore` is set."""
    with drivers_paused(trainable.optimizers.values(), restored=restore):
        if restore:
            with restored(trainable) as start:
                yield start
        elif sweeps > 1:
            start = trainable.save()
            try:
                yield start
            finally:
                trainable.release(start)
        else:
            yield None


def _sweeps(trainable: TorchTrainable, sweep: Sweep, seeds: Sequence[int | None], start: Snapshot | None) -> list[Curve]:
    """One sweep for each seed, all from the same start.

    Ctrl-C in a later sweep returns those that are complete.
    """
    curves: list[Curve] = []
    for number, seed in enumerate(seeds):
        if number:
            trainable.restore(start)  # type: ignore[arg-type]
        try:
            curve = swept(trainable, _numbered(sweep, number, len(seeds)), seed, start)
        except KeyboardInterrupt:
            if not curves:
                raise
            break
        if curve.ended == "interrupted" and curves:
            break
        curves.append(dataclasses.replace(curve, seeds=() if seed is None else (seed,)))
        if curve.ended == "interrupted":
            break
    if len(curves) < len(seeds):
        note = f"interrupted: {len(curves)} of {len(seeds)} sweeps are complete"
        curves[-1] = dataclasses.replace(curves[-1], notes=(*curves[-1].notes, note))
    return curves


def swept(trainable: TorchTrainable, sweep: Sweep, seed: int | None, start: Snapshot | None) -> Curve:
    """One sweep, made once more without the batch whose loss was not finite if it may be that batch that ended it.

    On an accelerator a loss is read after its update, which has then ruined the weights. The one state to return to is that
    of the start. From there the second sweep looks at each loss before the update.
    """
    if start is None or trainable.check_batches or trainable.processes.size > 1:
        return _seeded(trainable, sweep, seed)
    try:
        curve = _seeded(trainable, sweep, seed)
        if curve.ended != "not finite" or rises(curve.losses):
            return curve
    except NothingFiniteError:  # that of the first batch is not
        pass
    trainable.restore(start)
    trainable.check_batches = True
    return _seeded(trainable, sweep, seed)


def _seeded(trainable: TorchTrainable, sweep: Sweep, seed: int | None) -> Curve:
    trainable.rewind()
    if seed is not None:
        seed_everything(seed, trainable.processes.rank)
    return record(trainable, sweep)


def _merged(curves: list[Curve]) -> Curve:
    merged = Curve.merge(curves)
    if all(np.array_equal(curve.losses, curves[0].losses, equal_nan=True) for curve in curves[1:]):
        note = "all sweeps are the same: nothing in them depends on the seed, so the band shows nothing"
        return dataclasses.replace(merged, notes=(*merged.notes, note))
    return merged


def _numbered(sweep: Sweep, number: int, sweeps: int) -> Sweep:
    """The sweep with a `progress` that counts the updates of all sweeps."""
    progress = sweep.progress
    if progress is None:
        return sweep
    return dataclasses.replace(
        sweep, progress=lambda updates, planned: progress(number * planned + updates, sweeps * planned)
    )


def _seeds(seed: int | Sequence[int] | None, batches: Batches) -> list[int | None]:
    if seed is None:
        return [None]
    if not isinstance(seed, Sequence) or isinstance(seed, str):
        return [check_seed(seed)]
    seeds = [check_seed(entry) for entry in seed]
    if len(seeds) > 1:
        check_rewindable(batches)
    if not seeds or len(set(seeds)) < len(seeds):
        checks.refuse("seed", "one number, or several different ones", seed)
    return list(seeds)
