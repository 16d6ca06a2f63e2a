"""The built-in recipe: a small convolutional network on the 1,797 images of handwritten digits inside scikit-learn."""

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import learnrate as lr


def network() -> nn.Module:
    """Two convolutions with batch norm, global pooling, one linear layer: 15,000 weights."""
    return nn.Sequential(
        nn.Conv2d(1, 24, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(24),
        nn.ReLU(),
        nn.Conv2d(24, 48, kernel_size=3, padding=1, stride=2, bias=False),
        nn.BatchNorm2d(48),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(4 * 48, 10),
    )


def recipe() -> lr.torch.Recipe:
    """800 images train, 397 choose between candidates, 600 measure the result."""
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 16
    labels = torch.tensor(digits.target)
    rest, test = train_test_split(range(len(labels)), test_size=600, stratify=labels, random_state=0)
    train, validation = train_test_split(rest, train_size=800, stratify=labels[rest], random_state=0)

    def accuracy_on(rows: list[int]) -> lr.torch.Evaluate:
        def accuracy(model: nn.Module) -> float:
            model.eval()
            right = model(images[rows]).argmax(dim=1) == labels[rows]
            return float(right.double().mean())

        return accuracy

    return lr.torch.Recipe(
        model=network,
        optimizer=lambda model: torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9),
        batches=lambda: DataLoader(TensorDataset(images[train], labels[train]), batch_size=32, shuffle=True),
        loss=nn.CrossEntropyLoss(),
        evaluate=accuracy_on(validation),
        test=accuracy_on(test),
        updates=240,
    )
