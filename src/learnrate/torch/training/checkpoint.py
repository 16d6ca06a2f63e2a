"""Checkpoints of a torch training, with which it goes on in another process, bit for bit.

A `Snapshot` puts the same objects back and may keep references to them; a checkpoint must find each thing again in objects
that were built again. So tensors are named by their place in the modules, states of optimizers by the number of their
parameter, and all else by the path on which it is reached from model, losses and optimizers (`own_state`). torch's own
`load_state_dict` of an optimizer is not used, because it casts the state to the type of the parameter.
"""

import copy
import hashlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader, Dataset, Sampler

from learnrate import random_numbers
from learnrate.own_state import Change, OwnState, attributes
from learnrate.random_numbers import States
from learnrate.replay import Position
from learnrate.torch.snapshot.extras import OWN_PARTS, with_inner
from learnrate.torch.snapshot.functions import MODULE_ENTRIES, is_framework
from learnrate.torch.snapshot.parts import MARKS, is_stateful
from learnrate.torch.snapshot.storage import as_bytes, distinct
from learnrate.torch.snapshot.watched import memory_of
from learnrate.trainable import NotResumableError

DATA = (LRScheduler, torch.amp.GradScaler, Dataset, DataLoader, Sampler)
"""Objects that are kept by their `state_dict`, or are data."""


@dataclass(frozen=True)
class Stored:
    """A tensor in main memory.

    Attributes:
        elements: A copy of its elements.
        on_host: Whether it lives in main memory, and not on the device of the model.
    """

    elements: Tensor
    on_host: bool


@dataclass(frozen=True)
class State:
    """What training has changed beside the position in the data.

    Attributes:
        tensors: Parameters and buffers, by their place.
        modes: Train/eval mode of each module, and which parameters are trained.
        extra: What modules return from `get_extra_state`.
        optimizers: Groups, state and marks of each optimizer.
        scaler: Attributes of the gradient scaler.
        loaded: What the other objects return from `state_dict`.
        own: What objects and functions keep in themselves.
    """

    tensors: Mapping[str, Stored]
    modes: Mapping[str, bool]
    extra: Mapping[str, Any]
    optimizers: Sequence[Mapping[str, Any]]
    scaler: Mapping[str, Any]
    loaded: Sequence[Any]
    own: Mapping[str, Change]


@dataclass(frozen=True)
class Checkpoint:
    """A whole checkpoint.

    Attributes:
        state: Model, optimizers and what else was changed.
        position: The position in the data.
        counters: Counters of the trainable.
        kinds: Which losses are criteria, where that has shown: it is tried out in the first update.
        random: The global random numbers.
    """

    state: State
    position: Position
    counters: Mapping[str, Any]
    kinds: Sequence[bool | None]
    random: States


