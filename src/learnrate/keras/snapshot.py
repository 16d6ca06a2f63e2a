"""Everything that training with Keras changes, copied and put back bit for bit."""

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from keras.src.backend.common import global_state

Undo = Callable[[], None]
"""Puts a part back; may be called many times."""

GLOBAL_SEEDS = ("global_seed_generator", "global_random_seed")
"""Where Keras keeps the seeds that all layers share. Nothing public shows them."""


def of_model(model: Any, data: Any) -> list[Undo]:
    """How to put back the variables of a model, its optimizer and metrics, its modes, random numbers, and the data's order.

    The variables hold weights, averages of batch norms, momenta, counts, sums of metrics, and seeds of dropout.
    """
    undos = [_variable(variable) for variable in all_variables(model)]
    undos += [_attribute(model, "stop_training"), *modes(model), *_gradients(model), *_generators(data), *random_numbers()]
    return undos


def all_variables(model: Any) -> list[keras.Variable]:
    """The variables of a model, its optimizer and its metrics, each once."""
    variables = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    return list({id(variable): variable for variable in variables}.values())


def of_rollbacks(model: Any) -> list[keras.Variable]:
    """The weights of a model and the variables of its optimizer: without the seeds of dropout and the sums of metrics."""
    return [*model.weights, *model.optimizer.variables]


def metrics(model: Any) -> list[Undo]:
    """How to put back the metrics of a model."""
    return [_variable(variable) for variable in model.metrics_variables]


def _variable(variable: keras.Variable) -> Undo:
    # JAX gives an update the memory of its arguments, so that each use of a saved value needs a copy of its own.
    value = keras.ops.copy(variable.value)
    return lambda: variable.assign(keras.ops.copy(value))


def _attribute(owner: Any, name: str) -> Undo:
    value = getattr(owner, name, None)
    return lambda: setattr(owner, name, value)


def modes(model: Any) -> Iterator[Undo]:
    """How to put back the modes of the modules of a model; there are none on JAX."""
    if keras.backend.backend() == "torch":
        training = model.training
        yield lambda: model.train(training)  # Keras adds a module to a model in its first update
        yield from [_attribute(module, "training") for module in model.modules()]


def _gradients(model: Any) -> Iterator[Undo]:
    """On torch: the gradients, which an update leaves behind."""
    if keras.backend.backend() == "torch":
        yield from [_gradient(parameter) for parameter in model.parameters()]


def _gradient(parameter: Any) -> Undo:
    gradient = None if parameter.grad is None else parameter.grad.detach().clone()
    return lambda: setattr(parameter, "grad", None if gradient is None else gradient.clone())


def _generators(data: Any) -> Iterator[Undo]:
    """The generators of a `DataLoader`, of its samplers, and of other data that has one."""
    batch_sampler = getattr(data, "batch_sampler", None)
    owners = (data, getattr(data, "sampler", None), batch_sampler, getattr(batch_sampler, "sampler", None))
    for owner in owners:
        generator = getattr(owner, "generator", None)
        if hasattr(generator, "get_state") and hasattr(generator, "set_state"):
            yield _generator(generator)


def _generator(generator: Any) -> Undo:
    state = generator.get_state()
    return lambda: generator.set_state(state)


def random_numbers() -> Iterator[Undo]:
    """How to put back the random numbers of Python, NumPy, Keras and torch. JAX has none that are global."""
    python, of_numpy = random.getstate(), np.random.get_state()

    def put_back() -> None:
        random.setstate(python)
        np.random.set_state(of_numpy)

    yield put_back
    generator = global_state.get_global_attribute(GLOBAL_SEEDS[0])
    if generator is not None:
        yield _variable(generator.state)
    for name in GLOBAL_SEEDS:
        yield _global(name)
    torch = sys.modules.get("torch")
    if torch is not None:
        state = torch.get_rng_state()
        yield lambda: torch.set_rng_state(state)
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            states = torch.cuda.get_rng_state_all()
            yield lambda: torch.cuda.set_rng_state_all(states)


def _global(name: str) -> Undo:
    value = global_state.get_global_attribute(name)
    return lambda: _set_global(name, value)


def _set_global(name: str, value: Any) -> None:
    global_state.set_global_attribute(name, value)


@contextmanager
def preserved(undos: list[Undo]) -> Iterator[None]:
    """Put these parts back at the end."""
    try:
        yield
    finally:
        put_back(undos)


def put_back(undos: list[Undo]) -> None:
    """Put all parts back, also if one of them fails; raise the first error."""
    errors = []
    for undo in undos:
        try:
            undo()
        except Exception as error:
            errors.append(error)
    if errors:
        raise errors[0]
