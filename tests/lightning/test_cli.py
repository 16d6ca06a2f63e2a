"""Schedules from text in LightningCLI."""

import sys

import jsonargparse
import pytest
from lightning.pytorch.cli import LightningCLI

import learnrate as lr
from lightning_toy import QUIET, Toy, loader

pytestmark = [
    pytest.mark.xdist_group("lightning"),
    # LightningCLI calls methods of jsonargparse that are deprecated.
    pytest.mark.filterwarnings("ignore::jsonargparse._deprecated.JsonargparseDeprecationWarning"),
    *QUIET,
]

TEXT = "warmup(0.1, '25%') >> cosine(0.1, 0)"


class Configured(Toy):
    """A module whose schedule is an argument of the command line."""

    def __init__(self, schedule: lr.Schedule = "constant(0.5)"):
        super().__init__()
        self.schedule = schedule
        self.save_hyperparameters()

    def configure_optimizers(self):
        return lr.lightning.configure(super().configure_optimizers(), self.schedule, module=self)

    def train_dataloader(self):
        return loader()


QUIETLY = [
    "--trainer.accelerator=cpu",
    "--trainer.logger=false",
    "--trainer.enable_checkpointing=false",
    "--trainer.enable_progress_bar=false",
    "--trainer.max_epochs=2",
]


@pytest.fixture
def command(monkeypatch):
    def run(*arguments, model=Configured):
        lr.lightning.register_schedule_type()
        monkeypatch.setattr(sys, "argv", ["train.py", "fit", "--seed_everything=false", *QUIETLY, *arguments])
        return LightningCLI(model, save_config_callback=None)

    return run


@pytest.mark.shows("lightning", "config text")
def test_a_schedule_is_an_argument_of_a_module(command):
    cli = command("--model.schedule", TEXT)
    assert cli.model.schedule == lr.parse(TEXT)
    assert cli.trainer.global_step == 16
    [config] = cli.trainer.lr_scheduler_configs
    assert config.scheduler.schedule == lr.parse(TEXT).resolve(16)
    assert config.scheduler.last_epoch == 16


def test_the_configuration_that_is_printed_reads_back(command, capsys):
    with pytest.raises(SystemExit):
        command("--model.schedule", TEXT, "--print_config")
    printed = jsonargparse.ArgumentParser()
    printed.add_argument("--schedule", type=lr.Schedule)
    [line] = [line for line in capsys.readouterr().out.splitlines() if "warmup" in line]
    assert printed.parse_args(["--schedule", line.partition(":")[2].strip()]).schedule == lr.parse(TEXT)


def test_a_default_is_a_text(command):
    assert command().trainer.lr_scheduler_configs[0].scheduler.schedule == lr.constant(0.5)


def test_a_misspelt_schedule_is_one_error_of_the_command_line(command, capsys):
    with pytest.raises(SystemExit):
        command("--model.schedule", "cosin(0.1, 0)")
    assert "did you mean 'cosine'" in capsys.readouterr().err


def test_follow_is_a_callback_of_the_configuration(command):
    class Plain(Toy):
        def __init__(self):
            super().__init__()

        def train_dataloader(self):
            return loader()

    cli = command("--trainer.callbacks+=learnrate.lightning.Follow", "--trainer.callbacks.schedule", TEXT, model=Plain)
    [follow] = [entry for entry in cli.trainer.callbacks if isinstance(entry, lr.lightning.Follow)]
    assert follow.updates == {0: 16}
