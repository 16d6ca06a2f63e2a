"""learnrate for JAX, optax and flax NNX."""

from learnrate.jax.probe import probe
from learnrate.jax.range_test import range_test
from learnrate.jax.recipe import Recipe
from learnrate.jax.states import at, lr_of, lrs_of, replace, resumed, updates_of
from learnrate.jax.trainable import Training
from learnrate.jax.tune import tune, tuned

__all__ = [
    "Recipe",
    "Training",
    "at",
    "lr_of",
    "lrs_of",
    "probe",
    "range_test",
    "replace",
    "resumed",
    "tune",
    "tuned",
    "updates_of",
]
