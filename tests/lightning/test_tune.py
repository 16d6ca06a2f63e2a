"""Tuning when the training begins: what it sets, what it says, and that nothing else changes."""

import random
import warnings

import lightning as pl
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader, IterableDataset
from torchmetrics import MeanMetric

import learnrate as lr
from facts import tells
from learnrate.errors import ArgumentError, ArgumentTypeError, NoAnswerError, OtherScheduleWarning
from lightning_toy import QUIET, Toy, Used, loader, trainer

pytestmark = [pytest.mark.xdist_group("lightning"), *QUIET]

EPOCHS, BUDGET = 20, "300 updates"  # 320 updates


class Net(Toy):
    """Everything that training changes: batch norm, dropout, a metric, random numbers of three libraries, logs."""

    def __init__(self, make=lambda module: torch.optim.SGD(module.parameters(), lr=0.01, momentum=0.9)):
        super().__init__(make)
        torch.manual_seed(1)
        layers = torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU(), torch.nn.Dropout(0.1)
        self.layer = torch.nn.Sequential(*layers, torch.nn.Linear(8, 1))
        self.mean, self.draws = MeanMetric(), []

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        self.mean.update(loss.detach())
        noise = random.random() + np.random.rand()
        self.log("loss", loss, on_step=True, prog_bar=True)
        self.logger.log_metrics({"own": float(loss.detach())}, step=self.global_step)
        return {"loss": loss * (1 + 1e-3 * noise), "outputs": batch[0]}


def shuffled(examples=256):
    data = loader(examples, 16).dataset
    return DataLoader(data, batch_size=16, shuffle=True, generator=torch.Generator().manual_seed(3))


def fitted(callback, folder, **options):
    """A whole run: all that could differ at its end."""
    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)
    used, module, data, logger = Used(), Net(), shuffled(), CSVLogger(folder, version=0)
    saves = ModelCheckpoint(folder / "saved", filename="{epoch}", save_top_k=-1, every_n_epochs=10)
    options = {"logger": logger, "log_every_n_steps": 3, "enable_checkpointing": True, **options}
    run = trainer(callback, used, saves, max_epochs=EPOCHS, **options)
    run.fit(module, data)
    logger.save()
    checkpoint = torch.load(folder / "saved" / "epoch=19.ckpt", weights_only=False)
    return {
        "lrs": used.all[0],
        "weights": {name: value.clone() for name, value in module.state_dict().items()},
        "optimizer": run.optimizers[0].state_dict(),
        "metric": module.mean.compute(),
        "random": (random.random(), np.random.rand(), torch.rand(3), data.generator.get_state()),
        "logged": (folder / "lightning_logs" / "version_0" / "metrics.csv").read_text(),
        "progress": {name: float(value) for name, value in run.callback_metrics.items()},
        "counts": (run.global_step, run.current_epoch, checkpoint["global_step"], checkpoint["loops"]),
        "files": sorted(path.name for path in folder.rglob("*")),
        "saved": checkpoint["state_dict"],
        "rest": {name for name in vars(module) if name in ("log", "log_dict")},
    }


def same(first, second):
    """Whether two values are equal, tensors bit for bit."""
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(map(same, first, second))
    return first == second


@pytest.mark.shows("lightning", "tune in place")
@pytest.mark.slow
def test_a_tuned_run_is_bit_for_bit_the_run_under_its_schedule(tmp_path):
    texts = []
    tune = lr.lightning.Tune("150 updates", report=texts.append)
    options = {"accumulate_grad_batches": 2, "gradient_clip_val": 1.0}
    tuned = fitted(tune, tmp_path / "tuned", **options)
    followed = fitted(lr.lightning.Follow(tune.plan.schedule), tmp_path / "followed", **options)
    for what, value in tuned.items():
        assert same(value, followed[what]), what
    assert tune.plan.spent > 50
    assert tune.plan.updates == len(tuned["lrs"]) == 160
    text = "\n".join(texts)
    assert f"max_lr {tune.plan.max_lr:.2g}" in text
    assert "in place of LR 0.01" in text
    assert f"{tune.plan.spent:,} updates" in text


