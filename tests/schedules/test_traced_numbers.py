"""Numbers that JAX traces in a constructor, as with `jax.vmap` over the peaks of a schedule."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import learnrate as lr
from facts import facts

# In one worker with the other tests that let JAX compile.
pytestmark = pytest.mark.xdist_group("arrays")

PEAKS = jnp.array([0.1, 0.5, 2.0])
COUNTS = jnp.arange(60)

BUILDERS = {
    "constant": lambda peak: lr.constant(peak),
    "a rise": lambda peak: lr.linear(0.0, peak, 40),
    "two ends": lambda peak: lr.cosine(peak, 0.1 * peak, 40),
    "exponential": lambda peak: lr.exponential(peak, 1e-3, 40),
    "warm-up and cosine": lambda peak: lr.warmup(peak, 10) >> lr.cosine(peak, 0, 40),
    "constant warm-up": lambda peak: lr.warmup(peak, 10, start=0.1 * peak, shape="constant"),
    "cycles": lambda peak: lr.triangular2(0.01, peak, 7.5),
    "restarts": lambda peak: lr.warm_restarts(peak, 10, 0.01, decay=0.9, warmup=2),
    "a few restarts": lambda peak: lr.warm_restarts(peak, 10, growth=2, decay=0.9, cycles=3),
    "one-cycle": lambda peak: lr.one_cycle(peak, 40),
    "inverse square root": lambda peak: lr.inverse_sqrt(peak, 10),
    "milestones": lambda peak: lr.multistep(peak, 0.5, (10, 20)),
    "values": lambda peak: lr.piecewise_constant((peak, 0.3), (10,)),
    "wsd": lambda peak: lr.wsd(peak, 50),
    "decay": lambda peak: lr.decay(0.01, peak, 20),
    "a product": lambda peak: (lr.linear(1, 0, 40) * peak).clip(low=0.01).staircase(3),
    "a sum": lambda peak: lr.linear(peak, 0, 10).repeat(value_decay=0.9) + lr.constant(peak),
    "resolved": lambda peak: (lr.warmup(peak, "10%") >> lr.cosine(peak, 0)).resolve(50),
}


def test_a_peak_that_is_mapped():
    values = jax.vmap(lambda peak: (lr.warmup(peak, 10) >> lr.cosine(peak, 0, 40))(7))(PEAKS)
    np.testing.assert_allclose(values, 0.8 / 1.1 * PEAKS, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
def test_a_traced_peak(build):
    expected = np.array([build(float(peak))(np.arange(60)) for peak in PEAKS])
    several = jax.vmap(lambda peak: build(peak)(COUNTS))(PEAKS)
    np.testing.assert_allclose(several, expected, rtol=1e-4, atol=1e-7)
    one_count = jax.vmap(lambda peak: build(peak)(7))(PEAKS)
    np.testing.assert_allclose(one_count, expected[:, 7], rtol=1e-4, atol=1e-7)
    both = jax.jit(lambda peak, n: build(peak)(n))(PEAKS[2], COUNTS)
    np.testing.assert_allclose(both, expected[2], rtol=1e-4, atol=1e-7)


def test_the_gradient_with_respect_to_a_peak():
    gradient = jax.grad(lambda peak: lr.cosine(peak, 0.0, 40)(10))(1.0)
    assert gradient == pytest.approx(lr.cosine(1.0, 0.0, 40)(10), rel=1e-6)


def test_an_array_of_counts_that_is_not_traced_inside_a_traced_function():
    np.testing.assert_allclose(jax.jit(lambda peak: lr.constant(1.0)(COUNTS) * peak)(2.0), np.full(60, 2.0))


@pytest.mark.parametrize(
    ("build", "argument"),
    [
        (lambda number: lr.cosine(0.1, 0, number), "length"),
        (lambda number: lr.cosine(0.1, 0, 40, power=number), "power"),
        (lambda number: lr.natural_exp_decay(1, number), "decay"),
        (lambda number: lr.linear(jnp.stack([number, number]), 0, 4), "start"),
    ],
)
def test_a_traced_number_that_shapes_the_curve_is_refused(build, argument):
    with pytest.raises(TypeError, match=facts(argument, "must be", "Tracer")):
        jax.vmap(lambda number: build(number)(3))(PEAKS)
