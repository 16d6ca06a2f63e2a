"""A loss that is not finite: put down to its batch where no LR had changed the loss and the next loss is finite, else not."""

import math

import numpy as np
import pytest

import learnrate as lr
from curves import LRS, valley
from facts import facts, tells
from learnrate.errors import LossError
from learnrate.trainable import LeftOut, Trainable


class Valley:
    """A loop with a noisy loss that falls at an LR of 0.1, and is NaN or infinite at some updates, whatever the LR is."""

    def __init__(self, bad=(), value=math.nan, edge=math.inf, level=2.3):
        self.bad, self.value, self.edge, self.level = bad, value, edge, level
        self.random = np.random.default_rng(0)
        self.rates = []

    def __call__(self, rate):
        self.rates.append(rate)
        loss = self.level + 0.01 * self.random.standard_normal() - 2 * rate / (rate + 0.1)
        if rate > self.edge:
            return math.nan
        return self.value if len(self.rates) - 1 in self.bad else loss


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("bad", [(0,), (1,), (6,), (17,), (60,), (75,), (6, 40), (3, 17, 60)])
def test_the_batch_is_at_fault_and_the_sweep_goes_on(bad, value):
    curve, sound = lr.range_test(Valley(bad, value)), lr.range_test(Valley())
    assert curve.ended == "swept"
    assert np.flatnonzero(~np.isfinite(curve.losses)).tolist() == list(bad)
    for update in bad:
        assert any(tells(note, f"update {update}", f"{curve.lrs[update]:.2g}", value, "batch") for note in curve.notes)
    assert curve.bounds().max_lr == pytest.approx(sound.bounds().max_lr, rel=0.1)
    assert curve.bounds().base_lr == pytest.approx(sound.bounds().base_lr, rel=0.2)
    assert "finite" not in curve.bounds().reason


@pytest.mark.parametrize("bad", [5, 6, 9, 20])
def test_where_no_lr_had_changed_the_loss_the_lr_is_not_blamed(bad):
    step = Valley(range(bad, 100))
    curve = lr.range_test(step)
    assert len(step.rates) == bad + 2  # the next update shows that the weights are ruined
    assert (len(curve), curve.ended) == (bad + 1, "not finite")
    assert tells(curve.notes[0], "nan", f"update {bad}", "batch", "model")
    answer = curve.bounds()
    assert not answer
    assert tells(answer.reason, "nan", f"update {bad}", f"LR {curve.lrs[bad]:.2g}")
    assert tells(answer.remedy, "batch", f"update {bad}", "model")
    assert not tells(answer.remedy, "lower LR")


def test_where_the_loss_had_changed_the_batch_is_not_blamed():
    curve = lr.range_test(Valley(edge=1.0))
    assert curve.ended == "not finite"
    assert not tells(curve.notes[0], "batch")
    assert tells(curve.bounds().reasons.max_lr, "finite")


def test_a_loss_that_rises_ends_the_sweep_at_once():
    losses = iter([1.0, 0.9, 1.1, 1.0, 0.9, 1.0, 1.1, 0.9, 1.0, 1.1, 4.0, 30.0, math.nan, 1.0])
    curve = lr.range_test(lambda _: next(losses), stop=None)
    assert (len(curve), curve.ended) == (13, "not finite")
    assert not tells(curve.notes[0], "batch")


def test_too_few_losses_to_tell_name_both_causes():
    answer = lr.range_test(Valley(range(3, 100))).bounds()
    assert tells(answer.remedy, "batch", "update 3", "nan", "lower LR")
    assert not tells(lr.Curve([0.1, 0.2, 0.4], [2.3, 2.2, 2.4]).bounds().remedy, "lower LR")


def test_the_last_loss_of_a_sweep_ends_it_as_not_finite():
    assert lr.range_test(Valley((99,))).ended == "not finite"


def test_stop_rules_receive_finite_losses_only():
    received = []
    lr.range_test(Valley((6, 17)), stop=lambda lrs, losses: received.append(losses[-1]))
    assert len(received) == 98
    assert np.isfinite(received).all()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_no_finite_loss_at_all_is_an_error(value):
    step = Valley(range(100), value)
    with pytest.raises(LossError, match=facts("loss", value, "first update", "inputs", "model")):
        lr.range_test(step)
    assert len(step.rates) == 2


class LeavesOut(Trainable):
    """Returns `LeftOut` for some of its batches, which it numbers."""

    def __init__(self, bad):
        self.bad, self.number, self.rates = bad, -1, []

    def update(self, lr):
        self.number += 1
        self.rates.append(lr)
        return LeftOut(math.nan) if self.number in self.bad else {"loss": 1.0 + 0.1 * (self.number % 3), "size": 4.0}

    def save(self):
        return self.number

    def restore(self, state):
        self.number = state


def test_a_batch_that_was_left_out_is_replaced_by_the_next_one_at_the_same_lr():
    trainable = LeavesOut({6, 7})
    curve = lr.range_test(trainable, updates=20)
    assert (len(curve), curve.ended) == (20, "swept")
    assert np.isfinite(curve.losses).all()
    assert trainable.rates[6] == trainable.rates[7] == trainable.rates[8]


def test_if_every_further_batch_is_left_out_the_sweep_ends():
    trainable = LeavesOut(set(range(6, 1000)))
    curve = lr.range_test(trainable, updates=20)
    assert (len(curve), curve.ended) == (7, "not finite")
    assert math.isnan(curve.losses[-1])
    assert math.isnan(curve.metrics["size"][-1])
    assert len(trainable.rates) < 20
    assert tells(curve.bounds().remedy, "batch", "update 6")


@pytest.mark.parametrize("size", [1e151, 1e200, 1.7e308])
@pytest.mark.filterwarnings("error")
def test_losses_so_large_that_their_squares_are_infinite_are_a_divergence(size):
    lrs = np.geomspace(1e-6, 10, 100)
    losses = np.interp(np.log(lrs), np.log(LRS), valley())
    diverging = np.where(lrs > 2, -size, losses) if size == 1e200 else np.where(lrs > 2, size, losses)
    curve = lr.Curve(lrs, diverging)
    assert np.isinf(curve.losses[-1])
    assert curve.losses[0] == losses[0]
    assert curve.bounds() == lr.Curve(lrs, np.where(lrs > 2, np.inf, losses)).bounds()
    assert not lr.Curve(lrs, np.full(100, size)).bounds()
    swept = lr.range_test(lambda rate: size if rate > 1 else 2.3 - rate, updates=60, low=1e-4, high=10.0)
    assert swept.ended in ("not finite", "diverged")
