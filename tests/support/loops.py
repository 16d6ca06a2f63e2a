"""A tiny training in a loop of Accelerate, and the LRs that its optimizer really used."""

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState, PartialState
from accelerate.utils import DataLoaderConfiguration, GradientAccumulationPlugin

from learnrate.torch.inputs import stepping


def reset():
    """Let the next Accelerator have other settings: they are shared by all of a process."""
    for state in (AcceleratorState, GradientState, PartialState):
        state._reset_state()


def accelerator(accumulate=1, split_batches=False, seedable=False, **options):
    AcceleratorState._reset_state(False)
    GradientState._reset_state()
    return Accelerator(
        cpu=True,
        gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=accumulate),
        dataloader_config=DataLoaderConfiguration(split_batches=split_batches, use_seedable_sampler=seedable),
        **options,
    )


class Loop:
    """A model, its optimizer and its loader, prepared, with a loop as users write it."""

    def __init__(self, examples=48, momentum=0.9, groups=False, **options):
        self.accelerator = accelerator(**options)
        torch.manual_seed(0)
        self.model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
        parameters = self.model.parameters()
        if groups:
            parameters = [{"params": self.model[0].parameters(), "lr": 0.01}, {"params": self.model[2].parameters()}]
        self.optimizer = torch.optim.SGD(parameters, lr=0.1, momentum=momentum)
        x = torch.randn(examples, 4)
        data = torch.utils.data.TensorDataset(x, x.sum(1, keepdim=True))
        self.loader = torch.utils.data.DataLoader(data, batch_size=4, shuffle=True)
        self.model, self.optimizer, self.loader = self.accelerator.prepare(self.model, self.optimizer, self.loader)
        self.loss = torch.nn.MSELoss()
        self.rows, self._handle = [], None

    def _record(self):
        """Record the LR of every update, after all other hooks have written theirs."""
        if self._handle is not None:
            self._handle.remove()
        self._handle = stepping(self.optimizer).register_step_pre_hook(self._keep)

    def _keep(self, optimizer, args, kwargs):
        if any(p.grad is not None for group in optimizer.param_groups for p in group["params"]):
            self.rows.append([group["lr"] for group in optimizer.param_groups])  # not those of an update that was left out

    def train(self, epochs=1, scheduler=None, after=None, skipped=(), until=None, observe=None):
        """Train; `after` is called with the number of updates, and the loss of the batches in `skipped` is infinite.

        `observe` is called with each loss, before the step.
        """
        self._record()
        updates = batches = 0
        for _ in range(epochs):
            for inputs, targets in self.loader:
                with self.accelerator.accumulate(self.model):
                    loss = self.loss(self.model(inputs), targets)
                    loss = loss * (float("inf") if batches in skipped else 1.0)
                    self.accelerator.backward(loss)
                    if observe is not None:
                        observe(loss)
                    self.optimizer.step()
                    if scheduler is not None:
                        scheduler.step()
                    self.optimizer.zero_grad()
                batches += 1
                if self.accelerator.sync_gradients:
                    updates += 1
                    if after is not None:
                        after(updates)
                    if updates == until:
                        return

    @property
    def used(self):
        return [row[0] for row in self.rows]
