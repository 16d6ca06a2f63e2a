"""Combinators: values, lengths, boundaries, and the errors of invalid combinations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import learnrate as lr
from facts import facts
from strategies import finite_leaves, leaves

DOWN = lr.linear(1.0, 0.0, length=4)


@pytest.mark.parametrize(
    ("schedule", "values"),
    [
        (DOWN * 0.5, [0.5, 0.375, 0.25, 0.125, 0.0, 0.0]),
        (0.5 * DOWN, [0.5, 0.375, 0.25, 0.125, 0.0, 0.0]),
        (DOWN * lr.linear(0.0, 1.0, 2), [0.0, 0.375, 0.5, 0.25, 0.0, 0.0]),
        (DOWN + lr.linear(0.0, 1.0, 2), [1.0, 1.25, 1.5, 1.25, 1.0, 1.0]),
        (DOWN.repeat(2), [1.0, 0.75, 0.5, 0.25, 1.0, 0.75, 0.5, 0.25, 0.0, 0.0]),
        (DOWN.repeat(), [1.0, 0.75, 0.5, 0.25, 1.0, 0.75, 0.5, 0.25, 1.0]),
        (DOWN.repeat(2, value_decay=0.5), [1.0, 0.75, 0.5, 0.25, 0.5, 0.375, 0.25, 0.125, 0.0]),
        (DOWN.repeat(2, length_growth=2), [1.0, 0.75, 0.5, 0.25, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125, 0.0]),
        (DOWN.clip(0.3, 0.8), [0.8, 0.75, 0.5, 0.3, 0.3]),
        (DOWN.mirrored(2.0, 4.0), [2.0, 2.5, 3.0, 3.5, 4.0, 4.0]),
        (DOWN.staircase(2), [1.0, 1.0, 0.5, 0.5, 0.0, 0.0]),
        (DOWN.staircase(3), [1.0, 1.0, 1.0, 0.25, 0.25, 0.25, 0.25]),  # a step ends where the schedule ends
        (DOWN.rebase(2, 6), [1.0, 0.75, 0.5, 0.375, 0.25, 0.125, 0.0, 0.0]),
        (DOWN.rebase(2, 3), [1.0, 0.75, 0.5, 0.0, 0.0]),
        (DOWN.shift(2), [1.0, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0, 0.0]),
        (DOWN.shift(-2), [0.5, 0.25, 0.0, 0.0]),
        ((DOWN >> DOWN).staircase(2) * 2, [2.0, 2.0, 1.0, 1.0, 2.0, 2.0, 1.0, 1.0, 0.0]),
    ],
    ids=repr,
)
def test_values(schedule, values):
    assert [schedule(n) for n in range(len(values))] == pytest.approx(values)
    np.testing.assert_allclose(schedule(np.arange(len(values))), values)


@pytest.mark.parametrize(
    ("schedule", "length"),
    [
        (DOWN * 2, 4),
        (DOWN * lr.linear(1, 0, 9), 9),
        (DOWN * lr.constant(1), None),
        (DOWN + lr.linear(1, 0, 9), 9),
        (DOWN + lr.constant(1), None),
        (DOWN.repeat(3), 12),
        (DOWN.repeat(3, length_growth=2), 28),
        (DOWN.repeat(2, length_growth=1.3), 10),  # 4 + 5.2, rounded up
        (DOWN.repeat(), None),
        (DOWN.rebase(1, 7), 7),
        (DOWN.shift(3), 7),
        (DOWN.shift(-3), 1),
        (lr.constant(1) * 2, None),
    ],
    ids=repr,
)
def test_lengths(schedule, length):
    assert schedule.length == length


@pytest.mark.parametrize(
    ("schedule", "boundaries", "ends"),
    [
        (DOWN, (4,), (4,)),
        (DOWN >> DOWN, (4, 8), (8,)),
        (lr.triangular(0, 1, 5, cycles=2), (5, 10, 15, 20), (10, 20)),
        (lr.warmup(1, 3) >> lr.triangular(0, 1, 5, cycles=2), (3, 8, 13, 18, 23), (13, 23)),
        (lr.cyclical(0, 1, 4, 2, cycles=2), (4, 6, 10, 12), (6, 12)),
        (lr.warm_restarts(1, 4, growth=2, cycles=3, warmup=1), (1, 4, 5, 12, 13, 28), (4, 12, 28)),
        (lr.one_cycle(1, 10), (3, 10), (10,)),
        (lr.one_cycle(1, 10, phases=3), (3, 6, 10), (10,)),
        (lr.one_cycle(1, 9), (2.7, 9), (9,)),
        (DOWN.repeat(2, length_growth=2), (4, 12), (4, 12)),
        (lr.triangular(0, 1, 5, cycles=2).rebase(10, 30), (5, 10, 20, 30), (10, 30)),
        (DOWN.shift(2), (2, 6), (6,)),
        (lr.constant(0.05, 30).repeat(3, length_growth=1.1), (30, 63, 99.3), (30, 63, 99.3, 100)),
        (lr.linear(1, 0, 100).clip(low=0.5), (50, 100), (100,)),
        (DOWN * lr.linear(0, 1, 2), (2, 4), (4,)),
        (DOWN + lr.linear(0, 1, 2), (2, 4), (4,)),
    ],
    ids=repr,
)
def test_boundaries_and_cycle_ends(schedule, boundaries, ends):
    assert schedule.boundaries() == pytest.approx(boundaries)
    assert schedule.cycle_ends() == pytest.approx(ends)


def test_boundaries_of_an_endless_schedule_need_a_limit():
    s = lr.step_decay(1.0, 0.5, every=30, offset=1)
    assert s.boundaries(100) == (29, 59, 89)
    assert lr.multistep(1, 0.1, (3, 7)).boundaries(5) == (3,)
    assert lr.noam(512, 100).boundaries(1000) == (99,)
    with pytest.raises(ValueError, match="updates must be given"):
        s.boundaries()


def test_bounds():
    assert (DOWN * 3).max == 3
    assert (DOWN.clip(0.2, 0.7).min, DOWN.clip(0.2, 0.7).max) == (0.2, 0.7)
    assert lr.exponential_decay(1.0, 0.5).min == 0.0
    early = lr.exp_range(0.0, 1.0, 1000, 0.99)
    assert early.max == pytest.approx(max(early(n) for n in range(1000)), rel=1e-4)
    with pytest.raises(ValueError, match=r"function.*length.*clip"):
        _ = lr.function(abs).max
    assert lr.function(abs, length=7).max == 7
    assert lr.function(abs, length=7).clip(high=3).max == 3


@pytest.mark.parametrize(
    ("build", "argument", "rule"),
    [
        (lambda: lr.constant(1) >> DOWN, "the left side of >>", "finite"),
        (lambda: lr.constant(1).repeat(2), "the repeated schedule", "finite"),
        (lambda: lr.constant(1).rebase(1, 2), "the rebased schedule", "finite"),
        (lambda: DOWN.repeat(0), "times", "at least 1"),
        (lambda: DOWN.repeat(2, length_growth=0.5), "length_growth", "at least 1"),
        (lambda: DOWN.repeat(length_growth=1.0001), "length_growth", "1, or at least 1.001"),
        (lambda: DOWN.repeat(value_decay=1.5), "value_decay", "above 0 and at most 1"),
        (lambda: DOWN.clip(), "clip", "low, high or both"),
        (lambda: DOWN.clip(2, 1), "low", "below high, received 2.0 and 1.0"),
        (lambda: DOWN.mirrored(1, 1), "low", "below high"),
        (lambda: lr.constant(1).mirrored(0, 1), "the mirrored schedule", "not be constant"),
        (lambda: DOWN.staircase(0), "every", "at least 1"),
        (lambda: DOWN.rebase(4, 8), "at", "length of 4, received 4"),
        (lambda: DOWN.rebase(3, 3), "new_length", "above at = 3, received 3"),
        (lambda: DOWN.rebase(-1, 3), "at", "at least 0"),
        (lambda: DOWN.shift(-4), "by", "above -4"),
        (lambda: DOWN + 0.1, "the right side of [+]", "constant(value)"),
        (lambda: DOWN.shift("-2 eons"), "by", "'3 epochs'"),
        (lambda: DOWN.shift("rest"), "by", "a length of its own"),
        (lambda: DOWN.shift("-5%").resolve(100), "by", "above -4"),
        (lambda: DOWN * 0, "factor", "above 0, received 0"),
        (lambda: DOWN * -1, "factor", "above 0, received -1"),
        (lambda: DOWN * float("nan"), "factor", "finite, received nan"),
        (lambda: DOWN * "2", "factor", "a number, received '2'"),
        (lambda: DOWN * True, "factor", "a number, received True"),
        (lambda: DOWN.shift(1.5), "by", "an integer"),
    ],
)
def test_invalid_combinations_are_refused(build, argument, rule):
    with pytest.raises((ValueError, TypeError), match=rf"^{argument} must ") as caught:
        build()
    assert rule in str(caught.value)


@given(finite_leaves, st.data())
def test_a_rebased_schedule_is_continuous_and_ends_at_the_new_length(schedule, data):
    if schedule.length < 2:
        return
    at = data.draw(st.integers(0, schedule.length - 1))
    rebased = schedule.rebase(at, at + data.draw(st.integers(1, 5000)))
    assert rebased(at) == pytest.approx(schedule(at), rel=1e-9, abs=1e-12 * schedule.max)
    assert rebased(rebased.length) == schedule(schedule.length)


@given(leaves, leaves, st.integers(0, 10_000))
def test_the_value_of_a_product_is_the_product_of_the_values(first, second, n):
    assert (first * second)(n) == first(n) * second(n)


@given(leaves, leaves, st.integers(0, 10_000))
def test_the_value_of_a_sum_is_the_sum_of_the_values(first, second, n):
    assert (first + second)(n) == first(n) + second(n)
    assert (first + second).min == first.min + second.min


def test_operators_bind_as_in_python():
    a, b, c = lr.linear(1, 0, 5), lr.linear(0, 1, 7), lr.constant(0.5)
    for s, text in (
        (a * b + c, "a * b + c"),
        (a * (b + c), "a * (b + c)"),
        ((a + b) * 0.5, "(a + b) * 0.5"),
        (a + b + c, "a + b + c"),
        (a + (b + c), "a + (b + c)"),
        (a + b >> c, "a + b >> c"),
        (a + (b >> c), "a + (b >> c)"),
        ((a + b).clip(low=0.1), "(a + b).clip(low=0.1)"),
    ):
        written = text
        for name, part in (("a", a), ("b", b), ("c", c)):
            written = " ".join(
                word.replace(name, repr(part)) if word.strip("()") == name else word for word in written.split()
            )
        assert lr.parse(repr(s)) == s == lr.parse(written.replace("b).clip", f"{b!r}).clip"))
        assert lr.schedules.from_json(s.to_json()) == s


@pytest.mark.parametrize(
    ("by", "updates"),
    [
        ("2 epochs", 500),
        ("-2%", -200),
        (" - 1 epoch", -250),
        ("30 updates", 30),
        ("-30 steps", -30),
        ("0%", 0),
        ("1e6 tokens", 1),
    ],
)
def test_a_shift_in_every_unit(by, updates):
    run = lr.Horizon(updates=10_000, updates_per_epoch=250, tokens_per_update=1e6)
    s = lr.linear(1, 0, 1000).shift(by)
    assert lr.parse(repr(s)) == s
    assert lr.schedules.from_json(s.to_json()) == s
    assert s.resolve(run) == lr.linear(1, 0, 1000).shift(updates)
    assert lr.linear(1, 0).shift(by).resolve(run).length == 10_000


def test_milestones_behind_a_warmup_count_from_the_start_of_the_run_if_they_are_shifted():
    s = (lr.warmup(0.1, "2%") >> lr.multistep(0.1, 0.1, ("80%", "90%")).shift("-2%")).resolve(1000)
    assert s.boundaries(1000) == (20, 800, 900)
    assert [s(n) for n in (799, 800, 899, 900)] == pytest.approx([0.1, 0.01, 0.01, 0.001])


@given(leaves, st.integers(0, 3000), st.integers(0, 10_000))
def test_a_shift_to_later_and_back_is_the_schedule(schedule, by, n):
    assert schedule.shift(by)(n + by) == schedule(n)
    assert schedule.shift(by).shift(-by)(n) == schedule(n)


@given(finite_leaves, st.integers(1, 5), st.integers(0, 10_000))
def test_a_repeated_schedule_is_a_chain_of_itself(schedule, times, n):
    chain = schedule
    for _ in range(times - 1):
        chain = chain >> schedule
    assert schedule.repeat(times)(n) == chain(n)


def test_a_mirror_of_a_mirror_is_the_schedule():
    s = lr.one_cycle(1.0, 100)
    back = s.mirrored(0.85, 0.95).mirrored(s.min, s.max)
    np.testing.assert_allclose(back(np.arange(101)), s(np.arange(101)), rtol=0, atol=1e-12)


def test_rounding_does_not_move_an_end_before_a_jump():
    for length in range(2, 30):
        for at in range(length):
            for new in range(at + 1, 70):
                s = lr.linear(1.0, 0.0, length).staircase(2 if length % 2 == 0 else 1).rebase(at, new)
                assert s(new) == 0.0, s
                assert s.boundaries()[-1] == new, s
    for length in range(1, 12):
        for growth in (1.1, 1.3, 1.7, 2.3, 3, 7):
            s = lr.linear(1.0, 0.0, length).staircase(1).repeat(3, length_growth=growth)
            assert s(s.length) == 0.0, s


def test_boundaries_are_inside_their_part():
    late = lr.step_decay(1, 0.5, 10, offset=25)
    assert (lr.constant(1, 100) >> late).boundaries(120) == (100, 105, 115)
    assert late.shift(100).boundaries(120) == (100, 105, 115)
    inner = (lr.linear(1, 0, 10) >> lr.linear(0, 1, 10)).shift(-13)
    assert (lr.constant(1, 100) >> inner).boundaries() == (100, 107)
    assert inner.repeat(2).boundaries() == (7, 14)


def test_chains_of_chains_are_flat():
    a, b, c = lr.constant(1, 5), lr.constant(2, 5), lr.constant(3)
    assert lr.schedules.Chain((a >> b, c)) == a >> b >> c
    assert hash(lr.schedules.Chain((a, b >> c))) == hash(a >> b >> c)


def test_the_bounds_of_a_function_of_the_user_over_too_many_updates_are_not_known():
    s = lr.function(lambda n: 0.5 + 0 * n, length=2**53)
    for bounds in (lambda: s.min, lambda: s.max, lambda: s.mirrored(0.8, 0.9)):
        with pytest.raises(ValueError, match=facts("length", "clip", "10000000")):
            bounds()
    assert s.clip(0.1, 0.9)(2**40) == 0.5


def test_a_function_of_the_user():
    calls = []

    def counted(n):
        calls.append(n)
        return 1.0 + n

    s = lr.function(counted, length=100)
    momentum = s.mirrored(0.8, 0.9)
    before = len(calls)
    assert [momentum(0), momentum(100)] == [0.9, 0.8]
    assert len(calls) == before + 2  # the bounds are computed only once
    assert s(np.arange(3, dtype=np.float32)).dtype == np.float32
    assert s(1000) == 101.0
    for bad, rule in (
        (lambda n: -1.0, "at least 0, received -1"),
        (lambda n: None, "a number"),
        (lambda n: float("nan"), "finite"),
    ):
        with pytest.raises((ValueError, TypeError), match=rule):
            lr.function(bad)(np.arange(3))
    with pytest.raises(TypeError, match=r"^of must be a function"):
        lr.function(lr.constant(1))
