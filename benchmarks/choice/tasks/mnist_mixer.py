"""A small MLP-Mixer on MNIST, AdamW, 500 updates."""

from torch import Tensor, nn, optim

from benchmarks.choice.data import Shuffled, grey_images
from benchmarks.choice.task import Task, accuracy, measures


class Mixing(nn.Module):
    """Once over the patches, once over the features."""

    def __init__(self, patches: int, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.over_patches = nn.Sequential(nn.Linear(patches, 32), nn.GELU(), nn.Linear(32, patches))
        self.over_features = nn.Sequential(nn.Linear(width, 96), nn.GELU(), nn.Linear(96, width))

    def forward(self, x: Tensor) -> Tensor:
        """Features of the same shape."""
        x = x + self.over_patches(self.first(x).transpose(1, 2)).transpose(1, 2)
        return x + self.over_features(self.second(x))


class Mixer(nn.Module):
    """Sixteen patches of 7 x 7 pixels, two mixing layers, the mean over the patches."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, width, 7, stride=7)
        self.layers = nn.Sequential(Mixing(16, width), Mixing(16, width), nn.LayerNorm(width))
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Scores of the ten classes."""
        return self.head(self.layers(self.patches(x).flatten(2).transpose(1, 2)).mean(1))


def task() -> Task:
    """Needs mnist.npz."""
    data = grey_images("mnist", train=20_000)
    return Task(
        about="MLP-Mixer of 2 layers, MNIST, AdamW",
        updates=500,
        model=Mixer,
        optimizer=lambda model: optim.AdamW(model.parameters(), lr=1e-3),
        batches=lambda: Shuffled((data.x, data.y), 32),
        criterion=nn.functional.cross_entropy,
        **measures(data, accuracy),
    )
