"""A recipe that trains in a second."""

import pytest

RECIPE = """
import torch
import learnrate as lr

def recipe():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(320, 6, generator=generator)
    y = (x[:, :3].sum(1) > 0).long()

    def accuracy(model):
        return float((model(x).argmax(1) == y).double().mean())

    return lr.torch.Recipe(
        model=lambda: torch.nn.Linear(6, 2),
        optimizer=lambda model: torch.optim.SGD(model.parameters(), lr=0.01),
        batches=lambda: list(zip(x.split(32), y.split(32))),
        loss=torch.nn.CrossEntropyLoss(),
        evaluate=accuracy,
        updates=400,
    )
"""


@pytest.fixture
def recipe(tmp_path):
    """Writes a recipe, with changes, and returns its path."""

    def write(*changes, name="mine.py"):
        text = RECIPE
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / name
        path.write_text(text)
        return path

    return write
