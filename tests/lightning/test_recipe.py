"""A comparison whose trainings a Lightning trainer makes, by its own loop."""

import copy
import math
import os
import re
import signal
import threading
from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping
from torch.utils.data import DataLoader

import learnrate as lr
from facts import facts
from learnrate.errors import ArgumentError
from lightning_toy import QUIET, Toy, Used, loader, trainer

pytestmark = [
    pytest.mark.xdist_group("lightning"),
    *QUIET,
    pytest.mark.filterwarnings("ignore:.*val_dataloader.*"),
]

UPDATES = 20
LOG = []
"""What the trainings of a test have used, in their order."""


class Net(Toy):
    """Dropout, a validation, and a batch at fault where the test wants one."""

    bad = None

    def __init__(self):
        super().__init__(lambda module: torch.optim.SGD(module.parameters(), lr=9.0, momentum=0.5))
        self.dropout = torch.nn.Dropout(0.1)

    def training_step(self, batch, batch_idx):
        loss = torch.nn.functional.mse_loss(self.layer(self.dropout(batch[0])), batch[1])
        return loss * math.nan if self.global_step == self.bad and not self.trainer.sanity_checking else loss

    def validation_step(self, batch, batch_idx):
        loss = torch.nn.functional.mse_loss(self.layer(batch[0]), batch[1])
        self.log_dict({"val_loss": loss, "val_score": 1 / (1 + loss)})


def data():
    return DataLoader(loader().dataset, batch_size=4, shuffle=True), loader(16, seed=1)


def new_trainer(run, **options):
    used = Used()
    LOG.append((run, used))
    settings = {"max_epochs": -1, "max_steps": run.updates, "accumulate_grad_batches": 2, "gradient_clip_val": 1.0}
    settings |= {"default_root_dir": run.folder, "enable_checkpointing": True, "check_val_every_n_epoch": 1}
    return trainer(used, **{**settings, **options})


def recipe(module=Net, new=new_trainer, **options):
    settings = {"monitor": "val_loss", "mode": "min", "updates": UPDATES, "data": data}
    return lr.lightning.Recipe(module, new, **{**settings, **options})


@pytest.fixture(autouse=True)
def empty_log():
    LOG.clear()


