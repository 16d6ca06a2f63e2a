"""What an optimizer of optax is: read off its state and off its answers to known gradients.

A transformation is a pair of functions, and keeps its settings to itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from learnrate.jax.optimizers import Adjustable
from learnrate.jax.places import INJECTED, Tree, of_kind
from learnrate.trainable import NotProbedError
from learnrate.traits import ADAGRAD_DRIFT, LR_DRIFT, OptimizerTraits

SQUARES = (optax.ScaleByAdamState, optax.ScaleByAmsgradState, optax.ScaleByRmsState, optax.ScaleByRStdDevState), "nu"
"""States of transformations that divide a gradient by an average of its own size, and their average of its square."""

TRACES = (optax.TraceState,), "trace"
"""The state of momentum, and its sum of gradients or steps."""

WEIGHTS = 1e-3
"""Weights at which an optimizer is asked for a step: so small that weight decay adds nothing to it, and that a step relative
to the weights (LAMB) is a small one."""

SMALLEST, LARGEST = 0.5, 40.0
"""First step, in units of the LR, of an optimizer whose steps are as large as its LR: 1 for Adam. RMSprop does not correct
its first average; its first step is 1 / sqrt(1 - decay), which is 3 to 32 for the usual decays of 0.9 to 0.999."""


@dataclass(frozen=True)
class Kind:
    """What the answers of an optimizer show.

    Attributes:
        beta2: Decay of its average of squared gradients; None for gradient descent.
        momentum: Decay of its sum of gradients or steps.
        gain: A step of gradient descent without its momentum, in units of the LR times the gradient: 1 + momentum for
            Nesterov's, otherwise 1.
        ratios: For each parameter, the size of its step as a share of the largest.
    """

    beta2: float | None
    momentum: float
    gain: float
    ratios: Tree


def kind_of(optimizer: Adjustable, params: Tree) -> Kind:
    """The kind of an optimizer.

    Raises:
        NotProbedError: if it is neither gradient descent nor one whose steps are as large as its LR.
    """
    answer, weights = jax.jit(optimizer.update), _filled(params, WEIGHTS)
    start = optimizer.init(weights)
    for _ in _states(start):  # refuses those that are not known, whose answers may be anything
        pass
    step, first = answer(1.0, _filled(params, 1.0), start, weights)
    sizes = _sizes(step)
    largest = max(sizes)
    if not largest > 0:
        raise NotProbedError("none of the parameters is trained")
    ratios = jax.tree.unflatten(jax.tree.structure(step), [size / largest for size in sizes])
    # A gradient of 0 leaves of a decaying sum or average its decay.
    _, second = answer(1.0, _filled(params, 0.0), first, weights)
    traces, squares = ([_sizes(_parts(state, *field)) for state in (first, second)] for field in (TRACES, SQUARES))
    momentum = _largest_share(traces[1], traces[0])
    if not squares[0]:
        return Kind(None, momentum, largest / max(traces[0], default=largest), ratios)
    if len(squares[0]) != sum(size > 0 for size in sizes):
        raise NotProbedError("there is no LR-free step size for a mixture of gradient descent and other optimizers")
    larger, _ = answer(1.0, _filled(params, 1e3), start, weights)
    if not SMALLEST < largest < LARGEST or abs(max(_sizes(larger)) / largest - 1) > 0.1:
        raise NotProbedError("there is no LR-free step size for an optimizer whose steps are not of the size of the LR")
    return Kind(_largest_share(squares[1], squares[0]), momentum, 1.0, ratios)


FACTOR = 1e3
"""How much larger the second of two gradients is, whose steps show whether steps have a limit."""


def traits_of(optimizer: Adjustable, params: Tree) -> OptimizerTraits:
    """The traits of an optimizer: its kind by its states and answers, and whether its steps have a limit by two answers."""
    answer, weights = jax.jit(optimizer.update), _filled(params, WEIGHTS)
    start = optimizer.init(weights)

    def after(gradient: float, state: Tree) -> tuple[float, Tree]:
        step, state = answer(1.0, _filled(params, gradient), state, weights)
        while any(int(part.mini_step) for part in of_kind(state, optax.MultiStepsState)):
            step, state = answer(1.0, _filled(params, gradient), state, weights)
        return max(_sizes(step)), state

    small, first = after(1.0, start)
    large, _ = after(FACTOR, start)
    unbounded = large > FACTOR / 10 * small > 0
    if optax.tree_utils.tree_get_all_with_path(start, "sum_of_squares"):
        return OptimizerTraits(LR_DRIFT + ADAGRAD_DRIFT, unbounded)
    try:
        squares = [part for part in _states(_unwrapped(start)) if isinstance(part, SQUARES[0])]
    except NotProbedError:  # what no formula is known for
        return OptimizerTraits(unbounded_steps=unbounded)
    if not squares:
        return OptimizerTraits(unbounded_steps=unbounded, kind="sgd" if unbounded else None)
    _, second = after(0.0, first)
    averages = [_adam_averages(_unwrapped(state)) for state in (first, second)]
    is_adam = abs(small - 1) < 0.01 and len(averages[0]) == len(squares) and _are_those_of_adam(*averages)
    return OptimizerTraits(unbounded_steps=unbounded, kind="adam" if is_adam else None)


def _adam_averages(state: Tree) -> list[tuple[float, float]]:
    """The mean sizes of both averages in each state of Adam's class."""
    parts = [part for part in _states(state) if isinstance(part, optax.ScaleByAdamState)]
    return [(max(_sizes(part.mu), default=0.0), max(_sizes(part.nu), default=0.0)) for part in parts]


