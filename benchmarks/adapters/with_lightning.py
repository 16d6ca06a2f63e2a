"""Lightning: a small convolutional net on Fashion-MNIST, at Adam's default LR and tuned in place; the cost of Follow."""

import os
import time
import warnings
from functools import cache
from pathlib import Path

import lightning as pl
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import learnrate as lr
from benchmarks.adapters.outcome import Outcome, Overhead

EXAMPLES, BATCH, EPOCHS = 10_000, 100, 6
DEFAULT = 1e-3
"""The default LR of `torch.optim.Adam`, which Lightning's examples use without a schedule."""

UPDATE = 0.005
"""Seconds of an update in `overhead`: a training step that waits."""


@cache
def data() -> dict[str, Tensor]:
    """Training and test parts of Fashion-MNIST, scaled to mean 0."""
    arrays = np.load(Path(os.environ["LEARNRATE_DATA"]) / "fashion_mnist.npz")
    tensors = {name: torch.from_numpy(arrays[name]) for name in ("x_train", "y_train", "x_test", "y_test")}
    images = {name: (tensors[name].float().unsqueeze(1) / 255 - 0.29) / 0.35 for name in ("x_train", "x_test")}
    labels = {name: tensors[name].long() for name in ("y_train", "y_test")}
    return images | labels


class Net(pl.LightningModule):
    """Two convolutions and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv2d(1, 8, 5, stride=2), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2), nn.ReLU()),
            *(nn.Flatten(), nn.Linear(400, 10)),
        )
        self.used: list[float] = []

    def training_step(self, batch, batch_idx):  # noqa: D102
        inputs, targets = batch
        return nn.functional.cross_entropy(self.layers(inputs), targets)

    def on_train_batch_start(self, batch, batch_idx):  # noqa: D102
        self.used.append(self.trainer.optimizers[0].param_groups[0]["lr"])

    def configure_optimizers(self):  # noqa: D102
        return torch.optim.Adam(self.parameters(), lr=DEFAULT)


def default(seed: int) -> Outcome:
    """A run at Adam's default LR."""
    return _run(seed, None)


def tuned(seed: int) -> Outcome:
    """The same run, tuned in place."""
    return _run(seed, lr.lightning.Tune(report=lambda text: None))


def _run(seed: int, tune: "lr.lightning.Tune | None") -> Outcome:
    torch.set_num_threads(1)
    pl.seed_everything(seed, verbose=False)
    parts, net = data(), Net()
    train = TensorDataset(parts["x_train"][:EXAMPLES], parts["y_train"][:EXAMPLES])
    trainer = _trainer([] if tune is None else [tune], max_epochs=EPOCHS)
    trainer.fit(net, DataLoader(train, batch_size=BATCH, shuffle=True))
    net.eval()
    with torch.no_grad():
        score = float((net.layers(parts["x_test"]).argmax(1) == parts["y_test"]).double().mean())
    spent = 0 if tune is None or tune.plan is None else tune.plan.spent
    return Outcome(score, max(net.used), trainer.global_step, spent)


def _trainer(callbacks: list[pl.Callback], **options) -> pl.Trainer:
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    return pl.Trainer(accelerator="cpu", devices=1, callbacks=callbacks, **quiet, **options)


class Waits(pl.LightningModule):
    """A training step of a fixed time, and the LR by Lightning's own means or by ours."""

    def __init__(self, scheduled: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(10))
        self.scheduled = scheduled

    def training_step(self, batch, batch_idx):  # noqa: D102
        end = time.process_time() + UPDATE
        loss = (self.weight**2).sum()
        while time.process_time() < end:
            pass
        return loss

    def configure_optimizers(self):  # noqa: D102
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        if not self.scheduled:
            return optimizer
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n: 1 - n / 1000)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


class Timer(pl.Callback):
    """The time of the processor from the first update to the last one."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):  # noqa: D102
        if batch_idx == 0:
            self.start = time.process_time()

    def on_train_end(self, trainer, pl_module):  # noqa: D102
        self.seconds = time.process_time() - self.start


def overhead(updates: int = 300) -> Overhead:
    """Updates of about 5 ms of processor time, in which other programs do not count, with LambdaLR and with Follow."""
    torch.set_num_threads(1)
    loader = DataLoader(TensorDataset(torch.zeros(updates, 1)), batch_size=1)
    seconds = []
    for callbacks in ([], [lr.lightning.Follow(lr.linear(0.1, 0.0, 1000))]):
        timer = Timer()
        _trainer([*callbacks, timer], max_epochs=1).fit(Waits(scheduled=not callbacks), loader)
        seconds.append(timer.seconds / updates)
    return Overhead(plain=seconds[0], ours=seconds[1])
