"""What races tell: how good LRs were, where the cliff is, and the guess for the whole run."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learnrate.tuner.evidence import (
    Heat,
    Start,
    begun,
    best,
    chance,
    cliff,
    dead,
    guess,
    learned,
    safe,
    surfaces,
    tells,
    told_apart,
    worth,
)
from learnrate.tuner.races import Race

START = Start(1.0, 0.01)


def race(octave, loss, score=None, updates=50):
    return Race(2.0**octave, updates, updates, loss, score, highest=max(1.0, loss))


def heat(losses, updates=50, scores=None):
    """Races an octave apart from an LR of 1 upwards."""
    scores = scores or [None] * len(losses)
    return Heat(
        updates, tuple(race(i, loss, score, updates) for i, (loss, score) in enumerate(zip(losses, scores, strict=True)))
    )


losses = st.floats(0.0, 1.0) | st.just(math.inf)


@st.composite
def heats(draw, least=1):
    lengths = draw(st.lists(st.integers(10, 500), min_size=1, max_size=3, unique=True))
    made = []
    for updates in lengths:
        octaves = draw(st.lists(st.integers(-12, 4), min_size=least, max_size=6, unique=True))
        made.append(Heat(updates, tuple(race(octave, draw(losses), None, updates) for octave in octaves)))
    return made


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


def test_above_a_divergence_nothing_is_safe():
    short = Heat(20, (race(0, 0.5), race(4, 0.1)))
    long = Heat(80, (race(1, 0.4), race(2, math.inf), race(3, 0.05)))
    assert cliff([short, long], START) == 2.0
    assert cliff([short], START) == math.inf
    for found in safe([short, long], START):
        for one in found.races:
            assert one.diverged == (one.max_lr >= 4)
    assert guess([short, long], START, 400).octave < 2


def test_above_a_racer_that_died_where_others_learned_nothing_is_safe():
    killed = Race(4.0, 80, 80, 1.0, None, highest=1.5)
    short, long = Heat(20, (race(4, 0.1),)), Heat(80, (race(1, 0.4), killed))
    assert cliff([short, long], START) == 2.0
    assert guess([short, long], START, 400).octave < 2
    # Where nobody has learned, all may sit on a plateau.
    assert cliff([short, Heat(80, (race(1, 1.0), killed))], START) == math.inf


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
    assert min(raced) - 3 <= found.octave <= max(raced) + 2


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


def test_learned_begun_and_told_apart():
    chances = chance(50, START)
    assert chances == pytest.approx(4 * 0.01 / math.sqrt(10))
    assert not learned(heat([1 - 0.9 * chances]), START)
    assert learned(heat([1 - 1.1 * chances]), START)
    assert not begun(heat([0.89]), START)  # less than 12 % of the start: the frequencies of the classes
    assert begun(heat([0.87]), START)
    assert not begun(heat([0.91]), Start(1.0, 0.2))
    assert begun(heat([-0.1]), Start(0.0, 0.01))
    for nothing in (heat([math.inf]), Heat(50, ())):
        assert not learned(nothing, START)
        assert not begun(nothing, START)
        assert not told_apart(nothing, START)
    assert told_apart(heat([0.5, 0.9]), START)
    assert not told_apart(heat([0.5, 0.5 + 0.9 * chances, math.inf]), START)


@pytest.mark.parametrize(
    ("highest", "start", "expected"),
    [
        (1.019, Start(1.0, 0.001), False),  # less than a fiftieth of the start
        (1.021, Start(1.0, 0.001), True),
        (1.11, Start(1.0, 0.01), False),  # less than twelve times the noise
        (1.13, Start(1.0, 0.01), True),
        (-0.8, Start(-1.0, 0.0), True),
        (0.01, Start(0.0, 0.0), False),  # where nothing can be told from nothing
        (math.inf, Start(1.0, 0.01), True),
    ],
)
def test_a_dead_racer_was_thrown_up_and_learned_nothing(highest, start, expected):
    assert dead(Race(0.1, 50, 50, start.loss, None, highest=highest), start) is expected
    learning = start.loss - 0.011 * abs(start.loss)
    assert not dead(Race(0.1, 50, 50, learning, None, highest=highest), start)


def test_what_is_still_on_the_plateau_below_the_best_will_leave_it_in_a_longer_run():
    found = worth(heat([1.0, 0.99, 0.2, 1.0]), START)
    assert found == pytest.approx({0.0: -0.2, 1.0: -0.1, 2.0: 0.0, 3.0: -1.0})
    assert worth(heat([0.99, 0.95]), START) == pytest.approx({0.0: -0.8, 1.0: 0.0})  # nobody has left it


def test_what_tells_is_a_fall_or_a_little_one_that_others_missed():
    assert tells(heat([0.87, 0.87]), START)
    assert not tells(heat([0.95, 0.95]), START)
    assert tells(heat([0.89, 0.89]), START)
    assert tells(heat([0.95, 0.985]), START)
    assert not tells(heat([0.9905, 1.0]), Start(1.0, 0.003))
    assert not tells(heat([0.95, 0.985]), Start(1.0, 0.1))
    assert not tells(Heat(50, ()), START)


def test_scores_vouch_for_a_fall_that_is_half_as_deep():
    noisy = Start(1.0, 0.2, score=0.5)
    chances = chance(50, noisy)
    deep = 1 - 0.7 * chances
    assert learned(heat([deep, 0.95], scores=[0.6, 0.51]), noisy)
    assert not learned(heat([deep, 0.95]), noisy)
    assert not learned(heat([deep, 0.95], scores=[0.6, 0.5]), noisy)
    assert not learned(heat([deep, 0.95], scores=[0.6, None]), noisy)
    assert not learned(heat([deep], scores=[0.6]), noisy)
    assert not learned(heat([deep, 0.95], scores=[0.6, 0.51]), Start(1.0, 0.2))
    assert not learned(heat([1 - 0.4 * chances, 0.95], scores=[0.6, 0.51]), noisy)
    # A trifle, however certain: a net that is stuck may still learn how frequent the classes are.
    assert not learned(heat([0.95, 0.96], scores=[0.6, 0.6]), Start(1.0, 0.05, score=0.5))


def test_what_raced_long_is_known_best_and_the_short_races_lend_their_shape_beyond():
    short, long = heat([0.9, 0.5, 0.2, 0.6]), Heat(200, (race(1, 0.3, updates=200), race(2, 0.1, updates=200)))
    first, second = surfaces([long, short], START)
    assert (first.updates, second.updates) == (50, 200)
    assert second.at([1.0, 2.0]) == pytest.approx([worth(long, START)[1.0], 0.0])
    assert second.at([3.0])[0] == pytest.approx(first.at([3.0])[0] - first.at([2.0])[0])
    assert second.at([0.0])[0] - second.at([1.0])[0] == pytest.approx(first.at([0.0])[0] - first.at([1.0])[0])