def _are_those_of_adam(first: list[tuple[float, float]], second: list[tuple[float, float]]) -> bool:
    """Whether averages after one gradient, and after one more of 0, are those of Adam.

    Adamax, nadam and yogi keep a state of the same class. In Adam the first averages of a gradient c are (1 - beta1) c and
    (1 - beta2) c ** 2; clipping may have changed c, and the second averages show both betas.
    """

    def is_adam(mu: float, nu: float, next_mu: float, next_nu: float) -> bool:
        if not (mu > 0 and nu > 0):
            return False
        gradient = mu / (1 - next_mu / mu) if next_mu < mu else 0.0
        return abs((1 - next_nu / nu) * gradient**2 / nu - 1) < 0.05

    return all(is_adam(*before, *after) for before, after in zip(first, second, strict=True))


def _unwrapped(state: Tree) -> Tree:
    """The state inside of accumulation and of the check for finite gradients."""
    if isinstance(state, optax.MultiStepsState):
        return _unwrapped(state.inner_opt_state)
    return _unwrapped(state.inner_state) if isinstance(state, optax.ApplyIfFiniteState) else state


def _filled(params: Tree, value: float) -> Tree:
    return jax.tree.map(lambda leaf: np.full(leaf.shape, value, leaf.dtype), params)


def without_momentum(state: Tree) -> Tree:
    """A state whose sums of gradients are 0."""

    def emptied(part: Any) -> Any:
        return jax.tree.map(jnp.zeros_like, part) if isinstance(part, optax.TraceState) else part

    return jax.tree.map(emptied, state, is_leaf=lambda part: isinstance(part, optax.TraceState))


def _states(state: Any) -> Iterator[Any]:
    """The states of the transformations in a state.

    Raises:
        NotProbedError: if one of them is of a transformation that the probe does not know.
    """
    if isinstance(state, (*INJECTED, optax.MaskedState)):
        yield from _states(state.inner_state)
    elif isinstance(state, optax.PartitionState):
        yield from _states(tuple(state.inner_states.values()))
    elif type(state) is tuple:
        for part in state:
            yield from _states(part)
    elif isinstance(state, (*SQUARES[0], *TRACES[0])):
        yield state
    elif not isinstance(state, optax.EmptyState):
        raise NotProbedError(f"there is no LR-free step size for an optimizer with the state {type(state).__name__}")


def _parts(state: Tree, kinds: tuple[Any, ...], field: str) -> list[Tree]:
    """One field of some states."""
    return [getattr(part, field) for part in _states(state) if isinstance(part, kinds)]


def _sizes(tree: Tree) -> list[float]:
    """The mean size of an element of each array."""
    leaves = jax.tree.leaves(tree)
    return [float(size) for size in np.asarray(_means(leaves))] if leaves else []


@jax.jit
def _means(leaves: list[jax.Array]) -> jax.Array:
    return jnp.stack([jnp.abs(leaf.astype(jnp.float32)).mean() if leaf.size else jnp.zeros(()) for leaf in leaves])


def _largest_share(parts: list[float], wholes: list[float]) -> float:
    return max((part / whole for part, whole in zip(parts, wholes, strict=True) if whole > 0), default=0.0)
