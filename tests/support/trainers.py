"""Tiny Trainers of Transformers with everything that training changes, and the LRs that their optimizers really used."""

import math
import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from torch.utils.data import SequentialSampler
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainerCallback, TrainingArguments

from learnrate.torch.inputs import stepping

TOKENS = 23


def sentences(count=64, length=8):
    """Sequences that a model can learn: each token follows from the one before."""
    generator = torch.Generator().manual_seed(0)
    starts = torch.randint(TOKENS, (count, 1), generator=generator)
    ids = (starts + 3 * torch.arange(length)) % TOKENS
    return [{"input_ids": row, "labels": row.clone()} for row in ids]


def language_model():
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=TOKENS, n_positions=8, n_embd=8, n_layer=1, n_head=2, bos_token_id=0, eos_token_id=0)
    return GPT2LMHeadModel(config)


class Given(torch.nn.Module):
    """Its loss is the mean of what its examples say, whatever its weights are; their gradients are 3 times as much."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x, labels):
        loss = labels.mean()
        return {"loss": loss * (1.0 + 3.0 * (self.weight - self.weight.detach()).sum()), "logits": x}


def examples(count=96, bad=True):
    """Examples whose loss is about 1, and a few of which are not finite."""
    generator = torch.Generator().manual_seed(0)
    values = 1.0 + torch.rand(count, generator=generator)
    if bad:
        values[[11, 60]] = torch.tensor([math.nan, math.inf])
    return [{"x": torch.zeros(2), "labels": value} for value in values]


class Used(TrainerCallback):
    """Records, per group, the LR of every update that the optimizer makes. It must be the last callback."""

    def __init__(self, key="lr"):
        self.key, self.rows, self._handle = key, [], None

    def on_train_begin(self, args, state, control, **kwargs):
        self.end()
        inner = stepping(kwargs["optimizer"])
        self._handle = inner.register_step_pre_hook(self._record)

    def _record(self, optimizer, args, kwargs):
        if any(p.grad is not None for group in optimizer.param_groups for p in group["params"]):
            self.rows.append([float(group[self.key]) for group in optimizer.param_groups])  # not one that was left out

    def on_train_end(self, *args, **kwargs):
        self.end()

    def end(self):
        if self._handle is not None:
            self._handle.remove()
            self._handle = None

    @property
    def first(self):
        """The LR of the first group."""
        return [row[0] for row in self.rows]


class Quiet(Trainer):
    """A Trainer that prints nothing but what learnrate reports."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.callback_handler.callbacks = [
            callback for callback in self.callback_handler.callbacks if type(callback).__name__ != "PrinterCallback"
        ]


class InOrder(Quiet):
    """Takes the data in order. `train_sampling_strategy` of its arguments would say so only in newer versions than 5.0."""

    def _get_train_sampler(self, train_dataset=None):
        return SequentialSampler(self.train_dataset if train_dataset is None else train_dataset)


def arguments(folder, **changes):
    defaults = {
        "output_dir": str(folder),
        "max_steps": 12,
        "per_device_train_batch_size": 4,
        "use_cpu": True,
        "report_to": [],
        "disable_tqdm": True,
        "logging_steps": 1,
        "save_strategy": "no",
        "seed": 3,
    }
    return TrainingArguments(**{**defaults, **changes})


def trainer(folder, *callbacks, model=None, data=None, kind=Quiet, optimizers=(None, None), options=None, **changes):
    """A trainer of the tiny model, with these callbacks."""
    return kind(
        model=language_model() if model is None else model,
        args=arguments(folder, **changes),
        train_dataset=sentences() if data is None else data,
        callbacks=list(callbacks),
        optimizers=optimizers,
        **(options or {}),
    )


def logged(trainer, key="learning_rate"):
    return [row[key] for row in trainer.state.log_history if key in row]
