"""One formula on Python numbers, NumPy, torch and JAX arrays, traced too."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import learnrate as lr

EVERY_KIND = [
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
]
COUNTS = np.arange(200)

every_kind = pytest.mark.parametrize("schedule", EVERY_KIND, ids=repr)


@every_kind
def test_numbers(schedule):
    for n in (0, 7, np.int32(7), np.uint8(7), np.float64(7.5), 7.5):
        assert type(schedule(n)) is float
    assert schedule(7) == schedule(np.int16(7)) == schedule(7.0)


@every_kind
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"])
def test_numpy_integers_of_every_width(schedule, dtype):
    counts = np.arange(120, dtype=dtype)
    np.testing.assert_allclose(schedule(counts), [schedule(int(n)) for n in counts], rtol=1e-12)


@every_kind
def test_shapes_are_kept(schedule):
    assert schedule(np.zeros((0,), int)).shape == (0,)
    assert schedule(COUNTS.reshape(10, 20)).shape == (10, 20)
    assert schedule(torch.arange(6).reshape(2, 3)).shape == (2, 3)
    assert np.shape(schedule(np.array(5))) == ()


@every_kind
def test_torch(schedule):
    expected = schedule(COUNTS)
    value = schedule(torch.from_numpy(COUNTS))
    assert isinstance(value, torch.Tensor)
    assert value.dtype == torch.float32
    np.testing.assert_allclose(value.numpy(), expected, rtol=1e-5, atol=1e-9)
    double = schedule(torch.arange(200, dtype=torch.float64))
    np.testing.assert_allclose(double.numpy(), expected, rtol=1e-12)


@every_kind
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
def test_impossible_counts_are_refused(bad):
    with pytest.raises(ValueError, match="update count must be at least 0"):
        lr.constant(0.1)(bad)


@pytest.mark.parametrize("bad", [[1, 2], "3", None, True, {}, np.array(["a"]), np.array([True]), np.array([1j])])
def test_what_is_no_count_is_refused(bad):
    with pytest.raises(TypeError, match="update count"):
        lr.constant(0.1)(bad)
