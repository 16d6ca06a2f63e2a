"""Numbers of JAX with 64 bits."""

from contextlib import contextmanager


@contextmanager
def in_64_bits():
    """Within it arrays of JAX may have 64 bits. `jax.enable_x64` is of JAX 0.8, and what there was before is gone."""
    import jax

    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    try:
        yield
    finally:
        jax.config.update("jax_enable_x64", before)
