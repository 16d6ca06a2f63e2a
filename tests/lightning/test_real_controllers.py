"""The controllers of learnrate in Lightning: warm-up, plateau, guard and changes by hand over one cycle, and a run given up."""

import math
import random
import threading

import lightning as pl
import pytest
import torch
from lightning.pytorch.plugins.precision import MixedPrecision

import learnrate as lr
from learnrate.control import Undo, guard, plateau
from learnrate.errors import ArgumentError, GaveUpError, NotMeasuredWarning
from lightning_toy import QUIET, Used, loader, trainer
from live_run import Client

pytestmark = [
    pytest.mark.xdist_group("lightning"),
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no `val_dataloader`"),
    *QUIET,
]

SCHEDULE = lr.warmup(0.1, "5%") >> lr.one_cycle(0.2)
EPOCHS = 25
BATCHES = 8 * EPOCHS
FAULTS = {40: "not finite", 80: "spike", **dict.fromkeys(range(150, 153), "not finite")}


class Faulty(pl.LightningModule):
    """Some of its batches are at fault. What each is depends on its number alone, so that a resumed run sees the same."""

    def __init__(self, faults=FAULTS):
        super().__init__()
        torch.manual_seed(0)
        self.layers = torch.nn.Sequential(torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1))
        self.faults, self.batches = faults, 0

    def training_step(self, batch, batch_idx):
        inputs, targets = batch
        fault = self.faults.get(self.trainer.current_epoch * 8 + batch_idx)
        inputs = inputs * math.nan if fault == "not finite" else inputs
        targets = targets + 1e3 if fault == "spike" else targets
        return torch.nn.functional.mse_loss(self.layers(inputs), targets)

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", torch.nn.functional.mse_loss(self.layers(batch[0]), batch[1]))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.5)


class Hand(pl.Callback):
    """Asks for changes before two batches, and saves a checkpoint after another one."""

    def __init__(self, follow, save_after=None, path=None):
        self.follow, self.save_after, self.path = follow, save_after, path

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        number = trainer.current_epoch * 8 + batch_idx
        if number == 30:
            self.follow.scale(0.5, "too high")
        if number == 100:
            self.follow.control.request(Undo())

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.current_epoch * 8 + batch_idx == self.save_after:
            trainer.save_checkpoint(self.path)


def run(record=None, save_after=None, path=None, resume=None, **options):
    control = [plateau(20), guard(every=10, recovery=40)]
    follow, module, used = lr.lightning.Follow(SCHEDULE, control=control, record=record), Faulty(), Used()
    engine = trainer(Hand(follow, save_after, path), follow, used, max_epochs=EPOCHS, **options)
    engine.fit(module, loader(), ckpt_path=resume)
    return follow, module, used.first


@pytest.mark.shows("lightning", "control")
@pytest.mark.shows("lightning", "record")
def test_warm_up_plateau_guard_and_hand_over_one_cycle_resumed_in_mid_run(tmp_path):
    through, module, used = run(tmp_path / "through.sqlite")
    schedule = through.control.schedule
    assert used == [schedule(n) for n in range(len(used))]
    acts = [(event.who, event.kind) for event in through.control.events]
    assert [kind for who, kind in acts if who == "by hand"] == ["scale", "undo"]
    assert acts.count(("guard", "skip")) == 4
    assert acts.count(("guard", "rollback")) == 1
    assert ("plateau", "scale") in acts
    assert ("guard", "scale") in acts
    assert len(used) == BATCHES - len(FAULTS)
    assert all(bool(torch.isfinite(value).all()) for value in module.state_dict().values())
    record = lr.Record.load(tmp_path / "through.sqlite")
    assert [record.schedule()(n) for n in range(len(used))] == used == record.lrs.tolist()

    at = random.Random(23).randrange(35, BATCHES - 5)
    run(tmp_path / "run.sqlite", at, tmp_path / "at.ckpt")
    resumed, _, later = run(tmp_path / "run.sqlite", resume=tmp_path / "at.ckpt")
    assert 0 < len(later) < len(used)
    assert later == used[-len(later) :]
    assert resumed.control.schedule == schedule
    record = lr.Record.load(tmp_path / "run.sqlite")
    assert [record.schedule()(n) for n in range(len(used))] == used == record.lrs.tolist()


def test_a_run_that_is_given_up_ends_with_good_weights_and_a_report(tmp_path):
    faults = {60 + 7 * part + n: "not finite" for part in range(3) for n in range(3)}
    follow, module = (
        lr.lightning.Follow(lr.constant(0.1), control=guard(every=10, tries=2), record=tmp_path / "run.sqlite"),
        Faulty(faults),
    )
    with pytest.raises(GaveUpError, match="update 68") as raised:
        trainer(follow, max_epochs=EPOCHS).fit(module, loader())
    report = raised.value.report.splitlines()
    assert sum(": rollback: " in line for line in report) == 3
    assert "layers.1.weight" in report[0]
    assert all(bool(torch.isfinite(value).all()) for value in module.state_dict().values())
    assert lr.Record.load(tmp_path / "run.sqlite").events[-1].kind == "stop"
    with pytest.raises(ArgumentError, match="ended"):
        follow.scale(0.5)


class Configured(Faulty):
    """Has a scheduler, and gives it the losses itself."""

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        self.lr_schedulers().observe(loss)
        return loss

    def configure_optimizers(self):
        return lr.lightning.configure(super().configure_optimizers(), SCHEDULE, module=self, control=guard(every=10))


def test_a_guard_in_configure_has_the_module_and_the_scaler():
    scaler = torch.amp.GradScaler("cpu", init_scale=16.0)
    module, faults = Configured({40: "spike"}), {41: "spike", 42: "spike"}
    module.faults |= faults
    plugin = MixedPrecision("16-mixed", "cpu", scaler=scaler)
    trainer(max_epochs=8, plugins=[plugin]).fit(module, loader())
    kinds = [event.kind for event in module.lr_schedulers().control.events]
    assert kinds[:4] == ["skip", "skip", "scale", "rollback"]
    assert all(bool(torch.isfinite(value).all()) for value in module.state_dict().values())
    with pytest.raises(ArgumentError, match="module"):
        lr.lightning.configure(torch.optim.SGD(module.parameters(), lr=0.1), lr.constant(0.1), control=guard())


def test_a_metric_that_no_validation_has_is_warned_of_once():
    follow = lr.lightning.Follow(lr.constant(0.1), control=plateau(10, monitor="val_lss"))
    with pytest.warns(NotMeasuredWarning, match="'val_lss'.*val_loss"):
        trainer(follow, max_epochs=2).fit(Faulty({}), loader(), loader(16))


def test_a_live_page_applies_a_change_and_ends_with_the_run():
    pytest.importorskip("starlette")
    pytest.importorskip("uvicorn")
    follow, used, before, answers = lr.lightning.Follow(lr.constant(0.5), page=True), Used(), threading.active_count(), []

    class Watcher(pl.Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            if batch_idx == 4:
                page = follow.control.listeners[0]
                asking = threading.Thread(target=lambda: answers.append(ask(page)))
                asking.start()
                threads.append(asking)
                while not follow.control.waiting():
                    asking.join(0.01)

    threads = []

    def ask(page):
        return page, Client(page).change({"kind": "scale", "factor": 0.5}).json()

    trainer(follow, Watcher(), used, max_epochs=1).fit(Faulty({}), loader())
    assert used.first == [0.5] * 5 + [0.25] * 3
    threads[0].join(120)
    page, answer = answers[0]
    assert answer["update"] == 5
    page.stop()
    assert threading.active_count() == before
