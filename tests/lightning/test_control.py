"""Control in Lightning: what controllers see of a run, what they do to it, and runs that are resumed with them."""

import csv
import math
import random
from pathlib import Path

import lightning as pl
import pytest
import torch
from lightning.pytorch.callbacks import LearningRateFinder, LearningRateMonitor, StochasticWeightAveraging
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.plugins.precision import MixedPrecision

import learnrate as lr
from controllers import Heard, halve_when_stalled, skip_not_finite, stop_after
from learnrate.control import Undo
from learnrate.errors import ArgumentError, ArgumentTypeError, OtherScheduleWarning, OverruledWarning
from lightning_toy import QUIET, Toy, Used, loader, trainer

pytestmark = [pytest.mark.xdist_group("lightning"), *QUIET]

SCHEDULE = lr.warmup(0.1, "25%") >> lr.one_cycle(0.4)
EPOCHS = 4
UPDATES = 8 * EPOCHS
CONTROL = {"plateau": halve_when_stalled(4), "guard": skip_not_finite()}


def loss_at(step):
    """It stalls from update 6 on, and is not finite twice."""
    return {5: math.nan, 17: math.inf}.get(step, max(2.0 - 0.25 * step, 0.5))


class Given(Toy):
    """Its loss is given, whatever the weights are."""

    def training_step(self, batch, batch_idx):
        loss = loss_at(self.trainer.global_step)
        return (self.layer(batch[0]).mean() * 0.0 + 1.0) * loss


class Validated(Given):
    """Its score is the same at each validation."""

    def validation_step(self, batch, batch_idx):
        self.log("val/loss", 1.0)


class Acts(pl.Callback):
    """Listens, changes the LR by hand, and saves a checkpoint."""

    def __init__(self, follow, save_at=None, path=None):
        self.follow, self.save_at, self.path, self.heard = follow, save_at, path, Heard()

    def on_train_start(self, trainer, pl_module):
        self.follow.control.listeners.append(self.heard)

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == 9:
            self.follow.scale(0.5, "to see what it does")
        if trainer.global_step == 20:
            self.follow.control.request(Undo())

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step == self.save_at and not self.path.exists():
            trainer.save_checkpoint(self.path)


def run(control=CONTROL, save_at=None, path=None, resume=None, module=None, data=None, schedule=SCHEDULE, **options):
    """A fit; returns the callback, the LRs that were used, and what a listener heard."""
    extra = {name: options.pop(name) for name in ("on_change", "relative", "record") if name in options}
    follow = lr.lightning.Follow(schedule, control=control, **extra)
    acts, used = Acts(follow, save_at, path), Used()
    engine = trainer(follow, acts, used, **{"max_epochs": EPOCHS, **options})
    engine.fit(module or Given(), *(data or [loader()]), ckpt_path=resume)
    return follow, used, acts.heard


@pytest.mark.shows("lightning", "control")
def test_a_run_that_is_resumed_uses_the_lrs_of_the_run_through(tmp_path):
    at = random.Random(17).randrange(7, UPDATES)
    path = tmp_path / "at.ckpt"
    through, used, heard = run(save_at=at, path=path)
    resumed, used_later, _ = run(resume=path)
    count = torch.load(path, weights_only=True)["callbacks"]["Follow"]["optimizers"]["0"]["updates"]
    assert used_later.first == used.first[count:]
    assert resumed.control.schedule == through.control.schedule
    assert used.first == [through.control.schedule(n) for n in range(UPDATES - 2)]
    assert through.updates == {0: UPDATES - 2}
    kinds = [(event.kind, event.who) for event in through.control.events]
    assert kinds.count(("skip", "guard")) == 2
    assert kinds.count(("scale", "plateau")) >= 2
    assert {("scale", "by hand"), ("undo", "by hand")} < set(kinds)
    losses = [loss_at(step) for step in range(UPDATES) if math.isfinite(loss_at(step))]
    assert heard.losses == losses


@pytest.mark.shows("lightning", "record")
def test_the_record_of_a_resumed_run_is_the_schedule_that_was_used(tmp_path):
    path, file = tmp_path / "at.ckpt", tmp_path / "run.sqlite"
    _, used, _ = run(save_at=13, path=path, record=file)
    resumed, _, _ = run(resume=path, record=file)
    record = lr.Record.load(file)
    assert [record.schedule()(n) for n in range(UPDATES - 2)] == used.first == record.lrs.tolist()
    assert record.losses.tolist() == [loss_at(step) for step in range(UPDATES) if math.isfinite(loss_at(step))]
    assert [event.kind for event in record.events] == [event.kind for event in resumed.control.events]


def one_loss(number):
    return 1.0 + number % 5


class ByBatch(Given):
    def training_step(self, batch, batch_idx):
        return (self.layer(batch[0]).mean() * 0.0 + 1.0) * one_loss(batch_idx)


