"""The callback Follow: what the optimizer really used, in one run and across checkpoints."""

import csv
import math
import pickle
import random
from pathlib import Path

import lightning as pl
import pytest
import torch
from lightning.pytorch.callbacks import LearningRateMonitor
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.plugins.precision import MixedPrecision

import learnrate as lr
from learnrate.errors import (
    AlreadyDrivenError,
    ArgumentError,
    ArgumentTypeError,
    LostRatiosWarning,
    OtherScheduleWarning,
    OverruledWarning,
)
from lightning_toy import QUIET, Toy, Used, loader, trainer

pytestmark = [pytest.mark.xdist_group("lightning"), *QUIET]

SHAPE = lr.warmup(0.1, "25%") >> lr.cosine(0.1, 0)


def values(schedule, updates):
    return [schedule(n) for n in range(updates)]


class SaveAt(pl.Callback):
    """Saves a checkpoint after one of the updates."""

    def __init__(self, update, path):
        self.update, self.path = update, path

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step == self.update and not self.path.exists():
            trainer.save_checkpoint(self.path)


@pytest.mark.shows("lightning", "schedule")
def test_percent_and_epochs_are_resolved_by_the_trainers_counts():
    used, momenta, follow = Used(), Used("momentum"), lr.lightning.Follow(SHAPE, momentum=lr.linear(0.9, 0.5, "1 epoch"))
    with pytest.warns(lr.errors.PastEndWarning, match="momentum"):
        trainer(follow, used, momenta).fit(Toy(), loader())
    assert used.first == values(SHAPE.resolve(16), 16)
    assert momenta.first == values(lr.linear(0.9, 0.5, 8), 16)
    assert follow.updates == {0: 16}


def test_a_schedule_may_be_a_text():
    used = Used()
    trainer(lr.lightning.Follow("warmup(0.1, '25%') >> cosine(0.1, 0)"), used).fit(Toy(), loader())
    assert used.first == values(SHAPE.resolve(16), 16)


@pytest.mark.shows("lightning", "accumulation")
def test_accumulated_micro_batches_are_one_update_also_the_short_one_at_the_end_of_an_epoch():
    used = Used()
    trainer(lr.lightning.Follow(SHAPE), used, accumulate_grad_batches=3).fit(Toy(), loader())
    assert used.first == values(SHAPE.resolve(6), 6)  # 8 batches: 3 + 3 + 2, in each of two epochs


@pytest.mark.parametrize(("scheduling", "updates"), [({0: 1, 1: 4}, 8 + 2), ({0: 4}, 2 + 2)])
def test_an_accumulation_that_a_callback_sets_counts_in_the_length_of_the_run(scheduling, updates):
    used, callback = Used(), pl.pytorch.callbacks.GradientAccumulationScheduler(scheduling)
    trainer(callback, lr.lightning.Follow(SHAPE), used).fit(Toy(), loader())
    assert used.first == values(SHAPE.resolve(updates), updates)


class Overflowing(Toy):
    """Its gradient is not finite in two of the batches."""

    def training_step(self, batch, batch_idx):
        return super().training_step(batch, batch_idx) * (math.inf if self.trainer.global_step in (2, 3) else 1.0)


@pytest.mark.shows("lightning", "skipped updates")
@pytest.mark.parametrize("way", ["Follow", "configure"])
def test_updates_that_a_scaler_skips_do_not_count(way):
    used = Used()
    plugin = MixedPrecision("16-mixed", "cpu", scaler=torch.amp.GradScaler("cpu", init_scale=2.0))
    schedule = SHAPE.resolve(16)

    def configured(module):
        return lr.lightning.configure(torch.optim.SGD(module.parameters(), lr=0.1), schedule)

    if way == "Follow":
        run, module = trainer(lr.lightning.Follow(schedule), used, plugins=[plugin]), Overflowing()
    else:
        run, module = trainer(used, plugins=[plugin]), Overflowing(configured)
    run.fit(module, loader())
    assert run.global_step == 16
    assert used.first == values(schedule, 14)


def test_bf16_changes_nothing():
    used = Used()
    trainer(lr.lightning.Follow(SHAPE), used, precision="bf16-mixed").fit(Toy(), loader())
    assert used.first == values(SHAPE.resolve(16), 16)


@pytest.mark.shows("lightning", "resume")
def test_a_run_that_is_resumed_at_any_update_uses_the_lrs_of_the_run_through(tmp_path):
    at = random.Random(16).randrange(1, 16)
    through = Used()
    trainer(lr.lightning.Follow(SHAPE), through, SaveAt(at, tmp_path / "at.ckpt")).fit(Toy(), loader())
    resumed = Used()
    trainer(lr.lightning.Follow(SHAPE), resumed).fit(Toy(), loader(), ckpt_path=tmp_path / "at.ckpt")
    assert at % 8, "the update must lie in the middle of an epoch"
    assert resumed.first == through.first[at:]
    state = torch.load(tmp_path / "at.ckpt", weights_only=True)["callbacks"]["Follow"]
    assert state["optimizers"]["0"]["updates"] == at
    assert lr.parse(state["optimizers"]["0"]["schedules"]["lr"]) == SHAPE.resolve(16)


