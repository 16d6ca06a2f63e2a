"""One of two processes of tests/jax/test_processes.py: the same program on arrays that both share.

python process.py RANK PORT
"""

import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import NamedSharding, PartitionSpec
from tests.jax.controllers import LeaveOut, ScaleEvery

import learnrate as lr
from learnrate.control import Scale

SCHEDULE = lr.warmup(0.1, 4) >> lr.cosine(0.1, 0.0, 12)


def loss(params, batch):
    return ((batch @ params - batch.sum(1)) ** 2).mean()


def shared_arrays(rank):
    """Batches whose rows lie in both processes, each with data of its own; and parameters that are the same in both."""
    mesh = jax.make_mesh((2,), ("data",))
    sharded, replicated = NamedSharding(mesh, PartitionSpec("data")), NamedSharding(mesh, PartitionSpec())
    random = np.random.default_rng(rank)
    rows = [random.standard_normal((8, 4)).astype(np.float32) for _ in range(8)]
    batches = [jax.make_array_from_process_local_data(sharded, row) for row in rows]
    return batches, jax.device_put(jnp.full(4, 0.5), replicated)


def controlled_inside(rank, batches, params):
    """The LRs of a run under control inside of jit; process 0 alone is asked to scale the LR."""
    optimizer = lr.jax.controlled(optax.sgd, SCHEDULE, [ScaleEvery(3), LeaveOut(above=1e6, stop=1e9)])

    @jax.jit
    def update(params, state, batch):
        value, gradients = jax.value_and_grad(loss)(params, batch)
        steps, state = optimizer.update(gradients, state, params, value=value)
        return optax.apply_updates(params, steps), state

    state, lrs = optimizer.init(params), []
    with lr.jax.Monitor(optimizer, every=2) as monitor:
        for number in range(8):
            if rank == 0 and number == 2:
                monitor.request(Scale(0.25))
            params, state = update(params, state, batches[number])
            lrs.append(float(lr.jax.lr_of(state)))
            state = monitor.follow(state)
    return {"inside": lrs, "inside schedule": repr(monitor.schedule), "factor": monitor.control.factor}


def controlled_outside(rank):
    """The same around updates whose losses each process has for itself; one has a loss that is not finite."""
    optimizer = optax.inject_hyperparams(optax.sgd)(learning_rate=0.0)
    update = jax.jit(lambda run: optimizer.update(jnp.ones(2), run[1], run[0]))
    follow = lr.jax.Follow(SCHEDULE, [ScaleEvery(3), LeaveOut(above=100.0)], ask_every=3)
    run, lrs, listener = follow.start((jnp.ones(2), optimizer.init(jnp.ones(2)))), [], Losses([])
    follow.control.listeners.append(listener)
    for number in range(8):
        if rank == 0 and number == 1:
            follow.request(Scale(0.25))
        value = float("nan") if (rank, number) == (1, 4) else jnp.float32(rank + number / 3)
        lrs.append(float(lr.jax.lr_of(run)))
        run = follow.step(run, update(run), loss=value)
    return {"outside": lrs, "outside schedule": repr(follow.schedule), "seen": listener.losses, "updates": follow.updates}


class Losses:
    """A listener that keeps the losses."""

    def __init__(self, losses):
        self.losses = losses

    def on_update(self, observation):
        self.losses.append(observation.loss)

    def on_event(self, event):
        pass

    def on_resume(self, events):
        pass


def main(rank, port):
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"localhost:{port}", num_processes=2, process_id=rank)
    batches, params = shared_arrays(rank)
    optimizer = optax.inject_hyperparams(optax.sgd)(learning_rate=SCHEDULE)

    @jax.jit
    def update(params, state, batch):
        value, gradients = jax.value_and_grad(loss)(params, batch)
        steps, state = optimizer.update(gradients, state, params)
        return optax.apply_updates(params, steps), state, value, lr.jax.lr_of(state)

    state, trained, lrs, losses = optimizer.init(params), params, [], []
    for number in range(6):
        if number == 3:
            state = lr.jax.at(state, 9)
        trained, state, value, rate = update(trained, state, batches[number])
        lrs.append(float(rate))
        losses.append(float(value))
    plan = lr.jax.tune(params, optax.adam, batches, loss, updates=100)
    controlled = {**controlled_inside(rank, batches, params), **controlled_outside(rank)}
    outcome = {**controlled, "lrs": lrs, "losses": losses, "max_lr": plan.max_lr, "batch": plan.batch}
    print(json.dumps({"size": jax.process_count(), **outcome}))
    jax.distributed.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
