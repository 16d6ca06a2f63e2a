"""A recipe: a small network on the breast cancer table that ships inside scikit-learn, with AdamW.

learnrate tune examples/breast_cancer.py
"""

import torch
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import learnrate as lr


def recipe():
    """300 rows are for training, 100 to decide between trials, 169 to measure the result."""
    table = load_breast_cancer()
    x, y = torch.tensor(table.data, dtype=torch.float32), torch.tensor(table.target)
    rest, test = train_test_split(range(len(y)), test_size=169, stratify=y, random_state=0)
    train, validation = train_test_split(rest, train_size=300, stratify=y[rest], random_state=0)
    x = (x - x[train].mean(0)) / x[train].std(0)

    def accuracy_on(rows):
        return lambda model: float((model.eval()(x[rows]).argmax(1) == y[rows]).double().mean())

    return lr.torch.Recipe(
        model=lambda: nn.Sequential(nn.Linear(30, 64), nn.ReLU(), nn.Linear(64, 2)),
        optimizer=lambda model: torch.optim.AdamW(model.parameters()),
        batches=lambda: DataLoader(TensorDataset(x[train], y[train]), batch_size=30, shuffle=True),
        loss=nn.CrossEntropyLoss(),
        evaluate=accuracy_on(validation),
        test=accuracy_on(test),
        updates=240,
    )
