"""learnrate for JAX, optax and flax NNX."""

from learnrate.jax.control_state import control_of, put_back, scale
from learnrate.jax.follow import Follow
from learnrate.jax.monitor import Monitor
from learnrate.jax.probe import probe
from learnrate.jax.range_test import range_test
from learnrate.jax.recipe import Recipe
from learnrate.jax.states import at, lr_of, lrs_of, replace, resumed, updates_of
from learnrate.jax.trainable import Training
from learnrate.jax.transformation import Controlled, controlled
from learnrate.jax.tune import tune, tuned

__all__ = [
    "Controlled",
    "Follow",
    "Monitor",
    "Recipe",
    "Training",
    "at",
    "control_of",
    "controlled",
    "lr_of",
    "lrs_of",
    "probe",
    "put_back",
    "range_test",
    "replace",
    "resumed",
    "scale",
    "tune",
    "tuned",
    "updates_of",
]
