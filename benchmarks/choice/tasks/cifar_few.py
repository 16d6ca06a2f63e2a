"""Few samples: a CNN trained on five classes of CIFAR-10 learns the other five from 200 images, SGD, 400 updates."""

from torch import nn, optim

from benchmarks.choice.data import Shuffled, cifar
from benchmarks.choice.task import Task, accuracy, measures
from benchmarks.choice.tasks.cifar_finetune import classes, network, pretrained


def task() -> Task:
    """Needs cifar10_dct.npz."""
    data = classes(cifar(train=15_000), 5)
    weights = pretrained()

    def model() -> nn.Module:
        tuned = network()
        tuned.load_state_dict(weights)
        tuned[-1] = nn.Linear(256, 5)
        return tuned

    return Task(
        about="fine-tuning a CNN with 200 images, CIFAR-10, SGD",
        updates=400,
        model=model,
        optimizer=lambda model: optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4),
        batches=lambda: Shuffled((data.x[:200], data.y[:200]), 20),
        criterion=nn.functional.cross_entropy,
        **measures(data, accuracy),
    )