@pytest.mark.slow
@pytest.mark.shows("lightning", "compare")
def test_schedules_are_compared_by_the_trainers_own_loop(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    environment = dict(os.environ)
    halves = lr.control.plateau(patience=1, monitor="val_loss")
    arms = {"a": lr.constant(0.02), "b": "warmup(0.1, '25%') >> cosine(0.1, 0)"}
    arms["c"] = lr.Arm("constant(0.02)", control=[halves, lr.control.guard()])
    calls = []
    comparison = lr.compare(arms, recipe(), seeds=2, progress=calls.append)
    first = [[training.first_loss for training in comparison[name].trainings] for name in arms]
    starts = [[training.start for training in comparison[name].trainings] for name in arms]
    assert first[0] == first[1] == first[2]
    assert first[0][0] != first[0][1]
    assert starts[0] == starts[1] == starts[2]
    trainings = [training for seed in range(2) for training in (comparison[name].trainings[seed] for name in arms)]
    for (run, used), training in zip(LOG, trainings, strict=True):
        assert run.seed == training.seed
        assert used.first == [lr.parse(training.schedule)(update) for update in range(UPDATES)]
        assert training.checkpoints == (8, 16, 20)  # two validations of the trainer, and one at the end
        assert training.metric == "-val_loss"
        assert training.score == training.scores[-1] < 0 < training.more["val_score"][-1]
        assert len(training.losses) == training.updates == UPDATES
        assert training.seconds > 0
        assert not Path(run.folder).exists()
    assert comparison["a"].trainings[0].end != comparison["b"].trainings[0].end
    assert not list(tmp_path.iterdir())
    assert dict(os.environ) == environment
    assert calls[-1].updates == UPDATES


def test_the_loss_is_that_of_a_training_update_by_update():
    used = recipe(data=lambda: loader(), monitor=None, mode=None)
    [training] = lr.compare({"a": lr.constant(0.0)}, used, seeds=1)["a"].trainings
    assert training.metric == "loss"
    assert training.checkpoints == ()
    assert training.score == pytest.approx(sum(training.losses[-4:]) / 4)


def test_the_last_loss_that_is_not_finite_ends_a_training():
    class Bad(Net):
        bad = 6

    [training] = lr.compare({"a": lr.constant(0.02)}, recipe(Bad), seeds=1)["a"].trainings
    assert training.updates == 7
    assert math.isnan(training.losses[-1])
    assert any("ended after 7 of 20" in note for note in training.notes)


def test_a_guard_acts_and_one_that_gives_up_ends_the_training_with_good_weights():
    class Bad(Net):
        def training_step(self, batch, batch_idx):
            loss = super().training_step(batch, batch_idx)
            return loss * math.nan if len(LOG[-1][1].all[0]) >= 12 else loss

    arms = {"a": lr.Arm("constant(0.02)", control=lr.control.guard(every=2))}
    [training] = lr.compare(arms, recipe(Bad, updates=150), seeds=1)["a"].trainings
    assert training.updates == 12
    assert math.isfinite(training.score)
    assert any("given the run up" in note for note in training.notes)
    assert any("left out" in note for note in training.notes)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")
def test_an_interrupted_training_goes_on_from_an_epoch_that_has_ended(tmp_path):
    class Stopped(Net):
        def on_train_batch_start(self, batch, batch_idx):
            torch.rand(1)
            if stops and self.global_step == stops[0]:
                raise stops.pop(0) and KeyboardInterrupt

    arms = {"a": lr.Arm("one_cycle(0.1)", control=lr.control.plateau(patience=1, monitor="val_loss"))}
    options = {"study": tmp_path / "study.sqlite", "seeds": 1, "checkpoint_every": 1e-9}
    stops = []
    [undisturbed] = lr.compare(arms, recipe(Stopped), seeds=1)["a"].trainings
    stops += [10, 17]
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            lr.compare(arms, recipe(Stopped), **options).require_complete()
        [checkpoint] = Path(LOG[-1][0].folder).glob("learnrate/*.ckpt")
    [training] = lr.compare(arms, recipe(Stopped), **options)["a"].trainings
    assert [len(used.first) for _, used in LOG] == [20, 10, 9, 4]  # an epoch has 8 updates
    assert not checkpoint.parent.parent.exists()
    [note] = set(training.notes) - set(undisturbed.notes)
    assert "16 updates" in note
    assert measured(training) == measured(undisturbed)


def measured(training):
    """What a training that goes on has in common with an undisturbed one. NaN, which is in texts, does not equal itself."""
    names = ("losses", "scores", "checkpoints", "more", "start", "end", "schedule", "first_loss")
    return {name: repr(getattr(training, name)) for name in names}


class InterruptedNet(Net):
    """Ctrl-C before an update of a list; random numbers and a metric of the epoch in between."""

    stops = ()

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def on_train_epoch_start(self):
        torch.rand(1)

    def on_train_batch_start(self, batch, batch_idx):
        if self.stops and self.global_step == self.stops[0]:
            self.stops.pop(0)
            raise KeyboardInterrupt


class ByEpoch(torch.utils.data.Sampler):
    """An order that follows from the number of the epoch, which Lightning sets."""

    epoch = 0

    def __len__(self):
        return 64

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __iter__(self):
        return iter(torch.randperm(64, generator=torch.Generator().manual_seed(self.epoch)).tolist())


def own_generator():
    examples, validation = data()
    return DataLoader(examples.dataset, batch_size=4, shuffle=True, generator=torch.Generator().manual_seed(1)), validation


def by_epoch():
    examples, validation = data()
    return DataLoader(examples.dataset, batch_size=4, sampler=ByEpoch()), validation


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")
@pytest.mark.parametrize(
    ("options", "batches"),
    [
        ({"callbacks": [EarlyStopping("val_loss", patience=1)]}, data),
        ({"callbacks": [EarlyStopping("train_loss", patience=1, check_on_train_epoch_end=True)]}, data),
        ({"check_val_every_n_epoch": 2}, data),
        ({"check_val_every_n_epoch": None, "val_check_interval": 10}, data),
        ({"reload_dataloaders_every_n_epochs": 1}, data),
        ({}, own_generator),
        ({}, by_epoch),
    ],
)
def test_a_training_that_goes_on_ends_as_an_undisturbed_one(tmp_path, monkeypatch, options, batches):
    def new(run):
        settings = {name: value for name, value in options.items() if name != "callbacks"}
        result = new_trainer(run, **settings)
        result.callbacks.extend(copy.deepcopy(options.get("callbacks", [])))
        return result

    used = recipe(InterruptedNet, new, updates=36, data=batches)
    [undisturbed] = lr.compare({"a": lr.constant(0.6)}, used, seeds=1)["a"].trainings
    monkeypatch.setattr(InterruptedNet, "stops", [10, 18])
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            lr.compare({"a": lr.constant(0.6)}, used, seeds=1, study=tmp_path / "study.sqlite", checkpoint_every=1e-9)
    [training] = lr.compare({"a": lr.constant(0.6)}, used, seeds=1, study=tmp_path / "study.sqlite")["a"].trainings
    assert measured(training) == measured(undisturbed)
    note = next(iter(set(training.notes) - set(undisturbed.notes)))
    assert ("reload_dataloaders" if "reload" in str(options) else "16 updates") in note


@pytest.mark.slow
def test_a_module_that_cannot_be_saved_is_trained_without_checkpoints(tmp_path):
    class Refuses(Net):
        def on_save_checkpoint(self, checkpoint):
            checkpoint["lock"] = threading.Lock()

    used = recipe(Refuses, lambda run: new_trainer(run, enable_checkpointing=False))
    options = {"study": tmp_path / "study.sqlite", "seeds": 1, "checkpoint_every": 1e-9}
    [training] = lr.compare({"a": lr.constant(0.02)}, used, **options)["a"].trainings
    assert training.updates == UPDATES
    [note] = training.notes
    assert "lock" in note


@pytest.mark.slow
def test_each_arm_is_tuned_by_trials_inside_of_its_trainer():
    arms = {"a": "linear(1, 0, '100%')", "b": "one_cycle"}
    comparison = lr.compare(arms, recipe(updates=40), seeds=1, tune_each="200 updates")
    for name in arms:
        assert comparison[name].chosen.updates > 0
        assert lr.parse(comparison[name].trainings[0].schedule).max == pytest.approx(comparison[name].chosen.max_lr)


def test_recipes_of_several_frameworks_are_arms_of_one_comparison():
    other = lr.torch.Recipe(
        model=lambda: torch.nn.Linear(4, 1),
        optimizer=lambda model: torch.optim.SGD(model.parameters(), lr=0.1),
        batches=lambda: loader(),
        loss=torch.nn.MSELoss(),
        updates=UPDATES,
    )
    arms = {"trainer": lr.constant(0.02), "loop": lr.Arm("constant(0.02)", recipe=other)}
    comparison = lr.compare(arms, recipe(monitor=None, mode=None), seeds=1)
    assert [len(comparison[name].trainings) for name in arms] == [1, 1]


def test_ctrl_c_ends_a_comparison_and_can_be_pressed_again():
    class Interrupted(Net):
        def training_step(self, batch, batch_idx):
            if self.global_step == 3:
                os.kill(os.getpid(), signal.SIGINT)
            return super().training_step(batch, batch_idx)

    assert threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        lr.compare({"a": lr.constant(0.02)}, recipe(Interrupted), seeds=2)
    assert signal.getsignal(signal.SIGINT) is before
    assert len(LOG) == 1


def failures(new=new_trainer, module=Net, **options):
    comparison = lr.compare({"a": lr.constant(0.02)}, recipe(module, new, **options), seeds=1)
    return " ".join(failure.error for failure in comparison["a"].failures.values())


class Scheduled(Net):
    def configure_optimizers(self):
        optimizer = super().configure_optimizers()
        return [optimizer], [torch.optim.lr_scheduler.ConstantLR(optimizer)]


class Manual(Net):
    automatic_optimization = False


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"new": lambda run: new_trainer(run, max_steps=3)}, ("max_steps", 20, 3)),
        ({"new": lambda run: new_trainer(run, default_root_dir=".")}, ("default_root_dir", "run.folder")),
        ({"new": lambda run: new_trainer(run, devices=2, strategy="ddp")}, ("world_size", 1, 2)),
        ({"new": lambda run: None}, ("Recipe.trainer", "Trainer")),
        ({"new": lambda run: run.sed}, ("Recipe.trainer", "sed")),
        ({"module": Scheduled}, ("ConstantLR", "one owner")),
        ({"module": Manual}, ("automatic",)),
        ({"module": lambda: torch.nn.Linear(1, 1)}, ("LightningModule",)),
        ({"monitor": "val_lost"}, ("val_lost", "val_loss", "monitor")),
    ],
)
def test_what_would_be_another_training_is_refused(options, words):
    assert re.search(facts(*words), failures(**options))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mode": None}, ("monitor", "mode", "together")),
        ({"mode": "higher"}, ("mode", "min", "max")),
        ({"new": trainer()}, ("Recipe.trainer", "function")),
        ({"module": Net()}, ("Recipe.module", "function")),
        ({"updates": 0}, ("updates", 1, 0)),
    ],
)
def test_arguments_are_checked_when_a_recipe_is_made(options, words):
    with pytest.raises((ArgumentError, lr.errors.ArgumentTypeError), match=facts(*words)):
        recipe(**options)


def test_a_trainer_decides_when_it_evaluates_and_has_no_updates_to_drive():
    with pytest.raises(ArgumentError, match=facts("evaluate_every", "trainer", 5)):
        lr.compare({"a": lr.constant(0.02)}, recipe(), evaluate_every=5)
    with pytest.raises(ArgumentError, match=facts("lightning", "Tune")):
        recipe().trainable(0)
