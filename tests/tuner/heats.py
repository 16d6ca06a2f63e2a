"""Heats of races as the tests of the tuner make them: losses at LRs an octave apart, from a start at a loss of 1."""

import math

from hypothesis import strategies as st

from learnrate.tuner.evidence import Heat, Start
from learnrate.tuner.trials import Race

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
