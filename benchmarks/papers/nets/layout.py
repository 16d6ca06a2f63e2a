"""How weights and images lie in memory: channels last, which convolutions on a CPU and on a GPU are quickest with."""

from typing import TypeVar

import torch
from torch import Tensor, nn

Net = TypeVar("Net", bound=nn.Module)


def channels_last(net: Net) -> Net:
    """The net with its weights laid out so."""
    return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def laid_out(images: Tensor) -> Tensor:
    """Images laid out so; they keep the order of their axes."""
    return images.contiguous(memory_format=torch.channels_last)
