"""learnrate for JAX and optax."""

from learnrate.jax.probe import probe
from learnrate.jax.trainable import Training

__all__ = ["Training", "probe"]