def saving(at, path):
    class Saves(Net):
        def training_step(self, batch, batch_idx):
            return Toy.training_step(self, batch, batch_idx)

        def on_train_batch_end(self, *arguments):
            if self.global_step == at and not path.exists():
                self.trainer.save_checkpoint(path)

    return Saves()


@pytest.fixture(scope="session")
def tuned_once(tmp_path_factory):
    """A tuned run, with a checkpoint at one of its updates."""
    at, path, used = random.Random(7).randrange(20, 300), tmp_path_factory.mktemp("tuned") / "at.ckpt", Used()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer(lr.lightning.Tune(BUDGET, report=lambda text: None), used, max_epochs=EPOCHS).fit(
            saving(at, path), shuffled()
        )
    return at, path, used.first


def resumed(tuned_once, epochs=EPOCHS, **options):
    """The LRs of the rest of that run, and what was reported."""
    at, path, _ = tuned_once
    used, texts = Used(), []
    run = trainer(lr.lightning.Tune(BUDGET, report=texts.append, **options), used, max_epochs=epochs)
    run.fit(saving(at, path), shuffled(), ckpt_path=path)
    return used.first, texts


@pytest.mark.slow
def test_a_tuned_run_that_is_resumed_is_not_tuned_again(tuned_once):
    at, _, through = tuned_once
    rest, texts = resumed(tuned_once)
    assert rest == through[at:]
    assert texts == []


def test_a_tuned_run_that_is_resumed_for_another_length_is_refused(tuned_once):
    with pytest.raises(ArgumentError, match=r"336 updates.* 320.*on_change='keep'"):
        resumed(tuned_once, EPOCHS + 1)


@pytest.mark.parametrize("on_change", ["keep", "rebase"])
def test_a_tuned_run_goes_on_with_another_length_as_the_user_says(tuned_once, on_change):
    at, _, through = tuned_once
    with pytest.warns() as caught:
        rest, _ = resumed(tuned_once, EPOCHS + 1, on_change=on_change)
    assert OtherScheduleWarning in {entry.category for entry in caught}
    assert len(rest) == 336 - at
    assert rest[0] == pytest.approx(through[at])
    assert (rest[-1] == 0) == (on_change == "keep")  # past its end the kept one holds 0


def constant_loss(make=lambda module: torch.optim.SGD(module.parameters(), lr=0.03)):
    class Constant(Toy):
        def training_step(self, batch, batch_idx):
            return 0 * super().training_step(batch, batch_idx) + 1.0

    return Constant(make)


def test_without_an_answer_the_run_goes_on_and_says_why():
    def make(module):
        optimizer = torch.optim.SGD(module.parameters(), lr=0.03)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)]

    texts, used = [], Used()
    tune = lr.lightning.Tune(report=texts.append)
    trainer(tune, used, max_epochs=4).fit(constant_loss(make), loader(512))
    assert tune.plan is None
    assert "no answer" in texts[-1]
    assert "LR 0.03 and StepLR" in texts[-1]
    assert used.first == [0.03] * 64 + [0.015] * 64 + [0.0075] * 64 + [0.00375] * 64


def test_no_answer_is_an_error_if_one_is_required():
    with pytest.raises(NoAnswerError):
        trainer(lr.lightning.Tune(require=True), max_epochs=4).fit(constant_loss(), loader(512))


def test_a_scheduler_of_the_module_is_replaced_and_named():
    def make(module):
        optimizer = torch.optim.SGD(module.parameters(), lr=0.03, momentum=0.9)
        cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.3, total_steps=320, div_factor=10)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}

    class Plain(Net):
        def training_step(self, batch, batch_idx):
            return Toy.training_step(self, batch, batch_idx)

    texts, used = [], Used()
    tune = lr.lightning.Tune(BUDGET, report=texts.append)
    trainer(tune, used, max_epochs=EPOCHS).fit(Plain(make), shuffled())
    assert "in place of LR 0.03 and OneCycleLR" in texts[0]
    assert tells(texts[0], "momentum", 0.95)  # which the user has not set, and which stays
    assert used.first == [tune.plan.schedule(n) for n in range(320)]


