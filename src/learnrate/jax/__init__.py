"""learnrate for JAX, optax and flax NNX."""

from learnrate.jax.probe import probe
from learnrate.jax.states import at, lr_of, lrs_of, replace, resumed, updates_of
from learnrate.jax.trainable import Training

__all__ = ["Training", "at", "lr_of", "lrs_of", "probe", "replace", "resumed", "updates_of"]
