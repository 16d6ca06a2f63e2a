"""What was measured of an update, before anything is decided about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from learnrate import records
from learnrate.torch.control.readings import Reading

Number = float | Reading
"""A number, which may still be on its way from its device."""


@dataclass(frozen=True)
class Measured:
    """What was measured of an update.

    Attributes:
        update: Its number.
        lr: Its LR, the largest of the groups.
        losses: The losses of its micro-batches.
        norm: The norm of its gradient; None if it was not measured.
        restarts: Whether a cycle of the schedule begins with it.
    """

    update: int
    lr: float
    losses: tuple[Number, ...]
    norm: Number | None
    restarts: bool

    def to_json(self) -> dict[str, Any]:
        """What a checkpoint keeps of an update whose loss was not looked at yet."""
        losses = [records.encode_float(float(loss)) for loss in self.losses]
        norm = None if self.norm is None else records.encode_float(float(self.norm))
        return {"update": self.update, "lr": self.lr, "losses": losses, "norm": norm, "restarts": self.restarts}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Measured":
        """Read what `to_json` wrote; numbers that are not finite are texts in JSON."""
        norm = None if content["norm"] is None else float(content["norm"])
        losses = tuple(float(loss) for loss in content["losses"])
        return cls(int(content["update"]), float(content["lr"]), losses, norm, bool(content["restarts"]))
