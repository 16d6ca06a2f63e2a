"""Checks of models and optimizers, before anything is changed; and which optimizer inside another one really steps."""

import gc
import sys
from collections.abc import Iterator, Mapping, Sequence
from types import MethodType

from torch import nn
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer

from learnrate import checks
from learnrate.errors import ArgumentError

Optimizers = Optimizer | Sequence[Optimizer] | Mapping[str, Optimizer]
"""One optimizer, or several: a list, or a mapping from names."""


def check_model(model: object) -> None:
    """Refuse an object that is not a model, or a model that cannot be trained.

    Raises:
        ArgumentTypeError: if it is not a module.
        ArgumentError: if it has no trainable parameters, lazy ones, or some on the meta device.
    """
    if not isinstance(model, nn.Module):
        checks.refuse_type("model", "a torch.nn.Module", model)
    name = type(model).__name__
    if not any(p.requires_grad for p in model.parameters()):
        raise ArgumentError(
            f"model must have trainable parameters, {name} has none: set requires_grad on what should be trained"
        )
    tensors = (*model.parameters(), *model.buffers())
    if any(tensor.is_meta for tensor in tensors):
        raise ArgumentError(f"model must have all its weights, {name} has some on the meta device: initialise it")
    if any(is_lazy(tensor) for tensor in tensors):
        raise ArgumentError(f"model must have all its weights, {name} has lazy ones: run one forward pass first")


def check_optimizer(optimizer: object) -> None:
    """Refuse an object that is not an optimizer.

    Raises:
        ArgumentTypeError: if it is not a `torch.optim.Optimizer`.
    """
    if not isinstance(optimizer, Optimizer):
        checks.refuse_type("optimizer", "a torch.optim.Optimizer", optimizer)


def optimizers_within(optimizer: Optimizer) -> list[Optimizer]:
    """The optimizer and all those that it holds in its attributes, at any depth, the innermost first."""
    outermost_first = [optimizer]
    for outer in outermost_first:  # grows on the way
        for inner in _inner(outer):
            if not any(inner is entry for entry in outermost_first):
                outermost_first.append(inner)
    return outermost_first[::-1]


def stepping(optimizer: Optimizer) -> Optimizer:
    """The optimizer whose `step` changes the weights, which may be inside another one.

    Accelerate, Lightning, SAM and Lookahead wrap an optimizer: they hold it in an attribute, have the same parameter groups,
    and call its `step`. Sharing the groups is the sign, because each library names the attribute differently.

    Raises:
        ArgumentError: if an optimizer inside has groups of its own, so that an LR written into the outer groups is not used.
    """
    if _copies_groups(optimizer):
        return optimizer
    groups = [id(group) for group in optimizer.param_groups]
    for inner in _inner(optimizer):
        theirs = [id(group) for group in inner.param_groups]
        if theirs == groups:
            return stepping(inner)
        if not set(theirs) <= set(groups):
            raise ArgumentError(
                f"an optimizer inside another must share its parameter groups, the {type(inner).__name__} inside "
                f"{type(optimizer).__name__} does not, so that the outer LR would have no effect: give the inner optimizer"
            )
    return optimizer


def has_two_calls(optimizer: Optimizer) -> bool:
    """Whether an update can be made by two calls, `first_step` and `second_step`, as SAM's can.

    They are the names in every implementation of sharpness-aware minimisation (Foret et al. 2021) for torch.
    """
    return all(callable(getattr(optimizer, call, None)) for call in ("first_step", "second_step"))


def require_hooks(optimizer: Optimizer) -> None:
    """Refuse an optimizer whose updates do not call its step hooks.

    Raises:
        ArgumentError: if it changes weights outside `step`, or was built without the constructor of `torch.optim.Optimizer`.
    """
    name = type(optimizer).__name__
    remedy = "drive it with learnrate.torch.Scheduler, and call its step() after every update"
    if len(calls := _step_calls(optimizer)) > 1:
        raise ArgumentError(
            f"the optimizer must make its updates by step(), {name} makes them by other calls, {', '.join(calls)}: {remedy}"
        )
    # torch marks a class whose `step` runs the hooks. It has no public sign.
    if not (hasattr(optimizer, "_optimizer_step_pre_hooks") and getattr(type(optimizer).step, "hooked", False)):
        raise ArgumentError(
            f"the optimizer must run step hooks, {name} does not, because it does not call Optimizer.__init__: {remedy}"
        )


