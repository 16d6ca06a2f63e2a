"""Hypothesis strategies: every schedule, with arguments in the range that users give."""

from hypothesis import strategies as st

import learnrate as lr

rates = st.floats(1e-8, 10.0)
rates_from_zero = st.just(0.0) | rates
lengths = st.integers(1, 5000)


@st.composite
def bounds(draw):
    """base_lr below max_lr, not so close that float spacing decides the test."""
    max_lr = draw(rates)
    return draw(st.floats(0.0, 0.95)) * max_lr, max_lr


@st.composite
def ramps(draw):
    """All finite schedules but chains."""
    start, end, length = draw(rates_from_zero), draw(rates_from_zero), draw(lengths)
    return draw(
        st.sampled_from(
            [
                lr.constant(start, length),
                lr.linear(start, end, length),
                lr.cosine(start, end, length),
                lr.polynomial(start, end, length, power=draw(st.floats(0.2, 4.0))),
                lr.exponential(max(start, 1e-8), max(end, 1e-8), length),
                lr.warmup(max(end, 1e-8), length),
                lr.warmup(max(end, 1e-8), length, start=max(end, 1e-8) * draw(st.floats(0, 1))),
                lr.one_cycle(
                    max(end, 1e-8),
                    length,
                    pct_start=draw(st.floats(0.05, 0.95)),
                    div_factor=draw(st.floats(1, 100)),
                    final_div_factor=draw(st.floats(1, 1e5)),
                    shape=draw(st.sampled_from(["cosine", "linear"])),
                ),
            ]
        )
    )


numbers_of_cycles = st.integers(1, 6)
any_number_of_cycles = st.none() | numbers_of_cycles


@st.composite
def cyclical(draw, cycles=any_number_of_cycles):
    """The three policies of the CLR paper."""
    base_lr, max_lr = draw(bounds())
    step_size, number = draw(lengths), draw(cycles)
    gamma = draw(st.floats(0.9, 1.0))
    return draw(
        st.sampled_from(
            [
                lr.triangular(base_lr, max_lr, step_size, number),
                lr.triangular2(base_lr, max_lr, step_size, number),
                lr.exp_range(base_lr, max_lr, step_size, gamma, number),
                lr.exp_range(base_lr, max_lr, step_size, gamma, number, shrinks="bounds"),
            ]
        )
    )


finite = ramps() | cyclical(cycles=numbers_of_cycles)
endless = cyclical(cycles=st.none()) | rates.map(lr.constant)


@st.composite
def chains(draw):
    """Finite schedules one after the other, and perhaps an endless one."""
    whole = draw(finite)
    for part in draw(st.lists(finite, min_size=1, max_size=3)):
        whole = whole >> part
    return whole >> draw(endless) if draw(st.booleans()) else whole


schedules = finite | endless | chains()
