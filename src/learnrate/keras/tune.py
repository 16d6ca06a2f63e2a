"""tune() for a compiled Keras model: in place, it sets the schedule that it chooses."""

from collections.abc import Mapping
from typing import Any

import keras

from learnrate import checks, tuner
from learnrate.errors import ArgumentError
from learnrate.finder import Curve
from learnrate.interrupts import within
from learnrate.keras.data import Data
from learnrate.keras.optimizers import innermost, lr_of, name_of_source, updates_of
from learnrate.keras.range_test import one_evaluation
from learnrate.keras.schedule import Schedule
from learnrate.keras.trainable import Evaluate, Training
from learnrate.tuner import HIGH, LOW, Families, OnCurve, Plan, Progress
from learnrate.tuner.in_place import Report, Setting, tune_in_place


def tune(
    model: Any,
    data: Data,
    *,
    updates: int | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    class_weight: Mapping[int, float] | None = None,
    family: Families | None = None,
    evaluate: Evaluate | None = None,
    validation_data: Data | None = None,
    budget: float | str | None = None,
    require: bool = False,
    report: Report = print,
    seed: int = 0,
    low: float = LOW,
    high: float = HIGH,
    curve: Curve | None = None,
    progress: Progress | None = None,
    on_curve: OnCurve | None = None,
) -> Plan | None:
    """Choose LR and schedule of a compiled model before `model.fit`, and set them: a range test, trials, a plan.

    The model is otherwise given back as it was, bit for bit (see `learnrate.keras.range_test`). Its optimizer then has a
    `learnrate.keras.Schedule` in place of its LR, which begins with the next update and is saved with the model; what it had
    before is reported. Callbacks that set the LR raise an error of Keras from then on.

    Args:
        model: A compiled `keras.Model`, with the weights that the training run starts from.
        data: What `fit` will get: (x, y) or (x, y, sample_weight) as arrays, a `keras.utils.PyDataset`, or batches; see
            `learnrate.keras.range_test`.
        updates: Length of the training run in updates (optimizer steps). With `gradient_accumulation_steps=k` an update
            takes k batches.
        epochs: In its place: length of the training run in epochs of the data.
        batch_size: Examples of a batch, if the data is arrays; 32 by default, as in `model.fit`.
        class_weight: Weights of the classes, as in `model.fit`.
        family: The kind of schedule: "warmup_cosine" by default (see `learnrate.tune`).
        evaluate: How good the model is: a function (model) -> number or mapping of numbers, higher is better. It counts
            beside the training loss, which decides alone without it.
        validation_data: In its place: data, whose mean loss is computed and negated.
        budget: The maximum cost of tuning: a share of the training run, or a text such as "500 updates", "25%" or "90
            seconds"; see `learnrate.tune`.
        require: Whether no answer is an error. Otherwise the model keeps the LR that it had, and the report says why.
        report: Called with a text that says what was set before, what is chosen, why, and what it cost.
        seed: Seeds the random numbers of range test and trials.
        low: The lowest LR to try.
        high: The highest LR to try.
        curve: A range test from the same start, if there is one already; its updates count as spent.
        progress: Called after every update with (name of the stage, updates so far, updates planned).
        on_curve: Called with the range test and its bounds as soon as it has ended.

    Returns:
        The plan; None if there is no answer.

    Raises:
        ArgumentError: if the model is not compiled, a number breaks its rule, or not one of `updates` and `epochs` is given.
        ArgumentTypeError: if an argument is of the wrong kind, or the data is an iterator.
        DataError: if the data is empty.
        LossError: if the loss is not finite at the first updates, or `train_step` returns none.
        NoAnswerError: if there is no answer and `require` is true.
    """
    training = Training(
        *(model, data, one_evaluation(evaluate, validation_data)), batch_size=batch_size, class_weight=class_weight
    )
    checks.flag("require", require)
    if not callable(report):
        checks.refuse_type("report", "a function of a text, such as print", report)
    length, seed = _updates(training, updates, epochs), checks.numpy_seed("seed", seed)

    def planned(_: None) -> Plan:
        keras.utils.set_random_seed(seed)
        return tuner.tune(
            training,
            updates=length,
            family=family,
            budget=budget,
            low=low,
            high=high,
            curve=curve,
            progress=progress,
            on_curve=on_curve,
        )

    before = Setting(lr_of(model.optimizer), name_of_source(model.optimizer))
    plan = tune_in_place(lambda: within(training.borrowed(), planned), before, require=require, report=report)
    if plan is not None:
        set_schedule(model, plan.schedule)
    return plan


def set_schedule(model: Any, schedule: Any) -> None:
    """Let the optimizer of a compiled model follow a schedule that begins with its next update."""
    start = updates_of(model.optimizer)
    innermost(model.optimizer).learning_rate = Schedule(schedule.shift(start) if start else schedule)
    if model.train_function is not None:
        model.make_train_function(force=True)  # a compiled one has the former schedule in it


def _updates(training: Training, updates: int | None, epochs: int | None) -> int:
    if (updates is None) == (epochs is None):
        received = "none" if updates is None else f"updates={checks.shown(updates)} and epochs={checks.shown(epochs)}"
        raise ArgumentError(f"one of updates and epochs must be given, the length of the training run, received {received}")
    if epochs is None:
        return checks.length("updates", updates)
    epoch = training.updates_per_epoch()
    if epoch is None:
        checks.refuse("epochs", "left out for data of unknown length", epochs, "give updates=, the length of the run")
    return checks.length("epochs", epochs) * epoch
