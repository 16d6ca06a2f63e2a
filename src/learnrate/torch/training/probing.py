"""An LR-free probe of a torch training: the user's own optimizer, at LRs that follow from its gradients."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.optim import SGD, Adam, Adamax, AdamW, NAdam, Optimizer, RMSprop

from learnrate.torch.driving import Group, SweptGroups
from learnrate.torch.inputs import stepping
from learnrate.torch.training.step_sizes import DoWG, Prodigy, StepSize
from learnrate.trainable import NotProbedError

STEPS_OF_THE_SIZE_OF_THE_LR = (Adam, AdamW, Adamax, NAdam, RMSprop)
"""Optimizers that divide a gradient by an average of its own size. Not RAdam, whose own warm-up outlasts a probe."""

PLACEHOLDER = 1.0
"""The LR that an update is asked to take, before its own is known."""


class TorchProbing:
    """See `learnrate.trainable.Probing`.

    Args:
        step_size: Finds the LRs.
        scale: See `Probing`.
        parameters: Those whose gradients decide the LR.
        swept: The groups that take the LR.
        update: Makes an update at an LR.
    """

    def __init__(
        self,
        step_size: StepSize,
        scale: float,
        parameters: Sequence[nn.Parameter],
        swept: SweptGroups,
        update: Callable[[float], Any],
    ) -> None:
        self.method, self.scale = step_size.method, scale
        self._step_size, self._swept, self._update, self._lr = step_size, swept, update, 0.0
        self._parameters = parameters

    def update(self) -> Any:
        """See `Probing.update`."""
        return self._update(PLACEHOLDER)

    def lr(self) -> float:
        """See `Probing.lr`."""
        return self._lr

    def before_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        """Find the LR from the gradients, and write it for this step."""
        # A gradient scaler tells a fused optimizer the scale of its gradients, and whether one of them is not finite.
        found_inf, scale = (getattr(optimizer, name, None) for name in ("found_inf", "grad_scale"))
        if found_inf is not None and found_inf.item():
            return
        factor = 1.0 if scale is None else 1 / scale.item()
        self._swept.require_untouched(PLACEHOLDER)
        self._lr = self._step_size.lr([_gradient(parameter, factor) for parameter in self._parameters])
        self._swept.write(self._lr)

    def after_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        """Write the LR that the update was asked to take, which it looks for at its end."""
        self._swept.require_untouched(self._lr)
        self._swept.write(PLACEHOLDER)


@contextmanager
def probing(
    optimizers: Mapping[str, Optimizer], swept: SweptGroups, update: Callable[[float], Any]
) -> Iterator[TorchProbing]:
    """The training without an LR, while the context lasts.

    Raises:
        NotProbedError: if several optimizers take the LR, or there is no step size for their kind.
    """
    driven = [stepping(optimizer) for optimizer in optimizers.values() if swept.drives([optimizer])]
    if len(driven) > 1:
        raise NotProbedError("several optimizers take the LR, and a probe finds the LR of one")
    [optimizer] = driven
    parameters = _trained(swept.trained_groups)
    with _suited(optimizer, swept.groups, parameters) as (step_size, scale):
        trained = TorchProbing(step_size, scale, parameters, swept, update)
        handles = [
            optimizer.register_step_pre_hook(trained.before_step),
            optimizer.register_step_post_hook(trained.after_step),
        ]
        try:
            yield trained
        finally:
            for handle in handles:
                handle.remove()


@contextmanager
def _suited(
    optimizer: Optimizer, groups: Sequence[Group], parameters: Sequence[nn.Parameter]
) -> Iterator[tuple[StepSize, float]]:
    """The step size for this kind of optimizer, and the scale from it to the LR (see `Probing`)."""
    name = type(optimizer).__name__
    for setting in ("maximize", "dampening"):
        if any(group.get(setting) for group in groups):
            raise NotProbedError(f"there is no LR-free step size for {name} with {setting}")
    if isinstance(optimizer, SGD):
        # DoWG measures steps along gradients; those of momentum are many gradients long, and it diverges.
        momentum = max(group["momentum"] for group in groups)
        changed = [(group, {key: group[key] for key in ("momentum", "nesterov")}) for group in groups]
        try:
            for group in groups:
                group |= {"momentum": 0.0, "nesterov": False}
            yield DoWG(parameters), 1 - momentum
        finally:
            for group, entries in changed:
                group |= entries
    elif isinstance(optimizer, STEPS_OF_THE_SIZE_OF_THE_LR):
        averaged = max(float(group["betas"][1] if "betas" in group else group["alpha"]) for group in groups)
        yield Prodigy(parameters, averaged), 1 - max(group.get("momentum", 0.0) for group in groups)
    else:
        raise NotProbedError(f"there is no LR-free step size for {name}")


def _trained(groups: Sequence[Group]) -> list[nn.Parameter]:
    """The parameters that are trained. One that is unfrozen later has no part in the step size."""
    parameters = [parameter for group in groups for parameter in group["params"] if parameter.requires_grad]
    if not parameters:
        raise NotProbedError("none of the parameters that take the LR is trained")
    if any(parameter.is_complex() for parameter in parameters):
        raise NotProbedError("there is no LR-free step size for complex parameters")
    return parameters


def _gradient(parameter: nn.Parameter, factor: float) -> Tensor | None:
    if parameter.grad is None:
        return None
    gradient = parameter.grad.to_dense() if parameter.grad.is_sparse else parameter.grad
    return gradient if factor == 1 else factor * gradient
