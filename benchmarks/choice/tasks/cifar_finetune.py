"""Fine-tuning: a CNN trained on five classes of CIFAR-10 learns the other five from 1,000 images, AdamW, 300 updates."""

import numpy as np
import torch
from torch import nn, optim

from benchmarks.choice.data import CACHE, Shuffled, Split, cifar, write_npz
from benchmarks.choice.task import Task, accuracy, measures

PRETRAINING = 1500


def network() -> nn.Sequential:
    """Three convolutions with batch norm, average pooling, a linear layer."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(256, 5),
    )


def pretrained() -> dict[str, torch.Tensor]:
    """Weights after training on the first five classes; trained once and kept."""
    kept = CACHE / "cifar_finetune_pretrained.npz"
    if not kept.is_file():
        data = classes(cifar(train=15_000), 0)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = network()
            optimizer = optim.AdamW(model.parameters(), lr=3e-3)
            made = 0
            while made < PRETRAINING:
                for x, y in Shuffled((data.x, data.y), 64):
                    optimizer.zero_grad()
                    nn.functional.cross_entropy(model(x), y).backward()
                    optimizer.step()
                    made += 1
        write_npz(kept, **{name: value.numpy() for name, value in model.state_dict().items()})
    with np.load(kept) as held:
        return {name: torch.from_numpy(held[name]) for name in held.files}


def classes(data: Split, first: int) -> Split:
    """Five classes, from the first one on."""
    parts = []
    for x, y in ((data.x, data.y), (data.x_validation, data.y_validation), (data.x_test, data.y_test)):
        rows = (y >= first) & (y < first + 5)
        parts += [x[rows], y[rows] - first]
    return Split(*parts)


def task() -> Task:
    """Needs cifar10_dct.npz."""
    data = classes(cifar(train=15_000), 5)
    weights = pretrained()

    def model() -> nn.Module:
        made = network()
        made.load_state_dict(weights)
        made[-1] = nn.Linear(256, 5)
        return made

    return Task(
        about="fine-tuning a CNN, CIFAR-10, AdamW",
        updates=300,
        model=model,
        optimizer=lambda model: optim.AdamW(model.parameters(), lr=1e-3),
        batches=lambda: Shuffled((data.x[:1000], data.y[:1000]), 32),
        criterion=nn.functional.cross_entropy,
        **measures(data, accuracy),
    )
