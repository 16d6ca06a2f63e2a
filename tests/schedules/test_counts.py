"""Counts in arrays are checked as numbers are: an error where they can be read, the value at 0 where they cannot."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import learnrate as lr
import parity_peers  # noqa: F401 - it chooses the backend of Keras, which is imported when it is used
from facts import facts

# In one worker with the other tests that let JAX compile.
pytestmark = pytest.mark.xdist_group("arrays")

SCHEDULES = [
    lr.warmup(0.1, 10),
    lr.inverse_sqrt(0.1, 10),
    lr.warmup(0.1, 10) >> lr.triangular2(0.0, 0.1, 5),
    lr.warm_restarts(0.1, 10, growth=2),
    lr.step_decay(0.1, 0.5, 2.5),
    lr.multistep(0.1, 0.5, tuple(range(1, 30))),
]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
@pytest.mark.parametrize(
    ("counts", "shown"),
    [
        (np.array([5, -20]), -20),
        (np.array(-3), -3),
        (np.array([[0, -1]], dtype=np.int8), -1),
        (np.array([0.0, np.nan]), "nan"),
        (np.array([0.0, np.inf]), "inf"),
        (np.array([-0.5], dtype=np.float16), -0.5),
        (np.array([2**63], dtype=np.uint64), "2 ** 63"),
        (np.arange(20_000) - np.arange(20_000) // 19_999 * 20_005, -6),  # in the last block
        (torch.tensor([5, -20]), -20),
        (torch.tensor(-3), -3),
        (torch.tensor([float("nan")]), "nan"),
        (torch.tensor([-2.0], dtype=torch.bfloat16), -2.0),
        (jnp.array([5, -20]), -20),
        (jnp.array([0.0, jnp.inf]), "inf"),
        (jnp.array(-2, dtype="int8"), -2),
    ],
    ids=repr,
)
def test_a_count_out_of_range_in_an_array_is_refused(schedule, counts, shown):
    with pytest.raises(ValueError, match=facts("update count", "at least 0", shown)):
        schedule(counts)


@pytest.mark.parametrize(
    "schedule", [SCHEDULES[0], *(pytest.param(s, marks=pytest.mark.slow) for s in SCHEDULES[1:])], ids=repr
)
def test_a_traced_count_out_of_range_has_the_value_at_0(schedule):
    expected = [schedule(0), schedule(0), schedule(7)]
    counts = [-20, 0, 7]
    for values in (
        jax.jit(schedule)(jnp.array(counts)),
        jax.jit(schedule)(jnp.array(counts, dtype="int8")),
        jax.jit(schedule)(jnp.array([jnp.nan, 0, 7])),
        jax.vmap(schedule)(jnp.array(counts)),
        torch.func.vmap(schedule)(torch.tensor(counts)),
        torch.func.vmap(schedule)(torch.tensor([float("nan"), -0.5, 7])),
    ):
        np.testing.assert_allclose(np.asarray(values), expected, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Dynamo detected")
def test_a_compiled_count_out_of_range_has_the_value_at_0():
    compiled = torch.compile(lr.inverse_sqrt(0.1, 10), backend="eager", fullgraph=True)
    np.testing.assert_allclose(compiled(torch.tensor([-20, 0, 30])), [0.1, 0.1, 0.05], rtol=1e-6)


def test_no_counts_are_no_error():
    for nothing in (np.zeros(0), np.zeros((3, 0), int), torch.zeros(0), jnp.zeros(0)):
        assert lr.inverse_sqrt(0.1, 10)(nothing).shape == nothing.shape


@pytest.mark.slow
def test_a_variable_of_keras_is_a_count():
    import keras

    s = lr.warmup(0.1, 10)
    iterations = keras.Variable(0, dtype="int32", trainable=False)
    assert float(s(iterations)) == pytest.approx(s(0))
    iterations.assign(7)
    assert float(s(iterations)) == pytest.approx(s(7))
    np.testing.assert_allclose(s(keras.Variable([2.0, 30.0], trainable=False)), [s(2), s(30)], rtol=1e-6)
    with pytest.raises(ValueError, match=facts("update count", -7)):
        s(keras.Variable(-7, dtype="int32", trainable=False))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Dynamo detected")
@pytest.mark.parametrize(
    "schedule",
    [
        lr.triangular(0.1, 1, 5.4),
        lr.step_decay(1, 0.5, 2.4),
        lr.warm_restarts(1, 10.4, warmup=2, decay=0.9),
        lr.cosine(1, 0, 10).repeat(3, period=10.4),
        lr.cosine(1, 0, 100).staircase(2.4),
        lr.warm_restarts(1, 10, growth=1.5),
    ],
    ids=repr,
)
def test_periods_can_be_compiled(schedule):
    torch._dynamo.reset()
    compiled = torch.compile(lambda n: schedule(n), backend="eager", fullgraph=True)
    counts = torch.tensor([0, 3, 7, 11, 26, 50])
    np.testing.assert_allclose(compiled(counts), schedule(counts), rtol=1e-5)
