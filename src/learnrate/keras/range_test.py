"""The range test of a compiled Keras model."""

from collections.abc import Mapping
from typing import Any, Literal

import keras

from learnrate import checks, finder
from learnrate.finder import Curve
from learnrate.finder.stops import diverged
from learnrate.finder.sweep import Stop
from learnrate.interrupts import within
from learnrate.keras.data import Data
from learnrate.keras.trainable import Evaluate, Training
from learnrate.schedules import Schedule
from learnrate.updates import Progress


def range_test(
    model: Any,
    data: Data,
    *,
    low: float | None = None,
    high: float | None = None,
    updates: int | None = None,
    schedule: Literal["exponential", "linear"] | Schedule = "exponential",
    stop: Stop = diverged(),  # noqa: B008 - frozen and without state
    time_limit: float | None = None,
    batch_size: int | None = None,
    class_weight: Mapping[int, float] | None = None,
    evaluate: Evaluate | None = None,
    validation_data: Data | None = None,
    evaluate_every: int = 1,
    seed: int | None = None,
    progress: Progress | None = None,
) -> Curve:
    """Run an LR range test of a compiled model, and give everything back as it was, bit for bit.

    Given back are weights, averages of batch norms, the variables of optimizer and metrics, seeds of layers, the modes and
    gradients of torch, and the random numbers of Python, NumPy, Keras and torch. A model that was not built yet is built.
    An optimizer that was compiled with a schedule is swept too, and has its schedule again afterwards. Ctrl-C ends the sweep
    and returns the curve so far.

    Args:
        model: A compiled `keras.Model`, with the weights to start from. Its own `train_step` makes the updates.
        data: (x, y) or (x, y, sample_weight) as arrays, which are shuffled; a `keras.utils.PyDataset`; or batches: a
            `DataLoader`, a list of batches, a function that returns a new iterator.
        low: LR of the first update, above 0; 1e-7 by default.
        high: LR of the last update; 10 by default.
        updates: Length of the sweep in updates (optimizer steps), at least 10; 100 by default. With
            `gradient_accumulation_steps=k` an update takes k batches.
        schedule: "exponential", "linear", or a schedule (see `learnrate.range_test`).
        stop: What ends the sweep early (see `learnrate.stops`); None for nothing but a loss that is not finite.
        time_limit: Seconds.
        batch_size: Examples of a batch, if the data is arrays; 32 by default, as in `model.fit`.
        class_weight: Weights of the classes, as in `model.fit`.
        evaluate: A function (model) -> number or mapping of numbers, higher is better, which become metrics of the curve.
        validation_data: In its place: data, whose mean loss is computed and negated.
        evaluate_every: Number of updates between two evaluations.
        seed: Seeds all random numbers for the sweep; by default they continue from their present state.
        progress: Called after every update with (updates so far, updates planned).

    Returns:
        The curve.

    Raises:
        ArgumentError: if the model is not compiled, or a number breaks its rule.
        ArgumentTypeError: if an argument is of the wrong kind, or the data is an iterator.
        DataError: if the data is empty.
        LossError: if the loss is not finite at the first updates, or `train_step` returns none.
    """
    training = Training(
        *(model, data, one_evaluation(evaluate, validation_data)), batch_size=batch_size, class_weight=class_weight
    )
    every = checks.whole("evaluate_every", evaluate_every, at_least=1)
    seed = None if seed is None else checks.numpy_seed("seed", seed)

    def swept(_: None) -> Curve:
        if seed is not None:
            keras.utils.set_random_seed(seed)
        return finder.range_test(
            training,
            low=low,
            high=high,
            updates=updates,
            schedule=schedule,
            stop=stop,
            time_limit=time_limit,
            evaluate_every=None if evaluate is None and validation_data is None else every,
            progress=progress,
        )

    return within(training.borrowed(), swept)


def one_evaluation(evaluate: Evaluate | None, validation_data: Data | None) -> Evaluate | Data | None:
    """The one of two ways to evaluate that is given; None for none.

    Raises:
        ArgumentError: if both are given.
        ArgumentTypeError: if `evaluate` is no function.
    """
    checks.function_or_none("evaluate", evaluate, "(model) -> number, higher is better")
    if evaluate is not None and validation_data is not None:
        checks.refuse("validation_data", "left out where evaluate is given", validation_data)
    if callable(validation_data) and not isinstance(validation_data, keras.utils.PyDataset):
        checks.refuse_type("validation_data", "data", validation_data, "give a function of the model as evaluate")
    return validation_data if evaluate is None else evaluate