def _step_calls(optimizer: Optimizer) -> list[str]:
    """Its methods whose names say that they are parts of an update: `first_step` and `second_step`, `ascent_step`, ..."""
    names = set(dir(type(optimizer))) - set(dir(Optimizer))
    return sorted(name for name in names if name.endswith("_step") and not name.startswith("_"))


def _inner(optimizer: Optimizer) -> Iterator[Optimizer]:
    """Optimizers in the attributes of an optimizer.

    Also those in lists and mappings there, the object of a bound method, and those in the attributes of another object if
    they train the same parameters.
    """
    parameters: set[int] | None = None
    for value in _attributes(optimizer):
        yield from (inner for inner in _optimizers_in(value) if inner is not optimizer)
        if hasattr(value, "__dict__") and not isinstance(value, (Optimizer, nn.Module, type)):
            # The object may be a trainer, which has all optimizers of a run.
            parameters = _parameters_of(optimizer) if parameters is None else parameters
            for inner in (inner for entry in list(vars(value).values()) for inner in _optimizers_in(entry)):
                if inner is not optimizer and _parameters_of(inner) <= parameters:
                    yield inner


def _attributes(optimizer: Optimizer) -> Iterator[object]:
    """All that an optimizer refers to: its attributes, its class, and the values of dictionaries among them.

    `vars` would give the attributes alone. But Python 3.11 and 3.12 store attributes without a dictionary until it is asked
    for; from then on every look-up of `param_groups` takes longer, and makes a scheduler's step longer by a sixth.
    """
    for referent in gc.get_referents(optimizer):
        # If the dictionary exists, it is one of these, and nothing tells it apart from a dictionary that is an attribute.
        if type(referent) is dict:
            yield from list(referent.values())
        else:
            yield referent


def _parameters_of(optimizer: Optimizer) -> set[int]:
    return {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}


def _optimizers_in(value: object) -> Iterator[Optimizer]:
    if isinstance(value, Optimizer):
        yield value
    elif isinstance(value, MethodType) and isinstance(value.__self__, Optimizer):
        yield value.__self__
    elif isinstance(value, (list, tuple, Mapping)):
        for entry in value.values() if isinstance(value, Mapping) else value:
            yield from _optimizers_in(entry)


def _copies_groups(optimizer: Optimizer) -> bool:
    """Whether its `step` first copies its own groups into those of the optimizer inside, as ZeRO does.

    It can only be one if the user has imported its module, which takes long.
    """
    zero = sys.modules.get("torch.distributed.optim.zero_redundancy_optimizer")
    return zero is not None and isinstance(optimizer, zero.ZeroRedundancyOptimizer)


def optimizers_by_name(optimizer: object) -> dict[str, Optimizer]:
    """The optimizers by name: the keys of a mapping, otherwise "0", "1" and so on.

    Raises:
        ArgumentTypeError: if one of them is not an optimizer.
        ArgumentError: if there are none.
    """
    if isinstance(optimizer, Mapping):
        optimizers = {str(name): entry for name, entry in optimizer.items()}
    elif isinstance(optimizer, (list, tuple)):
        optimizers = {str(number): entry for number, entry in enumerate(optimizer)}
    else:
        optimizers = {"0": optimizer}
    if not optimizers:
        checks.refuse("optimizer", "one optimizer or several", optimizer)
    for entry in optimizers.values():
        check_optimizer(entry)
    return optimizers


def check_pair(model: nn.Module, optimizers: Mapping[str, Optimizer]) -> None:
    """Refuse a model and optimizers that cannot train together.

    Raises:
        ArgumentTypeError: if `model` is not a module.
        ArgumentError: if the model has no trainable parameters, or an optimizer holds none of them, has no LR, or
            wraps an optimizer with groups of its own.
    """
    check_model(model)
    trainable = {id(p) for p in model.parameters() if p.requires_grad}
    for optimizer in optimizers.values():
        stepping(optimizer)
        groups = optimizer.param_groups
        if not all("lr" in group for group in groups):
            raise ArgumentError(
                f"the optimizer must have 'lr' in every parameter group, {type(optimizer).__name__} does not"
            )
        if not any(id(p) in trainable for group in groups for p in group["params"]):
            raise ArgumentError(
                "the optimizer must hold trainable parameters of the model, it holds none: build it from model.parameters()"
            )
