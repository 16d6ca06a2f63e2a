"""tune() for a training in JAX."""

from typing import TypedDict, Unpack

import jax
import numpy as np

from learnrate import checks, tuner
from learnrate.batches import Batches, check_rewindable
from learnrate.finder import Curve
from learnrate.jax.optimizers import Optimizer
from learnrate.jax.places import Tree
from learnrate.jax.trainable import Evaluate, Loss, Training
from learnrate.schedules import Schedule, constant
from learnrate.tuner import HIGH, LOW, Families, OnCurve, Plan, Progress
from learnrate.tuner import budget as budgets
from learnrate.tuner.in_place import Report, Setting, tune_in_place


def tune(
    params: Tree,
    optimizer: Optimizer,
    batches: Batches,
    loss: Loss,
    *,
    updates: int,
    family: Families | None = None,
    evaluate: Evaluate | None = None,
    budget: float | str | None = None,
    opt_state: Tree | None = None,
    key: jax.Array | None = None,
    low: float = LOW,
    high: float = HIGH,
    curve: Curve | None = None,
    together: bool | None = None,
    progress: Progress | None = None,
    on_curve: OnCurve | None = None,
) -> Plan:
    """Choose a schedule for a training run: a probe, trials at a few LRs, a plan (see `learnrate.tune`).

    Arrays of JAX do not change, so that nothing has to be given back: the run begins with `params` as if there had been no
    tuning. `tuned` is the same as a part of the run itself.

    Args:
        params: The parameters that the training run starts from: a pytree of floating-point arrays.
        optimizer: A function from an LR to an `optax.GradientTransformation`, such as `optax.adam`, also with
            `optax.MultiSteps` around it; or a transformation made with `optax.inject_hyperparams` and a number.
        batches: Anything that can be iterated again, or a function that returns a new iterator. Every trial should see the
            same data: let a function draw it from a seed of its own.
        loss: A function (params, batch) -> loss, or (params, batch, key) -> loss where a key is given; see `Training`.
        updates: Length of the whole training run in updates (optimizer steps).
        family: The kind of schedule: "warmup_cosine" (the default: 10 % linear warm-up, cosine to 0), "one_cycle", "wsd",
            "triangular2", or a function from a max_lr to a schedule. Several names, or functions by name, are compared.
        evaluate: How good parameters are, higher is better: a function (params) -> number or mapping of numbers, of which
            the first decides. It counts beside the training loss, which decides alone without it.
        budget: The maximum cost of tuning: a share of one training run, or a text such as "500 updates", "25%" or "90
            seconds". By default 60 % of a run of 300 to 1,500 updates, 20 % of 5,000, 7 % of 20,000, 2 % of 100,000. Never
            exceeded.
        opt_state: The state of the optimizer to start from; by default that of its beginning.
        key: A key of `jax.random`, from which each update gets its own.
        low: The lowest LR to try, and the first one of a range test.
        high: The highest LR to try, and the last one of a range test.
        curve: A range test from the same start, if there is one already; its updates count as spent.
        together: Whether trials of several LRs train as one batch (`jax.vmap`), which needs memory for the parameters and
            the state of each of them. By default if that is likely to be faster: on an accelerator, up to half of its free
            memory. Otherwise they run one by one; the plan's reasons say so.
        progress: Called after every update with (name of the stage, updates so far, updates planned).
        on_curve: Called with a range test and its bounds as soon as it has ended; not if there is none.

    Returns:
        The plan: `schedule`, which optimizers of optax take as it is, `max_lr`, `interval`, `cost`, `reasons`, `carry()`.

    Raises:
        AlreadyDrivenError: if the optimizer has an LR or a schedule of its own.
        ArgumentError: if a number breaks its rule, the budget is too small, or there are no parameters.
        ArgumentTypeError: if an argument is of the wrong kind.
        DataError: if there are no batches.
        LossError: if the loss is no scalar, or not finite at the first update.
        NoAnswerError: if every trial diverges, none learns within the budget, or the budget has no trials for one of several
            families.

    Example:
        >>> import jax.numpy as jnp, optax, learnrate as lr
        >>> x = jnp.linspace(-1.0, 1.0, 256)
        >>> batches = list(zip(x.reshape(16, 16), jnp.sin(3 * x).reshape(16, 16)))
        >>> params = {"w": jnp.zeros(8), "v": jnp.linspace(-3.0, 3.0, 8)}
        >>> def loss(params, batch):
        ...     outputs = jnp.tanh(batch[0][:, None] * params["v"]) @ params["w"]
        ...     return ((outputs - batch[1]) ** 2).mean()
        >>> plan = lr.jax.tune(params, optax.adam, batches, loss, updates=320)
        >>> optimizer = optax.adam(plan.schedule)
        >>> plan.schedule.length, plan.cost <= 1.0
        (320, True)
    """
    check_rewindable(batches)
    _require_alike(budget, updates)
    training = Training(
        *(params, optimizer, batches, loss, evaluate),
        opt_state=opt_state,
        key=key,
        together=together,
    )
    return tuner.tune(
        training,
        updates=updates,
        family=family,
        budget=budget,
        low=low,
        high=high,
        curve=curve,
        progress=progress,
        on_curve=on_curve,
    )


