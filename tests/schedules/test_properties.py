"""Properties of every schedule."""

import dataclasses
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import learnrate as lr
import strategies
from strategies import (
    FUNCTIONS,
    bounds,
    chains,
    cyclical,
    endless,
    finite,
    finite_leaves,
    lengths,
    ramps,
    schedules,
)

counts = st.integers(0, 30_000)
TOLERANCE = 1e-12


@given(schedules, counts | st.integers(0, 2**53))
def test_values_are_within_the_bounds(schedule, n):
    assert schedule.min * (1 - TOLERANCE) <= schedule(n) <= schedule.max * (1 + TOLERANCE)


@given(finite_leaves)
def test_the_bounds_of_a_finite_schedule_are_reached(schedule):
    edges = [0, *schedule.boundaries(), schedule.length]
    values = [schedule(float(n)) for n in edges]
    if isinstance(schedule, lr.tanh) and schedule.ends == "published":
        return  # the published curve does not reach its ends
    if isinstance(schedule, lr.exp_range | lr.cyclical):
        # With an envelope that shrinks during a rise, the maximum may be before the peak, and the base is never reached
        # again.
        assert schedule.max >= max(values) * (1 - TOLERANCE)
        assert schedule.min <= min(values) * (1 + TOLERANCE)
        return
    just_before = [schedule(n - 1e-9 * n) for n in edges]
    assert max(values + just_before) == pytest.approx(schedule.max, rel=1e-4)
    assert min(values + just_before) == pytest.approx(schedule.min, rel=1e-4, abs=1e-7 * schedule.max)


@given(ramps() | cyclical(), st.floats(0, 30_000), st.floats(0, 1e-3))
def test_ramps_and_cycles_are_continuous(schedule, n, step):
    # `steepest` is a bound for all of these except roots, which are infinitely steep at one end.
    if isinstance(schedule, lr.one_minus_sqrt) or getattr(schedule, "shape", None) == "constant":
        return
    if min(getattr(schedule, "power", 1), getattr(schedule, "k", 1)) < 1:
        return
    steepest = 60 * schedule.max
    assert abs(schedule(n + step) - schedule(n)) <= steepest * step + TOLERANCE * schedule.max


@given(schedules, st.integers(1, 3000))
def test_jumps_are_only_at_boundaries(schedule, updates):
    edges = np.array([0, *schedule.boundaries(updates)], float)
    counts = np.arange(1, updates + 1)
    away = np.abs(counts[:, None] - edges).min(axis=1) > 1e-6 if len(edges) < 4000 else np.zeros(updates, bool)
    counts = counts[away].astype(float)
    step = np.abs(schedule(counts) - schedule(counts - 1e-8))
    assert (step <= 1e-3 * schedule.max + TOLERANCE).all(), counts[np.argmax(step)]


@given(schedules, st.integers(1, 3000))
def test_boundaries_are_within_the_limit_and_whole_ones_are_ints(schedule, updates):
    for edge in schedule.boundaries(updates):
        assert 0 < edge <= updates
        assert isinstance(edge, int) or not edge.is_integer()


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
    np.testing.assert_allclose(schedule(np.array(ns)), expected, rtol=1e-11, atol=1e-15 * schedule.max)


@given(schedules)
def test_repr_pickle_hash_and_json_rebuild_the_schedule(schedule):
    assert lr.parse(repr(schedule), FUNCTIONS) == schedule
    assert pickle.loads(pickle.dumps(schedule)) == schedule
    assert hash(lr.parse(repr(schedule), FUNCTIONS)) == hash(schedule)
    assert lr.schedules.from_json(schedule.to_json(), FUNCTIONS) == schedule
    assert eval(repr(schedule), {**vars(lr), "strategies": strategies}) == schedule


@given(schedules)
def test_fields_are_frozen(schedule):
    for field in dataclasses.fields(schedule):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(schedule, field.name, getattr(schedule, field.name))


@given(schedules, st.sampled_from([np.float16, np.float32, np.float64]))
def test_values_have_the_dtype_of_floating_counts(schedule, dtype):
    assert schedule(np.array([0.0, 1.5, 7.0], dtype)).dtype == dtype
    assert schedule(np.array([0, 3], np.int8)).dtype == np.float64


@given(chains(), counts)
def test_a_resumed_run_has_the_values_of_an_uninterrupted_run(schedule, stop):
    uninterrupted = schedule(np.arange(stop, stop + 20))
    resumed = np.array([pickle.loads(pickle.dumps(schedule))(n) for n in range(stop, stop + 20)])
    np.testing.assert_allclose(resumed, uninterrupted, rtol=1e-11, atol=1e-15 * schedule.max)


@given(endless)
def test_nothing_can_follow_an_endless_schedule(schedule):
    with pytest.raises(ValueError, match="must be finite"):
        schedule >> lr.constant(0.1)
