"""A small GPT-2 on the characters of tinyshakespeare, in the Trainer of Transformers.

The default is the Trainer's own: AdamW at 5e-5, with linear decay to 0. Tuned is the same Trainer with the callback
`learnrate.transformers.Tune`, with a budget of 10 % of the run.
"""

import os
import statistics
import tempfile
import time
import timeit
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

import learnrate as lr
from benchmarks.adapters.outcome import Outcome, Overhead
from learnrate.torch.inputs import stepping

UPDATES, BATCH, LENGTH = 1_000, 8, 32
HELD_OUT = 100_000
"""Characters at the end of the text, of which the score takes the first 512 sequences."""

TIMED = 60
"""Updates of a timed run, of which the first 10 are left out."""

torch.set_num_threads(1)


def text() -> np.ndarray:
    """The text as numbers of characters."""
    path = Path(os.environ["LEARNRATE_DATA"]) / "tinyshakespeare.txt"
    characters = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    return np.unique(characters, return_inverse=True)[1].astype(np.int64)


def rows(characters: np.ndarray) -> list[dict[str, torch.Tensor]]:
    """Sequences side by side; the model shifts the labels itself."""
    count = len(characters) // LENGTH
    sequences = torch.from_numpy(characters[: count * LENGTH].reshape(count, LENGTH))
    return [{"input_ids": row, "labels": row} for row in sequences]


class Peak(TrainerCallback):
    """The highest LR that the optimizer really used."""

    def __init__(self) -> None:
        self.lr = 0.0

    def on_train_begin(self, *arguments: Any, **kwargs: Any) -> None:
        """Look before each update, after all others."""
        stepping(kwargs["optimizer"]).register_step_pre_hook(self._look)

    def _look(self, optimizer: torch.optim.Optimizer, *arguments: Any) -> None:
        self.lr = max(self.lr, *(float(group["lr"]) for group in optimizer.param_groups))


def trainer(seed: int, updates: int, *callbacks: TrainerCallback, width: int = 48, layers: int = 2) -> Trainer:
    """A trainer of a new model."""
    characters = text()
    set_seed(seed)
    config = GPT2Config(
        vocab_size=int(characters.max()) + 1,
        n_positions=LENGTH,
        n_embd=width,
        n_layer=layers,
        n_head=4,
        bos_token_id=0,
        eos_token_id=0,
    )
    arguments = TrainingArguments(
        output_dir=tempfile.mkdtemp(),
        max_steps=updates,
        per_device_train_batch_size=BATCH,
        per_device_eval_batch_size=64,
        use_cpu=True,
        report_to=[],
        disable_tqdm=True,
        save_strategy="no",
        logging_steps=500,
        seed=seed,
    )
    new_trainer = Trainer(
        model=GPT2LMHeadModel(config),
        args=arguments,
        train_dataset=rows(characters[:-HELD_OUT]),
        eval_dataset=rows(characters[-HELD_OUT:])[:512],
        callbacks=list(callbacks),
    )
    new_trainer.remove_callback(PrinterCallback)
    return new_trainer


def outcome(seed: int, *callbacks: TrainerCallback) -> tuple[float, float]:
    """The score of a run, and the highest LR that it used."""
    peak = Peak()
    run = trainer(seed, UPDATES, *callbacks, peak)
    run.train()
    return -run.evaluate()["eval_loss"], peak.lr


def default(seed: int) -> Outcome:
    """A run as the Trainer makes it by itself."""
    score, highest = outcome(seed)
    return Outcome(score=score, lr=highest, updates=UPDATES, spent=0)


def tuned(seed: int) -> Outcome:
    """A run with the callback that tunes."""
    tune = lr.transformers.Tune(budget="10%", require=True, report=lambda text: None)
    score, highest = outcome(seed, tune)
    assert tune.plan is not None
    return Outcome(score=score, lr=highest, updates=UPDATES, spent=tune.plan.spent)


class Times(TrainerCallback):
    """The time of an update, and of the part of it that a schedule takes part in.

    Whole runs differ by some per cent from each other, more than a schedule takes. So the part with the optimizer's step
    (its hooks, without gradients, so that it changes nothing), the LR to log and the scheduler's step is repeated alone.
    """

    def __init__(self) -> None:
        self.ends: list[float] = []
        self.part = 0.0

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Note the time, and at the end repeat the part."""
        self.ends.append(time.process_time())  # the processor's, so that other programs do not count
        if state.global_step == TIMED:
            optimizer, scheduler = stepping(kwargs["optimizer"]), kwargs["lr_scheduler"]
            optimizer.zero_grad()

            def part() -> None:
                optimizer.step()
                scheduler.get_last_lr()
                scheduler.step()

            self.part = min(timeit.repeat(part, number=200, repeat=20, timer=time.process_time)) / 200

    def median(self) -> float:
        """The median time of an update."""
        return statistics.median(np.diff(self.ends[10:]).tolist())


def overhead() -> Overhead:
    """The Trainer's own linear decay, and the same schedule by Follow: the difference in the part where they differ."""
    follow = lr.transformers.Follow(lr.linear(5e-5, 0.0, 100_000), report=lambda text: None)
    plain, ours = Times(), Times()
    trainer(0, TIMED, plain, width=32, layers=1).train()
    trainer(0, TIMED, follow, ours, width=32, layers=1).train()
    return Overhead(plain=plain.median(), ours=plain.median() + ours.part - plain.part)
