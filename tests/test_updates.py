"""The loop that makes updates: skipped updates, reading in blocks, reasons to stop, one decision for all processes."""

import math

import pytest

from learnrate.errors import LossError
from learnrate.trainable import SKIPPED, ExhaustedError, Reading, Trainable
from learnrate.updates import MAX_SKIPPED, StopReason, UpdateLoop

ENOUGH = StopReason("stopped", "it is enough")


class Scripted(Trainable):
    """Returns the given values, one for each update."""

    def __init__(self, *returned):
        self.returned, self.lrs, self.decisions = list(returned), [], []

    def update(self, lr):
        self.lrs.append(lr)
        if not self.returned:
            raise ExhaustedError("there is no batch left")
        return self.returned.pop(0)

    def save(self):
        return None

    def restore(self, state):
        pass

    def agree(self, decision):
        self.decisions.append(decision)
        return decision


def losses_of(trainable, lrs, **checks):
    losses = []

    def watch(lr, metrics):
        losses.append((lr, metrics["loss"]))
        return ENOUGH if metrics["loss"] > 10 else None

    return UpdateLoop(trainable, watch, **checks), losses, lrs


def test_a_skipped_update_is_made_again_at_the_same_lr_and_does_not_count():
    trainable = Scripted(1.0, SKIPPED, SKIPPED, 2.0, 3.0)
    loop, losses, lrs = losses_of(trainable, [0.1, 0.2, 0.3])
    assert loop.run(lrs) is None
    assert trainable.lrs == [0.1, 0.2, 0.2, 0.2, 0.3]
    assert losses == [(0.1, 1.0), (0.2, 2.0), (0.3, 3.0)]
    assert (loop.updates, loop.skipped) == (3, [1, 1])


def test_too_many_skipped_updates_end_the_series():
    loop, _, lrs = losses_of(Scripted(1.0, *[SKIPPED] * MAX_SKIPPED, 2.0), [0.1, 0.2])
    assert loop.run(lrs).ended == "not finite"
    assert (loop.updates, len(loop.skipped)) == (1, MAX_SKIPPED)
    loop, _, lrs = losses_of(Scripted(*[SKIPPED] * MAX_SKIPPED), [0.1])
    with pytest.raises(LossError, match="first update"):
        loop.run(lrs)


def test_updates_after_the_one_that_ends_the_series_are_not_handed_to_watch():
    trainable = Scripted(1.0, 2.0, 30.0, 4.0, 5.0, 6.0)
    trainable.reading = Reading(every=4, within=math.inf)
    loop, losses, lrs = losses_of(trainable, [0.1] * 6)
    assert loop.run(lrs) == ENOUGH
    assert [loss for _, loss in losses] == [1.0, 2.0, 30.0]
    assert loop.updates == 5  # the first alone, then a block of four


def test_processes_agree_once_for_each_update_and_at_the_end():
    trainable = Scripted(1.0, 2.0, 3.0)
    loop, _, lrs = losses_of(trainable, [0.1] * 3)
    loop.run(lrs)
    assert trainable.decisions == [None] * 4


def test_the_decision_of_another_process_ends_the_series():
    trainable = Scripted(1.0, 2.0, 3.0)
    trainable.agree = lambda decision: ENOUGH if len(trainable.lrs) == 2 else decision
    loop, losses, lrs = losses_of(trainable, [0.1] * 3)
    assert loop.run(lrs) == ENOUGH
    assert len(losses) == 2


def test_the_order_of_the_hooks():
    calls = []
    loop, _, lrs = losses_of(
        Scripted(1.0, 20.0, 3.0),
        [0.1] * 3,
        before=lambda: calls.append("before"),
        on_update=lambda updates: calls.append(("on_update", updates)),
        after=lambda updates: calls.append(("after", updates)),
    )
    assert loop.run(lrs) == ENOUGH
    # After an update that gives a reason to stop, `after` is not called.
    assert calls == ["before", ("on_update", 1), ("after", 1), "before", ("on_update", 2)]


def test_a_reason_before_the_first_update_makes_no_update():
    trainable = Scripted(1.0)
    loop, losses, lrs = losses_of(trainable, [0.1], before=lambda: ENOUGH)
    assert loop.run(lrs) == ENOUGH
    assert (trainable.lrs, losses) == ([], [])


def test_the_end_of_the_data_is_an_error_and_earlier_updates_can_still_be_read():
    trainable = Scripted(1.0, 2.0)
    trainable.reading = Reading(every=8, within=math.inf)
    loop, losses, lrs = losses_of(trainable, [0.1] * 3)
    with pytest.raises(ExhaustedError):
        loop.run(lrs)
    assert loop.read() is None
    assert [loss for _, loss in losses] == [1.0, 2.0]
