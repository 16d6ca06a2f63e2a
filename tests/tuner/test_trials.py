"""Races: what one tells, and which LRs race."""

import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

import learnrate as lr
from facts import facts
from learnrate.errors import NoAnswerError
from learnrate.tuner.budget import Budget, Purse
from learnrate.tuner.evidence import Start
from learnrate.tuner.no_answer import require_learned, require_raced, require_sound
from learnrate.tuner.search import MOST_SCOUTS, Search, beginning, finals_length
from learnrate.tuner.trials import Race, Track, squeezed
from trainees import Diverging, Quadratic, scored


def track(trainee, budget=1000, horizon=1000, loss=4.5, noise=0.0, **given):
    return Track(trainee, trainee.save(), Purse(Budget(budget)), loss, noise, horizon, **given)


def search(trainee, budget=1000, horizon=1000, family=lr.constant, **given):
    return Search(
        track(trainee, budget, horizon, **given), family, Start(given.get("loss", 4.5), given.get("noise", 0.0)), "mine"
    )


def ends(raced):
    return sorted(math.log2(race.max_lr) for race in raced)


@given(st.integers(2, 50), st.integers(2, 500))
def test_a_race_visits_the_lrs_of_the_run(updates, length):
    values = squeezed(lr.linear(1.0, 0.0, length), updates, 10**6)
    assert values == pytest.approx([1 - (place + 0.5) / updates for place in range(updates)])
    assert squeezed(lr.constant(0.3), updates, length) == [0.3] * updates


def test_a_race_is_judged_by_its_last_fifth_and_pays_for_each_update():
    on = track(Quadratic(noise=0.0))
    (told,) = on.races(lr.constant, [0.1], 20, "mine")
    by_hand = [4.5 * 0.9 ** (2 * update) for update in range(16, 20)]
    assert told.judged == pytest.approx(by_hand)
    assert told == Race(0.1, 20, 20, pytest.approx(sum(by_hand) / 4), None, "mine", told.judged, highest=4.5)
    assert on.purse.spent == 20


def test_races_that_the_time_cuts_short_are_counted():
    class Late(Quadratic):
        def update(self, rate):
            if self.all_made == 25:
                on.purse.budget = Budget(1000, seconds=1e-9)
            return super().update(rate)

    on = track(Late(noise=0.0))
    assert [race.max_lr for race in on.races(lr.constant, [0.1, 0.2, 0.3], 20)] == [0.1]
    assert on.cut == 1
    assert on.races(lr.constant, [0.1], 20) == []
    assert on.cut == 1


def test_each_race_starts_from_the_same_state():
    trainee = Quadratic(noise=1.0)
    on = track(trainee)
    first, other, again = (on.races(lr.constant, [rate], 30)[0] for rate in (0.1, 0.7, 0.1))
    assert first == again != other


def test_losses_above_the_start_count_as_the_start():
    class Spike(Quadratic):
        def update(self, rate):
            return super().update(rate) + (1e6 if self.made == 99 else 0)

    (told,) = track(Spike(noise=0.0)).races(lr.constant, [0.5], 100)
    assert told.loss == pytest.approx(4.5 / 20)


@pytest.mark.parametrize(
    ("rate", "updates", "diverged"),
    [
        (1.9, 60, False),
        (2.05, 60, True),
        (5.0, 60, True),
        (2.05, 9, False),  # shorter than what a divergence is judged by
    ],
)
def test_a_race_ends_where_it_diverges_but_not_in_its_first_half(rate, updates, diverged):
    on = track(Quadratic(noise=0.0))
    (told,) = on.races(lr.constant, [rate], updates)
    assert told.diverged == diverged
    assert on.purse.spent == told.made
    assert (told.made == updates) != diverged
    assert not diverged or told.made > updates // 2


def test_a_loss_that_is_no_number_ends_a_race_at_once():
    on = track(Diverging())
    (told,) = on.races(lr.constant, [0.1], 60)
    assert told == Race(0.1, 60, 2, math.inf, None)


def test_a_model_that_is_thrown_up_and_comes_back_is_left_to_learn():
    class Thrown(Quadratic):
        def update(self, rate):
            return super().update(rate) + (1e9 if 2 < self.made < 25 else 0)

    assert not track(Thrown(noise=0.0)).races(lr.constant, [0.3], 60)[0].diverged


