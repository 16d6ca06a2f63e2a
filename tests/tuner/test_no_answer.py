"""When trials give no answer, and the remedy."""

import math

import pytest

from facts import facts, tells
from learnrate.errors import NoAnswerError
from learnrate.tuner.budget import Budget, Spending
from learnrate.tuner.no_answer import require_learned, require_sound, require_trials
from learnrate.tuner.trials import Start, Trial
from test_runner import Clock

START = Start(4.5, 0.0)


def sound(trials, lowest=-20.0, spending=None):
    require_sound(trials, START, lowest, spending or Spending(Budget(1000)), horizon=1000)


def test_trials_that_learned_above_the_stability_edge_alone_are_no_answer():
    diverged = [Trial(4.0, 20, 3, math.inf), Trial(16.0, 20, 20, 0.3, highest_loss=4.5)]
    with pytest.raises(NoAnswerError, match=facts("diverged", "every LR", "(4, 16)", "larger budget")):
        sound(diverged)
    stopped = [Trial(4.0, 20, 20, 4.5, highest_loss=45.0)]
    sound(stopped)
    with pytest.raises(NoAnswerError, match=facts("learning rate", "significantly", "20 updates", "plateau")):
        require_learned(stopped, START, 3.0)


def test_a_family_without_trials_of_its_own_is_no_answer():
    require_trials("mine", [Trial(0.1, 20, 20, 1.0)])
    with pytest.raises(NoAnswerError, match=facts("no trials", "family", "'mine'", "larger budget", "fewer families")):
        require_trials("mine", [])


@pytest.mark.parametrize(("lowest", "reached"), [(-4.0, True), (-20.0, False)])
def test_a_lower_low_is_the_remedy_only_if_trials_reached_the_present_low(lowest, reached):
    with pytest.raises(NoAnswerError, match=facts("diverged", "every LR", "larger budget")) as caught:
        sound([Trial(lr, 20, 3 + place, math.inf) for place, lr in enumerate((0.1, 1.0, 4.0))], lowest)
    assert tells(str(caught.value), "lower `low`") == tells(str(caught.value), "`low`") == reached


def test_the_time_that_is_needed_is_part_of_the_remedy():
    clock = Clock()
    spending = Spending(Budget(1000, 5.0), clock=clock)
    spending.spent, spending.idle, clock.seconds = 100, 1.0, 6.0
    with pytest.raises(NoAnswerError, match=facts("first trial", "larger budget", "600 updates", "30 seconds")):
        sound([], spending=spending)


def test_a_loss_that_is_not_finite_at_the_same_update_at_every_lr_is_in_the_data():
    with pytest.raises(NoAnswerError, match=facts("every LR", "not finite", "update 2", "trial", "NaN")):
        sound([Trial(lr, 20, 3, math.inf) for lr in (0.1, 1.0, 4.0)])
    with pytest.raises(NoAnswerError, match="diverged"):
        sound([Trial(lr, 20, 3, math.inf) for lr in (0.1, 1.0)])
