"""Numbers on a device, read later, so that the device is not waited for."""

from typing import Any

import torch
from torch import Tensor

from learnrate.trainable import scalar


class Reading:
    """A number that is on its way to main memory.

    Args:
        name: What it is, for an error.
        value: A tensor with one element.
    """

    def __init__(self, name: str, value: Tensor) -> None:
        self._name = name
        if value.is_cuda and value.numel() == 1:
            # Only a copy into pages that stay where they are does not wait.
            self._copy = torch.empty(value.shape, dtype=value.dtype, pin_memory=True)
            self._copy.copy_(value.detach(), non_blocking=True)
            self._arrived: Any = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._arrived.record()
        else:
            self._copy, self._arrived = value.detach().clone(), None

    def __float__(self) -> float:
        if self._arrived is not None:
            self._arrived.synchronize()
        return float(scalar(self._name, self._copy))
