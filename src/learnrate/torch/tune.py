"""tune() for a torch model."""

from functools import partial

import torch
from torch import nn
from torch.optim import SGD, Adagrad, Optimizer

from learnrate import checks, tuner
from learnrate.finder import Curve
from learnrate.torch.driving import Only, at_rest
from learnrate.torch.ensemble import ensemble_of
from learnrate.torch.inputs import Optimizers
from learnrate.torch.snapshot import same_random_numbers
from learnrate.torch.training.batches import Batches, check_rewindable
from learnrate.torch.training.evaluation import HeldOut, evaluation
from learnrate.torch.training.loop import Evaluate, Loop, Losses, seed_everything
from learnrate.torch.training.update import Updating
from learnrate.tuner import Families, Plan
from learnrate.tuner.estimate import DRIFT
from learnrate.tuner.tune import HIGH, LOW, OnCurve, Progress

ROOT = 0.5
"""Octaves by which a doubling of the training raises the best LR of AdaGrad: it divides by the root of the sum of all
squared gradients (Duchi, Hazan and Singer 2011, section 1.1), and so shrinks its steps with the root of their number."""


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
    drift: float | None = None,
    only: Only = None,
    accumulate: int = 1,
    autocast: torch.dtype | None = None,
    scaler: torch.amp.GradScaler | None = None,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    closure: bool = False,
    together: bool | None = None,
    progress: Progress | None = None,
    on_curve: OnCurve | None = None,
) -> Plan:
    """Choose a schedule for a training of this model: range test, races, plan.

    Model, optimizer and random numbers are given back as they were, byte for byte (see `preserve`). With SGD and
    neither `clip_norm` nor `clip_value` no LR is taken to be safe above one at which a batch flung the loss far up.

    Args:
        model: The model, on its device and with the weights that the training starts from.
        optimizer: Its optimizer, or several. Groups keep the ratios of their LRs; the plan gives the LR of the group with
            the largest.
        batches: Anything that can be iterated again (a `DataLoader`, a list), or a function that returns a fresh iterator.
            Every race sees the same data if what is random in it follows from the global random numbers or from the
            generator of a `DataLoader` given as it is.
        loss: A criterion for batches of (inputs, target), or a function (model, batch) -> loss.
        updates: Length of the whole training.
        family: The kind of schedule: "warmup_cosine" (the default: 10 % linear warm-up, cosine to 0), "one_cycle", "wsd",
            "triangular2" (between bounds, in whole cycles of 2 to 10 epochs a half), or a function from a max_lr to a
            schedule. Several names, or functions by name, are compared, each at its own best LR.
        evaluate: From the model to how good it is, higher is better (validation accuracy, say); or held-out batches, on
            which the loss is taken. It has a say in the races beside the training loss, which alone decides without it.
        budget: What tuning may cost: a share of one training, or a text such as "500 updates", "25%" or "90 seconds". By
            default all of a training of up to 1,200 updates, a quarter of 5,000, a tenth of 20,000. Never exceeded.
        seed: Seeds the random numbers that range test and races run on.
        low: First LR of the range test.
        high: Last LR of the range test.
        curve: A range test that was run already on the same start; its updates count as spent.
        drift: Octaves by which the best LR is taken to move with each doubling of a training. By default it falls by a
            tenth, and rises by 0.4 where the optimizer is AdaGrad, whose steps shrink with the root of their number.
        only: What the schedule drives while the rest keeps its LR (this and what follows as for `range_test`).
        accumulate: Micro-batches in an update.
        autocast: The dtype of `torch.autocast`.
        scaler: The gradient scaler.
        clip_norm: Most norm of the gradients of an optimizer.
        clip_value: Most absolute value of an element of a gradient.
        closure: Whether `optimizer.step` needs a closure.
        together: Whether races of several LRs train as one batch (`torch.func.vmap`), which costs the memory of so many
            models. By default where that is likely to be quicker: on an accelerator, as far as half of its free memory
            reaches. Where it cannot be done they run one after the other; the plan's reasons say so.
        progress: Called after every update with (what is being done, updates made, updates planned).
        on_curve: Called with the range test and its bounds as soon as it has ended, also by an interrupt; not with a `curve`
            that was given.

    Returns:
        The plan: `schedule`, `max_lr`, `bounds`, `cost`, `reasons`, `plot()`, `save()`.

    Raises:
        ArgumentError: if a number breaks its rule, the budget is too small, or there is nothing to train.
        ArgumentTypeError: if an argument is of the wrong kind.
        DataError: if there are no batches.
        LossError: if the loss is no scalar tensor with a gradient, or not finite at the first update.
        NoAnswerError: if every candidate diverges, none learns within the budget, a batch gives no finite loss whatever the
            LR, or the budget has no races for one of several families.

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
    checks.flag("together", together, or_none=True)
    check_rewindable(batches)
    updating = Updating(accumulate, autocast, scaler, clip_norm, clip_value, closure)
    loop = Loop(model, optimizer, batches, loss, evaluation(evaluate, loss), updating=updating, only=only)
    # All else is put back by the tuner, which has a copy of its own to start each race from.
    with at_rest(loop.optimizers.values()), same_random_numbers(model):
        seed_everything(seed)
        return tuner.tune(
            loop,
            updates=updates,
            family=family,
            budget=budget,
            low=low,
            high=high,
            curve=curve,
            drift=usual_drift(loop) if drift is None else drift,
            unbounded=has_unbounded_steps(loop),
            abreast=partial(ensemble_of, loop, together),
            progress=progress,
            on_curve=on_curve,
        )


def usual_drift(loop: Loop) -> float:
    """Octaves by which the best LR of these optimizers, as far as they are driven, moves with each doubling."""
    return DRIFT + ROOT if all(isinstance(one, Adagrad) for one in _driven(loop)) else DRIFT


def has_unbounded_steps(loop: Loop) -> bool:
    """Whether one batch may move what is driven as far as its gradient is large: by SGD, without clipping."""
    clipped = loop.updating.clip_norm is not None or loop.updating.clip_value is not None
    return not clipped and any(isinstance(one, SGD) for one in _driven(loop))


def _driven(loop: Loop) -> list[Optimizer]:
    return [one for one in loop.optimizers.values() if loop.swept.drives([one])]
