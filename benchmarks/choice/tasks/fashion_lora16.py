"""LoRA of rank 16: a transformer trained on Fashion-MNIST learns MNIST, AdamW, 300 updates."""

from torch import nn, optim

from benchmarks.choice.data import Shuffled, grey_images
from benchmarks.choice.lora import adapted, trained
from benchmarks.choice.task import Task, accuracy, measures


def task() -> Task:
    """Needs fashion_mnist.npz and mnist.npz."""
    data = grey_images("mnist", train=20_000)
    return Task(
        about="LoRA of rank 16, ViT from Fashion-MNIST to MNIST, AdamW",
        updates=300,
        model=lambda: adapted(16),
        optimizer=lambda model: optim.AdamW(trained(model), lr=1e-3),
        batches=lambda: Shuffled((data.x, data.y), 16),
        criterion=nn.functional.cross_entropy,
        **measures(data, accuracy),
    )
