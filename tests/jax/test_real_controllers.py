"""The controllers of learnrate inside of `jax.jit`: they decide as they do in the control of a program."""

import numpy as np
import pytest

jax = pytest.importorskip("jax")
optax = pytest.importorskip("optax")
import jax.numpy as jnp  # noqa: E402

import learnrate as lr  # noqa: E402
from learnrate import control  # noqa: E402
from learnrate.control import Control, Observation  # noqa: E402

pytestmark = [pytest.mark.xdist_group("jax"), pytest.mark.slow]

SCHEDULE = lr.warmup(0.25, 20) >> lr.constant(0.25)
RANDOM = np.random.default_rng(0)
FALL = np.concatenate([np.exp(-np.arange(150) / 40), np.full(250, np.exp(-150 / 40))])
LOSSES = (1 + FALL + 0.02 * RANDOM.standard_normal(400)).astype(np.float32)
NORMS = (1 + np.arange(400) / 50 + 0.1 * RANDOM.random(400)).astype(np.float32)


@pytest.mark.shows("jax", "control")
def test_they_decide_the_same_at_the_same_updates():
    """In 64 bits: in 32 a threshold that is nearly reached may be reached some updates earlier or later."""
    controllers = [control.plateau(40), control.gradient_size(20)]
    outside, used = Control([SCHEDULE], controllers), []
    for n, (loss, norm) in enumerate(zip(LOSSES.tolist(), NORMS.tolist(), strict=True)):
        used.append(outside.schedules[0](n))
        outside.observe(Observation(n, used[-1], loss, norm, restarts=outside.restarts(n)))
        outside.settle(n + 1)
    optimizer = lr.jax.controlled(optax.sgd, SCHEDULE, controllers, history=400)
    monitor = lr.jax.Monitor(optimizer, every=1)
    with jax.enable_x64(True):
        weights = jnp.ones(2)

        def update(state, numbers):
            _, state = optimizer.update(weights, state, weights, value=numbers[0], gradient_norm=numbers[1])
            return state, lr.jax.lr_of(state)

        train = jax.jit(lambda state, numbers: jax.lax.scan(update, state, numbers))
        state, lrs = train(optimizer.init(weights), (LOSSES, NORMS))
        assert lrs.dtype == jnp.float64
        np.testing.assert_allclose(lrs, used, rtol=1e-12)
        monitor.follow(state)
    assert [(e.update, e.kind, e.who) for e in monitor.control.events] == [(e.update, e.kind, e.who) for e in outside.events]
    assert {event.who for event in outside.events} == {"plateau", "gradient_size"}
