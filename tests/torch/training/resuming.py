"""Torch trainings of all kinds, to be stopped in one process and resumed in another: python resuming.py FOLDER."""

import json
import pickle
import random
import sys
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from learnrate.torch.training import TorchTrainable
from learnrate.torch.training.update import Updater

UPDATES = 30


def data():
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(80, 6, generator=generator)
    return inputs, (inputs[:, :3].sum(1) > 0).long()


class Net(torch.nn.Module):
    """Dropout, batch norm, a buffer that is not saved, an attribute that counts, and a generator of its own."""

    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(6, 8), torch.nn.BatchNorm1d(8), torch.nn.Dropout(0.2), torch.nn.Linear(8, 2)
        )
        self.register_buffer("mean", torch.zeros(6), persistent=False)
        self.calls, self.history = 0, []
        self.generator = torch.Generator().manual_seed(5)

    def forward(self, inputs):
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * inputs.mean(0)
            self.calls += 1
            self.history.append(self.calls)
        noise = torch.rand(inputs.shape, generator=self.generator)
        return self.layers(inputs - self.mean + 0.01 * self.calls * noise)


class Augmented(Dataset):
    """Takes random numbers of every library, one of them twice; and has a generator and a counter of its own."""

    def __init__(self):
        self.inputs, self.targets = data()
        self.own, self.read = np.random.default_rng(3), 0

    def __len__(self):
        return len(self.inputs)

    def __getitem__(self, index):
        self.read += 1
        noise = torch.rand(6) + random.random() + np.random.standard_normal() + self.own.random() + 1e-3 * (self.read % 7)
        return self.inputs[index] + 0.1 * noise.float(), self.targets[index]


class Buffered(IterableDataset):
    """A shuffle buffer: what it gives next depends on all random numbers that it has taken so far."""

    def __iter__(self):
        buffer = []
        for number, row in enumerate([*zip(*data(), strict=True)] * 10):
            buffer.append(row)
            if len(buffer) > 20:
                yield buffer.pop(random.randrange(20) if number % 2 else int(torch.randint(20, ())))
        yield from buffer


class Counted:
    """A source that finds its position by itself."""

    def __init__(self):
        self.next = 0

    def __iter__(self):
        inputs, targets = data()
        while self.next < 5:
            self.next += 1
            rows = slice(16 * self.next - 16, 16 * self.next)
            yield inputs[rows], targets[rows]
        self.next = 0

    def state_dict(self):
        torch.rand(3)  # those of torchdata take random numbers
        return {"next": self.next}

    def load_state_dict(self, state):
        self.next = state["next"]


class PassesOn(DataLoader):
    """A loader with the methods of one that finds its position by itself, which fail, as those of accelerate may."""

    def state_dict(self):
        raise AttributeError("'DataLoader' object has no attribute 'state_dict'")

    load_state_dict = state_dict


class Slow(torch.optim.SGD):
    """An optimizer of the user's own, with a counter and a tensor."""

    def __init__(self, parameters):
        super().__init__(parameters, lr=0.1, momentum=0.9, nesterov=True)
        self.steps, self.average = 0, torch.zeros(())

    @torch.no_grad()
    def step(self, closure=None):
        self.steps += 1
        self.average = 0.9 * self.average + self.param_groups[0]["params"][0].mean()
        for group in self.param_groups:
            group["momentum"] = 0.8 * group["momentum"] + 0.02 * (self.steps % 7) + 0.01 * float(self.average)
        super().step()


def remembering_loss():
    mean, calls = torch.zeros(()), 0

    def loss(model, batch):
        nonlocal mean, calls
        inputs, targets = batch
        calls += 1
        value = torch.nn.functional.cross_entropy(model(inputs), targets)
        mean = 0.9 * mean + 0.1 * value.detach()
        return value * (1 + 0.1 * mean + 0.001 * calls)

    return loss


def shuffled():
    return DataLoader(TensorDataset(*data()), batch_size=16, shuffle=True)


def own_generator():
    return DataLoader(TensorDataset(*data()), 16, shuffle=True, generator=torch.Generator().manual_seed(7))


def endless():
    while True:
        rows = torch.randint(80, (16,))
        yield tuple(part[rows] for part in data())


def training(batches, optimizer, loss=None, model=Net, **options):
    torch.manual_seed(0), np.random.seed(0), random.seed(0)
    net = model()
    keep = options.pop("check_batches", None)
    return TorchTrainable(
        *(net, optimizer(net.parameters()), batches(), loss or torch.nn.CrossEntropyLoss()),
        updater=Updater(**options),
        check_batches=keep,
    )


def plain(width=8):
    return torch.nn.Sequential(torch.nn.Linear(6, width), torch.nn.Tanh(), torch.nn.Dropout(0.2), torch.nn.Linear(width, 2))


