"""Rungs for the tests of the tuner: trials with given losses at LRs a factor of two apart, from a start at a loss of 1."""

import math

from hypothesis import strategies as st

from learnrate.tuner.trials import Rung, Start, Trial

START = Start(1.0, 0.01)


def trial(log2_lr, loss, score=None, updates=50, **fields):
    fields = {"highest_loss": max(1.0, loss), **fields}
    return Trial(2.0**log2_lr, updates, updates, loss, score, **fields)


def rung(losses, updates=50, scores=None):
    """Trials from an LR of 1 upwards."""
    scores = scores or [None] * len(losses)
    results = enumerate(zip(losses, scores, strict=True))
    return Rung(updates, tuple(trial(log2_lr, loss, score, updates) for log2_lr, (loss, score) in results))


losses = st.floats(0.0, 1.0) | st.just(math.inf)


@st.composite
def several_rungs(draw, least=1):
    lengths = draw(st.lists(st.integers(10, 500), min_size=1, max_size=3, unique=True))
    drawn = []
    for updates in lengths:
        log2_lrs = draw(st.lists(st.integers(-12, 4), min_size=least, max_size=6, unique=True))
        drawn.append(Rung(updates, tuple(trial(log2_lr, draw(losses), None, updates) for log2_lr in log2_lrs)))
    return drawn
