"""A batch whose loss is not finite: found before it changes anything, left out, and named."""

import cmath
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

MOST_NAMED = 10
"""Batches that the note of a curve names."""


class NotFiniteError(Exception):
    """The loss of a batch is not finite, and nothing was changed yet.

    Attributes:
        position: Which of the micro-batches of the update it is, counted from their end: -1 is the last.
        loss: Its loss.
    """

    def __init__(self, position: int, loss: float) -> None:
        super().__init__(f"the loss of micro-batch {position} is {loss}")
        self.position, self.loss = position, loss


@dataclass(frozen=True)
class BadBatch:
    """A batch that was left out.

    Attributes:
        number: Its number since the batches were started (again), counted from 0.
        loss: Its loss.
        update: The update that was made with the next batch instead.
        lr: The LR of this update.
    """

    number: int
    loss: float
    update: int
    lr: float


def require_finite(loss: Tensor, position: int) -> None:
    """Refuse a loss that is not finite.

    Raises:
        NotFiniteError: if it is not.
    """
    number = loss.item()
    if not cmath.isfinite(number):
        raise NotFiniteError(position, number)


class Buffers:
    """The buffers of modules before a forward pass, which changes them (batch norm) also where no update follows.

    Those that the first forward pass leaves as they are (masks, tables) are not copied again.
    """

    def __init__(self, roots: Iterable[nn.Module]) -> None:
        self._owners = [(module, name) for root in roots for module in root.modules() for name in module._buffers]
        self._kept: list[tuple[nn.Module, str, Tensor]] = []
        self._copies: list[Tensor] = []
        self._settled = False

    def keep(self) -> None:
        """Copy the buffers."""
        if not self._owners:
            return
        if self._kept and all(module._buffers.get(name) is buffer for module, name, buffer in self._kept):
            torch._foreach_copy_(self._copies, [buffer for *_, buffer in self._kept])  # many small copies in one call
            return
        present = [(module, name, module._buffers.get(name)) for module, name in self._owners]
        self._kept = [
            (module, name, buffer)
            for module, name, buffer in present
            if buffer is not None and not is_lazy(buffer) and buffer.layout is torch.strided
        ]
        self._copies = [buffer.detach().clone() for *_, buffer in self._kept]

    def put_back(self) -> None:
        """Make the buffers what they were at the last `keep`."""
        with torch.no_grad():
            for (module, name, buffer), copy in zip(self._kept, self._copies, strict=True):
                if not torch.equal(buffer, copy):
                    buffer.copy_(copy)
                module._buffers[name] = buffer

    def settle(self) -> None:
        """Learn from an update which buffers change."""
        if self._settled:
            return
        same = {
            (id(module), name)
            for (module, name, buffer), copy in zip(self._kept, self._copies, strict=True)
            if module._buffers.get(name) is buffer and torch.equal(buffer, copy)
        }
        self._owners = [(module, name) for module, name in self._owners if (id(module), name) not in same]
        self._kept, self._copies, self._settled = [], [], True


def note(left_out: list[BadBatch]) -> str:
    """What a reader of the curve should know about the batches that were left out."""
    if len(left_out) == 1:
        bad = left_out[0]
        return (
            f"batch {bad.number} is at fault, not the LR: its loss was {bad.loss} at update {bad.update} (LR {bad.lr:.2g}), "
            "and that of other batches finite with the same weights; it was left out"
        )
    counts = Counter(bad.number for bad in left_out)
    shown = [f"{number} ({count} times)" if count > 1 else str(number) for number, count in counts.items()]
    named = ", ".join(shown[:MOST_NAMED]) + (f", ... ({len(shown)} batches)" if len(shown) > MOST_NAMED else "")
    updates = f"updates {left_out[0].update} to {left_out[-1].update}"
    return (
        f"batches {named} are at fault, not the LR: their losses were not finite ({updates}), and those of other batches "
        "finite with the same weights; they were left out"
    )