class Stream(IterableDataset):
    def __init__(self, once):
        self.inputs = iter(torch.randn(64, 4)) if once else torch.randn(64, 4)

    def __iter__(self):
        return ((row, row.sum(0, keepdim=True)) for row in self.inputs)


def test_manual_optimisation_several_optimizers_and_own_updates_are_refused_with_the_reason():
    class Manual(Toy):
        def __init__(self):
            super().__init__()
            self.automatic_optimization = False

        def training_step(self, batch, batch_idx):
            raise AssertionError("nothing is trained")

    class Own(Toy):
        def optimizer_step(self, *arguments, **options):
            super().optimizer_step(*arguments, **options)

    for module, words in ((Manual(), "manually"), (Own(), "Own overrides optimizer_step")):
        with pytest.raises(ArgumentError, match=rf"{words}.*learnrate\.torch\.tune.*Follow"):
            trainer(lr.lightning.Tune()).fit(module, loader())


def test_an_accumulation_that_changes_is_refused_and_one_that_is_constant_is_used():
    scheduling = pl.pytorch.callbacks.GradientAccumulationScheduler
    with pytest.raises(ArgumentError, match="GradientAccumulationScheduler"):
        trainer(scheduling({0: 1, 1: 2}), lr.lightning.Tune()).fit(Toy(), loader())
    test = lr.lightning.RangeTest(updates=10)
    trainer(scheduling({0: 4}), test, max_steps=1).fit(Toy(), loader())
    assert test.curve.updates_per_epoch == 2


def test_two_callbacks_of_one_kind_are_refused():
    with pytest.raises(RuntimeError, match="more than one stateful callback"):
        trainer(lr.lightning.Tune(), lr.lightning.Tune()).fit(Toy(), loader())


def test_data_that_cannot_be_started_again_are_refused():
    data = DataLoader(Stream(once=True), batch_size=8)

    def once():
        yield from data

    with pytest.raises(ArgumentError, match="cannot be started again"):
        trainer(lr.lightning.Tune(), max_steps=8).fit(Toy(), once())


def test_data_without_a_length_can_be_tuned_on():
    tune, used = lr.lightning.Tune("300 updates", report=lambda text: None), Used()
    data = DataLoader(Stream(once=False), batch_size=8)
    trainer(tune, used, max_steps=320, max_epochs=-1).fit(Toy(), data)
    assert used.first == [tune.plan.schedule(n) for n in range(320)]


def test_a_run_without_an_end_is_refused():
    with pytest.raises(ArgumentError, match=r"length of the run.*max_steps="):
        trainer(lr.lightning.Tune(), max_epochs=-1).fit(Toy(), loader())


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"require": 1}, ArgumentTypeError, "require"),
        ({"report": "loud"}, ArgumentTypeError, "report"),
        ({"on_change": "new"}, ArgumentError, "keep"),
        ({"budget": "lots"}, ArgumentError, "500 updates"),
        ({"family": "wsdd"}, ArgumentError, "wsd"),
        ({"family": ["wsd", "one_cicle"]}, ArgumentError, "one_cycle"),
        ({"low": float("nan")}, ArgumentError, "low"),
        ({"low": 1.0, "high": 0.1}, ArgumentError, "high"),
        ({"progress": 1}, ArgumentTypeError, "progress"),
    ],
)
def test_wrong_arguments_are_refused_when_the_callback_is_built(options, error, words):
    with pytest.raises(error, match=words):
        lr.lightning.Tune(**options)