def overflowing():
    """A scale that grows until a gradient overflows, again and again."""
    return torch.amp.GradScaler("cpu", init_scale=2.0**117, growth_interval=3)


def steep_loss(model, batch):
    return 100 * torch.nn.functional.cross_entropy(model(batch[0]), batch[1])


def two():
    torch.manual_seed(0)
    net = plain()
    optimizers = {"a": torch.optim.SGD(net[0].parameters(), lr=0.1), "b": torch.optim.Adagrad(net[3].parameters())}
    losses = {"a": torch.nn.CrossEntropyLoss(), "b": torch.nn.MultiMarginLoss()}
    return TorchTrainable(net, optimizers, shuffled(), losses)


def in_bfloat16():
    return plain().to(torch.bfloat16)


def bfloat16_loss(model, batch):
    return torch.nn.functional.cross_entropy(model(batch[0].bfloat16()).float(), batch[1])


class SinglePrecision(torch.optim.Optimizer):
    """Momentum in single precision beside weights in half of it: `load_state_dict` would round it."""

    def __init__(self, parameters):
        super().__init__(parameters, {"lr": 0.1})

    @torch.no_grad()
    def step(self, closure=None):
        for parameter in self.param_groups[0]["params"]:
            average = self.state[parameter].setdefault("average", torch.zeros(parameter.shape))
            average.lerp_(parameter.grad.float(), 0.1)
            parameter.sub_(self.param_groups[0]["lr"] * average)


def step_of_adam(parameters):
    return torch.optim.AdamW(parameters, weight_decay=0.1, amsgrad=True)


CASES = {
    "shuffle": lambda: training(shuffled, lambda p: torch.optim.SGD(p, 0.1, momentum=0.9)),
    "own optimizer": lambda: training(shuffled, Slow, clip_norm=1.0),
    "own generator": lambda: training(own_generator, step_of_adam),
    "augmented here": lambda: training(lambda: DataLoader(Augmented(), 16, shuffle=True), step_of_adam, accumulate=3),
    "augmented by workers": lambda: training(
        lambda: DataLoader(Augmented(), 16, shuffle=True, num_workers=2), torch.optim.Adam, check_batches=False
    ),
    "buffered": lambda: training(lambda: DataLoader(Buffered(), 16), torch.optim.RMSprop),
    "endless": lambda: training(lambda: endless, torch.optim.Adam, remembering_loss()),
    "stateful": lambda: training(Counted, torch.optim.NAdam, remembering_loss()),
    "without the state that it promises": lambda: training(
        lambda: PassesOn(TensorDataset(*data()), batch_size=16, shuffle=True), torch.optim.SGD
    ),
    "scaler": lambda: training(shuffled, step_of_adam, steep_loss, plain, scaler=overflowing()),
    "LBFGS": lambda: training(shuffled, lambda p: torch.optim.LBFGS(p, 0.1, max_iter=3), model=plain),
    "bfloat16": lambda: training(shuffled, SinglePrecision, bfloat16_loss, in_bfloat16),
    "two losses": two,
    "list": lambda: training(
        lambda: [tuple(part[i : i + 16] for part in data()) for i in range(0, 80, 16)], torch.optim.SGD
    ),
}


def lr_of(update):
    return 0.02 * (1 + update % 5)


def losses_of(trainable, first, last=UPDATES):
    """The losses of these updates as exact texts, and the skipped ones."""
    shown = []
    for update in range(first, last):
        values = trainable.update(lr_of(update))
        shown.append(
            repr(sorted((name, float(value)) for name, value in values.items()))
            if isinstance(values, dict)
            else repr(values)
        )
    return shown


def main():
    torch.set_num_threads(1)
    random.seed(99), torch.manual_seed(99)
    folder = Path(sys.argv[1])
    outcome = {}
    for name, build in CASES.items():
        trainable = build()
        update, checkpoint = pickle.loads((folder / f"{name}.pickle").read_bytes())
        trainable.resume(checkpoint)
        middle = (update + UPDATES) // 2
        again = trainable.checkpoint()  # one of a resumed training is as good
        losses = losses_of(trainable, update, middle)
        second = build()
        second.resume(pickle.loads(pickle.dumps(again)))
        assert losses_of(second, update, middle) == losses, name
        third = trainable.checkpoint()
        losses += losses_of(trainable, middle)
        fourth = build()
        fourth.resume(pickle.loads(pickle.dumps(third)))
        assert losses_of(fourth, middle) == losses[middle - update :], name
        outcome[name] = [losses, trainable.fingerprint(), fourth.fingerprint(), trainable.notes(100)]
    print(json.dumps(outcome))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[3]))
    from tests.torch.training import resuming  # the module in which the checkpoints look for their classes

    resuming.main()
