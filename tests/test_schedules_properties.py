"""What holds for every schedule."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import learnrate as lr
from strategies import bounds, chains, cyclical, endless, finite, lengths, ramps, schedules

counts = st.integers(0, 30_000)
TOLERANCE = 1e-12


def extremes(schedule):
    """The least and the greatest value that a schedule may take, from its fields alone."""
    if isinstance(schedule, lr.schedules.Chain):
        ends = [extremes(part) for part in schedule.parts]
        return min(low for low, _ in ends), max(high for _, high in ends)
    match schedule:
        case lr.constant():
            return schedule.value, schedule.value
        case lr.warmup():
            return 0.0, schedule.max_lr
        case lr.one_cycle():
            return schedule.max_lr / schedule.div_factor / schedule.final_div_factor, schedule.max_lr
        case lr.exp_range(shrinks="bounds"):
            return 0.0, schedule.max_lr
        case lr.triangular() | lr.triangular2() | lr.exp_range():
            return schedule.base_lr, schedule.max_lr
        case _:
            return min(schedule.start, schedule.end), max(schedule.start, schedule.end)


@given(schedules, counts)
def test_stays_within_its_bounds(schedule, n):
    low, high = extremes(schedule)
    assert low * (1 - TOLERANCE) <= schedule(n) <= high * (1 + TOLERANCE)


@given(ramps() | cyclical(), st.floats(0, 30_000), st.floats(0, 1e-3))
def test_is_continuous_in_the_count(schedule, n, step):
    # No part of these is steeper than its whole range within a single update, but for powers below 1 at their end.
    if isinstance(schedule, lr.polynomial) and schedule.power < 1:
        return
    low, high = extremes(schedule)
    steepest = 20 * (high - low)
    assert abs(schedule(n + step) - schedule(n)) <= steepest * step + TOLERANCE * high


@given(bounds(), lengths, counts)
def test_triangular_repeats_after_a_cycle(bound, step_size, n):
    s = lr.triangular(*bound, step_size)
    assert s(n) == s(n + 2 * step_size)


@given(bounds(), lengths, counts)
def test_triangular2_halves_its_amplitude_after_a_cycle(bound, step_size, n):
    base_lr, max_lr = bound
    s = lr.triangular2(base_lr, max_lr, step_size)
    assert s(n + 2 * step_size) - base_lr == pytest.approx((s(n) - base_lr) / 2, abs=1e-13 * max_lr)


@given(finite, st.integers(0, 10**9))
def test_a_finite_schedule_holds_its_end_value(schedule, beyond):
    assert schedule(schedule.length + beyond) == schedule(schedule.length)


@given(finite, schedules, counts)
def test_a_chain_is_its_parts_one_after_the_other(first, second, n):
    chain = first >> second
    assert chain(n) == (first(n) if n < first.length else second(n - first.length))
    assert chain.length == (None if second.length is None else first.length + second.length)


@given(finite, finite, schedules)
def test_chaining_is_associative(a, b, c):
    assert (a >> b) >> c == a >> (b >> c)


@given(schedules, st.lists(counts, min_size=1, max_size=50))
def test_an_array_of_counts_gives_what_each_number_gives(schedule, ns):
    expected = [schedule(n) for n in ns]
    np.testing.assert_allclose(schedule(np.array(ns)), expected, rtol=1e-12, atol=0)


@given(schedules)
def test_print_parse_pickle_hash(schedule):
    assert lr.parse(repr(schedule)) == schedule
    assert pickle.loads(pickle.dumps(schedule)) == schedule
    assert hash(lr.parse(repr(schedule))) == hash(schedule)
    assert eval(repr(schedule), vars(lr).copy()) == schedule


@given(schedules)
def test_is_frozen(schedule):
    with pytest.raises(AttributeError):
        schedule.length = 3


@given(chains(), counts)
def test_resume_equals_run_through(schedule, stop):
    run_through = schedule(np.arange(stop, stop + 20))
    resumed = np.array([pickle.loads(pickle.dumps(schedule))(n) for n in range(stop, stop + 20)])
    np.testing.assert_allclose(resumed, run_through, rtol=1e-12)


@given(endless)
def test_nothing_can_follow_an_endless_schedule(schedule):
    with pytest.raises(ValueError, match="must be finite"):
        schedule >> lr.constant(0.1)
