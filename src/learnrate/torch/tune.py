"""tune() for a torch model."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Unpack

from torch import nn

from learnrate import checks, tuner
from learnrate.finder import Curve
from learnrate.interrupts import within
from learnrate.torch.distributed import all_processes
from learnrate.torch.driving import Only
from learnrate.torch.ensemble import ensemble_of
from learnrate.torch.inputs import Optimizers
from learnrate.torch.snapshot import CopyTo
from learnrate.torch.training import (
    Batches,
    Evaluate,
    HeldOut,
    Losses,
    TorchTrainable,
    UpdateOptions,
    Updater,
    check_rewindable,
    seed_everything,
)
from learnrate.tuner import HIGH, LOW, Families, OnCurve, Plan, Progress


def tune(
    model: nn.Module,
    optimizer: Optimizers,
    batches: Batches,
    loss: Losses,
    *,
    updates: int,
    family: Families | None = None,
    evaluate: Evaluate | HeldOut | None = None,
    budget: float | str | None = None,
    seed: int = 0,
    low: float = LOW,
    high: float = HIGH,
    curve: Curve | None = None,
    only: Only = None,
    together: bool | None = None,
    also_keep: Sequence[Any] = (),
    copy_to: CopyTo = "auto",
    progress: Progress | None = None,
    on_curve: OnCurve | None = None,
    **update: Unpack[UpdateOptions],
) -> Plan:
    """Choose a schedule for a training run of this model: a probe, trials at a few LRs, a plan (see `learnrate.tune`).

    Model, optimizer and random numbers are given back as they were, byte for byte (see `preserve`). With
    `torch.distributed`, call it in every process: the processes decide together and return the same plan; if one process
    fails, tuning ends in all of them (`RankError`).

    Args:
        model: The model, on its device and with the weights that the training run starts from.
        optimizer: Its optimizer, or several. Groups keep the ratios of their LRs; the plan gives the LR of the group with
            the largest LR.
        batches: Anything that can be iterated again (a `DataLoader`, a list), or a function that returns a new iterator.
            Every trial sees the same data if its randomness follows from the global random numbers or from the generator of
            a `DataLoader`.
        loss: A criterion (outputs, target) -> loss for batches of (inputs, target), or a function (model, batch) -> loss.
        updates: Length of the whole training run.
        family: The kind of schedule: "warmup_cosine" (the default: 10 % linear warm-up, cosine to 0), "one_cycle", "wsd",
            "triangular2" (between bounds, in whole cycles of 2 to 10 epochs a half), or a function from a max_lr to a
            schedule. Several names, or functions by name, are compared, each at its own best LR.
        evaluate: How good the model is, higher is better: a function from the model to a number or to a mapping of numbers,
            of which the first decides; or held-out batches, whose mean loss is computed and negated. It counts beside the
            training loss, which decides alone without it.
        budget: The maximum cost of tuning: a share of one training run, or a text such as "500 updates", "25%" or "90
            seconds". By default 60 % of a run of 300 to 1,500 updates, 20 % of 5,000, 7 % of 20,000, 2 % of 100,000. Never
            exceeded; a search that is certain earlier costs less.
        seed: Seeds the random numbers of probe, range test and trials.
        low: The lowest LR to try, and the first one of a range test.
        high: The highest LR to try, and the last one of a range test.
        curve: A range test from the same start, if there is one already; its updates count as spent.
        only: What the schedule drives while the rest keeps its LR; see `range_test`.
        together: Whether trials of several LRs train as one batch (`torch.func.vmap`), which needs memory for a model for
            each of them. By default if that is likely to be faster: on an accelerator, up to half of its free memory. If
            that is not possible they run one by one; the plan's reasons say so.
        also_keep: What else the training changes and should be given back (see `preserve`).
        copy_to: Where the copy of the state lives: "device", "cpu", "disk", or "auto" (see `preserve`).
        progress: Called after every update with (name of the stage, updates so far, updates planned).
        on_curve: Called with a range test and its bounds as soon as it has ended, also if it was interrupted; not if there
            is none, or with a `curve` that was given.
        **update: How an update is made; see `UpdateOptions`. Without `clip_norm` and `clip_value` the steps of SGD have no
            limit, so that no LR above one at which a single batch made the loss spike is chosen.

    Returns:
        The plan: `schedule`, `max_lr`, `bounds`, `cost`, `reasons`, `plot()`, `save()`.

    Raises:
        ArgumentError: if a number breaks its rule, the budget is too small, or there is nothing to train.
        ArgumentTypeError: if an argument is of the wrong kind.
        DataError: if there are no batches.
        LossError: if the loss is no scalar tensor with a gradient, or not finite at the first update.
        NoAnswerError: if every trial diverges, none learns within the budget, a batch gives no finite loss whatever the LR,
            or the budget has no trials for one of several families.
        OutputError: if the copy of the state does not fit on the disk.
        RankError: if one of several processes failed.

    Example:
        >>> import torch, learnrate as lr
        >>> _ = torch.manual_seed(0)
        >>> model = torch.nn.Linear(4, 1)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> x = torch.randn(256, 4)
        >>> batches = list(zip(x.split(16), x.sum(1, keepdim=True).split(16)))
        >>> plan = lr.torch.tune(model, optimizer, batches, torch.nn.MSELoss(), updates=320)
        >>> plan.schedule.length, plan.cost <= 1.0
        (320, True)
    """
    with all_processes("tune") as processes:  # first: an error in one process must reach the others
        checks.flag("together", together, or_none=True)
        check_rewindable(batches)
        trainable = TorchTrainable(
            *(model, optimizer, batches, loss, evaluate),
            updater=Updater.of(update, tune),
            only=only,
            also_keep=also_keep,
            copy_to=copy_to,
            processes=processes,
            ensemble=partial(ensemble_of, together=together),
        )
        processes.require_same(
            **{"updates": updates, "budget": budget, "seed": seed, "low": low, "high": high},
            **{"family": _names(family), "only": only, "curve": curve},
            **trainable.updater.shared(),
            evaluate=evaluate is not None,
        )

        def plan(_: None) -> Plan:
            seed_everything(seed, processes.rank)
            return tuner.tune(
                trainable,
                updates=updates,
                family=family,
                budget=budget,
                low=low,
                high=high,
                curve=curve,
                progress=processes.guarded(progress),
                on_curve=processes.guarded(on_curve),
            )

        return within(trainable.borrowed(), plan)


def _names(family: Families | None) -> Any:
    """The kinds of schedules by name: functions cannot be compared between processes."""
    if isinstance(family, (list, tuple, Mapping)):
        return [_names(entry) for entry in family]
    return getattr(family, "__qualname__", family)
