"""What a step of Keras shows: the loss of its batch alone, and the norm of its gradient."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from learnrate.keras.optimizers import accumulation_of, innermost


@dataclass
class Shown:
    """What a step has shown.

    Attributes:
        loss: The loss of the batch, without a loss scale; None if no metric named "loss" received it.
        gradient_norm: The norm of the gradient, as `gradient_norm` measures it; None if it was not needed, or not seen.
    """

    loss: Any = None
    gradient_norm: Any = None


class Watch:
    """Looks into a step while it runs, or while JAX traces it: `with watch as shown: ...`.

    What Keras puts into its logs are means over the epoch. The loss of a batch is what the metric named "loss" receives, in
    the `train_step` of Keras as in those that its guides show; the gradients are what the optimizer receives.

    Args:
        model: The compiled model.
        needs_gradient_norm: Whether the norm of the gradient is measured.
        decide: On torch: called with what was shown when the optimizer receives the gradients; whether it is to use them.
    """

    def __init__(self, model: Any, needs_gradient_norm: bool, decide: Callable[[Shown], bool] | None = None) -> None:
        self._shown, self._needs_norm, self._decide = Shown(), needs_gradient_norm, decide
        metrics = {id(metric): metric for metric in [getattr(model, "_loss_tracker", None), *model.metrics]}
        self._hooks = [
            (vars(metric), "update_state", self._loss_of(metric)) for metric in metrics.values() if _is_loss(metric)
        ]
        if needs_gradient_norm or decide is not None:
            name = "apply" if keras.backend.backend() == "torch" else "stateless_apply"
            self._hooks.append((vars(model.optimizer), name, self._norm_of(model.optimizer, name)))
        self._before: list[Any] = []

    def __enter__(self) -> Shown:
        self._shown = Shown()
        self._before = [attributes.get(name) for attributes, name, _ in self._hooks]
        for attributes, name, hook in self._hooks:
            attributes[name] = hook
        return self._shown

    def __exit__(self, *error: object) -> None:
        for (attributes, name, _), before in zip(self._hooks, self._before, strict=True):
            if before is None:
                del attributes[name]
            else:
                attributes[name] = before

    def _loss_of(self, metric: Any) -> Callable[..., Any]:
        original = metric.update_state

        def update_state(values: Any, sample_weight: Any = None) -> Any:
            self._shown.loss = values
            return original(values, sample_weight=sample_weight)

        return update_state

    def _norm_of(self, optimizer: Any, name: str) -> Callable[..., Any]:
        original = getattr(optimizer, name)

        def apply(grads: Any, trainable_variables: Any = None) -> None:
            if self._needs_norm:
                self._shown.gradient_norm = gradient_norm(optimizer, grads, lambda variable: variable.value)
            if self._decide is None or self._decide(self._shown):
                original(grads, trainable_variables)

        def stateless_apply(optimizer_variables: Any, grads: Any, trainable_variables: Any) -> Any:
            values = {id(variable): value for variable, value in zip(optimizer.variables, optimizer_variables, strict=True)}
            self._shown.gradient_norm = gradient_norm(optimizer, grads, lambda variable: values[id(variable)])
            return original(optimizer_variables, grads, trainable_variables)

        return apply if name == "apply" else stateless_apply


def gradient_norm(optimizer: Any, gradients: Sequence[Any], value_of: Callable[[keras.Variable], Any]) -> Any:
    """The norm of the gradient of an update over all parameters, before it is clipped: a scalar of the backend.

    Without the loss scale; with gradients that were accumulated before, the mean of all batches of the update.

    Args:
        optimizer: The optimizer that receives them.
        gradients: Of the last batch, with the loss scale.
        value_of: Returns the present value of a variable of the optimizer.
    """
    inner, steps = innermost(optimizer), accumulation_of(optimizer)
    scale = value_of(optimizer.dynamic_scale) if inner is not optimizer else optimizer.loss_scale_factor or 1.0
    parts = [None if gradient is None else gradient / scale for gradient in gradients]
    if steps > 1:
        earlier = [None if variable is None else value_of(variable) for variable in inner._accumulated_gradients]
        parts = [part if part is None else (part + sums) / steps for part, sums in zip(parts, earlier, strict=True)]
    return _norm([part for part in parts if part is not None])


def _norm(parts: list[Any]) -> Any:
    if keras.backend.backend() == "torch":
        import torch

        return torch.nn.utils.get_total_norm([part.detach().float() for part in parts])
    import jax.numpy as jnp

    return jnp.sqrt(sum(jnp.sum(jnp.square(part.astype(jnp.float32))) for part in parts))


def _is_loss(metric: Any) -> bool:
    means = isinstance(metric, keras.metrics.Mean) and not isinstance(metric, keras.metrics.MeanMetricWrapper)
    return means and metric.name == "loss"
