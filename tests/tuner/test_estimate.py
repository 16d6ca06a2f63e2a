"""The guess for the whole run: how good LRs were at each length, and what follows for a longer one."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heats import START, heat, heats, race
from learnrate.tuner.estimate import best, guess, surfaces, worth
from learnrate.tuner.evidence import Heat, Start


def test_worth_is_the_share_of_the_best_fall_that_was_missed():
    assert worth(heat([0.8, 0.2, 0.6, math.inf]), START) == pytest.approx({0.0: -0.75, 1.0: 0.0, 2.0: -0.5, 3.0: -1.0})


def test_worth_of_losses_below_zero_and_of_a_start_at_zero():
    assert worth(heat([-3.0, -5.0]), Start(-1.0, 0.0)) == pytest.approx({0.0: -0.5, 1.0: 0.0})
    assert worth(heat([-1.0, -2.0, 0.0]), Start(0.0, 0.0)) == pytest.approx({0.0: -0.5, 1.0: 0.0, 2.0: -1.0})


def test_worth_where_nothing_fell_or_all_diverged():
    assert worth(heat([1.0, 1.0, math.inf]), START) == {0.0: 0.0, 1.0: 0.0, 2.0: -1.0}
    assert worth(heat([math.inf, math.inf]), START) == {0.0: -1.0, 1.0: -1.0}
    assert best(heat([math.inf, math.inf]), START) == 0.0


def test_scores_count_a_quarter_where_they_rose():
    start = Start(1.0, 0.01, score=0.5)
    found = worth(heat([0.2, 0.2, 0.6, 0.2], scores=[0.9, 0.7, 0.9, None]), start)
    assert found == pytest.approx({0.0: 0.0, 1.0: -0.125, 2.0: -0.375, 3.0: -0.25})


def test_scores_that_fall_while_the_loss_falls_count_nothing():
    start = Start(1.0, 0.01, score=0.9)
    losing = heat([0.5, 0.2], scores=[0.8, 0.1])
    assert worth(losing, start) == worth(heat([0.5, 0.2]), START)
    # Nor where the start has none: a rise has no measure.
    assert worth(heat([0.5, 0.2], scores=[0.9, 0.1]), START) == worth(heat([0.5, 0.2]), START)


def test_the_lower_of_equals_is_best():
    assert best(heat([0.5, 0.2, 0.2]), START) == 1.0


@given(heats())
def test_worth_lies_between_nothing_learned_and_the_best(made):
    for one in made:
        found = worth(one, START)
        assert all(-1 <= value <= 0 for value in found.values())
        assert not one.sound or max(found.values()) == 0
        assert math.isfinite(best(one, START))


@given(heats(), st.integers(10, 10**6))
def test_a_guess_lies_within_its_interval_and_near_what_raced(made, horizon):
    found = guess(made, START, horizon)
    assert found.low <= found.octave <= found.high
    raced = [math.log2(one.max_lr) for all_of_them in made for one in all_of_them.races]
    # Three octaves below the lowest that raced, and what drifts by a tenth of an octave in seventeen doublings.
    assert min(raced) - 5 <= found.octave <= max(raced) + 2


@given(st.lists(st.floats(0.05, 0.9), min_size=3, max_size=6), st.integers(50, 500))
def test_a_guess_lies_within_an_octave_of_the_range_that_was_raced(falls, horizon):
    # What has been learned falls to either side of a best LR.
    valley = [0.95, *sorted(falls, reverse=True), 0.04, *sorted(falls), 0.95]
    found = guess([heat(valley)], START, horizon)
    assert -1 <= found.octave <= len(valley)


@given(heats(), st.integers(10, 10**5), st.integers(-40, 40))
def test_a_guess_knows_no_unit_of_the_loss(made, horizon, power):
    scaled = [
        Heat(one.updates, tuple(replace(r, loss=r.loss * 2.0**power, highest=r.highest * 2.0**power) for r in one.races))
        for one in made
    ]
    assert guess(scaled, Start(2.0**power, 0.01 * 2.0**power), horizon) == guess(made, START, horizon)


@given(heats(), st.integers(-10, 10), st.integers(10, 10**5))
def test_a_guess_moves_with_the_lrs(made, octaves, horizon):
    moved = [Heat(one.updates, tuple(replace(r, max_lr=r.max_lr * 2.0**octaves) for r in one.races)) for one in made]
    there, here = guess(moved, START, horizon), guess(made, START, horizon)
    assert there.octave - octaves == pytest.approx(here.octave, abs=1 / 8)


def test_a_longer_run_is_given_a_lower_lr_beside_a_cliff():
    races = [heat([0.6, 0.4, 0.2, math.inf])]
    octaves = [guess(races, START, horizon).octave for horizon in (50, 500, 50_000)]
    assert octaves == sorted(octaves, reverse=True)
    assert octaves[0] > octaves[-1] + 0.5


def test_a_best_lr_that_rises_with_the_training_is_followed_upwards():
    races = [heat([0.6, 0.4, 0.2, 0.4, 0.6])]
    octaves = [guess(races, START, 200, drift).octave for drift in (-0.4, -0.1, 0.0, 0.4)]
    assert octaves == sorted(octaves)
    assert octaves[-1] > octaves[0] + 0.5
    assert guess(races, START, 50, 0.4) == guess(races, START, 50, -0.4)  # as long as the races: nothing lies ahead


def test_an_interval_ends_at_the_cliff():
    found = guess([heat([0.9, 0.2, 0.21, math.inf])], Start(1.0, 0.5), 60)
    assert found.octave < found.high <= 3.0


def test_what_is_stuck_is_no_better_than_the_best_however_good_its_score():
    start = Start(1.0, 0.01, score=0.5)
    torn = heat([0.95, 0.3], scores=[0.51, 0.4])
    found = worth(torn, start)
    assert found[0.0] < found[1.0]
    assert best(torn, start) == 1.0


def test_what_is_conceded_to_a_plateau_ends_gradually():
    shares = [worth(heat([1 - 0.8 * share, 0.2]), START)[0.0] for share in np.linspace(0.0, 0.5, 51)]
    assert shares[0] == pytest.approx(-0.1)
    assert shares[-1] == pytest.approx(-0.5)
    assert max(abs(one - other) for one, other in pairwise(shares)) < 0.08


@pytest.mark.parametrize("drift", [-1.0, 0.4, 1.0])
def test_a_drift_goes_on_however_far_the_run_lies_ahead(drift):
    races = [heat([0.6, 0.4, 0.2, 0.4, 0.6])]
    octaves = [guess(races, START, 50 * 2**doublings, drift).octave for doublings in range(16)]
    # Down by up to three octaves, since a run that is so much longer has time to catch up.
    assert 15 * drift - 3 < octaves[-1] - octaves[0] <= 15 * drift


def test_a_run_that_is_much_longer_than_its_races_keeps_a_distance_from_the_high_side():
    (known,) = surfaces([heat([0.6, 0.4, 0.2, 0.4, 0.6])], START)
    octaves = np.array([1.0, 2.0, 3.0])
    assert known.ahead(octaves, 3.0) == pytest.approx(known.at(octaves))
    assert known.ahead(octaves, 5.0) == pytest.approx(known.at(octaves) * [0.5, 1.0, 1.0])
    assert known.ahead(octaves, 7.0) == pytest.approx(known.at(octaves) * [0.25, 1.0, 1.0])


def test_of_equals_the_lowest_is_taken():
    flat = Heat(50, tuple(race(octave, 0.2) for octave in range(8)))
    assert 0 < guess([flat], START, 50).octave < 2


def test_an_interval_is_at_least_what_costs_a_twentieth():
    found = guess([heat([0.6, 0.3, 0.2, 0.3, 0.6])], Start(1.0, 0.0), 200)
    assert found.doubt == 0.05
    assert found.high > found.octave > found.low


def test_more_noise_widens_what_cannot_be_told():
    races = [heat([0.6, 0.3, 0.2, 0.3, 0.6])]
    widths = [found.high - found.low for found in (guess(races, Start(1.0, noise), 200) for noise in (0.0, 0.2, 1.0))]
    assert widths[0] < widths[1] < widths[2]


def test_a_heat_that_never_left_the_start_has_no_say():
    told = heat([0.6, 0.2, 0.6])
    silent = Heat(20, (race(-6, 0.99, updates=20), race(-8, 1.0, updates=20)))
    assert guess([silent, told], START, 200) == guess([told], START, 200)
    # Nor has it beside one that has not left the start either, but has learned some.
    some = heat([0.93, 0.9, 0.93])
    assert guess([silent, some], START, 200) == guess([some], START, 200)


def test_what_is_still_on_the_plateau_below_the_best_will_leave_it_in_a_longer_run():
    found = worth(heat([1.0, 0.99, 0.2, 1.0]), START)
    assert found == pytest.approx({0.0: -0.2, 1.0: -0.1, 2.0: 0.0, 3.0: -1.0})
    assert worth(heat([0.99, 0.95]), START) == pytest.approx({0.0: -0.8, 1.0: 0.0})  # nobody has left it


def test_what_raced_long_is_known_best_and_the_short_races_lend_their_shape_beyond():
    short, long = heat([0.9, 0.5, 0.2, 0.6]), Heat(200, (race(1, 0.3, updates=200), race(2, 0.1, updates=200)))
    first, second = surfaces([long, short], START)
    assert (first.updates, second.updates) == (50, 200)
    assert second.at([1.0, 2.0]) == pytest.approx([worth(long, START)[1.0], 0.0])
    assert second.at([3.0])[0] == pytest.approx(first.at([3.0])[0] - first.at([2.0])[0])
    assert second.at([0.0])[0] - second.at([1.0])[0] == pytest.approx(first.at([0.0])[0] - first.at([1.0])[0])
