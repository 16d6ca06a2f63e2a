"""Series in bounded memory: no extreme is lost, however rows arrive."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learnrate.control.live.thinned import BROKEN, COUNT, HIGH, LAST, LOW, TOTAL, Thinned


def rows(seed, count):
    random = np.random.default_rng(seed)
    updates = np.cumsum(random.integers(1, 4, count))
    values = random.normal(size=(2, count))
    values[1, ::7] = np.nan
    values[1, ::41] = np.inf
    return updates, values


def fill(series, updates, values, seed):
    random = np.random.default_rng(seed)
    start = 0
    while start < len(updates):
        end = start + int(random.integers(1, 900))
        series.append(updates[start:end], values[:, start:end])
        start = end


@given(st.integers(0, 10**6), st.integers(1, 6000), st.sampled_from([300, 512, 1000, 4096]))
def test_buckets_hold_what_their_rows_have(seed, count, most):
    updates, values = rows(seed, count)
    series = Thinned(("a", "b"), most)
    fill(series, updates, values, seed)
    start, end = sorted(np.random.default_rng(seed).integers(0, updates[-1] + 1, 2))
    numbers, statistics = series.window(start, end, 200)
    covered = (updates >= numbers[0, 0]) & (updates <= numbers[1, -1])
    assert covered[(updates >= start) & (updates <= end)].all()
    for bucket, (first, last) in enumerate(numbers.T):
        inside = values[:, (updates >= first) & (updates <= last)]
        finite = np.where(np.isfinite(inside), inside, np.nan)
        for column in range(2):
            numbers_of = finite[column][~np.isnan(finite[column])]
            entry = statistics[:, column, bucket]
            assert entry[COUNT] == len(numbers_of)
            assert entry[BROKEN] == np.isinf(inside[column]).sum()
            if len(numbers_of):
                assert entry[LOW] == numbers_of.min()
                assert entry[HIGH] == numbers_of.max()
                assert entry[TOTAL] == pytest.approx(numbers_of.sum(), abs=1e-9)
        assert statistics[LAST, 0, bucket] == inside[0, -1]


def test_memory_is_bounded_and_points_are_as_many_as_asked_for():
    series = Thinned(("a",), 1024)
    count = 300_000
    values = np.sin(np.arange(count))[None]
    values[0, 123_457] = 50.0
    for start in range(0, count, 5000):
        series.append(np.arange(start, start + 5000), values[:, start : start + 5000])
    assert series.rows == count
    assert sum(level.updates.shape[1] for level in series._levels) <= 4 * 1024
    numbers, statistics = series.window(0, count, 400)
    assert 200 <= numbers.shape[1] <= 402
    assert statistics[HIGH].max() == 50.0
    assert numbers[0, 0] == 0
    assert numbers[1, -1] == count - 1


def test_a_run_that_is_set_back_is_forgotten_from_there_on():
    series = Thinned(("a",), 512)
    series.append(np.arange(3000), np.zeros((1, 3000)))
    series.append(np.arange(2000, 2500), np.ones((1, 500)))
    assert (series.first, series.last) == (0, 2499)
    numbers, statistics = series.window(0, 5000, 2000)
    assert (np.diff(numbers[0]) > 0).all()
    assert (statistics[LOW, 0, numbers[0] >= 2000] == 1).all()
    assert (statistics[HIGH, 0, numbers[1] < 2000] == 0).all()


def test_rows_that_fall_within_one_batch():
    series = Thinned(("a",))
    series.append(np.array([5, 6, 7, 3, 4]), np.array([[1.0, 2, 3, 4, 5]]))
    numbers, statistics = series.window(0, 10, 100)
    assert numbers[0].tolist() == [3, 4]
    assert statistics[LAST, 0].tolist() == [4, 5]
    assert Thinned(("a",)).window(0, 10, 100)[0].shape == (2, 0)
