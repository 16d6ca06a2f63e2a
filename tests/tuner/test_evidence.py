"""What races tell: whether anything has been learned, who can be told apart, and where the cliff is."""

import math
from dataclasses import replace

import pytest

from heats import START, heat, race
from learnrate.tuner.estimate import guess
from learnrate.tuner.evidence import (
    Heat,
    Start,
    ahead,
    begun,
    ceiling,
    chance,
    cliff,
    dead,
    flung,
    learned,
    safe,
    tells,
    told_apart,
)
from learnrate.tuner.trials import Race


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
    # Where nobody below has learned, all may sit on a plateau.
    assert cliff([short, Heat(80, (race(1, 1.0), killed))], START) == math.inf
    assert cliff([Heat(80, (race(1, 1.0), killed, race(4, 0.3)))], START) == math.inf


def test_above_a_racer_that_was_flung_up_no_lr_is_safe_where_steps_have_no_bound():
    unbounded = replace(START, unbounded=True)
    high = replace(race(1, 0.3), highest=13.1)
    found = Heat(50, (race(0, 0.4), high, race(2, 0.2), race(3, 0.2)))
    assert flung(high, unbounded)
    assert not flung(high, START)
    assert not flung(replace(high, highest=12.9), unbounded)
    assert not flung(replace(high, highest=13.1), replace(unbounded, noise=1.1))
    assert cliff([found], unbounded) == 2.0
    assert ceiling([found], unbounded) == 1.0
    assert ceiling([found], START) == math.inf
    assert cliff([found], START) == math.inf
    assert guess([found], unbounded, 400).octave < 1.0 < guess([found], START, 400).octave
    # Nor does a plan go there, where none raced above it in that heat.
    short, long = heat([0.9, 0.8, 0.7], updates=20), Heat(50, (race(-1, 0.5), race(0, 0.4), high))
    found = guess([short, long], unbounded, 400)
    assert max(found.octave, found.high) < 1.1


def test_learned_begun_and_told_apart():
    chances = chance(50, START)
    assert chances == pytest.approx(4 * 0.01 / math.sqrt(10))
    # What idles falls by the mean of a normal variable's lower half, within two and a half standard errors.
    idle = 0.01 * (0.4 + 2.5 * 0.58 / math.sqrt(10))
    assert not learned(heat([1 - 0.95 * idle]), START)
    assert learned(heat([1 - 1.05 * idle]), START)
    assert not learned(heat([1 - 1.05 * idle]), Start(1.0, 0.01, error=0.002))
    assert not begun(heat([0.89]), START)  # less than 12 % of the start: the frequencies of the classes
    assert begun(heat([0.87]), START)
    assert not begun(heat([0.91]), Start(1.0, 0.2))
    assert not begun(heat([0.6, 0.6]), START)  # all equally far: as far as the frequencies of rare classes, it may be
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


def test_what_tells_is_a_fall_or_a_little_one_that_others_missed():
    assert tells(heat([0.87, 0.87]), START)
    assert tells(heat([0.95, 0.95]), START)
    assert tells(heat([0.95]), START)
    assert not tells(heat([0.965, 0.965]), START)
    assert not tells(heat([0.95, 0.95]), Start(1.0, 0.03))
    assert learned(heat([0.95, 0.95]), Start(1.0, 0.03))
    assert tells(heat([0.95, 0.985]), START)
    assert not tells(heat([0.9905, 1.0]), Start(1.0, 0.003))
    assert not tells(heat([0.95, 0.985]), Start(1.0, 0.1))
    assert not tells(Heat(50, ()), START)


def seen(octave, losses, highest=1.0):
    return Race(2.0**octave, 100, 100, sum(losses) / len(losses), None, judged=tuple(losses), highest=highest)


def test_what_is_chance_from_batch_to_batch_may_be_none_between_racers_that_saw_the_same():
    batches = [0.9, 1.0] * 10
    noisy = Start(1.0, 0.1, error=0.05)
    lower, higher = seen(0, batches), seen(1, [loss - 0.02 - 0.002 * (i % 3) for i, loss in enumerate(batches)])
    assert not learned(Heat(100, (higher,)), noisy)
    assert ahead(Heat(100, (lower, higher)), noisy)
    assert learned(Heat(100, (lower, higher)), noisy)
    assert tells(Heat(100, (lower, higher)), noisy)
    # A higher LR may have been thrown up where the best one has learned nothing.
    assert not ahead(Heat(100, (lower, seen(1, [1.0] * 20))), noisy)
    # Three standard errors will do where every score tells the same.
    slight = seen(1, [loss - 0.02 + 0.022 * (-1) ** (i // 2) for i, loss in enumerate(batches)])
    scored = [replace(one, score=score) for one, score in ((lower, 0.6), (slight, 0.7))]
    assert not ahead(Heat(100, (lower, slight)), noisy)
    assert not ahead(Heat(100, tuple(scored)), noisy)
    assert ahead(Heat(100, tuple(scored)), replace(noisy, score=0.5))
    few = Heat(100, (seen(0, batches[:8]), seen(1, [0.5] * 8)))
    assert not ahead(few, noisy)
    uneven = seen(1, [loss - 0.02 * (-1) ** (i // 2) for i, loss in enumerate(batches)])
    assert not ahead(Heat(100, (lower, uneven)), noisy)
    assert not ahead(Heat(100, ()), noisy)


def test_scores_vouch_for_a_fall_that_is_half_as_deep():
    noisy = Start(1.0, 0.2, score=0.5)
    # With errors of 0.04 the whole way would be 0.08 + 0.10, and half of it 0.08 + 0.05.
    deep = 1 - 0.16
    assert learned(heat([deep, 0.9], scores=[0.6, 0.51]), noisy)
    assert not learned(heat([deep, 0.9]), noisy)
    assert not learned(heat([deep, 0.9], scores=[0.6, 0.5]), noisy)
    assert not learned(heat([deep, 0.9], scores=[0.6, None]), noisy)
    # What an LR that is too high has spoilt does not speak against it.
    assert learned(heat([deep, 0.9, 0.99], scores=[0.6, 0.51, 0.1]), noisy)
    assert not learned(heat([deep], scores=[0.6]), noisy)
    assert not learned(heat([deep, 0.9], scores=[0.6, 0.51]), Start(1.0, 0.2))
    assert not learned(heat([1 - 0.12, 0.9], scores=[0.6, 0.51]), noisy)
    # A trifle, however certain: a net that is stuck may still learn how frequent the classes are.
    assert not learned(heat([0.95, 0.96], scores=[0.6, 0.6]), Start(1.0, 0.06, score=0.5))
