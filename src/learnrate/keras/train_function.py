"""The train function of a model, which `fit` calls for each batch, and how another one takes its place."""

from collections.abc import Callable
from typing import Any


class TrainFunction:
    """Takes the place of the train function of a model as long as the callback takes part in `fit`.

    An exception in `fit` ends the callback without a word, and the next `fit` may be without it: a batch before which `take`
    was not called gives the place back.

    Args:
        model: The model.
        call: What `fit` is to call.

    Attributes:
        before: What stood there before.
    """

    def __init__(self, model: Any, call: Callable[..., Any]) -> None:
        self._model, self._call, self.before = model, call, model.train_function
        self._due, self._installed = False, self._called

    def take(self) -> None:
        """Called before each batch, or block of batches (`steps_per_execution`)."""
        self._due = True
        if self._model.train_function is not self._installed:
            self.before, self._model.train_function = self._model.train_function, self._installed

    def leave(self) -> None:
        """Give the place back."""
        if self._model.train_function is self._installed:
            self._model.train_function = self.before

    def is_current(self) -> bool:
        """Whether the model still has the function that stood there before; `compile` makes a new one."""
        return self._model.train_function in (self.before, self._installed)

    def _called(self, *arguments: Any) -> Any:
        if not self._due:
            self._model.train_function = self.before
            return self.before(*arguments)
        self._due = False
        return self._call(*arguments)


def without_donation(model: Any, train_step: Callable[..., Any]) -> Callable[..., Any]:
    """On JAX: the train function for one batch of another `train_step`, which leaves the state that it is given intact.

    Keras gives the memory of the state to the new one. Without that, the former state is there to go back to, at no cost but
    the memory for both.
    """
    import jax
    import keras

    step = train_step
    if model.jit_compile and not model.run_eagerly:
        is_distributed = keras.distribution.distribution() is not None
        shardings = (None, model._get_state_sharding_spec()) if is_distributed else None
        step = jax.jit(train_step, out_shardings=shardings)
    return lambda state, iterator: step(state, next(iterator))


def compiled(model: Any, train_step: Callable[..., Any], steps_per_execution: int | None = None) -> Callable[..., Any]:
    """The train function that Keras makes of another `train_step`; the model keeps its own.

    Args:
        model: The model.
        train_step: In the place of `model.train_step`.
        steps_per_execution: Batches of a call, if other than those of the model.
    """
    before, own, steps = model.train_function, vars(model).get("train_step"), model.steps_per_execution
    model.train_step = train_step
    model.steps_per_execution = steps_per_execution or steps
    try:
        model.make_train_function(force=True)
        function: Callable[..., Any] = model.train_function
    finally:
        model.train_function, model.steps_per_execution = before, steps
        if own is None:
            del model.train_step
        else:
            model.train_step = own
    return function
