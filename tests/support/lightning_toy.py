"""A tiny Lightning training, and a record of the LRs that its optimizers really used."""

import lightning as pl
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

EXAMPLES, BATCH = 64, 8

# What Lightning itself warns of in runs as small as these, and in its own imports.
QUIET = [
    pytest.mark.filterwarnings(f"ignore:{text}")
    for text in (
        ".*does not have many workers.*",
        ".*number of training batches.*smaller than the logging interval.*",
        ".*resuming from a checkpoint that ended before the epoch ended.*",
        ".*LeafSpec.*is deprecated.*",
        ".*lr_scheduler.step.* before .optimizer.step.*",
    )
]


def loader(examples=EXAMPLES, batch=BATCH, seed=0):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(examples, 4, generator=generator)
    return DataLoader(TensorDataset(inputs, inputs.sum(1, keepdim=True)), batch_size=batch)


class Toy(pl.LightningModule):
    """A linear model whose optimizer is made by a function of the test."""

    def __init__(self, make=lambda module: torch.optim.SGD(module.parameters(), lr=0.5)):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)
        self.make = make

    def training_step(self, batch, batch_idx):
        inputs, targets = batch
        return torch.nn.functional.mse_loss(self.layer(inputs), targets)

    def configure_optimizers(self):
        return self.make(self)


class Used(pl.Callback):
    """Records the LRs, or another hyper-parameter, of all groups at every real update of each optimizer."""

    def __init__(self, key="lr"):
        self.key, self.all, self.handles = key, {}, []

    def on_fit_start(self, trainer, pl_module):
        for number, optimizer in enumerate(trainer.optimizers):
            values = self.all.setdefault(number, [])

            def record(optimizer, args, kwargs, values=values):
                values.append(tuple(float(group[self.key]) for group in optimizer.param_groups))

            # After the step, an optimizer has the values of the next one: look before it, after all other hooks.
            self.handles.append((optimizer, record))

    def on_train_start(self, trainer, pl_module):
        for optimizer, record in self.handles:
            before = {}

            def look(optimizer, args, kwargs, before=before):
                before["groups"] = [dict(group) for group in optimizer.param_groups]

            def keep(optimizer, args, kwargs, before=before, record=record):
                if any(p.grad is not None for group in optimizer.param_groups for p in group["params"]):
                    record(_Groups(before["groups"]), args, kwargs)  # otherwise the update was left out

            optimizer.register_step_pre_hook(look)
            optimizer.register_step_post_hook(keep)
        self.handles = []

    @property
    def first(self):
        """The values of the first group of the first optimizer."""
        return [row[0] for row in self.all[0]]


class _Groups:
    def __init__(self, groups):
        self.param_groups = groups


def trainer(*callbacks, **options):
    """A quiet trainer on one CPU; `Used` is its last callback unless the test gives its own."""
    settings = {
        "accelerator": "cpu",
        "devices": 1,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "max_epochs": 2,
    }
    return pl.Trainer(callbacks=list(callbacks), **(settings | options))
