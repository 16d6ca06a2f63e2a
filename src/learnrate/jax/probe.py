"""probe() for a training in JAX."""

import jax

from learnrate import tuner
from learnrate.batches import Batches
from learnrate.jax.optimizers import Optimizer
from learnrate.jax.places import Tree
from learnrate.jax.trainable import Loss, Training
from learnrate.tuner import Probe
from learnrate.updates import Progress


def probe(
    params: Tree,
    optimizer: Optimizer,
    batches: Batches,
    loss: Loss,
    *,
    updates: int,
    budget: float | str | None = None,
    opt_state: Tree | None = None,
    key: jax.Array | None = None,
    progress: Progress | None = None,
) -> Probe:
    """Find an LR by one short training that finds its own step sizes, in a twentieth of a training run.

    The user's own optimizer makes the updates. Optimizers of Adam's kind (adam, adamw, adamax, nadam, amsgrad, rmsprop, and
    chains of one of them with clipping, weight decay and masks) take as their LR the distance to the solution, as Prodigy
    estimates it; sgd takes the steps of DoWG, without its momentum. The size that these steps arrive at, times a factor, is
    the LR: see `learnrate.torch.probe`, which finds the same LR for the same training.

    Args:
        params: The parameters that the training run starts from: a pytree of floating-point arrays.
        optimizer: A function from an LR to an `optax.GradientTransformation`, such as `optax.adam`; or a transformation made
            with `optax.inject_hyperparams`.
        batches: Anything that can be iterated, or a function that returns a new iterator.
        loss: A function (params, batch) -> loss, or (params, batch, key) -> loss; see `Training`.
        updates: Length of the whole training run.
        budget: What the probe may cost: a share of one training run, or a text such as "100 updates", "5%" or "20 seconds";
            a time can only make it shorter. By default a twentieth of the run; at least 100 updates, as far as that is at
            most an eighth of the run; never fewer than 20 updates.
        opt_state: The state of the optimizer; by default that of its beginning.
        key: A key of `jax.random`, from which each update gets its own.
        progress: Called after every update with (updates made, updates planned).

    Returns:
        The LR, its interval and the reason.

    Raises:
        AlreadyDrivenError: if the optimizer has an LR or a schedule of its own.
        ArgumentError: if a number breaks its rule, the budget is below 20 updates, or there are no parameters.
        ArgumentTypeError: if an argument is of the wrong kind.
        DataError: if there are no batches, or an iterator runs out (`ExhaustedError`).
        LossError: if the loss is no scalar.
        NoAnswerError: if there is no probe for this optimizer, the loss did not fall, or the step size did not grow.

    Example:
        >>> import jax.numpy as jnp, optax, learnrate as lr
        >>> x = jnp.linspace(-1.0, 1.0, 256)
        >>> batches = list(zip(x.reshape(16, 16), jnp.tanh(3 * x).reshape(16, 16)))
        >>> params = {"w": jnp.zeros(8), "v": jnp.linspace(-1.0, 1.0, 8)}
        >>> def loss(params, batch):
        ...     outputs = jnp.tanh(batch[0][:, None] * params["v"]) @ params["w"]
        ...     return ((outputs - batch[1]) ** 2).mean()
        >>> probe = lr.jax.probe(params, optax.adam, batches, loss, updates=800)
        >>> 0.01 < probe.lr < 1, probe.updates
        (True, 100)
    """
    training = Training(params, optimizer, batches, loss, opt_state=opt_state, key=key)
    return tuner.probe(training, updates=updates, budget=budget, progress=progress)
