"""An LR-free probe of a torch training: the user's own optimizers, at LRs that follow from their gradients."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from learnrate.torch.driving import Group, SweptGroups
from learnrate.torch.training.probed import Driven, common_method, driven_by
from learnrate.torch.training.step_sizes import DoWG, Measure, Prodigy, StepSize
from learnrate.torch.training.update import Updater
from learnrate.trainable import NotProbedError

PLACEHOLDER = 1.0
"""The LR that an update is asked to take, before its own is known."""


class TorchProbing:
    """See `learnrate.trainable.Probing`.

    Args:
        driven: The optimizers that take the LR, in the order of their steps.
        swept: Their groups.
        update: Makes an update at an LR.
    """

    def __init__(self, driven: Sequence[Driven], swept: SweptGroups, update: Callable[[float], Any]) -> None:
        self.method, self.maximize = common_method(driven), driven[0].maximize
        self._driven, self._swept, self._update, self._lr = driven, swept, update, 0.0
        self._owners = [_owner(group, driven) for group in swept.groups]
        self._written: tuple[float, Sequence[float] | None] = PLACEHOLDER, None
        # A parameter that is unfrozen later has no part in the step size.
        rows = [
            (parameter, Measure(partial(owner.unit, self.method, group, parameter, ratio), owner.kind.nuclear))
            for owner, (group, ratio) in zip(self._owners, swept.ratios, strict=True)
            for parameter in group["params"]
            if ratio and parameter.requires_grad
        ]
        if not rows:
            raise NotProbedError("none of the parameters that take the LR is trained")
        self._parameters = [parameter for parameter, _ in rows]
        self._step_size = self._step_size_of([measure for _, measure in rows])

    def update(self) -> Any:
        """See `Probing.update`."""
        return self._update(PLACEHOLDER)

    def lr(self) -> float:
        """See `Probing.lr`."""
        return self._lr

    def scale(self, updates: int) -> float:
        """See `Probing.scale`."""
        return self._driven[0].scale(updates)  # of several optimizers all have the same

    def before_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        """Find the LR from the gradients, and write it for this step."""
        # A gradient scaler tells a fused optimizer the scale of its gradients, and whether one of them is not finite.
        found_inf, scale = (getattr(optimizer, name, None) for name in ("found_inf", "grad_scale"))
        self._written = PLACEHOLDER, None
        if found_inf is not None and found_inf.item():
            return
        factor = (-1.0 if self.maximize else 1.0) / (1.0 if scale is None else scale.item())
        self._swept.require_untouched(PLACEHOLDER)
        self._lr = self._step_size.lr([_gradient(parameter, factor) for parameter in self._parameters])
        owners = zip(self._owners, self._swept.groups, strict=True)
        self._written = self._lr, [owner.factor(self.method, group) for owner, group in owners]
        self._swept.write(*self._written)

    def after_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        """Write the LR that the update was asked to take, which it looks for at its end."""
        self._swept.require_untouched(*self._written)
        self._swept.write(PLACEHOLDER)

    def _step_size_of(self, measures: Sequence[Measure]) -> StepSize:
        if self.method == DoWG.method:
            return DoWG(self._parameters)
        owners = zip(self._owners, self._swept.groups, strict=True)
        beta2 = max(owner.kind.beta2(group) for owner, group in owners)
        return Prodigy(self._parameters, beta2, self.method, measures)


def _owner(group: Group, driven: Sequence[Driven]) -> Driven:
    return next(owner for owner in driven if any(group is other for other in owner.optimizer.param_groups))


def require_probeable(driven: int, objectives: int, updater: Updater) -> None:
    """Refuse a training that has no probe.

    Args:
        driven: The number of optimizers that take the LR.
        objectives: The number of losses.
        updater: How an update is made.

    Raises:
        NotProbedError: with the reason.
    """
    if updater.closure:
        raise NotProbedError("a closure computes the gradient inside the step, and the LR has to follow from it")
    if driven > 1 and objectives > 1:
        raise NotProbedError("several optimizers with losses of their own take the LR, and a probe follows one loss")
    if driven > 1 and (updater.clips or updater.scaler is not None):
        raise NotProbedError("several optimizers take the LR, and their gradients are clipped or scaled one after the other")


@contextmanager
def probing(optimizers: Sequence[Optimizer], swept: SweptGroups, update: Callable[[float], Any]) -> Iterator[TorchProbing]:
    """The training without an LR, while the context lasts.

    Args:
        optimizers: Those that take the LR, in the order of their steps.
        swept: Their groups.
        update: Makes an update at an LR.

    Raises:
        NotProbedError: if there is no step size for them.
    """
    driven = [driven_by(optimizer, swept.groups) for optimizer in optimizers]
    trained = TorchProbing(driven, swept, update)
    with ExitStack() as stack:
        if trained.method == "dowg":
            stack.enter_context(_without_momentum(swept.groups))
        # All gradients are there before the first step, and an update looks at its LR after the last.
        for handle in (
            driven[0].optimizer.register_step_pre_hook(trained.before_step),
            driven[-1].optimizer.register_step_post_hook(trained.after_step),
        ):
            stack.callback(handle.remove)
        yield trained


@contextmanager
def _without_momentum(groups: Sequence[Group]) -> Iterator[None]:
    """Gradient descent without its momentum: DoWG measures steps along gradients, and diverges with those of momentum."""
    changed = [(group, {key: group[key] for key in ("momentum", "nesterov")}) for group in groups]
    try:
        for group in groups:
            group |= {"momentum": 0.0, "nesterov": False}
        yield
    finally:
        for group, entries in changed:
            group |= entries


def _gradient(parameter: nn.Parameter, factor: float) -> Tensor | None:
    if parameter.grad is None:
        return None
    gradient = parameter.grad.to_dense() if parameter.grad.is_sparse else parameter.grad
    return gradient if factor == 1 else factor * gradient
