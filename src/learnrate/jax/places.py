"""Where the states of optax keep LRs and the counts of schedules."""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import optax
import optax.contrib

from learnrate.jax.carried import ControlledState

Tree: TypeAlias = Any
"""A pytree of arrays."""

NAME = "learning_rate"
"""The hyper-parameter of `optax.inject_hyperparams` that is the LR."""

INJECTED = (optax.InjectStatefulHyperparamsState, optax.InjectHyperparamsState)
"""States that hold hyper-parameters as arrays."""

# optax does not export the classes of these two states.
WRAPPED = type(optax.inject_hyperparams(optax.scale)(step_size=lambda n: 1.0).init({}).hyperparams_states["step_size"])
DECAY = type(optax.add_decayed_weights(lambda n: 0.0).init({}))

COUNTS: dict[type[Any], dict[str, int]] = {
    ControlledState: {"count": 0},
    optax.ScaleByScheduleState: {"count": 0},
    WRAPPED: {"count": 0},
    DECAY: {"count": 0},
    **{kind: {"count": 0} for kind in INJECTED},
    optax.MultiStepsState: {"gradient_step": 0},
    optax.contrib.ScheduleFreeState: {"step_count": 1},
    optax.ConditionallyTransformState: {"step": 0},
    optax.ConditionallyMaskState: {"step": 0},
}
"""The fields of states that a schedule is called with, and what they hold at update 0. Counts of moments, as Adam's, are
none of them: they belong to the sums of gradients beside them."""

KINDS = (*COUNTS, optax.contrib.ReduceLROnPlateauState, optax.ApplyIfFiniteState)
"""The states that this room knows."""

Path = tuple[Any, ...]


def parts_of(state: Tree, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """The states of `KINDS` in a tree, with their paths, outer ones before those inside of them."""
    for inner, part in jax.tree_util.tree_flatten_with_path(state, is_leaf=_is_kind)[0]:
        if _is_kind(part):
            yield (*path, *inner), part
            for name, value in _inside(part).items():
                yield from parts_of(value, (*path, *inner, jax.tree_util.GetAttrKey(name)))


def _inside(part: Any) -> dict[str, Any]:
    """What may hold further states; not the snapshot of an optimizer under control, which is none that is in force."""
    return {"inner": part.inner} if isinstance(part, ControlledState) else part._asdict()


def mapped(state: Tree, change: Callable[[Any], Any]) -> Tree:
    """A tree with its outermost states of `KINDS` changed."""
    return jax.tree.map(lambda part: change(part) if _is_kind(part) else part, state, is_leaf=_is_kind)


def _is_kind(part: Any) -> bool:
    return isinstance(part, KINDS)


def fields_of(part: Any) -> dict[str, int]:
    """The counts in a state, as `COUNTS` has them."""
    return next((fields for kind, fields in COUNTS.items() if isinstance(part, kind)), {})


def holds_lr(part: Any) -> bool:
    """Whether a state has an injected LR, from a number or from a schedule."""
    return isinstance(part, INJECTED) and NAME in part.hyperparams


def is_driven(part: Any) -> bool:
    """Whether a schedule writes the injected LR at each update."""
    return holds_lr(part) and NAME in getattr(part, "hyperparams_states", {})


def own_schedules(state: Tree) -> list[str]:
    """The places of schedules that scale every step beside the LR: all but those of single parts of `optax.partition`."""
    return [
        jax.tree_util.keystr(path)
        for path, part in parts_of(state)
        if isinstance(part, optax.ScaleByScheduleState)
        and not any(getattr(key, "name", "") == "inner_states" for key in path)
    ]


def of_kind(state: Tree, kind: type[Any]) -> list[Any]:
    """The states of one of `KINDS` in a state."""
    return [part for _, part in parts_of(state) if isinstance(part, kind)]


def with_lr(state: Tree, lr: Any) -> Tree:
    """A state with this LR as every injected one."""

    def changed(part: Any) -> Any:
        inside = {name: mapped(value, changed) for name, value in part._asdict().items()}
        if holds_lr(part):
            inside["hyperparams"] = {**inside["hyperparams"], NAME: like(part.hyperparams[NAME], lr)}
        return part._replace(**inside)

    return mapped(state, changed)


def array(value: Any) -> jax.Array:
    """A number of a state, which in an `nnx.Optimizer` is a variable: a tree with one leaf."""
    [leaf] = jax.tree.leaves(value)
    return jnp.asarray(leaf)


def like(before: Any, number: Any) -> Any:
    """A number of the type that it replaces, because another one would be compiled again."""
    return jax.tree.map(lambda leaf: jnp.asarray(number, jnp.asarray(leaf).dtype), before)


def plain(tree: Tree) -> Tree:
    """A tree with arrays where `nnx` has variables."""
    # Variables of flax 0.11 have metadata too; `get_value` is of flax 0.12.
    return jax.tree.map(array, tree, is_leaf=lambda part: hasattr(part, "get_metadata"))


def in_form_of(before: Tree, after: Tree) -> Tree:
    """A tree of arrays with variables where `before` has them."""
    return jax.tree.unflatten(jax.tree.structure(before), jax.tree.leaves(after))


def state_of(opt_state: Any) -> Tree:
    """The state of an `nnx.Optimizer`, and any other state as it is."""
    return opt_state.opt_state if _is_nnx(opt_state) else opt_state


def _is_nnx(value: Any) -> bool:
    """Whether it is an `nnx.Optimizer`, whose state is changed in place. flax is not imported for the question."""
    return any(kind.__module__.startswith("flax.nnx") and kind.__name__ == "Optimizer" for kind in type(value).__mro__)


def with_state(opt_state: Any, changed: Tree) -> Any:
    """A changed state in the form in which it was given: an `nnx.Optimizer` takes it over."""
    if not _is_nnx(opt_state):
        return changed
    from flax import nnx

    nnx.update(opt_state.opt_state, nnx.state(changed))
    return opt_state
