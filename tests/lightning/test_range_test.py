"""The range test on a trainer's own training."""

import random

import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.plugins.precision import MixedPrecision
from torch.utils.data import DataLoader

import learnrate as lr
from learnrate.errors import ArgumentError, ArgumentTypeError, LossError
from lightning_toy import QUIET, Toy, Used, loader, trainer

pytestmark = [pytest.mark.xdist_group("lightning"), *QUIET]

SHAPE = lr.warmup(0.1, "25%") >> lr.cosine(0.1, 0)


class Net(Toy):
    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        layers = torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU(), torch.nn.Dropout(0.1)
        self.layer = torch.nn.Sequential(*layers, torch.nn.Linear(8, 1))


def shuffled():
    return DataLoader(loader(128).dataset, batch_size=16, shuffle=True, generator=torch.Generator().manual_seed(3))


@pytest.mark.shows("lightning", "range test")
def test_a_range_test_in_a_run_changes_nothing_of_it():
    weights, curves = [], []
    for test in (None, lr.lightning.RangeTest(updates=30, high=100.0)):
        torch.manual_seed(0)
        used, module = Used(), Net()
        callbacks = [lr.lightning.Follow(SHAPE), used] if test is None else [test, lr.lightning.Follow(SHAPE), used]
        trainer(*callbacks).fit(module, shuffled())
        weights.append(dict(module.state_dict()))
        curves.append(used.first)
    assert curves[0] == curves[1] == [SHAPE.resolve(16)(n) for n in range(16)]
    torch.testing.assert_close(weights[0], weights[1], rtol=0, atol=0)
    assert len(test.curve.lrs) > 10


@pytest.mark.parametrize("clip", [None, 0.5])
def test_the_curve_is_that_of_torchs_range_test(clip):
    torch.manual_seed(0)
    module = Toy()
    options = {"updates": 30, "seed": 0}
    run = trainer(gradient_clip_val=clip, gradient_clip_algorithm="value", accumulate_grad_batches=2)
    curve = lr.lightning.range_test(run, module, loader(128, 16), **options)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.5)
    plain = lr.torch.range_test(
        module.layer, optimizer, loader(128, 16), torch.nn.MSELoss(), accumulate=2, clip_value=clip, **options
    )
    assert np.array_equal(curve.losses, plain.losses)
    assert curve.bounds() == plain.bounds()


def test_the_function_gives_back_module_data_random_numbers_trainer_and_logs(tmp_path):
    torch.manual_seed(0)
    random.seed(0)
    module, data, logger = Net(), shuffled(), CSVLogger(tmp_path, version=0)
    used = Used()
    run = trainer(used, logger=logger, log_every_n_steps=1)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    generators = data.generator.get_state(), torch.get_rng_state(), random.getstate()
    callbacks, loggers = list(run.callbacks), list(run.loggers)
    curve = lr.lightning.range_test(run, module, data, updates=20)
    assert len(curve.lrs) >= 10
    torch.testing.assert_close(dict(module.state_dict()), before, rtol=0, atol=0)
    after = data.generator.get_state(), torch.get_rng_state(), random.getstate()
    assert torch.equal(after[0], generators[0])
    assert torch.equal(after[1], generators[1])
    assert after[2] == generators[2]
    assert run.callbacks == callbacks
    assert run.loggers == loggers
    assert run.global_step == 0
    assert not list(tmp_path.iterdir())
    run.fit(module, data)  # as if nothing had been
    assert len(used.first) == 16


def test_a_gradient_scaler_takes_part_and_comes_back():
    plugin = MixedPrecision("16-mixed", "cpu", scaler=torch.amp.GradScaler("cpu", init_scale=2.0**40))
    curve = lr.lightning.range_test(trainer(plugins=[plugin]), Toy(), loader(), updates=10)
    assert any("skipped" in note for note in curve.notes)
    assert plugin.scaler.get_scale() == 2.0**40


def test_what_follows_from_the_trainer_must_not_be_given():
    with pytest.raises(ArgumentError, match=r"clip_norm.*trainer"):
        lr.lightning.RangeTest(clip_norm=1.0)
    with pytest.raises(ArgumentError, match=r"accumulate.*trainer"):
        lr.lightning.range_test(trainer(), Toy(), loader(), accumulate=2)


def test_wrong_arguments_are_refused():
    with pytest.raises(ArgumentTypeError, match="trainer must be a Trainer"):
        lr.lightning.range_test(Toy(), trainer(), loader())
    with pytest.raises(ArgumentTypeError, match="module must be a LightningModule"):
        lr.lightning.range_test(trainer(), torch.nn.Linear(4, 1), loader())
    with pytest.raises(ArgumentTypeError, match="hihg"):
        lr.lightning.range_test(trainer(), Toy(), loader(), hihg=1.0)
    with pytest.raises(ArgumentTypeError, match="updates"):
        lr.lightning.RangeTest(update=50)  # before the run, where the mistake is near
    with pytest.raises(ArgumentTypeError, match="also_keep"):
        lr.lightning.RangeTest(also_keep=3)
    with pytest.raises(ArgumentError, match="makes no update"):
        lr.lightning.range_test(trainer(max_steps=0), Toy(), loader())


def test_a_training_step_without_a_loss_is_named():
    class Nothing(Toy):
        def training_step(self, batch, batch_idx):
            return None

    with pytest.raises(LossError, match="training_step"):
        trainer(lr.lightning.RangeTest()).fit(Nothing(), loader())


def test_an_error_of_the_training_step_is_raised_as_it_is():
    class Broken(Toy):
        def training_step(self, batch, batch_idx):
            raise ZeroDivisionError("a bug of the user")

    with pytest.raises(ZeroDivisionError, match="a bug of the user"):
        trainer(lr.lightning.RangeTest()).fit(Broken(), loader())


def test_workers_that_live_on_are_left_to_the_trainer():
    data = DataLoader(loader().dataset, batch_size=8, num_workers=1, persistent_workers=True)
    used = Used()
    test = lr.lightning.RangeTest(updates=10)
    trainer(test, lr.lightning.Follow(SHAPE), used).fit(Toy(), data)
    assert len(test.curve.lrs) == 10
    assert used.first == [SHAPE.resolve(16)(n) for n in range(16)]
