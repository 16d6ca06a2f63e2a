"""A compiled Keras model and its data as a `learnrate.Trainable`."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import keras

from learnrate import checks
from learnrate.batches import Stream, restarts_note
from learnrate.errors import ArgumentError, LossError
from learnrate.keras import checkpoint as checkpoints
from learnrate.keras import snapshot
from learnrate.keras.data import ArrayBatches, Data, batches_of, examples, unpacked, weighted
from learnrate.keras.optimizers import accumulation_of, check_model, innermost, lr_of, traits_of
from learnrate.keras.stepping import Given, Steps, give_lr, steps_of
from learnrate.trainable import SKIPPED, Trainable

Evaluate = Callable[[Any], Any]
"""A function from the model to a number, or to a mapping of numbers, of which the first decides; higher is better."""


COUNTERS = ("updates", "_restarts", "_batch_size")
"""Attributes of a training that belong to a checkpoint."""


class Training(Trainable):
    """A compiled model and its data, as `learnrate.tune` and `range_test` train them: by the model's own `train_step`.

    The compiled loss, metrics, gradient clipping and accumulation, mixed precision, and a `train_step` of the user take
    part. It must be used within `borrowed`.

    Args:
        model: A compiled model.
        data: What `model.fit` takes: (x, y) or (x, y, sample_weight), a `PyDataset`, or batches; see `Data`.
        evaluate: How good the model is: a function (model) -> number; or data, whose loss is computed and negated.
        batch_size: Examples of a batch, if the data is arrays; 32 by default.
        class_weight: See `model.fit`.
        metric: The name of a plain number that `evaluate` returns.

    Raises:
        ArgumentError: if the model is not compiled, or has no trainable weights.
        ArgumentTypeError: if an argument is of the wrong kind.
        DataError: if the data is empty.
    """

    def __init__(
        self,
        model: Any,
        data: Data,
        evaluate: Evaluate | Data | None = None,
        *,
        batch_size: int | None = None,
        class_weight: Mapping[int, float] | None = None,
        metric: str = "score",
    ) -> None:
        self.optimizer = check_model(model)
        self.model, self._data = model, data
        self._batches = batches_of(data, batch_size)
        self.stream = Stream(self._batches)
        if class_weight is not None and not isinstance(class_weight, Mapping):
            checks.refuse_type("class_weight", "a mapping from classes to weights", class_weight)
        self._class_weight, self._metric = class_weight, metric
        self._evaluate = _evaluation(evaluate, batch_size)
        self.traits = traits_of(self.optimizer)
        self.accumulation = accumulation_of(self.optimizer)
        self._may_skip = innermost(self.optimizer) is not self.optimizer
        self._given: Given | None = None
        self._steps: Steps | None = None
        self._batch_size: int | None = None
        self._restarts: list[int] = []
        self.updates = 0

    @property
    def steps(self) -> Steps:
        """What makes the steps.

        Raises:
            ArgumentError: outside of `borrowed`.
        """
        if self._steps is None:
            raise ArgumentError("a training must be used within its context borrowed(), received a call outside of it")
        return self._steps

    def start(self) -> Any:
        """Build what is not built yet, and take over the LR. Returns what gave it before; None if it was a number."""
        self._build()
        self._given, before = give_lr(self.optimizer)
        self._steps = steps_of(self.model, self._given)
        return before

    @contextmanager
    def borrowed(self) -> Iterator[None]:
        """While the model is trained: the LR is given, and random numbers come back. The rest comes back by `restore`."""
        with snapshot.preserved(list(snapshot.random_numbers())):
            before = self.start()
            try:
                yield
            finally:
                if self._given is not None:
                    innermost(self.optimizer).learning_rate = before
                self._given = self._steps = None

    def _build(self) -> None:
        """Build model, metrics and optimizer, so that there is something to copy."""
        model = self.model
        if model.built:
            self._require_weights()
        if not (model.built and self.optimizer.built and all(getattr(metric, "built", True) for metric in model.metrics)):
            x, y, weights = unpacked(self.stream.take(1)[0])
            model.test_on_batch(x, y, sample_weight=weighted(y, weights, self._class_weight))
            if not self.optimizer.built:
                self.optimizer.build(model.trainable_variables)
            model.reset_metrics()
            self.stream.rewind()
        self._require_weights()

    def _require_weights(self) -> None:
        if not self.model.trainable_variables:
            raise ArgumentError("model must have trainable weights, received one without: set trainable of some layer")

    def update(self, lr: float) -> Any:
        """See `Trainable.update`."""
        counted = self.steps.batches_made() if self._may_skip else 0
        rows = [self.steps.step(lr, batch) for batch in self._draw()]
        if self._may_skip and self.steps.batches_made() < counted + len(rows):
            return SKIPPED
        self.updates += 1
        if any("loss" not in row for row in rows):
            raise LossError(
                f"train_step of model must return a mapping with the key 'loss', received the keys {sorted(rows[0])}"
            )
        if len(rows) == 1:
            return rows[0]
        return {name: sum(float(row[name]) for row in rows) / len(rows) for name in rows[0]}

    def _draw(self) -> list[tuple[Any, Any, Any]]:
        """The batches of the next update."""
        restarts = len(self.stream.restarts)
        batches: list[tuple[Any, Any, Any]] = []
        while len(batches) < self.accumulation:
            x, y, weights = unpacked(self.stream.take(1)[0])
            batches.append((x, y, weighted(y, weights, self._class_weight)))
        if self._batch_size is None:
            self._batch_size = sum(examples(x) for x, _, _ in batches)
        if len(self.stream.restarts) > restarts:
            self._restarts.append(self.updates)
        return batches

    def save(self) -> list[snapshot.Undo]:
        """See `Trainable.save`."""
        self.steps.sync()
        return snapshot.of_model(self.model, self._data)

    def restore(self, state: list[snapshot.Undo]) -> None:
        """See `Trainable.restore`. The batches start from their beginning."""
        self.steps.drop()
        snapshot.put_back(state)
        self.stream.rewind()
        self.updates, self._restarts = 0, []

    def checkpoint(self) -> checkpoints.Checkpoint:
        """See `Trainable.checkpoint`."""
        self.steps.sync()
        counters = {name: copy.copy(getattr(self, name)) for name in COUNTERS}
        return checkpoints.taken(self.model, self.stream, counters)

    def resume(self, checkpoint: checkpoints.Checkpoint) -> None:
        """See `Trainable.resume`."""
        checks.instance(checkpoints.Checkpoint, "a checkpoint of a training with Keras")("checkpoint", checkpoint)
        if self.updates:
            checks.refuse("resume", "called before the first update", f"a call after {self.updates} updates")
        self.steps.drop()
        checkpoints.put(checkpoint, self.model, self.stream)
        for name, value in checkpoint.counters.items():
            setattr(self, name, copy.copy(value))

    def fingerprint(self) -> str:
        """See `Trainable.fingerprint`."""
        self.steps.sync()
        return checkpoints.fingerprint(self.model)

    def evaluate(self) -> Mapping[str, float] | float | None:
        """See `Trainable.evaluate`."""
        if self._evaluate is None:
            return None
        self.steps.sync()
        kept = [*snapshot.metrics(self.model), *snapshot.modes(self.model), *snapshot.random_numbers()]
        with snapshot.preserved(kept):
            evaluation = self._evaluate(self.model)
        return evaluation if isinstance(evaluation, Mapping) else {self._metric: evaluation}

    def snapshot(self) -> list[Any]:
        """See `Trainable.snapshot`."""
        self.steps.sync()
        return [keras.ops.copy(variable.value) for variable in snapshot.of_rollbacks(self.model)]

    def put_back(self, values: list[Any]) -> None:
        """See `Trainable.put_back`."""
        self.steps.sync()  # what is not put back, such as seeds, goes on from here
        for variable, value in zip(snapshot.of_rollbacks(self.model), values, strict=True):
            variable.assign(keras.ops.copy(value))

    def updates_per_epoch(self) -> int | None:
        """See `Trainable.updates_per_epoch`."""
        steps = getattr(self._batches, "steps", None) or self.stream.epoch()
        return None if steps is None else max(1, steps // self.accumulation)

    def batch_size(self) -> int | None:
        """See `Trainable.batch_size`."""
        return self._batch_size

    def current_lr(self) -> float:
        """See `Trainable.current_lr`."""
        return lr_of(self.optimizer)

    def notes(self, updates: int) -> Sequence[str]:
        """See `Trainable.notes`."""
        return restarts_note(restart for restart in self._restarts if restart < updates)


def _evaluation(evaluate: Any, batch_size: int | None) -> Evaluate | None:
    """A function that evaluates: the user's own, or one that computes the loss of held-out data."""
    if evaluate is None or (callable(evaluate) and not isinstance(evaluate, keras.utils.PyDataset)):
        return evaluate
    batches = batches_of(evaluate, None, "validation_data")  # refuses what is no data
    if isinstance(batches, ArrayBatches):
        x, y, weights = keras.utils.unpack_x_y_sample_weight(evaluate)
        return lambda model: _negated_loss(model, x=x, y=y, sample_weight=weights, batch_size=batch_size)
    if isinstance(evaluate, list):  # which `model.evaluate` would take as several inputs
        return lambda model: _negated_loss(model, x=iter(list(evaluate)), steps=len(evaluate))
    return lambda model: _negated_loss(model, x=evaluate)


def _negated_loss(model: Any, **data: Any) -> float:
    return -float(model.evaluate(**data, verbose=0, return_dict=True)["loss"])
