"""Hypothesis strategies: every schedule and combinator, with arguments in the range that users choose."""

from hypothesis import strategies as st

import learnrate as lr

rates = st.floats(1e-8, 10.0)
rates_from_zero = st.just(0.0) | rates
lengths = st.integers(1, 5000)
growths = st.sampled_from([1.0, 2.0, 3.0]) | st.floats(1.01, 4.0)
decays_to = st.just(1.0) | st.floats(0.05, 1.0)


def smoothstep(p):
    """A shape at the top level of a module, which can be pickled and printed."""
    return p * p * (3 - 2 * p)


def halfway(n):
    """A function of the count at the top level of a module."""
    return 0.5 / (1 + n)


FUNCTIONS = (smoothstep, halfway)


@st.composite
def bounds(draw):
    """base_lr below max_lr, at a distance well above the spacing of floats."""
    max_lr = draw(rates)
    return draw(st.floats(0.0, 0.95)) * max_lr, max_lr


@st.composite
def ramps(draw):
    """Finite schedules, except chains and cycles."""
    start, end, length = draw(rates_from_zero), draw(rates_from_zero), draw(lengths)
    above = max(end, 1e-8)
    exponent, k = draw(st.floats(0.2, 4.0)), draw(st.sampled_from([1.0, 0.5, 2.5]))
    phases = draw(st.sampled_from([2, 3]))
    return draw(
        st.sampled_from(
            [
                lr.constant(start, length),
                lr.linear(start, end, length),
                lr.cosine(start, end, length),
                lr.cosine(start, end, length, power=exponent, k=k),
                lr.polynomial(start, end, length, power=exponent, k=k),
                lr.exponential(max(start, 1e-8), above, length),
                lr.one_minus_sqrt(start, end, length),
                lr.rex(start, end, length, beta=draw(st.floats(0.0, 0.95))),
                lr.tanh(start, end, length, draw(st.floats(-8, -1)), draw(st.floats(0, 5))),
                lr.tanh(start, end, length, ends="published"),
                lr.sigmoid(start, end, length, steepness=draw(st.floats(0.1, 60))),
                lr.custom(start, end, smoothstep, length),
                lr.warmup(above, length),
                lr.warmup(above, length, start=above * draw(st.floats(0.01, 1)), shape="constant"),
                lr.warmup(above, length, start=above * draw(st.floats(0, 1)), shape="cosine"),
                lr.warmup(above, length, shape="exponential"),
                lr.one_cycle(
                    above,
                    length,
                    pct_start=draw(st.floats(0.05, 0.95 if phases == 2 else 0.45)),
                    div_factor=draw(st.floats(1, 100)),
                    final_div_factor=draw(st.floats(1, 1e5)),
                    shape=draw(st.sampled_from(["cosine", "linear"])),
                    phases=phases,
                ),
            ]
        )
    )


numbers_of_cycles = st.integers(1, 6)
any_number_of_cycles = st.none() | numbers_of_cycles


@st.composite
def cyclical(draw, cycles=any_number_of_cycles):
    """Cyclical schedules: windows under envelopes."""
    base_lr, max_lr = draw(bounds())
    step_size, number = draw(lengths), draw(cycles)
    gamma = draw(st.floats(0.9, 1.0))
    envelope = draw(st.sampled_from(["constant", "halving", "gamma per update", "gamma per cycle"]))
    return draw(
        st.sampled_from(
            [
                lr.triangular(base_lr, max_lr, step_size, number),
                lr.triangular2(base_lr, max_lr, step_size, number),
                lr.exp_range(base_lr, max_lr, step_size, gamma, number),
                lr.exp_range(base_lr, max_lr, step_size, gamma, number, shrinks="bounds"),
                lr.cyclical(
                    base_lr,
                    max_lr,
                    step_size,
                    step_size_down=draw(st.none() | lengths),
                    window=draw(st.sampled_from(["triangular", "welch", "hann", smoothstep])),
                    envelope=envelope,
                    gamma=gamma if envelope.startswith("gamma") else 1.0,
                    cycles=number,
                    shrinks=draw(st.sampled_from(["amplitude", "bounds"])),
                ),
            ]
        )
    )


