"""Low-rank fine-tuning of a small vision transformer: what the tasks of rank 2 and of rank 16 share."""

import math

import numpy as np
import torch
from torch import Tensor, nn, optim

from benchmarks.choice.data import CACHE, Shuffled, grey_images, write_npz

PRETRAINING = 1500
"""Updates on Fashion-MNIST."""

SCALE = 16.0
"""The product of the two factors is multiplied by this number over the rank (LoRA, arXiv 2106.09685, section 4.1)."""


class LowRank(nn.Module):
    """A frozen linear layer plus a trained product of two factors, which begins at 0."""

    def __init__(self, linear: nn.Linear, rank: int) -> None:
        super().__init__()
        self.linear, self.scale = linear, SCALE / rank
        self.down = nn.Parameter(torch.empty(rank, linear.in_features))
        self.up = nn.Parameter(torch.zeros(linear.out_features, rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        """The frozen output plus the trained one."""
        output: Tensor = self.linear(x) + self.scale * (x @ self.down.T @ self.up.T)
        return output


class Block(nn.Module):
    """A pre-norm transformer layer of plain linear layers, which `LowRank` can wrap."""

    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.first, self.second = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Attention, then the hidden layer."""
        batch, length, width = x.shape
        qkv = self.qkv(self.norm(x)).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        attended = nn.functional.scaled_dot_product_attention(*qkv.unbind(0))
        x = x + self.out(attended.transpose(1, 2).reshape(batch, length, width))
        return x + self.second(nn.functional.gelu(self.first(self.norm2(x))))


class Transformer(nn.Module):
    """Sixteen patches of 7 x 7 pixels, two layers, the mean over the patches, ten classes."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, width, 7, stride=7)
        self.places = nn.Parameter(0.02 * torch.randn(1, 16, width))
        self.layers = nn.Sequential(Block(width), Block(width))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Scores of the ten classes."""
        tokens = self.patches(x).flatten(2).transpose(1, 2) + self.places
        scores: Tensor = self.head(self.norm(self.layers(tokens)).mean(1))
        return scores


def adapted(rank: int) -> Transformer:
    """The pretrained transformer, frozen, with low-rank factors in every linear layer of its blocks and a new head."""
    model = Transformer()
    model.load_state_dict(pretrained())
    for weight in model.parameters():
        weight.requires_grad_(False)
    for block in model.layers:
        for name in ("qkv", "out", "first", "second"):
            setattr(block, name, LowRank(getattr(block, name), rank))
    model.head = nn.Linear(model.head.in_features, 10)
    return model


def trained(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that are not frozen."""
    return [weight for weight in model.parameters() if weight.requires_grad]


def pretrained() -> dict[str, Tensor]:
    """Weights after training on Fashion-MNIST; trained once and kept."""
    kept = CACHE / "lora_pretrained.npz"
    if not kept.is_file():
        data = grey_images("fashion_mnist", train=20_000)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = Transformer()
            optimizer = optim.AdamW(model.parameters(), lr=2e-3)
            updates = 0
            while updates < PRETRAINING:
                for x, y in Shuffled((data.x, data.y), 64):
                    optimizer.zero_grad()
                    nn.functional.cross_entropy(model(x), y).backward()
                    optimizer.step()
                    updates += 1
        write_npz(kept, **{name: value.numpy() for name, value in model.state_dict().items()})
    with np.load(kept) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}
