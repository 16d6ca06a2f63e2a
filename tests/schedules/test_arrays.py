"""One formula on Python numbers, NumPy, torch and JAX arrays, traced too."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import learnrate as lr
from precision import in_64_bits
from strategies import smoothstep

SCHEDULES = [
    lr.constant(0.1),
    lr.linear(0.5, 0.0, 100),
    lr.cosine(0.5, 0.1, 100),
    lr.polynomial(0.5, 0.1, 100, power=2),
    lr.exponential(1e-6, 1.0, 100),
    lr.warmup(0.1, 30),
    lr.triangular(0.1, 0.6, 20),
    lr.triangular2(0.1, 0.6, 20, cycles=4),
    lr.exp_range(0.1, 0.6, 20, 0.99),
    lr.exp_range(0.1, 0.6, 20, 0.99, shrinks="bounds"),
    lr.one_cycle(0.5, 150),
    lr.one_cycle(0.5, 150, shape="linear"),
    lr.warmup(0.1, 30) >> lr.cosine(0.1, 0, 60) >> lr.triangular2(0.01, 0.1, 10),
    lr.cosine(0.5, 0.1, 100, power=2, k=1.5),
    lr.one_minus_sqrt(0.5, 0.0, 100),
    lr.rex(0.5, 0.0, 100),
    lr.tanh(0.5, 0.0, 100),
    lr.sigmoid(0.0, 0.5, 100),
    lr.custom(0.5, 0.1, smoothstep, 100),
    lr.warmup(0.1, 30, start=0.01, shape="constant"),
    lr.warmup(0.1, 30, shape="exponential"),
    lr.one_cycle.paper(0.5, 150),
    lr.inverse_time(0.5, 0.1, power=0.7),
    lr.time_based(0.5, 0.01),
    lr.time_based(0.5, 2.0),
    lr.exponential_decay(0.5, 0.9, every=10),
    lr.natural_exp_decay(0.5, 0.01),
    lr.step_decay(0.5, 0.5, 10, offset=1),
    lr.multistep(0.5, 0.1, (30, 60)),
    lr.piecewise_constant((0.1, 0.5, 0.2), (30, 60)),
    lr.switch((lr.triangular2(0.1, 0.5, 10), lr.cosine(0.4, 0.1, 50), lr.constant(0.3) * 0.5), (30, 60)),
    lr.inverse_sqrt(0.5, 30),
    lr.noam(512, 30),
    lr.sigmoid_decay(0.5, 0.2, 50),
    lr.cyclical(0.1, 0.6, 20, 10, window="hann", envelope="gamma per cycle", gamma=0.8),
    lr.cyclical(0.1, 0.6, 20, window=smoothstep, cycles=3),
    lr.warm_restarts(0.5, 30, 0.01, growth=2, decay=0.7, warmup=5),
    lr.warm_restarts(0.5, 30, 0.01, growth=1.3, cycles=3),
    lr.linear(0.5, 0.1, 40).repeat(3, value_decay=0.5),
    lr.cosine(0.5, 0.1, 40).repeat(length_growth=1.5),
    lr.exponential_decay(0.5, 0.9) * lr.warmup(1.0, 10) * 0.5,
    lr.exponential_decay(0.5, 0.9) + lr.linear(0.0, 0.5, 30),
    lr.exponential_decay(0.5, 0.9).clip(low=0.01, high=0.3),
    lr.one_cycle(0.5, 150).mirrored(0.85, 0.95),
    lr.cosine(0.5, 0.1, 100).staircase(30),
    lr.cosine(0.5, 0.1, 100).rebase(50, 150),
    lr.cosine(0.5, 0.1, 100).shift(20),
    lr.cosine(0.5, 0.1, 100).shift(-20),
]
COUNTS = np.arange(200)

# In one worker, because JAX compiles each operation once in each process.
pytestmark = pytest.mark.xdist_group("arrays")

for_all_schedules = pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)


@for_all_schedules
def test_a_number_gives_a_float(schedule):
    for n in (0, 7, np.int32(7), np.uint8(7), np.float64(7.5), 7.5):
        assert type(schedule(n)) is float
    assert schedule(7) == schedule(np.int16(7)) == schedule(7.0)


@for_all_schedules
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"])
def test_numpy_integers_of_every_width(schedule, dtype):
    counts = np.arange(120, dtype=dtype)
    np.testing.assert_allclose(schedule(counts), [schedule(int(n)) for n in counts], rtol=1e-12)


@for_all_schedules
def test_the_values_have_the_shape_of_the_counts(schedule):
    assert schedule(np.zeros((0,), int)).shape == (0,)
    assert schedule(COUNTS.reshape(10, 20)).shape == (10, 20)
    assert schedule(torch.arange(6).reshape(2, 3)).shape == (2, 3)
    assert np.shape(schedule(np.array(5))) == ()


@for_all_schedules
def test_torch_counts(schedule):
    expected = schedule(COUNTS)
    value = schedule(torch.from_numpy(COUNTS))
    assert isinstance(value, torch.Tensor)
    assert value.dtype == torch.float32
    np.testing.assert_allclose(value.numpy(), expected, rtol=1e-5, atol=1e-9)
    double = schedule(torch.arange(200, dtype=torch.float64))
    np.testing.assert_allclose(double.numpy(), expected, rtol=1e-12)


@for_all_schedules
def test_jax_eager_and_traced(schedule):
    expected = schedule(COUNTS)
    counts = jnp.arange(200)
    np.testing.assert_allclose(schedule(counts), expected, rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(jax.jit(schedule)(counts), expected, rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(jax.vmap(schedule)(counts), expected, rtol=1e-5, atol=1e-8)


def test_jax_traces_once_for_all_counts():
    traces = 0

    def value(n):
        nonlocal traces
        traces += 1
        return (lr.warmup(0.1, 30) >> lr.triangular2(0.01, 0.1, 10))(n)

    compiled = jax.jit(value)
    for n in range(100):
        compiled(jnp.asarray(n))
    assert traces == 1


def test_far_positions_are_exact_in_float32():
    s = lr.triangular(0.0, 1.0, step_size=2000)
    n = 4000 * 250_000 + 500
    assert s(torch.tensor([n])).item() == 0.25
    assert s(jnp.asarray([n]))[0] == 0.25


@pytest.mark.parametrize("bad", [-1, -0.5, math.nan, math.inf, 10**400, 2**63])
def test_a_count_out_of_range_is_refused(bad):
    with pytest.raises(ValueError, match="update count must be at least 0"):
        lr.constant(0.1)(bad)


@pytest.mark.parametrize("bad", [[1, 2], "3", None, True, {}, np.array(["a"]), np.array([True]), np.array([1j])])
def test_an_argument_that_is_not_a_count_is_refused(bad):
    with pytest.raises(TypeError, match="update count"):
        lr.constant(0.1)(bad)


@for_all_schedules
def test_a_long_numpy_array_gives_what_each_number_gives(schedule):
    counts = np.arange(20_000).reshape(2, 10_000)
    curve = schedule(counts)
    assert curve.shape == counts.shape
    for n in (0, 1, 8191, 8192, 8193, 19_999):
        assert curve[n // 10_000, n % 10_000] == pytest.approx(schedule(n), rel=1e-9, abs=1e-14)
    assert schedule(counts.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize("length", [2**30, 2**31, 10**15])
def test_lengths_that_32_bits_cannot_count(length):
    """Without 64 bits JAX cannot compare its counts with such a length."""
    for s in (
        lr.cosine(0.5, 0.1, length),
        lr.triangular(0.1, 0.5, length),
        lr.constant(0.5, 5) >> lr.linear(0.5, 0, length),
        lr.multistep(0.5, 0.1, (5, length)),
        lr.cosine(0.5, 0.1, 100).shift(length),
        lr.cosine(0.5, 0.1, 100).rebase(50, length),
        lr.linear(0.5, 0, length // 2).repeat(2),
        lr.warm_restarts(0.5, length // 10, cycles=10),
    ):
        with pytest.raises(ValueError, match=r"2 \*\* 29 .*jax_enable_x64"):
            jax.jit(s)(jnp.asarray([0, 5]))
        with in_64_bits():
            np.testing.assert_allclose(jax.jit(s)(jnp.asarray([0, 5, length])), [s(0), s(5), s(length)], rtol=1e-12)


def test_the_highest_counts_of_jax():
    counts = jnp.asarray([2**31 - 1, 2**31 - 5])
    for s in (lr.triangular(0.1, 0.5, 1000), lr.warm_restarts(0.5, 30, growth=3), lr.linear(0.5, 0, 100).shift(-50)):
        np.testing.assert_allclose(jax.jit(s)(counts), [s(int(n)) for n in counts], rtol=1e-4)


@pytest.mark.parametrize("length", [3, 7, 10, 41, 1000])
def test_a_compiled_quotient_stays_in_its_range(length):
    """XLA replaces a division by a constant by a product, which can make p larger than 1 and 1 - p negative."""
    counts = np.arange(2 * length)
    for s in (
        lr.polynomial(0.1, 0, length, k=0.5),
        lr.polynomial(0, 0.1, length, power=0.9),
        lr.cosine(0.1, 0, length, k=0.9),
        lr.one_minus_sqrt(0.1, 0, length),
        lr.one_minus_sqrt(0, 0.1, length),
        lr.custom(0.1, 0, smoothstep, length),
        lr.rex(0.1, 0, length),
        lr.warm_restarts(0.1, length, shape="1-sqrt", growth=2, warmup=1),
    ):
        values = np.asarray(jax.jit(s)(jnp.asarray(counts)))
        assert (values >= 0).all(), s
        np.testing.assert_allclose(values, s(counts), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_floats(dtype):
    for s in (lr.cosine(0.1, 0, 100_000), lr.triangular(0.1, 0.5, 40_000), lr.warm_restarts(0.1, 20, growth=1.7)):
        for counts in (torch.arange(5, dtype=getattr(torch, dtype)), jnp.arange(5, dtype=dtype)):
            values = s(counts)
            assert values.dtype == counts.dtype
            np.testing.assert_allclose(np.asarray(values.tolist()), [s(n) for n in range(5)], rtol=1e-2)


@pytest.mark.parametrize(
    "schedule",
    [
        lr.linear(1, 0, 7).repeat(length_growth=2.0, value_decay=0.5),
        lr.warm_restarts(0.1, 7, growth=2.0, warmup=2),
        lr.linear(1, 0, 20).staircase(2.4),
        lr.triangular(0.1, 0.5, step_size=2.4),
        lr.multistep(0.1, 0.5, (3, 6)),
    ],
    ids=str,
)
@pytest.mark.parametrize("counts", [torch.tensor(3), torch.tensor(3.0), torch.arange(5), torch.ones(2, 2)], ids=str)
def test_a_count_whose_value_cannot_be_read_is_taken(schedule, counts):
    values = schedule(counts.to("meta"))
    assert (values.device.type, values.shape) == ("meta", counts.shape)
    np.testing.assert_allclose(schedule(counts), schedule(counts.numpy().astype(float)), rtol=1e-6)


@pytest.mark.parametrize("shape", ["linear", "1-sqrt", "cosine"])
def test_growing_restarts_in_single_precision_are_never_below_their_minimum(shape):
    """Position and length of a period are rounded one by one, also without a last period."""
    schedule = lr.warm_restarts(1.0, 337.6585452141543, growth=2.701656197416323, shape=shape)
    ends = np.array([end for end in schedule.cycle_ends(2**31 - 300) if end > 10**7])
    counts = np.unique(np.concatenate([ends + shift for shift in range(-200, 2)]).astype(np.int64))
    values = schedule(torch.tensor(counts))
    assert values.dtype == torch.float32
    assert float(values.min()) >= 0
