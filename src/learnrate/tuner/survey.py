"""What is measured before the trials: a probe, and a range test where there is no probe or it gives no answer."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from learnrate.errors import NoAnswerError
from learnrate.finder import Bounds, Curve, NoAnswer, range_test
from learnrate.finder.smoothing import Floats
from learnrate.interrupts import within
from learnrate.trainable import Metrics, NotProbedError, Trainable
from learnrate.tuner.budget import OUT_OF_TIME, Spending
from learnrate.tuner.probe import Fall, Measurement, Probe, answer, measure, scaled_lr
from learnrate.tuner.request import LOW, Request, trial_length
from learnrate.tuner.trials import Start
from learnrate.tuner.witnesses import (
    Beginning,
    from_curve,
    from_probe,
    from_slow_probe,
    start_of,
    start_of_losses,
    witness_of_curve,
    witness_of_user,
)
from learnrate.updates import StopReason, UpdateLoop, raise_if_interrupted

Progress = Callable[[str, int, int], None]
"""Called with ("probe", "range test" or "trials", updates made, updates planned)."""

OnCurve = Callable[[Curve, Bounds | NoAnswer], object]
"""Called with a range test and its bounds."""

SHARE_OF_TIME = 1 / 4
"""Share of a time budget after which the probe ends, and after which the range test ends."""


@dataclass(frozen=True)
class Survey:
    """What is known before the trials.

    Attributes:
        start: The model before any training.
        beginning: Where the trials begin.
        probe: The probe; None if there is none, or it gave no answer.
        probe_reasons: What the probe shows, or why there is none.
        curve: The range test; None if there was none.
        bounds: Its bounds; None likewise.
        probe_fall: Share of the loss that fell in the probe; 0 if there was none.
        first_loss: The loss of the first update, which every trial starts with as well; None if it was not measured here.
    """

    start: Start
    beginning: Beginning
    probe: Probe | None
    probe_reasons: tuple[str, ...]
    curve: Curve | None
    bounds: Bounds | NoAnswer | None
    probe_fall: float = 0.0
    first_loss: float | None = None

    @property
    def probed(self) -> float | None:
        """The LR of the probe, as log2, if it counts in the choice."""
        return math.log2(self.probe.lr) if self.probe is not None and not self.start.late else None

    @property
    def late_probe(self) -> Probe | None:
        """The probe, if its loss fell clearly and yet so little that the trials may show nothing."""
        return self.probe if self.start.late else None


def survey(
    trainable: Trainable,
    state: Any,
    request: Request,
    spending: Spending,
    score: float | None,
    progress: Progress | None = None,
    on_curve: OnCurve | None = None,
) -> Survey:
    """Run the probe; run a range test if that gives no LR and the user has given no curve.

    Args:
        trainable: What is trained, in the state that the training run starts from.
        state: This state.
        request: What `tune` was asked for.
        spending: The budget; updates are counted here.
        score: The evaluation of the model now.
        progress: See `tune`.
        on_curve: See `tune`.

    Raises:
        NoAnswerError: if neither the probe nor the range test shows the loss of the model before any training.
    """
    unbounded = trainable.traits.unbounded_steps
    # The first process decides for all: each measures the same, but its last digits may differ.
    own_lr = trainable.agree(trainable.current_lr())
    measurement = _measured(trainable, request, spending, progress)
    measurement = trainable.agree(measurement) or measurement
    lr, probe, probe_reason = _read(measurement)
    curve = request.curve
    trainable.restore(state)
    if lr is None and curve is None:
        curve = _range_test(trainable, request, spending, progress, on_curve)
    bounds = None if curve is None else curve.bounds()
    if lr is not None and isinstance(measurement, Measurement):
        late = probe is None or not Fall.of(measurement).shows_learning
        losses = _first_losses(trainable, request, spending, progress)
        start = start_of_losses(losses, measurement.losses, score, unbounded, late)
        if probe is not None and not late:
            others = (witness_of_user(own_lr), witness_of_curve(curve, bounds))
            beginning = from_probe(probe, request.low, request.high, [other for other in others if other is not None])
        else:
            beginning = from_slow_probe(lr, request.low, request.high)
    else:
        assert curve is not None
        assert bounds is not None
        start = start_of(curve, score, unbounded)
        beginning = from_curve(curve, bounds, request.low, request.high)
    fall = Fall.of(measurement).share if probe is not None and isinstance(measurement, Measurement) else 0.0
    measured = measurement.losses if isinstance(measurement, Measurement) else None
    if curve is not None and measured is None and request.curve is None:  # a curve of the user may be of other batches
        measured = curve.losses
    first_loss = None if measured is None else float(measured[0])
    return Survey(start, beginning, probe, (probe_reason, *beginning.reasons), curve, bounds, fall, first_loss)


def _measured(trainable: Trainable, request: Request, spending: Spending, progress: Progress | None) -> Measurement | str:
    """The updates of a probe, or why there are none."""
    if not _has_room(request, spending):
        return "the budget is too small for one" + (" beside the curve" if request.curve is not None else "")
    before, began, first = spending.spent, spending.seconds, request.start_updates

    def on_update(updates: int, planned: int) -> None:
        spending.spent = before + updates
        if progress is not None:
            progress("probe", updates, planned + first)

    def out_of_time() -> StopReason | None:
        return OUT_OF_TIME if spending.seconds - began >= SHARE_OF_TIME * spending.budget.seconds else None

    check = out_of_time if spending.budget.is_timed else None
    try:
        return within(
            trainable.probing(),
            lambda probing: measure(trainable, probing, request.updates, request.probe_updates, check, on_update),
        )
    except NotProbedError as error:
        return str(error)


def _has_room(request: Request, spending: Spending) -> bool:
    """Whether two trials fit into the budget beside a probe, and beside the range test that may follow it."""
    curve = request.curve
    range_test = request.range_test_updates if curve is None else 0
    trials = 2 * trial_length(spending.total() - spending.given, request.updates, len(request.families))
    return spending.remaining() >= request.probe_updates + max(request.start_updates, range_test) + trials


def _first_losses(trainable: Trainable, request: Request, spending: Spending, progress: Progress | None) -> Floats:
    """Losses at a very small LR. The steps of a probe are too large for that after a few updates."""
    losses: list[float] = []
    before, probe = spending.spent, request.probe_updates

    def watch(_: float, metrics: Metrics) -> None:
        losses.append(metrics["loss"])

    def on_update(updates: int) -> None:
        spending.spent = before + updates
        if progress is not None:
            progress("probe", probe + updates, probe + request.start_updates)

    check = spending.out_of_time if spending.budget.is_timed else None
    raise_if_interrupted(UpdateLoop(trainable, watch, check, on_update).run([min(request.low, LOW)] * request.start_updates))
    return np.array(losses)


def _read(measurement: Measurement | str) -> tuple[float | None, Probe | None, str]:
    """The LR that follows from the steps of a probe, its answer, and its reason; None for what it does not give."""
    if isinstance(measurement, str):
        return None, None, f"There is no probe: {measurement}."
    lr = None
    try:
        lr = scaled_lr(measurement)
        probe = answer(measurement)
    except NoAnswerError as error:
        return lr, None, f"The probe gives no answer: {error.reason}"
    return lr, probe, probe.reason


def _range_test(
    trainable: Trainable, request: Request, spending: Spending, progress: Progress | None, on_curve: OnCurve | None
) -> Curve:
    before = spending.spent

    def on_update(updates: int, planned: int) -> None:
        spending.spent = before + updates
        if progress is not None:
            progress("range test", updates, planned)

    curve = range_test(
        trainable,
        low=request.low,
        high=request.high,
        updates=request.range_test_updates,
        time_limit=SHARE_OF_TIME * request.budget.seconds if request.budget.is_timed else None,
        restore=False,
        progress=on_update,
    )
    if on_curve is not None:
        with spending.pause():
            on_curve(curve, curve.bounds())
    if curve.ended == "interrupted":
        raise KeyboardInterrupt
    return curve
