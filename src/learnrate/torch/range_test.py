"""The range test of a torch model."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from learnrate import checks
from learnrate.errors import ArgumentTypeError
from learnrate.finder import Curve
from learnrate.finder.recording import SKIPPED, Host, Progress, Sweep, record, scalars
from learnrate.finder.stops import Own, Stop, diverged
from learnrate.finder.sweep import planned
from learnrate.schedules import Schedule
from learnrate.torch.distributed.processes import Alone, gathered
from learnrate.torch.driving import Only, at_rest
from learnrate.torch.inputs import Optimizers, optimizers_by_name
from learnrate.torch.snapshot import CopyTo, Snapshot
from learnrate.torch.training.batches import Batches, check_rewindable
from learnrate.torch.training.loop import Loop, Losses, check_seed, measured, seed_everything
from learnrate.torch.training.update import Updating

RANKS_APART = 1_000_003
"""Between the seeds of two processes: that of one must not be another's of the next sweep."""

READ_EVERY = 8
"""Losses are read so many at once: reading one on a device makes the host wait until the device has caught up, and on the
host it is quicker done in one go, where the updates are quick too."""


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
    stop: Stop | Own | Sequence[Stop | Own] | None = diverged(),  # noqa: B008 - frozen and without state
    time_limit: float | None = None,
    only: Only = None,
    accumulate: int = 1,
    autocast: torch.dtype | None = None,
    scaler: torch.amp.GradScaler | None = None,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    closure: bool = False,
    evaluate: Callable[[nn.Module], Any] | None = None,
    evaluate_every: int = 1,
    seed: int | Sequence[int] | None = None,
    also_keep: Sequence[Any] = (),
    copy_to: CopyTo = "auto",
    restore: bool = True,
    progress: Progress | None = None,
) -> Curve:
    """Run an LR range test of a model and give everything back as it was, byte for byte (see `preserve`).

    A model in eval mode is trained in train mode; submodules that are frozen in eval mode stay so. Whatever drives the
    optimizer, a scheduler or an attachment, rests meanwhile. Ctrl-C ends the sweep and gives the curve
    so far. With `torch.distributed` running, call it in every process: the losses are averaged over the processes, which
    decide together and return the same curve; a process that fails ends the test in all of them (`RankError`).

    Args:
        model: The model, on its device and with the weights to start from; also compiled, or wrapped for many processes.
        optimizer: Its optimizer, or several: a list, or a mapping from names. The sweep gives the LR of the parameter group
            with the largest, the others keep their ratios to it.
        batches: Anything that can be iterated (a `DataLoader`, a list, a stream), or a function that returns a fresh
            iterator; of any structure, moved to the model's device. Started again when it runs out; the curve's notes say
            where. An iterator ends the sweep when it runs out, and is not given back.
        loss: A criterion for batches of (inputs, target), or a function (model, batch) -> loss. The loss is a scalar tensor,
            or a mapping that holds it under "loss" beside metrics to record. With several optimizers also a mapping from
            their names to a loss each: they take turns, as in a GAN, and the curve's loss is the sum of those that are swept
            (`curve.of(name)` is the curve of one)
        low: LR of the first update, above 0; 1e-7 by default.
        high: LR of the last update; 10 by default.
        updates: Length of the sweep in updates, at least 10; 100 by default.
        schedule: "exponential", "linear", or a schedule (see `learnrate.range_test`).
        stop: What ends the sweep early (see `learnrate.stops`); None for nothing but a loss that is not finite.
        time_limit: Seconds.
        only: What is swept while the rest keeps its LR: names of optimizers, or names or indices of parameter groups.
        accumulate: Micro-batches in an update; what is left at the end of an epoch makes one of its own.
        autocast: The dtype of `torch.autocast`; None for full precision.
        scaler: The gradient scaler. Updates that it skips are made again at the same LR, and the curve says which.
        clip_norm: Most norm of the gradients of an optimizer.
        clip_value: Most absolute value of an element of a gradient.
        closure: Whether `optimizer.step` needs a closure; always so for LBFGS.
        evaluate: From the model to a number ("score") or a mapping of names to numbers, on held-out data say.
        evaluate_every: Updates between two evaluations.
        seed: Seeds all random numbers for the sweep; by default they run on from where they are. Several seeds make several
            sweeps from the same start, merged into one curve with a band.
        also_keep: What else the loss changes and should be given back (see `preserve`).
        copy_to: Where the copy of the state lives: "device", "cpu", "disk", or "auto" (see `preserve`).
        restore: False to leave everything as the sweep left it, for those who build the model anew anyway.
        progress: Called after every update with (updates made, updates planned).

    Returns:
        The curve.

    Raises:
        ArgumentError: if a number breaks its rule, or there is nothing to train.
        ArgumentTypeError: if an argument is of the wrong kind.
        DataError: if there are no batches.
        LossError: if the loss is no scalar tensor with a gradient, or not finite at the first update.
        OutputError: if the copy is to live on a disk that is full.
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
    with gathered() as team:
        updating = Updating(accumulate, autocast, scaler, clip_norm, clip_value, closure)
        loop = Loop(model, optimizer, batches, loss, updating=updating, only=only, others=also_keep)
        if evaluate is not None and not callable(evaluate):
            raise ArgumentTypeError(f"evaluate must be a function from a model to a number, received {evaluate!r}")
        measure = None if evaluate is None else lambda: team.mean_scores(team.run(measured, model, evaluate))
        plan = planned(low, high, updates, schedule, stop, time_limit, measure, evaluate_every, progress)
        seeds = _seeds(seed, batches)
        team.require_same(
            lrs=plan.lrs.tolist(),
            seeds=len(seeds),
            evaluate_every=evaluate_every,
            accumulate=accumulate,
            scaler=scaler is not None,
        )
        on_host = next(model.parameters()).device.type == "cpu"
        host = Host(
            read=lambda values, lrs: team.mean((read_here if on_host else read_there)(values, lrs)),
            read_every=READ_EVERY if team.size == 1 else 1,
            read_within=0.01 if on_host else math.inf,
            agree=team.agree,
        )
        with at_rest(optimizers_by_name(optimizer).values()):
            curves = _sweeps(loop, plan, host, team, seeds, progress, copy_to, restore)
        return curves[0] if len(curves) == 1 else _merged(curves)


def read_here(values: Sequence[Mapping[str, Any]], lrs: Sequence[float]) -> list[dict[str, float]]:
    """What steps saw, as numbers."""
    return [scalars(row, lr) for row, lr in zip(values, lrs, strict=True)]


def read_there(values: Sequence[Mapping[str, Any]], lrs: Sequence[float]) -> list[dict[str, float]]:
    """What steps saw on a device, as numbers: fetched all at once, for each fetching is a wait."""
    waiting = [v for row in values for v in row.values() if isinstance(v, Tensor) and v.numel() == 1]
    one_place = [v.detach().double().reshape(()).to(waiting[0].device) for v in waiting]
    fetched = torch.stack(one_place).tolist() if waiting else []
    known = {id(v): number for v, number in zip(waiting, fetched, strict=True)}
    return read_here([{name: known.get(id(v), v) for name, v in row.items()} for row in values], lrs)


def _sweeps(
    loop: Loop,
    plan: Sweep,
    host: Host,
    team: Alone,
    seeds: Sequence[int | None],
    progress: Progress | None,
    copy_to: CopyTo,
    restore: bool,
) -> list[Curve]:
    """A sweep a seed, all from the same start; everything is put back in the end if `restore` says so.

    Ctrl-C in a later sweep gives those that were complete.
    """
    copied = restore or len(seeds) > 1
    start = Snapshot(loop.model, loop.optimizers, *loop.kept, copy_to=copy_to) if copied else None
    curves: list[Curve] = []
    try:
        for number, seed in enumerate(seeds):
            if number and start is not None:
                start.restore()
            loop.rewind()
            if seed is not None:
                seed_everything((seed + RANKS_APART * team.rank) % 2**32)
            told = None if progress is None else _onwards(progress, number, len(seeds))
            try:
                curve = record(partial(_step, loop, team), plan, host, told)
            except KeyboardInterrupt:
                if not curves:
                    raise
                break
            if curve.ended == "interrupted" and curves:
                break
            curves.append(_with_data(curve, loop, seed, team))
            if curve.ended == "interrupted":
                break
    except BaseException:
        loop.abandon()  # a thread that is left behind must not go on with what is put back
        raise
    finally:
        if start is not None:
            if restore:
                start.restore()
            start.close()
    if len(curves) < len(seeds):
        note = f"interrupted: {len(curves)} of {len(seeds)} sweeps are complete"
        curves[-1] = dataclasses.replace(curves[-1], notes=(*curves[-1].notes, note))
    return curves


def _merged(curves: list[Curve]) -> Curve:
    merged = Curve.merge(curves)
    if all(np.array_equal(curve.losses, curves[0].losses, equal_nan=True) for curve in curves[1:]):
        note = "the sweeps are all the same: nothing in them follows from the seed, and the band tells nothing"
        return dataclasses.replace(merged, notes=(*merged.notes, note))
    return merged


def _step(loop: Loop, team: Alone, lr: float) -> Any:
    seen = team.run(loop.step, lr)
    # Processes that hold parts of a model may not all have seen the gradient that was not finite.
    if loop.scaled and team.any(seen is SKIPPED):
        return SKIPPED
    return seen


def _with_data(curve: Curve, loop: Loop, seed: int | None, team: Alone) -> Curve:
    notes = curve.notes
    restarts, per_epoch = team.of_first((loop.restarts, loop.updates_per_epoch()))
    restarts = [update for update in restarts if update < len(curve)]
    if restarts:
        shown = ", ".join(map(str, restarts[:10])) + (f", ... ({len(restarts)} times)" if len(restarts) > 10 else "")
        notes = (*notes, f"the batches ran out and were started again at update {shown}")
    seeds = () if seed is None else (seed,)
    return dataclasses.replace(curve, notes=notes, seeds=seeds, updates_per_epoch=per_epoch)


def _onwards(progress: Progress, number: int, sweeps: int) -> Progress:
    return lambda made, planned: progress(number * planned + made, sweeps * planned)


def _seeds(seed: int | Sequence[int] | None, batches: Batches) -> list[int | None]:
    if seed is None:
        return [None]
    if not isinstance(seed, Sequence) or isinstance(seed, str):
        return [check_seed(seed)]
    seeds = [check_seed(one) for one in seed]
    if len(seeds) > 1:
        check_rewindable(batches)
    if not seeds or len(set(seeds)) < len(seeds):
        checks.refuse("seed", "one number, or several different ones", seed)
    return list(seeds)