class Parts:
    """What a checkpoint of these objects consists of; made before the first update.

    Args:
        model: What is trained.
        optimizers: Its optimizers.
        others: Losses, evaluation, scaler and what else training changes, but not the batches.
    """

    def __init__(self, model: nn.Module, optimizers: Sequence[Optimizer], others: Sequence[Any]) -> None:
        self._device = next(model.parameters()).device
        named = {"model": model, **{f"kept {number}": other for number, other in enumerate(others)}}
        self._modules = {name: module for name, module in named.items() if isinstance(module, nn.Module)}
        more = [other for other in others if isinstance(other, Optimizer)]
        self._optimizers = with_inner([*optimizers, *more])
        self._scalers = [other for other in others if isinstance(other, torch.amp.GradScaler)]
        special = (nn.Module, Optimizer, torch.amp.GradScaler)
        self._stateful = [other for other in others if is_stateful(other) and not isinstance(other, special)]
        roots = {**named, **{f"optimizer {number}": entry for number, entry in enumerate(self._optimizers)}}
        self._known = self._memory()
        self._own = OwnState(roots, self._entries, self._is_known)

    def _memory(self) -> set[int]:
        return {memory_of(tensor) for tensor in self._tensors().values()}

    def _is_known(self, tensor: Tensor) -> bool:
        return memory_of(tensor) in self._known

    def _entries(self, value: Any) -> Mapping[str, Any] | None:
        """The attributes that `own_state` looks at."""
        if isinstance(value, nn.Module):
            own = {} if is_framework(type(value)) else {k: v for k, v in vars(value).items() if k not in MODULE_ENTRIES}
            return {**own, **value._modules}
        if isinstance(value, Optimizer):
            own = {} if is_framework(type(value)) else vars(value)
            hidden = (*OWN_PARTS, *MARKS, "defaults")
            return {k: v for k, v in own.items() if k not in hidden and not k.startswith("_optimizer_")}
        if isinstance(value, DATA) or any(value is other for other in self._stateful):
            return None
        return attributes(value)

    def state(self) -> State:
        """A copy of the present state.

        Raises:
            NotResumableError: if there is something that cannot be copied.
        """
        self._known = self._memory()
        return State(
            {path: self._stored(tensor) for path, tensor in self._tensors().items()},
            dict(self._modes()),
            {path: copy.deepcopy(module.get_extra_state()) for path, module in self._with_extra_state()},
            [self._of_optimizer(optimizer) for optimizer in self._optimizers],
            self._of_scaler(),
            [copy.deepcopy(item.state_dict()) for item in self._stateful],
            self._own.changes(),
        )

    @torch.no_grad()
    def put(self, state: State) -> None:
        """Make this state that of the objects.

        Raises:
            NotResumableError: if they are not built like those of the checkpoint.
        """
        self._put_tensors(state.tensors)
        self._put_modes(state.modes)
        for path, module in self._with_extra_state():
            if path in state.extra and type(module).set_extra_state is not nn.Module.set_extra_state:
                module.set_extra_state(copy.deepcopy(state.extra[path]))
        for optimizer, stored in zip(self._optimizers, state.optimizers, strict=True):
            self._put_optimizer(optimizer, stored)
        for scaler in self._scalers:
            vars(scaler).update(self._from_host(state.scaler))
        for item, loaded in zip(self._stateful, state.loaded, strict=True):
            item.load_state_dict(copy.deepcopy(loaded))
        self._own.put(state.own)

    def _named_modules(self) -> Iterator[tuple[str, nn.Module]]:
        for root, module in self._modules.items():
            yield from ((f"{root}.{name}" if name else root, part) for name, part in module.named_modules())

    def _with_extra_state(self) -> Iterator[tuple[str, nn.Module]]:
        for path, module in self._named_modules():
            if type(module).get_extra_state is not nn.Module.get_extra_state:
                yield path, module

    def _tensors(self) -> dict[str, Tensor]:
        """Parameters and buffers, each once; parameters also that only an optimizer has."""
        tensors = {
            f"{path}.{name}": tensor
            for path, module in self._named_modules()
            for name, tensor in (*module._parameters.items(), *module._buffers.items())
            if tensor is not None and not is_lazy(tensor)
        }
        for number, optimizer in enumerate(self._optimizers):
            tensors |= {f"optimizer {number}[{index}]": parameter for index, parameter in enumerate(_parameters(optimizer))}
        first_paths = {id(tensor): path for path, tensor in reversed(tensors.items())}
        return {path: tensor for path, tensor in tensors.items() if first_paths[id(tensor)] == path}

    def _put_tensors(self, stored: Mapping[str, Stored]) -> None:
        present = self._tensors()
        if present.keys() != stored.keys():
            different = sorted(present.keys() ^ stored.keys())
            raise NotResumableError(f"the checkpoint is that of another model: it differs in {different[0]}")
        for path, tensor in present.items():
            elements = stored[path].elements
            into = distinct(tensor.detach())
            if (into.shape, into.dtype, into.layout) != (elements.shape, elements.dtype, elements.layout):
                raise NotResumableError(
                    f"the checkpoint is that of another model: {path} is {_shown(into)} here and {_shown(elements)} there"
                )
            into.copy_(elements)

    def _modes(self) -> Iterator[tuple[str, bool]]:
        for path, module in self._named_modules():
            yield path, module.training
            yield from ((f"{path}.{name}", p.requires_grad) for name, p in module._parameters.items() if p is not None)

    def _put_modes(self, modes: Mapping[str, bool]) -> None:
        for path, module in self._named_modules():
            module.training = modes[path]
            for name, parameter in module._parameters.items():
                if parameter is not None and parameter.requires_grad != modes[f"{path}.{name}"]:
                    parameter.requires_grad_(modes[f"{path}.{name}"])

    def _of_optimizer(self, optimizer: Optimizer) -> dict[str, Any]:
        numbers: dict[Any, int] = {parameter: number for number, parameter in enumerate(_parameters(optimizer))}
        unknown = [key for key in optimizer.state if key not in numbers and not isinstance(key, str)]
        if unknown:
            name = type(optimizer).__name__
            raise NotResumableError(f"{name} has state for a {type(unknown[0]).__name__} that is not among its parameters")
        return {
            "sizes": [len(group["params"]) for group in optimizer.param_groups],
            "groups": [{k: self._to_host(v) for k, v in group.items() if k != "params"} for group in optimizer.param_groups],
            "state": [(numbers.get(key, key), self._to_host(state)) for key, state in optimizer.state.items()],
            "marks": {name: value for name, value in vars(optimizer).items() if name in MARKS},
        }

    def _put_optimizer(self, optimizer: Optimizer, stored: Mapping[str, Any]) -> None:
        sizes = [len(group["params"]) for group in optimizer.param_groups]
        if sizes != stored["sizes"]:
            raise NotResumableError(
                f"the checkpoint is that of another optimizer: its groups have {stored['sizes']} parameters, here {sizes}"
            )
        for group, values in zip(optimizer.param_groups, stored["groups"], strict=True):
            for key, value in values.items():
                if isinstance(value, Stored) and isinstance(group.get(key), Tensor):
                    group[key].copy_(value.elements)  # in place: a compiled step may refer to it
                else:
                    group[key] = self._from_host(value)
        parameters = list(_parameters(optimizer))
        optimizer.state.clear()
        for key, state in stored["state"]:
            optimizer.state[parameters[key] if isinstance(key, int) else key] = self._from_host(state)
        vars(optimizer).update(stored["marks"])

    def _of_scaler(self) -> dict[str, Any]:
        # Its state_dict does not show that the scale does not exist before the first use.
        states = [{k: v for k, v in vars(scaler).items() if k != "_per_optimizer_states"} for scaler in self._scalers]
        return {k: self._to_host(v) for state in states for k, v in state.items()}

    def _stored(self, tensor: Tensor) -> Stored:
        if tensor.is_quantized:
            raise NotResumableError("quantised tensors are not kept in checkpoints")
        return Stored(distinct(tensor.detach()).to("cpu", copy=True), tensor.device.type == "cpu")

    def _to_host(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return self._stored(value)
        if isinstance(value, dict):
            return {key: self._to_host(entry) for key, entry in value.items()}
        if type(value) in (list, tuple, deque):
            return type(value)(self._to_host(entry) for entry in value)
        return copy.deepcopy(value)

    def _from_host(self, value: Any) -> Any:
        if isinstance(value, Stored):
            return value.elements.to("cpu" if value.on_host else self._device, copy=True)
        if isinstance(value, dict):
            return {key: self._from_host(entry) for key, entry in value.items()}
        if type(value) in (list, tuple, deque):
            return type(value)(self._from_host(entry) for entry in value)
        return copy.deepcopy(value)


def fingerprint(model: nn.Module) -> str:
    """A hash of the parameters and buffers of a model: 16 hexadecimal digits of SHA-256."""
    digest = hashlib.sha256()
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        dense = tensor.detach().to_dense() if tensor.layout != torch.strided else tensor.detach()
        digest.update(as_bytes(dense.resolve_conj().resolve_neg().cpu()).numpy().data)
    return digest.hexdigest()[:16]


def taken(parts: Parts, trainable: Any, counters: Sequence[str]) -> Checkpoint:
    """A checkpoint of a trainable.

    Args:
        parts: What it consists of.
        trainable: Has the stream and the counters.
        counters: Names of its attributes that count.

    Raises:
        NotResumableError: if it would not be complete.
    """
    before = random_numbers.states()
    try:
        position = trainable.stream.position()
        values = {name: copy.deepcopy(getattr(trainable, name)) for name in counters}
        kinds = [objective.loss.is_criterion for objective in trainable.objectives]
        return Checkpoint(parts.state(), position, values, kinds, before)
    finally:
        random_numbers.put_back(before)  # a state_dict may take some


def put(parts: Parts, trainable: Any, checkpoint: Checkpoint) -> None:
    """Bring a trainable to where the checkpoint was taken.

    Raises:
        NotResumableError: if it is that of another training, or the data are other ones.
    """
    parts.put(checkpoint.state)
    trainable.stream.go_to(checkpoint.position)
    for name, value in checkpoint.counters.items():
        setattr(trainable, name, copy.deepcopy(value))
    for objective, kind in zip(trainable.objectives, checkpoint.kinds, strict=True):
        objective.loss.is_criterion = kind
    random_numbers.put_back(checkpoint.random)


def _parameters(optimizer: Optimizer) -> Iterator[Tensor]:
    return (parameter for group in optimizer.param_groups for parameter in group["params"])


def _shown(tensor: Tensor) -> str:
    return f"{tensor.dtype} {tuple(tensor.shape)}"
