"""Whole training runs of any trainable, and their records."""

import math
import signal
from contextlib import nullcontext

import pytest

import learnrate as lr
from disks import full_disk
from facts import facts
from learnrate.study import train
from learnrate.study.running.checkpoint import CheckpointFile
from learnrate.trainable import Reading


class Descent(lr.Trainable):
    """Gradient descent on a parabola; its evaluation is how near the minimum is."""

    def __init__(self, seed=0, measured=True):
        self.weight, self.measured, self.lrs = 1.0 + seed, measured, []

    def update(self, rate):
        self.lrs.append(rate)
        loss = self.weight * self.weight
        self.weight -= rate * 2 * self.weight
        return loss if abs(self.weight) < 1e100 else math.inf

    def save(self):
        return self.weight

    def restore(self, state):
        self.weight = state

    def evaluate(self):
        return {"nearness": -abs(self.weight), "weight": self.weight} if self.measured else None


def test_a_training_follows_its_schedule():
    trainable, schedule = Descent(), lr.linear(0.5, 0.0, 40)
    training = train(trainable, schedule, 7, 40)
    assert trainable.lrs == [schedule(update) for update in range(40)]
    assert training.seed == 7
    assert len(training.losses) == 40
    assert training.checkpoints == tuple(range(2, 41, 2))
    assert training.score == training.scores[-1] == -abs(trainable.weight)


def test_a_training_without_an_evaluation_is_scored_by_its_loss():
    training = train(Descent(measured=False), lr.constant(0.1), 0, 20)
    assert training.score == pytest.approx(sum(training.losses[-4:]) / 4)
    assert training.scores == ()


def test_a_training_that_diverges_ends_early():
    training = train(Descent(), lr.constant(1e30), 0, 50)
    assert len(training.losses) < 50
    assert not math.isfinite(training.losses[-1])
    assert training.checkpoints[-1] == len(training.losses)


def test_losses_that_are_read_in_blocks_give_checkpoints_in_order():
    trainable = Descent()
    trainable.reading = Reading(every=8, within=math.inf)
    training = train(trainable, lr.constant(1e30), 0, 50)
    assert len(training.losses) < len(trainable.lrs) == training.checkpoints[-1]
    assert sorted(set(training.checkpoints)) == list(training.checkpoints)


def test_a_length_below_1_is_refused():
    with pytest.raises(ValueError, match=facts("updates", 1, 0)):
        train(Descent(), lr.constant(0.1), 0, 0)


def test_progress_is_called_after_every_update():
    calls = []
    train(Descent(), lr.constant(0.1), 0, 5, lambda *progress: calls.append(progress[:2]))
    assert calls == [(n, 5) for n in range(1, 6)]


def test_checkpoints_go_on_when_a_full_disk_has_room_again(tmp_path):
    class Resumable(Descent):
        checkpoint, resume = Descent.save, Descent.restore

        def update(self, rate):
            loss = super().update(rate)
            with full_disk() if len(self.lrs) in (4, 5) else nullcontext():
                if file.is_due():
                    file.write(self, len(self.lrs))
            return loss

    file = CheckpointFile(tmp_path / "checkpoint", "this one", every=1e-9)
    train(Resumable(), lr.constant(0.1), 0, 5)
    assert file.resumed(Resumable(), int) == 3
    train(Resumable(), lr.constant(0.1), 0, 6)
    assert file.resumed(Resumable(), int) == 6
    [note] = file.notes
    assert "checkpoint" in note


def test_an_interrupt_is_raised_again():
    class Interrupted(Descent):
        def update(self, rate):
            signal.raise_signal(signal.SIGINT)
            return super().update(rate)

    with pytest.raises(KeyboardInterrupt):
        train(Interrupted(), lr.constant(0.1), 0, 5)