def test_a_race_that_runs_out_of_time_tells_nothing():
    on = track(Quadratic())
    on.purse = Purse(Budget(1000, 1e-9))
    assert on.races(lr.constant, [0.1], 20) == []
    on = search(Quadratic())
    on.track.purse = Purse(Budget(1000, 1e-9))
    assert not on.race([0.0], 20)
    assert on.heats == {}


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_no_finite_number_is_none(score):
    assert track(scored(Quadratic(), lambda: score)).races(lr.constant, [0.1], 20)[0].score is None


def test_an_lr_races_once_over_a_length():
    on = search(Quadratic())
    assert on.race([-3.0, -3.001, -2.0], 20)
    assert on.race([-3.0], 30)
    assert [(race.max_lr, race.updates) for race in on.races] == [(0.12, 20), (0.25, 20), (0.12, 30)]


def test_no_race_is_begun_that_cannot_be_paid_nor_at_what_is_no_lr():
    on = search(Quadratic(), budget=45)
    assert not on.race([-3.0, -2.0, -1.0], 20)
    assert (len(on.races), on.track.purse.left) == (2, 5)
    on = search(Quadratic())
    assert not on.race([5000.0], 20)
    assert not on.race([-5000.0], 20)
    assert on.races == ()


def test_what_is_kept_for_others_is_not_touched():
    on = search(Quadratic(noise=0.0))
    on.scout(-1.0, -20.0, 1.0)
    on.finish(20, kept=600)
    assert 600 <= on.track.purse.left < 620 or len(on.heats[20]) == 8


def test_a_divergence_makes_higher_lrs_unsafe_at_every_length():
    on = search(Quadratic())
    on.heats = {20: [Race(0.5, 20, 20, 0.1, None), Race(4.0, 20, 20, 0.01, None)], 40: [Race(1.0, 40, 25, math.inf, None)]}
    assert [race.diverged for race in on.heat(20).races] == [False, True]
    assert [race.diverged for race in on.heats[20]] == [False, False]
    assert on.guess().octave < 0


@pytest.mark.parametrize("first", [-12.0, -6.0, -1.0, 3.0, 9.0])
@pytest.mark.parametrize("curvature", [1.0, 64.0])
def test_scouts_find_the_cliff_from_either_side(first, curvature):
    # Descent is stable below an LR of 2 / curvature, and quickest at half of that.
    on = search(Quadratic(curvature=curvature, noise=0.0), loss=4.5 * curvature)
    on.scout(first, -30.0, 12.0)
    (updates,) = on.heats
    assert len(on.races) <= MOST_SCOUTS
    assert updates == 50
    quickest = -math.log2(curvature)
    assert quickest - 3.5 < on.guess().octave < quickest + 1


def test_what_learned_above_the_cliff_alone_is_no_answer():
    on = search(Quadratic())
    died = Race(4.0, 20, 20, 4.5, None, highest=45.0)
    on.heats = {20: [Race(4.0, 20, 3, math.inf, None), Race(16.0, 20, 20, 0.3, None, highest=4.5)]}
    with pytest.raises(NoAnswerError, match="diverged"):
        require_sound(on, -20.0)
    on.heats = {20: [died]}
    require_sound(on, -20.0)
    with pytest.raises(NoAnswerError, match=facts("loss", 20, "updates")):
        require_learned(on, 3.0)


def test_a_family_without_races_of_its_own_is_no_answer():
    on = search(Quadratic())
    on.heats = {20: [Race(0.1, 20, 20, 1.0, None)]}
    require_raced(on, 20)
    with pytest.raises(NoAnswerError, match=facts("budget", "'mine'")):
        require_raced(on, 30)


@pytest.mark.parametrize(("lowest", "helps"), [(-4.0, True), (-20.0, False)])
def test_a_lower_end_would_help_only_where_races_have_come_down_to_it(lowest, helps):
    on = search(Quadratic())
    on.heats = {20: [Race(lr, 20, 3 + place, math.inf, None) for place, lr in enumerate((0.1, 1.0, 4.0))]}
    with pytest.raises(NoAnswerError, match="larger budget") as caught:
        require_sound(on, lowest)
    assert ("`low`" in str(caught.value)) is helps


def test_what_a_time_would_have_to_be_is_told():
    on = search(Quadratic(), horizon=1000)
    on.track.purse = Purse(Budget(1000, 5.0), spent=100, idle=1.0, _began=time.monotonic() - 6)
    with pytest.raises(NoAnswerError, match=r"(?s)budget.*\b1000 updates\b.*\b5\d seconds"):
        require_sound(on, -20.0)


def test_scouts_go_no_higher_than_the_range_test():
    on = search(Quadratic(curvature=1e-6, noise=0.0), loss=4.5e-6)
    on.scout(-1.0, -20.0, 3.0)
    assert max(ends(on.races)) <= 4


