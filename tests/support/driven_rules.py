"""Controllers and the rules of other libraries, driven call by call side by side."""

import math

from hypothesis import strategies as st

from learnrate.control import Observation

nice = st.sampled_from([0.0, 1.0, 0.9, 0.5, -1.0, 2.0, 1.1, 1e-4, 100.0])
values = st.one_of(nice, nice, st.floats(-3, 3), st.sampled_from([math.nan, math.inf, -math.inf, 1e300]))
sequences = st.lists(values, min_size=1, max_size=40)
falling = st.lists(st.floats(0.5, 1.02), min_size=1, max_size=40).map(
    lambda ratios: [3.0 * math.prod(ratios[: n + 1]) for n in range(len(ratios))]
)
"""Losses that mostly fall."""

calls = st.one_of(sequences, sequences, falling)
few = st.integers(0, 3)
lrs = st.sampled_from([0.1, 1.0, 3e-4, 0.007, 1e-7])


def observed(controller, number, value, lr):
    """The observation of an update or of an evaluation, by what the controller monitors."""
    if controller.monitor == "loss":
        return Observation(number, lr, loss=value)
    return Observation(number, lr, metrics={controller.monitor or "score": value})


def ours(controller, lr, sequence):
    """The LRs that a controller leads to on a constant schedule, after each call."""
    state, factor, after = controller.init(), 1.0, []
    for number, value in enumerate(sequence):
        state, action = controller.update(state, observed(controller, number, value, lr * factor))
        factor = action.factor
        after.append(lr * factor)
    return after


def assert_equal(controller, lr, sequence, theirs, first=None):
    """Both have the same LRs, and change them at the same calls; `first` is theirs before the first call."""
    mine = ours(controller, lr, sequence)
    assert all(math.isclose(a, b, rel_tol=1e-12) for a, b in zip(mine, theirs, strict=True)), (mine, theirs)
    assert changes([lr, *mine]) == changes([lr if first is None else first, *theirs])


def changes(series):
    """The calls at which a series changes."""
    return [n for n in range(1, len(series)) if series[n] != series[n - 1]]