def test_ctrl_c_in_the_middle_of_tuning_gives_everything_back():
    calls = []

    class Interrupted(Net):
        def training_step(self, batch, batch_idx):
            calls.append(batch_idx)
            if len(calls) == 30:
                raise KeyboardInterrupt
            return Toy.training_step(self, batch, batch_idx)

    module, optimizers = Interrupted(), []
    make = module.make
    module.make = lambda net: optimizers.append(make(net)) or optimizers[0]
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with pytest.raises(SystemExit):
        trainer(lr.lightning.Tune(BUDGET), max_epochs=EPOCHS).fit(module, shuffled())
    assert len(calls) == 30
    torch.testing.assert_close(dict(module.state_dict()), before, rtol=0, atol=0)
    assert optimizers[0].param_groups[0]["lr"] == 0.01
    assert not optimizers[0].state
    lr.torch.attach(optimizers[0], lr.constant(0.25)).detach()


def test_a_batch_is_what_the_module_receives_from_the_trainer():
    batches = []

    class Named(Toy):
        def on_after_batch_transfer(self, batch, dataloader_idx):
            return {"inputs": batch[0] + 1, "number": torch.tensor(len(batch[0]))}

        def training_step(self, batch):
            batches.append(sorted(batch))
            return (self.layer(batch["inputs"]) ** 2).mean()

    trainer(lr.lightning.RangeTest(updates=10), max_steps=1).fit(Named(), loader())
    assert batches == [["inputs", "number"]] * 11


def test_groups_keep_the_ratios_of_their_lrs():
    def make(module):
        weight, bias = module.layer.parameters()
        return torch.optim.SGD([{"params": [weight]}, {"params": [bias], "lr": 0.001}], lr=0.01)

    used, tune = Used(), lr.lightning.Tune("300 updates", report=lambda text: None)
    trainer(tune, used, max_epochs=EPOCHS).fit(Toy(make), loader(128))
    schedule = tune.plan.schedule
    assert used.all[0] == [pytest.approx((schedule(n), schedule(n) / 10)) for n in range(320)]


def test_a_family_in_epochs_knows_how_long_they_are():
    tune = lr.lightning.Tune("300 updates", "triangular2", report=lambda text: None)
    trainer(tune, max_epochs=EPOCHS).fit(Toy(), loader(128))
    assert tune.plan.updates_per_epoch == 16
    assert tune.plan.batch == 8
    assert tune.plan.step_size in range(32, 161)


def test_a_data_module_and_several_loaders_give_batches_as_the_trainer_does():
    batches = []

    class Pairs(Toy):
        def training_step(self, batch, batch_idx):
            batches.append({name: len(part[0]) for name, part in batch.items()})
            return super().training_step(batch["first"], batch_idx)

    class Data(pl.LightningDataModule):
        def train_dataloader(self):
            return {"first": loader(64, 8), "second": loader(64, 4)}

    test = lr.lightning.RangeTest(updates=20)
    trainer(test, max_steps=1).fit(Pairs(), datamodule=Data())
    assert {tuple(sizes.values()) for sizes in batches[:8]} == {(8, 4)}
    assert test.curve.updates_per_epoch == 16


def test_hooks_that_trials_do_not_call_are_named():
    class Hooked(Toy):
        def on_train_start(self):  # the training step may need what it sets up
            pass

        def on_before_zero_grad(self, optimizer):
            pass

    texts = []
    trainer(lr.lightning.Tune("300 updates", report=texts.append), max_epochs=EPOCHS).fit(Hooked(), loader(128))
    assert tells(texts[0], "on_train_start", "on_before_zero_grad", "Hooked")


def test_fast_dev_run_is_not_tuned():
    texts = []
    trainer(lr.lightning.Tune(report=texts.append), fast_dev_run=True).fit(Toy(), loader())
    assert "fast_dev_run" in texts[0]


def test_an_evaluation_of_the_user_counts():
    tune = lr.lightning.Tune("300 updates", evaluate=lambda model: 1.0, report=lambda text: None)
    trainer(tune, max_epochs=EPOCHS).fit(Toy(), loader(128))
    assert tune.plan.trials[0].score == 1.0
