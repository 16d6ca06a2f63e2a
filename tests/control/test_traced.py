"""Inside of `jax.jit` the controllers do what they do with Python numbers."""

import numpy as np
import pytest

from learnrate.control import Observation, cooldown_now, gradient_size, oscillation, plateau, slow

pytestmark = [pytest.mark.xdist_group("jax"), pytest.mark.slow]

UPDATES = 1500


def series():
    n = np.arange(UPDATES)
    fall = np.maximum(1.0, 3 - 0.002 * n)
    swings = np.where(n > 600, 0.8 * np.cos(np.pi * n / 5), 0.0)
    losses = (fall + swings + np.random.default_rng(0).normal(0, 0.2, UPDATES)).astype(np.float32)
    losses[[400, 401, 777]] = [np.nan, np.inf, 1e9]
    return losses


CONTROLLERS = [
    plateau(patience=64, cooldown=5, min_lr=0.004),
    cooldown_now(100, patience=64),
    slow(patience=64),
    oscillation(patience=400),
    gradient_size(smoothing=20, max_factor=2.0),
]


@pytest.mark.parametrize("controller", CONTROLLERS, ids=repr)
def test_equal_to_python_numbers(controller):
    import jax
    import jax.numpy as jnp

    losses = series()
    restarts = np.arange(UPDATES) == 1300

    def step(carry, row):
        state, factor = carry
        update, loss, restart = row
        observation = Observation(update, 0.1 * factor, loss, jnp.abs(loss), restarts=restart, xp=jnp)
        state, action = controller.update(state, observation)
        factor = jnp.asarray(action.factor, jnp.float32)
        return (state, factor), (factor, jnp.asarray(action.cooldown))

    state = jax.tree.map(lambda x: jnp.asarray(x, jnp.int32 if isinstance(x, int) else jnp.float32), controller.init())
    inputs = (jnp.arange(UPDATES), jnp.asarray(losses), jnp.asarray(restarts))
    _, (factors, cooldowns) = jax.jit(lambda: jax.lax.scan(step, (state, jnp.float32(1.0)), inputs))()

    state, factor, expected, lengths = controller.init(), 1.0, [], []
    for n, loss in enumerate(losses.tolist()):
        observation = Observation(n, 0.1 * factor, loss, abs(loss), restarts=bool(restarts[n]))
        state, action = controller.update(state, observation)
        factor = action.factor
        expected.append(factor)
        lengths.append(int(action.cooldown))
    np.testing.assert_allclose(np.asarray(factors), expected, rtol=1e-4)
    assert np.asarray(cooldowns).tolist() == lengths
    assert len(set(expected)) > 1 or any(lengths)
