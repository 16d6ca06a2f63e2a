"""The optimizers of torch that have an LR-free probe: how long their steps are, and what the others lack."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import torch
from torch import Tensor
from torch.optim import (
    LBFGS,
    SGD,
    Adadelta,
    Adafactor,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    NAdam,
    Optimizer,
    RAdam,
    RMSprop,
    Rprop,
)

from learnrate.torch.driving import Group
from learnrate.torch.optimizers import ESGD, AdaSecant
from learnrate.trainable import NotProbedError, ProbeMethod
from learnrate.tuner.probe import METHODS

USUAL_BETA2 = 0.999
"""Decay of Prodigy's sums where the optimizer has no average of squared gradients with a constant decay: Adam's."""


def _unit(group: Group, parameter: Tensor) -> float:
    return 1.0


def _relative(group: Group, parameter: Tensor) -> float:
    """Adafactor's steps are relative to the root mean square of the parameter (arXiv 1804.04235, section 8)."""
    return max(float(group["eps"][1]), parameter.detach().double().square().mean().sqrt().item())


def _spectral(group: Group, parameter: Tensor) -> float:
    """The spectral norm of a step of Muon at an LR of 1, as the documentation of torch.optim.Muon gives it."""
    rows, columns = parameter.shape
    if group["adjust_lr_fn"] == "match_rms_adamw":
        return 0.2 * math.sqrt(max(rows, columns))
    return math.sqrt(max(1.0, rows / columns))


def _root(group: Group, step: int) -> float:
    """AdaGrad divides by the root of a sum over all updates, which grows with the root of their number."""
    return math.sqrt(step)


def _unrectified(group: Group, step: int) -> float:
    """The inverse of RAdam's rectification (Liu et al., arXiv 1908.03265, Algorithm 2), which shortens its first steps.

    Its very first, which go along the gradient itself, are left as they are.
    """
    beta2 = float(group["betas"][1])
    longest = 2 / (1 - beta2) - 1
    length = longest - 2 * step * beta2**step / (1 - beta2**step)
    if length <= 5:
        return 1.0
    return math.sqrt((longest - 4) * (longest - 2) * length / ((length - 4) * (length - 2) * longest))


@dataclass(frozen=True)
class Kind:
    """How an optimizer makes its steps.

    Attributes:
        method: See `Probing.method`.
        beta2: Decay of its average of squared gradients.
        momentum: Momentum that lengthens its steps.
        unit: The size of a step of a parameter, as a multiple of the LR; only ratios between parameters and changes count.
        nuclear: Whether this size is a spectral norm; otherwise it is that of a single weight.
        longer: By how many times the LR of update number `step`, counted from 1, must be larger for a step of the same size;
            None if it need not.
        fixed: Settings that must be 0.
    """

    method: ProbeMethod = "prodigy"
    beta2: Callable[[Group], float] = lambda group: float(group["betas"][1])
    momentum: Callable[[Group], float] = lambda group: 0.0
    unit: Callable[[Group, Tensor], float] = _unit
    nuclear: bool = False
    longer: Callable[[Group, int], float] | None = None
    fixed: tuple[str, ...] = ()


def _usual(group: Group) -> float:
    return USUAL_BETA2


def _momentum(group: Group) -> float:
    return float(group["momentum"])


ADAM = Kind()

MIXED: ProbeMethod = "prodigy-mixed"
"""The method for several kinds of optimizers at once."""

KINDS: dict[type[Optimizer], Kind] = {
    SGD: Kind("dowg", momentum=_momentum),
    **dict.fromkeys((Adam, AdamW, Adamax, NAdam), ADAM),
    RMSprop: Kind(beta2=lambda group: float(group["alpha"]), momentum=_momentum),
    RAdam: Kind("prodigy-radam", longer=_unrectified),
    Adagrad: Kind("prodigy-adagrad", _usual, longer=_root, fixed=("lr_decay",)),
    Adafactor: Kind("prodigy-adafactor", _usual, unit=_relative),
}
if hasattr(torch.optim, "Muon"):  # since torch 2.9
    KINDS[torch.optim.Muon] = Kind("prodigy-muon", _usual, unit=_spectral, nuclear=True)

WITHOUT: dict[type[Optimizer], str] = {
    LBFGS: "LBFGS finds the length of its steps from the curvature, and computes gradients inside of its step",
    Adadelta: "Adadelta finds its step size itself, and its LR is usually 1",
    ESGD: "ESGD divides its steps by the curvature, and computes Hessian products inside of its step",
    AdaSecant: "AdaSecant finds a step size for each weight, and its LR is usually 1",
    Rprop: "Rprop adapts a step size for each weight, and its LR is the first of them only",
}
"""Why optimizers have no probe."""