def test_scouts_stop_where_nothing_is_sound():
    on = search(Diverging(), budget=100_000)
    on.scout(6.0, -20.0, 7.0)
    assert all(race.diverged for race in on.races)
    assert min(ends(on.races)) > -30
    assert on.track.purse.spent < 100


def test_a_family_that_knows_no_lr_ends():
    on = search(Quadratic(noise=0.0), budget=100_000, family=lambda max_lr: lr.constant(0.1))
    on.scout(0.0, -20.0, 2.0)
    assert len(on.races) <= MOST_SCOUTS
    on.finish(600)
    assert len(on.heats[600]) <= 8


@pytest.mark.slow
@given(st.floats(-3, 3), st.floats(-2, 2), st.integers(10, 60))
def test_final_races_end_where_their_middles_have_no_more_digits(power, first, updates):
    # A budget without end: nothing but the search itself stops it.
    on = search(Quadratic(noise=0.0, curvature=10**power), budget=10**9, horizon=200, loss=4.5 * 10**power)
    on.scout(first - math.log2(10) * power, -30.0, 30.0)
    on.finish(updates)
    raced = [race.max_lr for race in on.heats[updates]]
    assert len(set(raced)) == len(raced) <= 8 + MOST_SCOUTS


def test_on_a_plateau_the_long_races_are_far_apart_and_from_above():
    on = search(Quadratic(noise=0.0, plateau=60))
    on.scout(-4.0, -20.0, 0.0)
    scouted = ends(on.races)
    on.finish(150)
    first, second = (math.log2(race.max_lr) for race in on.heats[150][:2])
    assert first == max(scouted)
    assert second == pytest.approx(first - 2, abs=0.1)


@pytest.mark.parametrize(("dead", "first"), [(-9.0, -10.0), (-5.0, -6.0), (-1.0, -4.0)])
def test_on_a_plateau_what_was_thrown_up_does_not_race_again(dead, first):
    class Mortal(Quadratic):
        def update(self, rate):
            return super().update(rate) + 5.0 * (self.made == 10 and rate > 2.0**dead)

    on = search(Mortal(noise=0.0, plateau=60))
    on.scout(-6.0, -20.0, -3.0)
    assert [round(octave) for octave in sorted(ends(on.races))] == [-8, -6, -4]
    on.finish(150)
    highest = max(math.log2(race.max_lr) for race in on.heats[150][:2])
    assert highest == pytest.approx(first, abs=0.1)


@pytest.mark.parametrize(
    ("left", "horizon", "families", "scouted", "expected"),
    [
        (400, 1000, 1, 25, 100),
        (400, 100, 1, 25, 50),  # half of the run at most
        (88, 1000, 1, 25, 0),  # shorter than the scouts: nothing new
        (92, 1000, 1, 25, 23),
        (36, 1000, 1, 5, 0),
        (400, 1000, 2, 25, 50),
        (200, 1000, 2, 25, 24),  # not among the scouts of the first family
        (88, 1000, 2, 25, 11),
        (72, 1000, 2, 25, 0),
    ],
)
def test_length_of_the_long_races(left, horizon, families, scouted, expected):
    assert finals_length(left, horizon, families, scouted) == expected


def test_races_begin_at_the_lowest_loss_or_below_the_end_of_a_curve_that_tells_nothing():
    trainee = Quadratic(noise=0.01)
    curve = lr.range_test(trainee.update, low=1e-6, high=100.0, updates=100)
    first, lowest, highest = beginning(curve, curve.bounds(), 100.0)
    assert 2.0**lowest == pytest.approx(1e-6)
    assert 2.0**highest == pytest.approx(curve.lrs[-1])
    assert 0.1 < 2.0**first < 2.5
    flat = lr.Curve(curve.lrs, [1.0] * len(curve))
    assert beginning(flat, flat.bounds(), 100.0) == (highest - 1, lowest, highest)


@pytest.mark.parametrize(
    ("ended", "expected"),
    [("swept", 0.1), ("diverged", 0.1), ("not finite", 0.1), ("out of time", 100.0), ("stopped", 100.0)],
)
def test_a_curve_that_was_cut_short_does_not_tell_where_lrs_become_too_high(ended, expected):
    curve = lr.Curve([0.01, 0.03, 0.1], [1.0, 1.0, 1.0], ended=ended)
    first, _, highest = beginning(curve, curve.bounds(), 100.0)
    assert (2.0**first, 2.0**highest) == pytest.approx((expected / 2, expected))