@st.composite
def restarts(draw, cycles=any_number_of_cycles):
    """Warm restarts."""
    base_lr, max_lr = draw(bounds())
    period = draw(st.integers(2, 5000))
    return lr.warm_restarts(
        max_lr,
        period,
        base_lr,
        growth=draw(growths),
        decay=draw(decays_to),
        warmup=draw(st.integers(0, period - 1)),
        cycles=draw(cycles),
        shape=draw(st.sampled_from(["cosine", "linear", "1-sqrt"])),
        decays="amplitude",
    )


@st.composite
def stairs(draw):
    """Decays with jumps."""
    start, factor = draw(rates), draw(decays_to)
    milestones = tuple(sorted(draw(st.sets(lengths, min_size=1, max_size=5))))
    values = draw(st.lists(rates_from_zero, min_size=len(milestones) + 1, max_size=len(milestones) + 1))
    return draw(
        st.sampled_from(
            [
                lr.step_decay(start, factor, draw(lengths), offset=draw(st.integers(0, 3))),
                lr.multistep(start, factor, milestones),
                lr.piecewise_constant(values, milestones),
            ]
        )
    )


@st.composite
def smooth_decays(draw):
    """Decays without jumps."""
    start, decay = draw(rates), draw(st.floats(1e-6, 10.0))
    return draw(
        st.sampled_from(
            [
                lr.inverse_time(start, decay, power=draw(st.floats(0.1, 2.0))),
                lr.time_based(start, decay),
                lr.exponential_decay(start, draw(decays_to), draw(lengths)),
                lr.natural_exp_decay(start, decay / 100),
                lr.inverse_sqrt(start, draw(lengths)),
                lr.noam(draw(lengths), draw(lengths)),
                lr.sigmoid_decay(start, decay / 10, draw(lengths)),
            ]
        )
    )


finite_leaves = ramps() | cyclical(cycles=numbers_of_cycles) | restarts(cycles=numbers_of_cycles)
endless_leaves = (
    cyclical(cycles=st.none()) | restarts(cycles=st.none()) | stairs() | smooth_decays() | rates.map(lr.constant)
)
leaves = finite_leaves | endless_leaves


@st.composite
def wrapped(draw, inner):
    """A schedule and one combinator."""
    s = draw(inner)
    results = [
        s * draw(rates),
        s.clip(low=draw(rates)),
        s.clip(high=draw(rates)),
        s.staircase(draw(lengths)),
        s.shift(draw(st.integers(0, 3000))),
        s * draw(leaves),
        s + draw(leaves),
        lr.switch((s, draw(leaves), draw(leaves)), draw(st.tuples(st.integers(1, 99), st.integers(100, 3000)))),
    ]
    if s.length is not None:
        results.append(s.repeat(draw(numbers_of_cycles), length_growth=draw(growths), value_decay=draw(decays_to)))
        if s.length > 1:
            at = draw(st.integers(0, s.length - 1))
            results.append(s.rebase(at, at + draw(lengths)))
            results.append(s.shift(-draw(st.integers(0, s.length - 1))))
    if s.max > s.min * 1.001:
        results.append(s.mirrored(*draw(bounds())))
    return draw(st.sampled_from(results))


finite = finite_leaves | wrapped(finite_leaves).filter(lambda s: s.length is not None)
endless = endless_leaves


@st.composite
def chains(draw):
    """Finite schedules one after the other, some followed by an endless one."""
    chain = draw(finite)
    for part in draw(st.lists(finite, min_size=1, max_size=3)):
        chain = chain >> part
    return chain >> draw(endless) if draw(st.booleans()) else chain


schedules = leaves | wrapped(leaves) | wrapped(wrapped(leaves)) | chains() | wrapped(chains())