@pytest.mark.parametrize("kind", ["plain", "scaler", "bf16"])
def test_the_loss_is_the_mean_of_the_micro_batches_without_what_accumulation_and_scaler_do_to_it(kind):
    options = {}
    if kind == "scaler":
        options["plugins"] = [MixedPrecision("16-mixed", "cpu", scaler=torch.amp.GradScaler("cpu", init_scale=16.0))]
    elif kind == "bf16":
        options["precision"] = "bf16-mixed"
    _, _, heard = run([], module=ByBatch(), accumulate_grad_batches=3, max_epochs=1, **options)
    batches = [one_loss(number) for number in range(8)]
    means = [sum(batches[:3]) / 3, sum(batches[3:6]) / 3, sum(batches[6:]) / 2]
    assert heard.losses == pytest.approx(means, rel=1e-6 if kind == "plain" else 2e-3)


def test_the_loss_of_an_update_that_the_scaler_skips_is_not_observed():
    class Overflows(ByBatch):
        def training_step(self, batch, batch_idx):
            factor = math.inf if batch_idx in (2, 3) else 1.0
            return (self.layer(batch[0]).mean() * 1e-3 + one_loss(batch_idx)) * factor

    plugin = MixedPrecision("16-mixed", "cpu", scaler=torch.amp.GradScaler("cpu", init_scale=16.0))
    follow, used, heard = run(halve_when_stalled(100), module=Overflows(), max_epochs=1, plugins=[plugin])
    assert heard.losses == pytest.approx([one_loss(n) for n in range(8) if n not in (2, 3)], abs=0.1)
    assert follow.updates == {0: 6} == {0: len(used.first)}


def test_the_norm_of_the_gradient_is_the_one_before_it_is_clipped():
    class Steep(Given):
        def training_step(self, batch, batch_idx):
            return self.layer.weight.sum() * 3.0 + self.layer.bias.sum() * 0.0

    _, _, heard = run(skip_not_finite(), module=Steep(), max_epochs=1, gradient_clip_val=0.5)
    assert [observation.gradient_norm for observation in heard.updates] == pytest.approx([6.0] * 8)


def test_scores_of_a_validation_count_from_the_next_update_on():
    control = [halve_when_stalled(1, score="val/loss"), stop_after(4)]
    data = loader(), loader(16)
    follow, used, heard = run(control, module=Validated(), data=data, val_check_interval=2)
    assert [observation.metrics["val/loss"] for observation in heard.evaluations] == [1.0] * len(heard.evaluations)
    # Two updates, a validation (the first has nothing to compare with), two updates, a validation that halves.
    assert [(event.kind, event.update) for event in follow.control.events] == [("stop", 3), ("scale", 4)]
    assert len(used.first) == 4


def test_a_controller_ends_the_run_and_a_resumed_run_goes_on(tmp_path):
    path = tmp_path / "at.ckpt"
    _, used, _ = run(stop_after(5), save_at=5, path=path)
    assert len(used.first) == 5
    with pytest.warns(OtherScheduleWarning, match="controllers"):
        _, later, _ = run([], resume=path)
    assert len(used.first) + len(later.first) == UPDATES


@pytest.mark.parametrize(
    ("on_change", "expected"),
    [
        ("keep", lambda before, after: before),
        ("rebase", lambda before, after: before.rebase(14, 40)),
        ("new", lambda before, after: after),
    ],
)
def test_a_run_of_another_length_goes_on_as_the_user_says_with_its_factors_and_no_false_event(tmp_path, on_change, expected):
    path = tmp_path / "at.ckpt"
    through, used, _ = run(save_at=15, path=path)
    with pytest.raises(ArgumentError, match="on_change"):
        run(resume=path, max_epochs=5)
    with pytest.warns(lr.errors.LearnrateWarning) as caught:
        resumed, later, _ = run(resume=path, max_epochs=5, on_change=on_change)
    assert {OtherScheduleWarning} <= {entry.category for entry in caught}
    schedule = resumed.control.schedule
    assert used.first[:14] + later.first == [schedule(n) for n in range(14 + len(later.first))]
    assert "replace" not in {event.kind for event in resumed.control.events}
    factor = through.control.schedule(14) / SCHEDULE.resolve(UPDATES)(14)
    assert factor < 1
    assert later.first[0] == pytest.approx(factor * expected(SCHEDULE.resolve(UPDATES), SCHEDULE.resolve(40))(14))


class Two(Toy):
    """Two optimizers by hand."""

    def __init__(self, make, follow):
        super().__init__(make)
        self.automatic_optimization, self.follow = False, follow

    def training_step(self, batch, batch_idx):
        for number, optimizer in enumerate(self.optimizers()):
            optimizer.zero_grad()
            loss = (self.layer(batch[0]).mean() * 0.0 + 1.0) * (math.nan if number and batch_idx == 3 else 2.0 + number)
            self.manual_backward(loss)
            if number:
                self.follow.observe(loss)
            optimizer.step()