def longer(folder, **options):
    """The run is cut at 6 of 16 updates by another max_steps, on whose length percent depend, and resumed."""
    first = Used()
    trainer(lr.lightning.Follow(SHAPE), first, SaveAt(6, folder / "short.ckpt"), max_steps=8).fit(Toy(), loader())
    second = Used()
    run = trainer(lr.lightning.Follow(SHAPE, **options), second)
    return run, second, lambda: run.fit(Toy(), loader(), ckpt_path=folder / "short.ckpt")


def test_another_length_is_an_error_unless_the_user_says_what_to_do(tmp_path):
    _, _, fit = longer(tmp_path)
    with pytest.raises(ArgumentError, match=r"checkpoint.*on_change='keep'.*'rebase'.*'new'"):
        fit()


@pytest.mark.parametrize(
    ("on_change", "expected"),
    [
        ("keep", SHAPE.resolve(8)),
        ("new", SHAPE.resolve(16)),
        ("rebase", SHAPE.resolve(8).rebase(6, 16)),
    ],
)
def test_a_run_goes_on_with_another_length_as_the_user_says(tmp_path, on_change, expected):
    _, used, fit = longer(tmp_path, on_change=on_change)
    with pytest.warns() as caught:
        fit()
    kinds = {entry.category for entry in caught}
    assert OtherScheduleWarning in kinds
    assert used.first == [expected(n) for n in range(6, 16)]


def test_a_checkpoint_without_the_callback_goes_on_at_the_trainers_step_and_says_so(tmp_path):
    trainer(SaveAt(5, tmp_path / "plain.ckpt")).fit(Toy(), loader())
    used = Used()
    run = trainer(lr.lightning.Follow(SHAPE), used)
    with pytest.warns(OtherScheduleWarning, match=r"step 5 .* no state of Follow"):
        run.fit(Toy(), loader(), ckpt_path=tmp_path / "plain.ckpt")
    assert used.first == values(SHAPE.resolve(16), 16)[5:]


def test_two_fits_of_one_trainer_go_on_and_those_of_two_begin_again():
    follow, used = lr.lightning.Follow(SHAPE.resolve(32)), Used()
    run = trainer(follow, used)
    run.fit(Toy(), loader())
    run.fit_loop.max_epochs = 4
    run.fit(Toy(), loader())
    assert used.first == values(SHAPE.resolve(32), 32)
    again = Used()
    trainer(follow, again).fit(Toy(), loader())
    assert again.first == values(SHAPE.resolve(32), 16)


@pytest.mark.shows("lightning", "two owners")
def test_a_scheduler_of_the_module_is_a_second_owner_and_both_are_named():
    def make(module):
        optimizer = torch.optim.SGD(module.parameters(), lr=0.5)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1)]

    with pytest.raises(AlreadyDrivenError, match=r"Follow.*StepLR.*Toy\.configure_optimizers"):
        trainer(lr.lightning.Follow(SHAPE)).fit(Toy(make), loader())


def test_two_callbacks_are_two_owners():
    with pytest.raises(AlreadyDrivenError, match=r"Follow.*Tune|Tune.*Follow"):
        trainer(lr.lightning.Follow(SHAPE), lr.lightning.Tune()).fit(Toy(), loader())