def _require_alike(budget: float | str | None, updates: int) -> None:
    """Refuse a limit that several processes would reach at different updates.

    Raises:
        ArgumentError: if the budget is a time, and there are several processes.
    """
    if budget is not None and jax.process_count() > 1 and budgets.read(budget, updates).is_timed:
        remedy = "because their clocks differ: give a share or a number of updates"
        checks.refuse("budget", "no time with several processes", budget, remedy)


class TuneOptions(TypedDict, total=False):
    """The options of `tune` by name."""

    family: Families | None
    evaluate: Evaluate | None
    budget: float | str | None
    opt_state: Tree | None
    key: jax.Array | None
    low: float
    high: float
    curve: Curve | None
    together: bool | None
    progress: Progress | None
    on_curve: OnCurve | None


def tuned(
    params: Tree,
    optimizer: Optimizer,
    batches: Batches,
    loss: Loss,
    *,
    updates: int,
    before: float | Schedule,
    require: bool = False,
    report: Report = print,
    **options: Unpack[TuneOptions],
) -> Schedule:
    """The schedule of a training run, tuned at its start: one flag in a training script.

    It reports what was chosen in place of what, why, and what it cost. Without an answer it says why, and the run goes on
    with `before`.

    Args:
        params: As for `tune`.
        optimizer: As for `tune`.
        batches: As for `tune`.
        loss: As for `tune`.
        updates: Length of the whole training run in updates (optimizer steps).
        before: The LR or the schedule that the run would have without tuning.
        require: Whether no answer is an error.
        report: Receives the text, such as `print` or the method of a logger.
        **options: The other options of `tune`.

    Returns:
        The schedule of the plan, or `before` as a schedule.

    Raises:
        NoAnswerError: if there is no answer and `require` is true.
        LearnrateError: as for `tune`.

    Example:
        >>> import jax.numpy as jnp, optax, learnrate as lr
        >>> x = jnp.ones((4, 16))
        >>> lr.jax.tuned(
        ...     jnp.zeros(()), optax.sgd, list(x), lambda w, batch: w * 0.0 + batch.mean(), updates=100, before=0.1,
        ...     report=lambda text: print(text[:49]),
        ... )
        learnrate: no answer. The run goes on with LR 0.1
        constant(value=0.1)
    """
    checks.flag("require", require)
    setting, schedule = _setting(before, checks.length("updates", updates))
    checks.function_or_none("report", report, "(text)")
    plan = tune_in_place(
        lambda: tune(params, optimizer, batches, loss, updates=updates, **options), setting, require=require, report=report
    )
    return schedule if plan is None else plan.schedule


def _setting(before: object, updates: int) -> tuple[Setting, Schedule]:
    """What the run would have without tuning.

    Raises:
        ArgumentTypeError: if it is neither a number nor a schedule.
    """
    if not isinstance(before, Schedule):
        rate = checks.rate("before", before)
        return Setting(rate), constant(rate)
    schedule = before.resolve(updates)
    counts = np.unique(np.linspace(0, updates - 1, min(updates, 1000)).astype(int))
    return Setting(float(np.max(schedule(counts))), repr(schedule)), schedule