def two(module):
    kinds = torch.optim.SGD, torch.optim.Adam
    return [kind([parameter], lr=0.5) for kind, parameter in zip(kinds, module.layer.parameters(), strict=True)]


def test_control_is_that_of_one_optimizer_whose_losses_manual_optimisation_observes_itself():
    follow = lr.lightning.Follow(lr.linear(0.1, 0.0, 16), control=CONTROL)
    with pytest.raises(ArgumentError, match=r"control.*one optimizer.*2"):
        trainer(follow).fit(Two(two, follow), loader())
    follow = lr.lightning.Follow({"Adam": lr.linear(0.1, 0.0, 16)}, control=CONTROL)
    acts, used = Acts(follow), Used()
    trainer(follow, acts, used, max_epochs=1).fit(Two(two, follow), loader())
    assert acts.heard.losses == [3.0] * 7
    assert follow.updates == {1: 7}
    assert [row[0] for row in used.all[1]] == [follow.control.schedule(n) for n in range(7)]


class Configured(Given):
    """Gives its scheduler the losses itself."""

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        self.lr_schedulers().observe(loss)
        return loss

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.5)
        return lr.lightning.configure(optimizer, SCHEDULE, module=self, control=CONTROL)


class Saves(pl.Callback):
    def __init__(self, at, path):
        self.at, self.path = at, path

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step == self.at:
            trainer.save_checkpoint(self.path)


def test_a_configured_scheduler_reacts_and_resumes(tmp_path):
    used, later, module = Used(), Used(), Configured()
    trainer(used, Saves(13, tmp_path / "at.ckpt"), max_epochs=EPOCHS).fit(module, loader())
    control = module.lr_schedulers().control
    assert used.first == [control.schedule(n) for n in range(UPDATES - 2)]
    assert [event.kind for event in control.events].count("skip") == 2
    assert control.factor < 1
    trainer(later, max_epochs=EPOCHS).fit(Configured(), loader(), ckpt_path=tmp_path / "at.ckpt")
    assert later.first == used.first[12:]


def test_logs_show_the_lr_that_was_used(tmp_path):
    logger = CSVLogger(tmp_path)
    follow, used = lr.lightning.Follow(SCHEDULE, control=halve_when_stalled(4)), Used()
    trainer(LearningRateMonitor("step"), follow, used, logger=logger, log_every_n_steps=1).fit(Toy(), loader())
    with (Path(logger.log_dir) / "metrics.csv").open() as file:
        logged = {int(row["step"]): float(row["lr-SGD"]) for row in csv.DictReader(file)}
    assert logged == dict(enumerate(used.first))
    assert used.first == [follow.control.schedule(n) for n in range(16)]


def test_stochastic_weight_averaging_takes_over_and_a_finder_is_not_observed():
    follow, used = lr.lightning.Follow(lr.constant(0.01), control=halve_when_stalled(2)), Used()
    swa = StochasticWeightAveraging(swa_lrs=0.05, swa_epoch_start=2, annealing_epochs=1)
    finder = LearningRateFinder(num_training_steps=8, update_attr=False, early_stop_threshold=None)
    with pytest.warns(OverruledWarning) as caught:
        trainer(finder, follow, swa, used, max_epochs=EPOCHS).fit(Given(), loader())
    assert any("StochasticWeightAveraging" in str(entry.message) for entry in caught)
    assert follow.updates == {0: 8}
    assert used.first[:8] == [follow.control.schedule(n) for n in range(8)]
    with pytest.raises(ArgumentError, match="ended"):
        follow.scale(0.5)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"control": 3}, ArgumentTypeError, "controller"),
        ({"control": halve_when_stalled}, ArgumentTypeError, r"halve_when_stalled\(\.\.\.\)"),
        ({"record": 3}, ArgumentTypeError, "record"),
        ({"page": 8080}, ArgumentTypeError, "page"),
    ],
)
def test_wrong_arguments_are_refused_when_the_callback_is_built(options, error, words):
    with pytest.raises(error, match=words):
        lr.lightning.Follow(SCHEDULE, **options)


def test_changes_by_hand_need_a_run_and_no_controller():
    follow = lr.lightning.Follow(lr.constant(0.5))
    with pytest.raises(ArgumentError, match="begun"):
        follow.scale(0.5)

    class Halves(pl.Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            if batch_idx == 4:
                follow.scale(0.5)

    used = Used()
    trainer(follow, Halves(), used, max_epochs=1).fit(Toy(), loader())
    assert used.first == [0.5] * 5 + [0.25] * 3  # from the update after the one under way
    with pytest.raises(ArgumentError, match="ended"):
        follow.scale(0.5)
