"""A repeated length that is no whole number of updates does not drift: edge number k is at update round(k * length)."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import learnrate as lr
from facts import facts

RUN = lr.Horizon(updates=500_000, updates_per_epoch=626)
LENGTH = Fraction("1502.4")  # 2.4 epochs


def edges(length, until):
    """The rounded multiples of a length."""
    k, ends = 1, []
    while (edge := round(k * length)) <= until:
        ends.append(edge)
        k += 1
    return tuple(ends)


EDGES = edges(LENGTH, 450 * 626)

REPEATED = [
    lr.triangular(0.1, 1, "1.2 epochs"),
    lr.triangular2(0.1, 1, "1.2 epochs", cycles=300),
    lr.exp_range(0.1, 1, "1.2 epochs", 0.9999),
    lr.cyclical(0.1, 1, "1 epoch", "1.4 epochs"),
    lr.cyclical(0.1, 1, 626, "1.4 epochs", window="hann", envelope="halving", shrinks="bounds"),
    lr.warm_restarts(1, "2.4 epochs"),
    lr.warm_restarts(1, "2.4 epochs", warmup="0.1 epochs", decay=0.9, cycles=300),
    lr.linear(1, 0, "2.4 epochs").repeat(),
    lr.cosine(1, 0, "2.4 epochs").repeat(300, value_decay=0.9),
    (lr.warmup(1, "0.3 epochs") >> lr.cosine(1, 0, "2.1 epochs")).repeat(),
    lr.triangular(0, 1, "0.3 epochs", cycles=2).shift(0).clip(high=0.9).repeat().mirrored(0.1, 0.9),
    lr.linear(1, 0, "0.6 epochs").repeat(4).repeat(),
    lr.linear(1, 0, 1000).repeat(period="2.4 epochs"),
]


@pytest.mark.parametrize("schedule", REPEATED, ids=repr)
def test_cycles_end_at_the_rounded_multiples_of_their_length(schedule):
    resolved = schedule.resolve(RUN)
    assert {*EDGES} <= {*resolved.cycle_ends(450 * 626)}
    assert lr.parse(repr(resolved)) == resolved
    assert lr.schedules.from_json(resolved.to_json()) == resolved
    assert hash(lr.parse(repr(resolved))) == hash(resolved)


@pytest.mark.parametrize("schedule", [lr.warm_restarts(1, "2.4 epochs"), lr.linear(1, 0, "2.4 epochs").repeat()], ids=repr)
def test_a_restart_is_at_the_edge_and_not_an_update_away(schedule):
    resolved = schedule.resolve(RUN)
    for edge in EDGES:
        assert resolved(edge) == 1
        assert 0 < resolved(edge - 1) < 0.001
    values = resolved(np.array([*EDGES]))
    assert (values == 1).all()


def test_peaks_and_valleys_of_a_triangle_are_at_the_edges():
    s = lr.triangular(0.1, 1, "2.4 epochs").resolve(RUN)
    for k, edge in enumerate(EDGES, 1):
        assert s(edge) == (1 if k % 2 else 0.1)
    assert s.boundaries(EDGES[-1]) == EDGES
    assert lr.triangular(0.1, 1, "2.4 epochs", cycles=5).resolve(RUN).length == round(10 * LENGTH)


def test_stairs_do_not_drift():
    steps = lr.step_decay(1.0, 0.5, "2.4 epochs").resolve(RUN)
    early = lr.step_decay(1.0, 0.5, "2.4 epochs", offset=3).resolve(RUN)
    staircase = lr.linear(1, 0, 10**6).staircase("2.4 epochs").resolve(RUN)
    for k, edge in enumerate(EDGES, 1):
        assert (steps(edge - 1), steps(edge)) == (0.5 ** (k - 1), 0.5**k)
        assert (early(edge - 4), early(edge - 3)) == (0.5 ** (k - 1), 0.5**k)
        assert staircase(edge) == staircase(edge + 1000) == lr.linear(1, 0, 10**6)(edge)
        assert staircase(edge - 1) > staircase(edge)
    assert steps.boundaries(EDGES[-1]) == staircase.boundaries(EDGES[-1]) == EDGES


def test_a_decay_per_epoch_does_not_drift():
    s = lr.exponential_decay(1.0, 0.5, every="2.4 epochs").resolve(RUN)
    assert s(7512) == pytest.approx(0.5**5, rel=1e-12)


@given(st.floats(1, 5000) | st.sampled_from([1.5, 2.5, 50_000 / 96, 1281167 / 256, 7 / 3]), st.integers(1, 2000))
def test_an_edge_of_any_length(length, k):
    # Lengths have four decimals, or are small fractions.
    exact = Fraction(length).limit_denominator(10_000)
    s = lr.step_decay(1.0, 0.999, every=float(exact))
    edge = round(k * exact)
    assert s(edge) == pytest.approx(0.999**k, rel=1e-12)
    assert s(edge - 1) == pytest.approx(0.999 ** (k - 1), rel=1e-12)


@pytest.mark.parametrize("updates_per_epoch", [626, 50_000 / 96, 390.625, 1281167 / 256])
@pytest.mark.parametrize("epochs", ["2.4", "0.25", "1", "3.3333"])
def test_an_edge_of_any_number_of_epochs(updates_per_epoch, epochs):
    run = lr.Horizon(updates_per_epoch=updates_per_epoch)
    s = lr.warm_restarts(1, f"{epochs} epochs").resolve(run)
    assert s.cycle_ends(100_000) == edges(Fraction(epochs) * Fraction(updates_per_epoch).limit_denominator(1000), 100_000)


@pytest.mark.parametrize("schedule", [s.resolve(RUN) for s in REPEATED], ids=repr)
def test_fractional_lengths_on_every_kind_of_count(schedule):
    counts = np.array([0, 1, 750, 1501, 1502, 1503, 3004, 3005, 7511, 7512, 7513, *EDGES[20:40:5], 200_000])
    expected = [schedule(int(n)) for n in counts]
    np.testing.assert_allclose(schedule(counts), expected, rtol=1e-11)
    np.testing.assert_allclose(schedule(counts.astype(np.uint32)), expected, rtol=1e-11)
    np.testing.assert_allclose(schedule(counts.astype(float)), expected, rtol=1e-11)
    np.testing.assert_allclose(schedule(torch.from_numpy(counts)), expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(jax.jit(schedule)(jnp.asarray(counts)), expected, rtol=1e-4, atol=1e-6)


def test_repetitions_that_share_the_rest_of_a_run_fill_it():
    s = lr.linear(1, 0).repeat(3).resolve(100)
    assert s.length == 100
    assert s.cycle_ends() == (33, 67, 100)
    assert (lr.warmup(1, 50) >> lr.cosine(1, 0).repeat(7)).resolve(1000).length == 1000


def test_a_whole_number_of_updates_is_printed_as_one():
    assert lr.triangular(0, 1, "2.5 epochs").resolve(RUN) == lr.triangular(0, 1, 1565) == lr.triangular(0, 1, 1565.0)
    assert lr.linear(1, 0, "2.5 epochs").repeat(2).resolve(RUN) == lr.linear(1, 0, 1565).repeat(2)
    assert (
        lr.triangular(0, 1, "1502.4 updates")
        == lr.triangular(0, 1, 1502.4)
        == lr.triangular(0, 1, "2.4 epochs").resolve(RUN)
    )


@pytest.mark.parametrize("bad", [0.99, float("nan"), float("inf"), -2.5, 2.0**63, "0.5 updates"])
def test_a_period_out_of_range_is_refused(bad):
    for build in (
        lambda n: lr.triangular(0, 1, n),
        lambda n: lr.warm_restarts(1, n),
        lambda n: lr.linear(1, 0, 9).repeat(period=n),
    ):
        with pytest.raises(ValueError, match=r"^(step_size|period) must "):
            build(bad)


def test_every_schedule_with_every_length_as_a_text_resolves():
    for schedule in (
        lr.warm_restarts(0.1, "10%"),
        lr.warm_restarts(0.1, "10%", warmup="1%", cycles=2),
        lr.warm_restarts(0.1, 100, warmup="0.001%"),
        lr.warm_restarts(0.1, "10%", growth=1.7, warmup=3),
        lr.step_decay(0.1, 0.5, "1 epoch"),
        lr.step_decay(0.1, 0.5, "1 epoch", offset="0.001%"),
        lr.step_decay(0.1, 0.5, 30, offset="1 epoch"),
        lr.cyclical(0, 1, "10%"),
        lr.cyclical(0, 1, 10, "10%"),
        lr.exponential_decay(1, 0.5, "1 epoch"),
        lr.inverse_sqrt(1, "1%"),
        lr.noam(512, "1%"),
        lr.sigmoid_decay(1, 1, "50%"),
        lr.multistep(1, 0.1, ("30%", 300_000)),
        lr.piecewise_constant((1, 2), ("30%",)),
        lr.function(abs, "10%"),
        lr.constant(1, "10%").repeat(2, period="20%"),
    ):
        resolved = schedule.resolve(RUN)
        assert resolved.is_resolved
        assert resolved(0) >= 0
        assert resolved.resolve(5) is resolved


def test_a_warmup_is_shorter_than_the_shortest_period():
    run = lr.Horizon(updates_per_epoch=2.5)
    with pytest.raises(ValueError, match=r"^warmup must be below period = 2"):
        lr.warm_restarts(1, "1 epoch", warmup="0.9 epochs").resolve(run)
    s = lr.warm_restarts(1, "1 epoch", warmup="0.5 epochs").resolve(run)
    assert [s(n) for n in range(7)] == pytest.approx([0.5, 1, 0.5, 1, 0.5, 0.5, 1])
    assert [lr.warm_restarts(1, 2.5, warmup=2, growth=2)(n) for n in range(3)] == pytest.approx([1 / 3, 2 / 3, 1])


def test_a_chain_of_equal_lengths_does_not_drift():
    part = lr.linear(1, 0, "2.4 epochs")
    chain = part
    for _ in range(9):
        chain = chain >> part
    resolved = chain.resolve(RUN)
    assert resolved.boundaries() == EDGES[:10]
    assert resolved.length == part.repeat(10).resolve(RUN).length


def test_parts_of_a_chain_end_at_the_rounded_sums_of_their_lengths():
    run = lr.Horizon(updates=1000, updates_per_epoch=10.4)
    scaled, part = lr.linear(1, 0, "1 epoch") * 0.5, lr.linear(1, 0, "1 epoch")
    assert (part >> scaled >> part >> lr.constant(1)).resolve(run).boundaries(40) == (
        10,
        20,
        31,
    )  # not 10.4 and 20.8 and 31.2
    assert (part >> lr.constant(1, "rest") >> part >> part).resolve(run).boundaries() == (10, 979, 989, 1000)
    assert (part >> lr.linear(1, 0, 7) >> part).resolve(run).boundaries() == (10, 17, 28)
    tiny = lr.constant(1, "0.01 epochs")
    assert (tiny >> tiny >> part).resolve(run).boundaries() == (1, 2, 11)


FAR = 2**53


@pytest.mark.parametrize(
    ("schedule", "same"),
    [
        (lr.step_decay(0.1, 0.5, 7, offset=FAR), lr.step_decay(0.1, 0.5, 7, offset=FAR % 7)),
        (lr.step_decay(0.1, 0.5, 7.3, offset=73 * 10**9), lr.step_decay(0.1, 0.5, 7.3)),
        (lr.linear(1, 0, FAR).staircase(2.4).repeat(1), lr.linear(1, 0, 10**4).staircase(2.4)),
        (lr.linear(1, 0, FAR).staircase(2.4).repeat(3, length_growth=2.0), lr.linear(1, 0, 10**4).staircase(2.4)),
        (lr.linear(1, 0, FAR).staircase(40).rebase(10**5, FAR + 1), lr.linear(1, 0, 10**4).staircase(40)),
    ],
    ids=str,
)
def test_the_first_boundaries_of_a_long_schedule_are_known_at_once(schedule, same):
    assert schedule.boundaries(1000) == same.boundaries(1000)


def test_boundaries_of_periods_that_are_shorter_than_the_repeated_schedule_are_all_there():
    s = lr.linear(1, 0, 1000).staircase(100).repeat(3, period=10)
    assert s.boundaries() == tuple(range(1, 31))
    assert s.boundaries(5) == (1, 2, 3, 4, 5)
    halves = lr.linear(1, 0, 10).staircase(2).rebase(4, 16)
    assert halves.boundaries(9) == (2, 4, 8)
    assert halves.boundaries() == (2, 4, 8, 12, 16)


@pytest.mark.parametrize(
    "boundaries",
    [
        lambda: lr.step_decay(0.1, 0.5, 1).boundaries(2**40),
        lambda: lr.linear(1, 0, 2**50).staircase(3).boundaries(),
        lambda: lr.triangular(0.1, 0.5, 1).cycle_ends(2**60),
        lambda: lr.warm_restarts(0.1, 1).boundaries(2**60),
        lambda: lr.linear(1, 0, 5).repeat().cycle_ends(2**50),
        lambda: lr.cosine(1, 0, 2**50).clip(0.1, 0.9).boundaries(),
    ],
)
def test_boundaries_too_many_to_be_computed_are_refused(boundaries):
    with pytest.raises(ValueError, match=facts("last count", "at most")):
        boundaries()
