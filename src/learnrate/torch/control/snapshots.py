"""Snapshots of weights, buffers and the state of an optimizer: light ones, taken again and again, and put back in place."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from learnrate.errors import NotRestoredWarning, OutputError
from learnrate.interrupts import delayed_interrupts
from learnrate.torch.snapshot.parts import anything
from learnrate.torch.snapshot.storage import TensorStorage, local
from learnrate.user_code import warn

Where = Literal["memory", "cpu", "disk"]
"""Beside the tensors, in main memory, in a temporary file."""

KEPT = 2
"""The newer one may be from the beginning of an explosion. Then the older one is put back."""

DRIVEN = frozenset({"params", "lr", "initial_lr", "lr_scale", "momentum", "betas", "weight_decay", "eps"})
"""What a snapshot leaves alone in parameter groups, because schedules may drive it. Other numbers belong to the state: the
step size of Prodigy, the count of schedule-free optimizers."""


class Place(NamedTuple):
    """Where a tensor is.

    Attributes:
        kind: What it is.
        holder: The parameter itself, the module of a buffer, the parameter of a state.
        name: Name of the buffer or of the entry.
    """

    kind: Literal["parameter", "buffer", "state"]
    holder: Any
    name: str

    @property
    def key(self) -> tuple[str, int, str]:
        """Tells it from others. Parameters themselves are compared element by element."""
        return self.kind, id(self.holder), self.name

    def entries(self, optimizer: Optimizer) -> dict[str, Any]:
        """The mapping in which a buffer or an entry is."""
        entries: dict[str, Any] = self.holder._buffers if self.kind == "buffer" else optimizer.state[self.holder]
        return entries


class Snapshots:
    """The last two snapshots of a model and its optimizer.

    Left alone are random numbers and the position in the data, because a run goes on with the next batch after a rollback.

    Args:
        model: The model, also one that is distributed over processes: each process keeps its own shard.
        where: Where they live. Without room on the disk a warning is given, and the run goes on with those there are.
        scaler: The gradient scaler, whose scale an explosion halves again and again; None for none.

    Attributes:
        size: Bytes of all snapshots.
    """

    def __init__(self, model: nn.Module, where: Where, scaler: torch.amp.GradScaler | None = None) -> None:
        self._model, self._where, self._scaler = model, where, scaler
        self._kept: list[_Snapshot] = []
        self._spare: _Snapshot | None = None
        self._used: _Snapshot | None = None
        self.size = 0

    def __repr__(self) -> str:
        updates = ", ".join(str(snapshot.update) for snapshot in self._kept)
        return f"<Snapshots of updates {updates or 'none'}: {self.size / 2**20:.1f} MiB in {self._where}>"

    @property
    def newest(self) -> int | None:
        """The update that the newest snapshot is of; None without one."""
        return self._kept[-1].update if self._kept else None

    def clear(self) -> None:
        """Forget all snapshots: others are good now, because a checkpoint was loaded."""
        for snapshot in self._kept:
            snapshot.close()
        self._kept, self._spare, self._used, self.size = [], None, None, 0

    def take(self, optimizer: Optimizer, update: int) -> None:
        """Take a snapshot, in the place of the oldest of two.

        Args:
            optimizer: The optimizer that steps.
            update: Number of updates so far.

        Warns:
            NotRestoredWarning: if there is no room on the disk.
        """
        snapshot = self._spare or (self._kept.pop(0) if len(self._kept) == KEPT else _Snapshot(self._where))
        self._spare = None
        try:
            snapshot.fill(self._model, optimizer, update)
            if self._scaler is not None:
                snapshot.plain.append(partial(self._scaler.load_state_dict, self._scaler.state_dict()))
        except OutputError as error:
            snapshot.close()
            warn(
                f"no snapshot of update {update} is kept, the last good one is of {self.newest or 'no update'}: {error}",
                NotRestoredWarning,
            )
            return
        self._kept.append(snapshot)
        self.size = sum(kept.size for kept in self._kept)

    def restore(self, optimizer: Optimizer, update: int, delay: int) -> int | None:
        """Put a snapshot back: the newest that is old enough, and an older one if that did not help.

        Args:
            optimizer: The optimizer that steps.
            update: Number of updates so far.
            delay: Its age in updates, at least, if there is one that is so old.

        Ctrl-C waits until all is back.

        Returns:
            The update that it is of; None without a snapshot.

        Warns:
            NotRestoredWarning: if there is none.
        """
        while len(self._kept) > 1 and (update - self._kept[-1].update < delay or self._kept[-1] is self._used):
            self._spare = self._kept.pop()  # it is from the explosion: its memory is used for the next one
        if not self._kept:
            warn(f"nothing is put back at update {update}, because there is no snapshot", NotRestoredWarning)
            return None
        self._used = self._kept[-1]
        with delayed_interrupts():
            self._used.put_back(optimizer)
        return self._used.update

    def mend(self, optimizer: Optimizer) -> list[str]:
        """Put those buffers back that a batch has spoilt: the ones that are not finite, and statistics of batches.

        Returns:
            Their names.
        """
        return self._kept[-1].mend(self._model, optimizer) if self._kept else []


@dataclass
class _Snapshot:
    """One snapshot. Its memory is used again by the next `fill`."""

    where: Where
    update: int = -1
    places: Sequence[Place] = ()
    copies: list[Tensor] = field(default_factory=list)
    stored: list[Callable[[], Tensor]] = field(default_factory=list)
    plain: list[Callable[[], object]] = field(default_factory=list)
    storage: TensorStorage | None = None

    @property
    def size(self) -> int:
        """Bytes of the copies."""
        return sum(copy.nbytes for copy in self.copies) + (0 if self.storage is None else self.storage.size)

    def close(self) -> None:
        """Free what it takes."""
        if self.storage is not None:
            self.storage.close()
        self.storage, self.places, self.copies, self.stored, self.plain = None, (), [], [], []

    def fill(self, model: nn.Module, optimizer: Optimizer, update: int) -> None:
        """Copy everything as it is now."""
        before = {place.key: copy for place, copy in zip(self.places, self.copies, strict=False)}
        pairs = list(_tensors(model, optimizer))
        tensors = [_elements(tensor) for _, tensor in pairs]
        self.update, self.plain = update, list(_plain(optimizer))
        self.places = [place for place, _ in pairs]
        if self.where == "disk":
            if self.storage is not None:  # the space is free again before it is needed
                self.storage.close()
            self.storage = TensorStorage("disk")
            self.stored = [self.storage.store(tensor) for tensor in tensors]
            return
        self.copies = [self._room(before.get(place.key), tensor) for place, tensor in zip(self.places, tensors, strict=True)]
        _copy(self.copies, tensors)

    def _room(self, before: Tensor | None, tensor: Tensor) -> Tensor:
        device = tensor.device if self.where == "memory" else torch.device("cpu")
        if before is not None and (before.shape, before.dtype, before.device) == (tensor.shape, tensor.dtype, device):
            return before
        # Copies between a device and main memory are several times as fast into pages that stay where they are.
        return torch.empty_like(tensor, device=device, pin_memory=device.type == "cpu" and tensor.is_cuda)

    def put_back(self, optimizer: Optimizer) -> None:
        """Put everything back in place, so that tensors keep their identity."""
        for put_back in self.plain:
            put_back()
        self._put_back(optimizer, range(len(self.places)))

    def mend(self, model: nn.Module, optimizer: Optimizer) -> list[str]:
        """See `Snapshots.mend`."""
        spoilt = {
            ("buffer", id(module), name): f"{path}.{name}" if path else name
            for path, module in model.named_modules()
            for name, buffer in module._buffers.items()
            if buffer is not None
            and buffer.is_floating_point()
            and (_is_of_batches(module) or not bool(torch.isfinite(local(buffer)).all()))
        }
        numbers = [number for number, place in enumerate(self.places) if place.key in spoilt]
        self._put_back(optimizer, numbers)
        return [spoilt[self.places[number].key] for number in numbers]

    def _put_back(self, optimizer: Optimizer, numbers: Iterable[int]) -> None:
        targets: list[Tensor] = []
        copies: list[Tensor] = []
        for number in numbers:
            place = self.places[number]
            copy = self.stored[number]() if self.where == "disk" else self.copies[number]
            if place.kind == "parameter":
                present = place.holder
            else:
                entries = place.entries(optimizer)
                present = entries.get(place.name)
                if not isinstance(present, Tensor) or _elements(present).shape != copy.shape:
                    # It was replaced by something else since, or the optimizer has dropped it.
                    present = entries[place.name] = torch.empty_like(copy, device=self._device(place))
            targets.append(_elements(present))
            copies.append(copy)
        _copy(targets, copies)

    @staticmethod
    def _device(place: Place) -> torch.device | None:
        if place.kind == "state":
            return None if place.name == "step" else place.holder.device
        return next((parameter.device for parameter in place.holder.parameters()), None)


def _is_of_batches(module: nn.Module) -> bool:
    # The base class of BatchNorm and InstanceNorm; there is no public name for all of them.
    return isinstance(module, nn.modules.batchnorm._NormBase)


def _tensors(model: nn.Module, optimizer: Optimizer) -> Iterator[tuple[Place, Tensor]]:
    """All tensors that training changes, each once."""
    parameters = {id(parameter): parameter for parameter in model.parameters() if parameter.requires_grad}
    for group in optimizer.param_groups:
        parameters |= {id(parameter): parameter for parameter in group["params"]}
    yield from ((Place("parameter", parameter, ""), parameter) for parameter in parameters.values())
    for module in model.modules():
        for name, buffer in module._buffers.items():
            if buffer is not None:
                yield Place("buffer", module, name), buffer
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor):
                yield Place("state", parameter, name), value


def _plain(optimizer: Optimizer) -> Iterator[Callable[[], object]]:
    """How to put back what is no tensor: which entries the state has, counts and lists in it, numbers in groups."""
    states = {parameter: dict(state) for parameter, state in optimizer.state.items()}

    def entries() -> None:
        for parameter in list(optimizer.state):
            for name in set(optimizer.state[parameter]) - set(states.get(parameter, ())):
                del optimizer.state[parameter][name]
            if parameter not in states:
                del optimizer.state[parameter]

    yield entries
    storage = TensorStorage("device")
    for parameter, state in states.items():
        for name, value in state.items():
            if not isinstance(value, Tensor):
                yield partial(_assign, optimizer, parameter, name, anything(value, storage))
    for group in optimizer.param_groups:
        for name, value in group.items():
            if name not in DRIVEN and isinstance(value, (int, float)) and not isinstance(value, bool):
                yield partial(group.__setitem__, name, value)


def _assign(optimizer: Optimizer, parameter: Any, name: str, value: Callable[[], Any]) -> None:
    optimizer.state[parameter][name] = value()


def _elements(tensor: Tensor) -> Tensor:
    # Not `detach`: writing would count as a change of weights that autograd needs, and a rollback may precede `backward`.
    return local(tensor.data)


def _copy(targets: Sequence[Tensor], sources: Sequence[Tensor]) -> None:
    """Copy tensors, in one call for each pair of devices and dtypes, which is the fast way on devices."""
    groups: dict[Any, tuple[list[Tensor], list[Tensor]]] = {}
    for target, source in zip(targets, sources, strict=True):
        pair = groups.setdefault((target.device, source.device, target.dtype), ([], []))
        pair[0].append(target)
        pair[1].append(source)
    with torch.no_grad():
        for first, second in groups.values():
            torch._foreach_copy_(first, second)