@dataclass(frozen=True)
class Driven:
    """An optimizer that takes the LR of a probe.

    Attributes:
        optimizer: The optimizer.
        kind: How it makes its steps.
        momentum: 1 - momentum, the factor from the step size to its LR with momentum, which adds up steps.
        maximize: Whether its loss is to rise.
    """

    optimizer: Optimizer
    kind: Kind
    momentum: float
    maximize: bool

    def scale(self, updates: int) -> float:
        """See `Probing.scale`."""
        if self.kind.longer is None:
            return self.momentum
        first, group = self._next_step(), self.optimizer.param_groups[0]
        steps = np.linspace(first, first + updates - 1, min(updates, 1000)).astype(int).tolist()
        return self.momentum / fmean(1 / self.kind.longer(group, step) for step in steps)

    def unit(self, method: ProbeMethod, group: Group, parameter: Tensor, ratio: float) -> float:
        """The size of a step of a parameter at an LR of 1, where this is the method of the probe."""
        return ratio * self._relative_to(method) * self.kind.unit(group, parameter)

    def factor(self, method: ProbeMethod, group: Group) -> float:
        """By how many times the LR of the next update must be larger for a step of that size."""
        longer = 1.0 if self.kind.longer is None else self.kind.longer(group, self._next_step())
        return self._relative_to(method) * longer

    def _relative_to(self, method: ProbeMethod) -> float:
        """How much longer its steps have to be beside those of Adam, where several optimizers take the LR.

        A probe of Adam makes shorter steps than a training run, one of Muon longer ones. Where both take part, each makes
        the steps that it makes in a probe of its own.
        """
        return METHODS[ADAM.method].factor / METHODS[self.kind.method].factor if method == MIXED else 1.0

    def _next_step(self) -> int:
        """The number of its next step, counted from 1."""
        for state in self.optimizer.state.values():
            if "step" in state:
                return int(state["step"]) + 1
        return 1


def driven_by(optimizer: Optimizer, swept: Sequence[Group]) -> Driven:
    """An optimizer that takes the LR.

    Args:
        optimizer: The optimizer.
        swept: The groups that take the LR, among them those of other optimizers.

    Raises:
        NotProbedError: if it has no probe, or not with its settings.
    """
    groups = [group for group in optimizer.param_groups if any(group is other for other in swept)]
    kind, name = _kind_of(optimizer), type(optimizer).__name__
    for setting in kind.fixed:
        if any(group.get(setting) for group in groups):
            raise NotProbedError(f"there is no LR-free step size for {name} with {setting}")
    directions = {bool(group.get("maximize", False)) for group in groups}
    if len(directions) > 1:
        raise NotProbedError(f"{name} has groups with maximize and groups without")
    return Driven(optimizer, kind, _momentum_scale(kind, groups), directions.pop())


def common_method(driven: Sequence[Driven]) -> ProbeMethod:
    """The method of a probe of several optimizers.

    Raises:
        NotProbedError: if their step sizes cannot be compared.
    """
    first, *others = driven
    for other in others:
        if (other.kind.method == "dowg") != (first.kind.method == "dowg"):
            raise NotProbedError("there is no LR-free step size for a mixture of gradient descent and other optimizers")
        if other.kind.longer is not first.kind.longer:
            raise NotProbedError("the optimizers that take the LR shorten their steps with their number in different ways")
        if (other.momentum, other.maximize) != (first.momentum, first.maximize):
            raise NotProbedError("the optimizers that take the LR differ in momentum or maximize")
    methods = {optimizer.kind.method for optimizer in driven}
    return methods.pop() if len(methods) == 1 else MIXED


def _kind_of(optimizer: Optimizer) -> Kind:
    for without, reason in WITHOUT.items():
        if isinstance(optimizer, without):
            raise NotProbedError(reason)
    for cls, kind in KINDS.items():
        if isinstance(optimizer, cls):
            return kind
    raise NotProbedError(f"there is no LR-free step size for {type(optimizer).__name__}")


def _momentum_scale(kind: Kind, groups: Sequence[Group]) -> float:
    group = max(groups, key=kind.momentum)
    momentum = kind.momentum(group)
    dampening = float(group.get("dampening", 0.0)) if momentum else 0.0
    if not dampening < 1:
        raise NotProbedError(f"dampening must be below 1 for a probe, received {dampening:g}")
    return (1 - momentum) / (1 - dampening)