def test_a_callback_that_writes_the_lr_is_noticed_and_overruled():
    class Writes(pl.Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            trainer.optimizers[0].param_groups[0]["lr"] = 7.0

    used = Used()
    with pytest.warns(OverruledWarning, match="to 7"):
        trainer(lr.lightning.Follow(SHAPE), Writes(), used).fit(Toy(), loader())
    assert used.first == values(SHAPE.resolve(16), 16)


@pytest.mark.shows("lightning", "LR in its logs")
def test_the_monitor_logs_the_lr_that_was_used(tmp_path):
    used, logger = Used(), CSVLogger(tmp_path)
    callbacks = LearningRateMonitor("step"), lr.lightning.Follow(SHAPE), used
    trainer(*callbacks, logger=logger, log_every_n_steps=1, accumulate_grad_batches=2).fit(Toy(), loader())
    with (Path(logger.log_dir) / "metrics.csv").open() as file:
        logged = {int(row["step"]): float(row["lr-SGD"]) for row in csv.DictReader(file)}
    assert logged == dict(enumerate(used.first))


class Two(Toy):
    """Two optimizers by hand: the second one steps in every other batch."""

    def __init__(self, make):
        super().__init__(make)
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        for number, optimizer in enumerate(self.optimizers()):
            optimizer.zero_grad()
            self.manual_backward(super().training_step(batch, batch_idx))
            if number == 0 or batch_idx % 2:
                optimizer.step()


def two(module):
    kinds = torch.optim.SGD, torch.optim.Adam
    return [kind([parameter], lr=0.5) for kind, parameter in zip(kinds, module.layer.parameters(), strict=True)]


@pytest.mark.parametrize("names", [(0, 1), ("SGD", "Adam")])
def test_several_optimizers_by_number_or_name_in_manual_optimisation(names):
    first, second = lr.linear(0.1, 0.0, 16), lr.linear(0.2, 0.0, 8)
    used, follow = Used(), lr.lightning.Follow({names[0]: first, names[1]: second})
    trainer(follow, used).fit(Two(two), loader())
    assert [row[0] for row in used.all[0]] == values(first, 16)
    assert [row[0] for row in used.all[1]] == values(second, 8)
    assert follow.updates == {0: 16, 1: 8}


def test_an_optimizer_that_is_not_named_keeps_its_lr():
    used = Used()
    trainer(lr.lightning.Follow({"Adam": lr.linear(0.2, 0.0, 8)}), used).fit(Two(two), loader())
    assert set(used.all[0]) == {(0.5,)}
    with pytest.raises(ArgumentError, match=r"0 \(SGD\), 1 \(Adam\).*Adams"):
        trainer(lr.lightning.Follow({"Adams": SHAPE})).fit(Two(two), loader())


def test_percent_in_manual_optimisation_need_a_length():
    with pytest.raises(ArgumentError, match=r"manual optimisation.*updates="):
        trainer(lr.lightning.Follow(SHAPE)).fit(Two(two), loader())
    used = Used()
    trainer(lr.lightning.Follow({1: SHAPE}, updates=8), used).fit(Two(two), loader())
    assert [row[0] for row in used.all[1]] == values(SHAPE.resolve(8), 8)


def test_a_run_without_an_end_has_no_percent():
    with pytest.raises(ArgumentError, match=r"no end.*max_steps="):
        trainer(lr.lightning.Follow(SHAPE), max_epochs=-1).fit(Toy(), loader())


@pytest.mark.parametrize(
    ("arguments", "options", "error", "words"),
    [
        ((), {}, ArgumentError, "none"),
        ((0.1,), {}, ArgumentTypeError, r"schedule.*learnrate\.constant"),
        (("cosin(0.1, 0)",), {}, ArgumentError, "cosine"),
        ((SHAPE,), {"on_change": "stay"}, ArgumentError, "keep"),
        ((SHAPE,), {"relative": 1}, ArgumentTypeError, "relative"),
        ((SHAPE,), {"updates": 0}, ArgumentError, "updates"),
        (({},), {}, ArgumentError, "at least one"),
        (({None: SHAPE},), {}, ArgumentTypeError, "number or the name"),
    ],
)
def test_wrong_arguments_are_refused_when_the_callback_is_built(arguments, options, error, words):
    with pytest.raises(error, match=words):
        lr.lightning.Follow(*arguments, **options)


def test_a_misspelt_hyper_parameter_is_refused_before_training():
    with pytest.raises(ArgumentError, match="weight_decay"):
        trainer(lr.lightning.Follow(SHAPE, weight_deca=lr.constant(0.1))).fit(Toy(), loader())


@pytest.mark.parametrize("ending", ["end", "exception", "interrupt"])
def test_nothing_drives_the_optimizer_after_the_run(ending):
    class Breaks(Toy):
        def training_step(self, batch, batch_idx):
            if ending == "exception" and batch_idx == 3:
                raise ZeroDivisionError
            if ending == "interrupt" and batch_idx == 3:
                raise KeyboardInterrupt
            return super().training_step(batch, batch_idx)

    optimizers, follow = [], lr.lightning.Follow(SHAPE)

    def make(module):
        optimizers.append(torch.optim.SGD(module.parameters(), lr=0.5))
        return optimizers[0]

    run = trainer(follow)
    if ending == "end":
        run.fit(Breaks(make), loader())
    else:
        with pytest.raises(ZeroDivisionError if ending == "exception" else SystemExit):
            run.fit(Breaks(make), loader())
    count = follow.updates[0]
    assert count == (16 if ending == "end" else 3)
    lr.torch.attach(optimizers[0], lr.constant(0.25)).detach()  # refused if something still drove it
    optimizers[0].step()
    assert follow.updates[0] == count


def test_a_copy_of_the_callback_has_its_counts_and_drives_nothing():
    follow = lr.lightning.Follow(SHAPE)
    trainer(follow).fit(Toy(), loader())
    copied = pickle.loads(pickle.dumps(follow))
    assert copied.updates == {0: 16}
    used = Used()
    trainer(copied, used).fit(Toy(), loader())
    assert used.first == values(SHAPE.resolve(16), 16)


def test_groups_that_lose_their_ratios_are_named_and_keep_them_with_relative():
    def make(module):
        weight, bias = module.layer.parameters()
        return torch.optim.SGD([{"params": [weight]}, {"params": [bias], "lr": 0.05}], lr=0.5)

    with pytest.warns(LostRatiosWarning):
        trainer(lr.lightning.Follow(SHAPE)).fit(Toy(make), loader())
    used = Used()
    trainer(lr.lightning.Follow(SHAPE, relative=True), used).fit(Toy(make), loader())
    assert used.all[0] == [(value, value * 0.1) for value in values(SHAPE.resolve(16), 16)]
