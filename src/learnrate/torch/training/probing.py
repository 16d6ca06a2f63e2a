"""An LR-free probe of a torch training: the user's own optimizer, at LRs that follow from its gradients."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from learnrate.torch.driving import Group, SweptGroups
from learnrate.torch.inputs import stepping
from learnrate.torch.training.probed import Kind, kind_of, maximizes, scale_of, step_of
from learnrate.torch.training.step_sizes import DoWG, Prodigy, StepSize, Unit
from learnrate.trainable import NotProbedError

PLACEHOLDER = 1.0
"""The LR that an update is asked to take, before its own is known."""


class TorchProbing:
    """See `learnrate.trainable.Probing`.

    Args:
        optimizer: The optimizer that takes the LR.
        kind: Its kind.
        swept: The groups that take the LR.
        update: Makes an update at an LR.
    """

    def __init__(self, optimizer: Optimizer, kind: Kind, swept: SweptGroups, update: Callable[[float], Any]) -> None:
        rows = _trained(swept.ratios)
        self.method, self.scale = kind.method, scale_of(kind, swept.groups)
        self.maximize = maximizes(optimizer, swept.groups)
        self._optimizer, self._kind, self._swept, self._update = optimizer, kind, swept, update
        self._parameters = [parameter for parameter, _, _ in rows]
        self._lr, self._written = 0.0, PLACEHOLDER
        self._step_size: StepSize = DoWG(self._parameters)
        if kind.method != "dowg":
            beta2, units = max(map(kind.beta2, swept.groups)), [_unit(kind, *row) for row in rows]
            self._step_size = Prodigy(self._parameters, beta2, kind.method, units, kind.nuclear)

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
        factor = (-1.0 if self.maximize else 1.0) / (1.0 if scale is None else scale.item())
        self._swept.require_untouched(PLACEHOLDER)
        self._lr = self._step_size.lr([_gradient(parameter, factor) for parameter in self._parameters])
        step = step_of(self._optimizer, self._parameters)
        self._written = self._lr * self._kind.longer(self._swept.groups[0], step)
        self._swept.write(self._written)

    def after_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        """Write the LR that the update was asked to take, which it looks for at its end."""
        self._swept.require_untouched(self._written)
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
    kind = kind_of(optimizer, swept.groups)
    trained = TorchProbing(optimizer, kind, swept, update)
    with _without_momentum(kind, swept.groups):
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
def _without_momentum(kind: Kind, groups: Sequence[Group]) -> Iterator[None]:
    """Gradient descent without its momentum: DoWG measures steps along gradients, and diverges with those of momentum."""
    if kind.method != "dowg":
        yield
        return
    changed = [(group, {key: group[key] for key in ("momentum", "nesterov")}) for group in groups]
    try:
        for group in groups:
            group |= {"momentum": 0.0, "nesterov": False}
        yield
    finally:
        for group, entries in changed:
            group |= entries


def _trained(groups: Sequence[tuple[Group, float]]) -> list[tuple[nn.Parameter, Group, float]]:
    """The parameters that are trained, with their groups and ratios. One that is unfrozen later has no part in it."""
    rows = [(p, group, ratio) for group, ratio in groups for p in group["params"] if ratio and p.requires_grad]
    if not rows:
        raise NotProbedError("none of the parameters that take the LR is trained")
    return rows


def _unit(kind: Kind, parameter: nn.Parameter, group: Group, ratio: float) -> Unit:
    return lambda: ratio * kind.unit(group, parameter)


def _gradient(parameter: nn.Parameter, factor: float) -> Tensor | None:
    if parameter.grad is None:
        return None
    gradient = parameter.grad.to_dense() if parameter.grad.is_sparse else parameter.grad
    return gradient if factor == 1 else factor * gradient
