"""One of two processes under DDP with gloo: runs each scenario and writes what its optimizer used.

Started by test_processes.py with torch's launcher; the working folder receives "{rank}.json".
"""

import json
import math
import os
import sys
from pathlib import Path

import lightning as pl
import torch
from lightning.pytorch.plugins.environments import TorchElasticEnvironment
from lightning.pytorch.strategies import DDPStrategy

import learnrate as lr
from learnrate.control import guard, plateau

sys.path.append(str(Path(__file__).parents[1] / "support"))
from controllers import Heard, halve_when_stalled, skip_not_finite
from lightning_toy import Toy, Used, loader

SHAPE = lr.warmup(0.1, "25%") >> lr.cosine(0.1, 0)
EPOCHS = 20


def trainer(*callbacks, **options):
    settings = {"accelerator": "cpu", "devices": 2, "logger": False, "max_epochs": 2, "enable_progress_bar": False}
    settings |= {"enable_checkpointing": False, "enable_model_summary": False}
    strategy = DDPStrategy(process_group_backend="gloo", cluster_environment=TorchElasticEnvironment())
    return pl.Trainer(callbacks=list(callbacks), strategy=strategy, **(settings | options))


def weights(module):
    return [value.tolist() for value in module.state_dict().values()]


def followed(folder):
    used = Used()
    trainer(lr.lightning.Follow(SHAPE), used, accumulate_grad_batches=3).fit(Toy(), loader())
    return used.first


class Saves(pl.Callback):
    def __init__(self, at, path):
        self.at, self.path = at, path

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step == self.at:
            trainer.save_checkpoint(self.path)


def at_five(folder):
    through, resumed = Used(), Used()
    trainer(lr.lightning.Follow(SHAPE), through, Saves(5, folder / "five.ckpt")).fit(Toy(), loader())
    trainer(lr.lightning.Follow(SHAPE), resumed).fit(Toy(), loader(), ckpt_path=folder / "five.ckpt")
    return [through.first, resumed.first]


class Unequal(Toy):
    """Its loss is another one in each process, and in the second process once not finite."""

    def training_step(self, batch, batch_idx):
        step, rank = self.trainer.global_step, self.trainer.global_rank
        loss = math.nan if (step, rank) == (2, 1) else 1.0 + rank
        return (self.layer(batch[0]).mean() * 0.0 + 1.0) * loss


class Hears(pl.Callback):
    """Listens; and the first process alone is asked for half the LR."""

    def __init__(self, follow):
        self.follow, self.heard = follow, Heard()

    def on_train_start(self, trainer, pl_module):
        self.follow.control.listeners.append(self.heard)

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == 6 and trainer.global_rank == 0:
            self.follow.scale(0.5)


def controlled(folder):
    runs = []
    for resume in (None, folder / "controlled.ckpt"):
        used, follow = Used(), lr.lightning.Follow(SHAPE, control=[halve_when_stalled(4), skip_not_finite()])
        hears, saves = Hears(follow), Saves(5, folder / "controlled.ckpt") if resume is None else pl.Callback()
        trainer(follow, hears, used, saves, max_epochs=3).fit(Unequal(), loader(), ckpt_path=resume)
        runs.append(used.first)
    control = follow.control
    return {
        "used": runs[0],
        "resumed": runs[1],
        "schedule": [control.schedule(n) for n in range(len(runs[0]))],
        "events": [(event.kind, event.who) for event in control.events],
        "losses": hears.heard.losses,
    }


class Faulty(Toy):
    """In the second process alone, one batch is at fault, and later three in a row; its layers keep statistics."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Sequential(torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1))
        self.batches = 0

    def training_step(self, batch, batch_idx):
        number, self.batches = self.batches, self.batches + 1
        is_bad = self.trainer.global_rank == 1 and number in (9, 41, 42, 43)
        return torch.nn.functional.mse_loss(self.layer(batch[0] * (math.nan if is_bad else 1.0)), batch[1])


def guarded(folder):
    follow, used, module = lr.lightning.Follow(SHAPE, control=[plateau(20), guard(every=10)]), Used(), Faulty()
    trainer(follow, used, max_epochs=15).fit(module, loader())
    control = follow.control
    return {
        "used": used.first,
        "schedule": [control.schedule(n) for n in range(len(used.first))],
        "events": [(event.update, event.kind, event.evidence.get("restored")) for event in control.events],
        "parameters": [value.tolist() for value in module.parameters()],
        "finite": all(bool(torch.isfinite(value).all()) for value in module.state_dict().values()),
    }


def tuned(folder):
    results = []
    texts = []
    tune = lr.lightning.Tune("150 updates", report=texts.append)
    for callback in (lambda: tune, lambda: lr.lightning.Follow(tune.plan.schedule)):
        torch.manual_seed(0)
        used, module = Used(), Toy()
        trainer(callback(), used, max_epochs=EPOCHS).fit(module, loader(128))
        results.append({"used": used.first, "weights": weights(module)})
    results.append({"texts": len(texts), "spent": tune.plan.spent, "schedule": repr(tune.plan.schedule)})
    return results


def swept(folder):
    test = lr.lightning.RangeTest(updates=20)
    trainer(test, max_steps=1).fit(Toy(), loader())
    return list(test.curve.losses)


def main():
    folder = Path(sys.argv[1])
    torch.set_num_threads(1)
    _ = lr.lightning
    results = {"jsonargparse": "jsonargparse" in sys.modules}
    for scenario in (followed, at_five, controlled, guarded, tuned, swept):
        torch.manual_seed(0)
        results[scenario.__name__] = scenario(folder)
    (folder / f"{os.environ['RANK']}.json").write_text(json.dumps(results))
