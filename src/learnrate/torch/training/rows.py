"""The values that an update returns, as rows: by name, of several losses, from a device."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from learnrate.trainable import Reading

ON_DEVICE = Reading(every=8, within=math.inf)
"""On an accelerator each reading makes the host wait until the device has finished its work."""

ON_HOST = Reading(every=8, within=0.01)
"""On the host reading is a little faster in blocks. Only a range test does that: updates that are made in vain cost it
nothing, but they cost tuning a part of its budget."""


def prefixed(name: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """The values of one of several losses: the loss itself under the name of its optimizer."""
    return {name if key == "loss" else f"{name} {key}": value for key, value in row.items()}


def fetched(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Values of updates with all scalars as Python numbers, copied together because each copy waits for the device."""
    waiting = [v for row in rows for v in row.values() if isinstance(v, Tensor) and v.numel() == 1]
    scalars_on_device = [v.detach().double().reshape(()).to(waiting[0].device) for v in waiting]
    numbers = torch.stack(scalars_on_device).tolist() if waiting else []
    number_of = {id(v): number for v, number in zip(waiting, numbers, strict=True)}
    return [{name: number_of.get(id(v), v) for name, v in row.items()} for row in rows]
