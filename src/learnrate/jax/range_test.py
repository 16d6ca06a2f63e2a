"""The range test of a functional loop: the whole sweep is one compiled `lax.scan`."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from learnrate import checks
from learnrate.batches import Batches, Stream, restarts_note
from learnrate.errors import AlreadyDrivenError, ArgumentError, DataError, LossError
from learnrate.finder import Curve
from learnrate.finder.recording import record
from learnrate.finder.stops import diverged
from learnrate.finder.sweep import Stop, Sweep, sweep_of
from learnrate.jax.dependence import depends_on_first
from learnrate.jax.places import Tree
from learnrate.jax.trainable import check_batch, scalar_loss
from learnrate.schedules import Schedule
from learnrate.trainable import ExhaustedError, Trainable

Update: TypeAlias = Callable[[Any, Any, Any], tuple[Any, Any]]
"""A function (state, batch, lr) -> (next state, loss) that JAX can trace, such as the step of a training loop. The loss is a
scalar, or a mapping with the key "loss" and further metrics."""


def range_test(
    update: Update,
    state: Tree | Callable[[jax.Array], Tree],
    batches: Batches,
    *,
    low: float | None = None,
    high: float | None = None,
    updates: int | None = None,
    schedule: Literal["exponential", "linear"] | Schedule = "exponential",
    stop: Stop = diverged(),  # noqa: B008 - frozen and without state
    seed: int | Sequence[int] | None = None,
) -> Curve:
    """Run an LR range test of a functional training loop; `state` is not changed, and there is nothing to give back.

    All updates are one `lax.scan`, compiled once, and several seeds are mapped over by `vmap`. The sweep therefore runs to
    its end, and the stop rule is applied to the losses afterwards. The batches of all updates are stacked in memory; a batch
    that comes again as the same object, as from a list, is there once.

    For parameters, an optimizer and a loss in place of a function that makes an update, use `learnrate.range_test` with a
    `Training`: it goes from update to update, ends at divergence, and takes batches of several shapes.

    Args:
        update: A function (state, batch, lr) -> (next state, loss) that JAX can trace. It makes one update at this LR, which
            is a traced scalar: `optax.adam(lr).update(...)`, or `lr.jax.replace(opt_state, rate)` for injected
            hyper-parameters. The loss is that before the step: a scalar, or a mapping with the key "loss" and further
            metrics. For flax NNX, let the state be what `nnx.split` returns.
        state: The state to start from: a pytree of arrays. Or a function from a key of `jax.random` to a state, for
            several seeds.
        batches: Anything that can be iterated, or a function that returns a new iterator; all of one shape. Started again
            when it runs out. An iterator ends the sweep when it runs out. All seeds see the same batches.
        low: LR of the first update, above 0; 1e-7 by default.
        high: LR of the last update; 10 by default.
        updates: Length of the sweep in updates, at least 10; 100 by default.
        schedule: "exponential", "linear", or a schedule (see `learnrate.range_test`).
        stop: Where the curve ends (see `learnrate.stops`); None for nothing but a loss that is not finite.
        seed: Where `state` is a function: a seed, 0 by default; several make several sweeps, merged into one curve with a
            band.

    Returns:
        The curve; with several seeds their mean, see `Curve.merge`.

    Raises:
        AlreadyDrivenError: if the updates do not depend on the LR, because the optimizer has a schedule of its own.
        ArgumentError: if a number breaks its rule, the batches differ in shape, or `update` returns a state of another form.
        ArgumentTypeError: if an argument is of the wrong kind, or `update` does not return a state and a loss.
        DataError: if there are no batches.
        LossError: if the loss is no scalar, or no loss is finite at the first updates.

    Example:
        >>> import jax, jax.numpy as jnp, optax, learnrate as lr
        >>> x = jnp.linspace(-1.0, 1.0, 64).reshape(4, 16)
        >>> def update(state, batch, rate):
        ...     params, opt_state = state
        ...     loss, gradients = jax.value_and_grad(lambda w: ((w * batch - 3 * batch) ** 2).mean())(params)
        ...     steps, opt_state = optax.sgd(rate).update(gradients, opt_state)
        ...     return (optax.apply_updates(params, steps), opt_state), loss
        >>> params = jnp.zeros(())
        >>> curve = lr.jax.range_test(update, (params, optax.sgd(1.0).init(params)), list(x), high=1e3)
        >>> curve.ended, bool(curve.losses.min() < 1e-3)
        ('diverged', True)
    """
    if not callable(update):
        remedy = "for a Training use learnrate.range_test"
        checks.refuse_type("update", "a function (state, batch, lr) -> (state, loss)", update, remedy)
    sweep = sweep_of(low, high, updates, schedule, stop, None, None, None)
    is_function = callable(state) and jax.tree_util.all_leaves([state])
    seeds = _seeds(seed, is_function)
    drawn = _Drawn.of(batches, len(sweep.lrs))
    lrs = jnp.asarray(sweep.lrs[: len(drawn.order)])
    start: Any = (lambda key: _arrays(state(key))) if is_function else (lambda _: _arrays(state))
    _check_update(update, jax.eval_shape(start, jax.random.key(0)), drawn.first(), lrs[0])

    @jax.jit
    def losses(keys: jax.Array, stacked: Tree, order: jax.Array, lrs: jax.Array) -> Tree:
        def next_update(state: Tree, x: tuple[jax.Array, jax.Array]) -> tuple[Tree, Any]:
            rate, number = x
            return update(state, jax.tree.map(lambda leaf: leaf[number], stacked), rate)

        return jax.vmap(lambda key: jax.lax.scan(next_update, start(key), (lrs, order))[1])(keys)

    keys = jnp.stack([jax.random.key(seed) for seed in seeds or (0,)])
    returned = jax.device_get(losses(keys, drawn.stacked, jnp.asarray(drawn.order), lrs))
    curves = [_curve(sweep, drawn, jax.tree.map(lambda values, row=row: values[row], returned)) for row in range(len(keys))]
    curves = [dataclasses.replace(curve, seeds=seeds[row : row + 1]) for row, curve in enumerate(curves)]
    return curves[0] if len(curves) == 1 else _merged(curves)


@dataclasses.dataclass(frozen=True)
class _Drawn:
    """The batches of a sweep.

    Attributes:
        stacked: All different batches, stacked along a new first dimension.
        order: The number of the batch of each update; shorter than the sweep if the batches ran out.
        restarts: The updates at which the batches were started again.
        epoch: Length of an epoch in updates; None if it is not known.
    """

    stacked: Tree
    order: np.ndarray[Any, Any]
    restarts: tuple[int, ...]
    epoch: int | None

    @classmethod
    def of(cls, source: Batches, updates: int) -> "_Drawn":
        """The batches of this number of updates."""
        stream = Stream(source)
        order: list[int] = []
        is_sequence = isinstance(source, Sequence)  # what else yields batches may write the next one into the same array
        batches: dict[int, Any] = {}
        places: dict[int, int] = {}
        while len(order) < updates:
            try:
                [batch] = stream.take(1)
            except ExhaustedError:
                if not order:
                    raise
                break
            identity = id(batch) if is_sequence else len(order)
            batches.setdefault(identity, batch if is_sequence else jax.tree.map(_copy, batch))
            order.append(places.setdefault(identity, len(places)))
        return cls(_stacked(list(batches.values())), np.array(order), tuple(stream.restarts), stream.epoch())

    def first(self) -> Tree:
        """The first batch."""
        return jax.tree.map(lambda leaf: leaf[0], self.stacked)


class _Replay(Trainable):
    """Updates that were made already, as a range test records them: it reads their losses, one after the other."""

    def __init__(self, drawn: _Drawn, returned: Any) -> None:
        self._drawn, self._returned, self._updates = drawn, returned, 0

    def update(self, lr: float) -> Any:
        """The loss of the next update."""
        if self._updates == len(self._drawn.order):
            raise ExhaustedError(f"batches ran out after {self._updates}, and an iterator cannot be started again")
        self._updates += 1
        return jax.tree.map(lambda values: values[self._updates - 1], self._returned)

    def save(self) -> None:
        """Nothing: a sweep is read once."""

    def restore(self, state: None) -> None:
        """Nothing: a sweep is read once."""

    def updates_per_epoch(self) -> int | None:
        """See `Trainable.updates_per_epoch`."""
        return self._drawn.epoch

    def notes(self, updates: int) -> Sequence[str]:
        """See `Trainable.notes`."""
        return restarts_note(restart for restart in self._drawn.restarts if restart < updates)


def _curve(sweep: Sweep, drawn: _Drawn, returned: Any) -> Curve:
    return record(_Replay(drawn, returned), sweep)


def _merged(curves: list[Curve]) -> Curve:
    merged = Curve.merge(curves)
    if all(np.array_equal(curve.losses, curves[0].losses, equal_nan=True) for curve in curves[1:]):
        note = "all sweeps are the same: the state does not depend on its key, so the band shows nothing"
        return dataclasses.replace(merged, notes=(*merged.notes, note))
    return merged


def _seeds(seed: object, is_function: bool) -> tuple[int, ...]:
    if not is_function:
        if seed is not None:
            remedy = "give a function from a key of jax.random to a state, in which the key decides what differs"
            checks.refuse("seed", "None where state is no function", seed, remedy)
        return ()
    seeds = (0 if seed is None else seed,) if not checks.is_iterable(seed) else seed
    seeds = tuple(checks.several(checks.numpy_seed)("seed", seeds))
    if not seeds or len(set(seeds)) < len(seeds):
        checks.refuse("seed", "one number, or several different ones", seed)
    return seeds


def _arrays(state: Tree) -> Tree:
    """A state whose every leaf is an array.

    Raises:
        ArgumentTypeError: if one cannot be.
    """

    def array(path: Any, leaf: Any) -> jax.Array:
        if not isinstance(leaf, (jax.Array, np.ndarray, np.generic, bool, int, float, complex)):
            name = f"state{jax.tree_util.keystr(path)}"
            checks.refuse_type(name, "an array or a number", leaf, "leave it out of the state, or make it a static part")
        return jnp.asarray(leaf)

    return jax.tree_util.tree_map_with_path(array, state)


def _copy(leaf: Any) -> Any:
    return leaf.copy() if isinstance(leaf, np.ndarray) else leaf


def _stacked(batches: list[Any]) -> Tree:
    forms = [_form(batch) for batch in batches]
    for number, form in enumerate(forms):
        if form != forms[0]:
            raise ArgumentError(
                f"batches must have one shape and type for a compiled sweep, received {_shown(forms[0])} and, as number "
                f"{number}, {_shown(form)}: leave out the short last batch (drop_last=True), or use learnrate.range_test "
                "with a Training, which takes batches of several shapes"
            )
    return jax.tree.map(_stack, *batches)


def _stack(*leaves: Any) -> Any:
    if jnp.issubdtype(getattr(leaves[0], "dtype", float), jax.dtypes.prng_key):
        return jnp.stack(leaves)
    return np.stack([np.asarray(leaf) for leaf in leaves])  # without a compilation for each number of batches


def _form(batch: Any) -> tuple[Any, tuple[tuple[tuple[int, ...], Any], ...]]:
    leaves, structure = jax.tree.flatten(batch)
    if not leaves:
        raise DataError(f"batches must hold arrays, received {checks.shown(batch)}")
    check_batch(batch)
    return structure, tuple((jnp.shape(leaf), getattr(leaf, "dtype", type(leaf).__name__)) for leaf in leaves)


def _shown(form: Any) -> str:
    return ", ".join(f"{dtype}{list(shape)}" for shape, dtype in form[1])


def _check_update(update: Update, state: Tree, batch: Tree, rate: Any) -> None:
    """Trace one update, and refuse what a scan cannot repeat.

    Raises:
        ArgumentTypeError: if it does not return two things.
        AlreadyDrivenError: if the next state does not depend on the LR.
        ArgumentError: if the next state has another form than the state.
        LossError: if the loss is no scalar.
    """

    def checked(rate: Any, state: Tree, batch: Tree) -> Tree:
        returned = update(state, batch, rate)
        if not (isinstance(returned, tuple) and len(returned) == 2):
            checks.refuse_type("what update returns", "a tuple (state, loss)", returned)
        loss = returned[1]
        scalar_loss(loss)
        metrics = loss if isinstance(loss, Mapping) else {}
        for name, value in metrics.items():
            if jnp.size(value) != 1:
                raise LossError(f"the metric {name!r} must be a scalar, received shape {jnp.shape(value)}: reduce it")
        return returned[0]

    depends, after = depends_on_first(checked, rate, state, batch)
    given, returned = str(jax.tree.structure(state)), str(jax.tree.structure(after))
    if given != returned:
        raise ArgumentError(
            f"update must return a state of the form that it receives, {checks.shown(given)}, received "
            f"{checks.shown(returned)}"
        )
    pairs = zip(jax.tree_util.tree_leaves_with_path(state), jax.tree.leaves(after), strict=True)
    for (path, before), leaf in pairs:
        if (before.shape, before.dtype) != (leaf.shape, leaf.dtype):
            raise ArgumentError(
                f"update must return a state of the form that it receives, received state{jax.tree_util.keystr(path)} as "
                f"{leaf.dtype}{list(leaf.shape)} for {before.dtype}{list(before.shape)}"
            )
    if not depends:
        raise AlreadyDrivenError(
            "the state that update returns must depend on the LR that it is given, received one that uses an LR or schedule "
            "of its own: make the step with optax.adam(lr), for example, or write the LR into the state with lr.jax.replace"
        )
