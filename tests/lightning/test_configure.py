"""What configure_optimizers returns."""

import copy
import random
import warnings

import pytest
import torch
from lightning.pytorch.callbacks import LearningRateFinder, StochasticWeightAveraging

import learnrate as lr
from learnrate.errors import AlreadyDrivenError, ArgumentError, ArgumentTypeError, OtherScheduleWarning
from lightning_toy import QUIET, Toy, Used, loader, trainer

pytestmark = [pytest.mark.xdist_group("lightning"), *QUIET]

SHAPE = lr.warmup(0.1, "25%") >> lr.cosine(0.1, 0)


def sgd(module):
    return torch.optim.SGD(module.parameters(), lr=0.5)


def configured(**options):
    return Toy(lambda module: lr.lightning.configure(sgd(module), SHAPE, module=module, **options))


@pytest.mark.parametrize("accumulate", [1, 3])
def test_the_scheduler_is_stepped_once_an_update(accumulate):
    used = Used()
    trainer(used, accumulate_grad_batches=accumulate).fit(configured(), loader())
    updates = 2 * -(-8 // accumulate)
    assert used.first == [SHAPE.resolve(updates)(n) for n in range(updates)]


def test_it_resumes_at_any_update(tmp_path):
    at, through, resumed = random.Random(3).randrange(1, 16), Used(), Used()
    run = trainer(through)
    module = configured()
    module.on_train_batch_end = lambda *_: at == run.global_step and run.save_checkpoint(tmp_path / "at.ckpt")
    run.fit(module, loader())
    trainer(resumed).fit(configured(), loader(), ckpt_path=tmp_path / "at.ckpt")
    assert resumed.first == through.first[at:]


@pytest.mark.parametrize("on_change", ["error", "keep", "rebase"])
def test_another_length_is_refused_or_said(tmp_path, on_change):
    run = trainer(max_steps=8)
    module = configured()
    module.on_train_batch_end = lambda *_: run.global_step == 6 and run.save_checkpoint(tmp_path / "6.ckpt")
    run.fit(module, loader())
    used = Used()
    again = trainer(used)

    def fit():
        again.fit(configured(on_change=on_change), loader(), ckpt_path=tmp_path / "6.ckpt")

    if on_change == "error":
        with pytest.raises(ArgumentError, match="on_change='keep'"):
            fit()
        return
    with pytest.warns() as caught:
        fit()
    assert OtherScheduleWarning in {entry.category for entry in caught}
    before = SHAPE.resolve(8)
    goes_on = before if on_change == "keep" else before.rebase(6, 16)
    assert used.first == [goes_on(n) for n in range(6, 16)]


@pytest.mark.parametrize(
    "form",
    [
        lambda optimizer, scheduler: ([optimizer], [scheduler]),
        lambda optimizer, scheduler: {"optimizer": optimizer, "lr_scheduler": scheduler},
        lambda optimizer, scheduler: [{"optimizer": optimizer, "lr_scheduler": scheduler}],
    ],
)
def test_a_form_that_lightning_steps_once_an_epoch_is_refused_at_the_second_update(form):
    def make(module):
        optimizer = sgd(module)
        return form(optimizer, lr.lightning.Scheduler(optimizer, SHAPE.resolve(16)))

    used = Used()
    with pytest.raises(AlreadyDrivenError, match=r"interval='epoch'.*configure.*Follow"):
        trainer(used).fit(Toy(make), loader())
    assert len(used.first) <= 2


def test_follow_names_the_plain_form_of_torchs_scheduler():
    def make(module):
        optimizer = sgd(module)
        return [optimizer], [lr.torch.Scheduler(optimizer, SHAPE.resolve(16))]

    with pytest.raises(AlreadyDrivenError, match=r"Follow.*Scheduler.*Toy\.configure_optimizers"):
        trainer(lr.lightning.Follow(SHAPE)).fit(Toy(make), loader())


def test_a_finder_and_a_range_test_make_updates_that_are_none_of_the_scheduler(tmp_path):
    used = Used()
    callbacks = LearningRateFinder(num_training_steps=5, update_attr=False), lr.lightning.RangeTest(updates=10)
    trainer(*callbacks, used, default_root_dir=tmp_path).fit(configured(), loader())
    assert used.first[-16:] == [SHAPE.resolve(16)(n) for n in range(16)]


def test_stochastic_weight_averaging_swaps_the_scheduler_for_its_own():
    used = Used()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="SWA is currently only supported every epoch")
        swa = StochasticWeightAveraging(0.05, swa_epoch_start=2, annealing_epochs=1)
        trainer(swa, used, max_epochs=3).fit(configured(), loader())
    assert used.first[:8] == [SHAPE.resolve(24)(n) for n in range(8)]
    assert used.first[16:] == [0.05] * 8


def test_lengths_that_depend_on_an_unknown_run_are_refused():
    module = Toy()
    with pytest.raises(ArgumentError, match="module=self"):
        lr.lightning.configure(sgd(module), SHAPE)
    with pytest.raises(ArgumentError, match="module=self"):
        lr.lightning.configure(sgd(module), SHAPE, module=module)  # which has no trainer yet
    with pytest.raises(ArgumentTypeError, match="give self"):
        lr.lightning.configure(sgd(module), SHAPE, module="self")
    with pytest.raises(ArgumentTypeError, match="Trainer"):
        lr.lightning.configure(sgd(module), SHAPE, trainer=module)
    with pytest.raises(ArgumentError, match="stay"):
        lr.lightning.configure(sgd(module), SHAPE, updates=10, on_change="stay")


def test_a_copy_of_the_scheduler_drives_the_copied_optimizer():
    module = Toy()
    optimizer = sgd(module)
    scheduler = lr.lightning.configure(optimizer, SHAPE, updates=16)["lr_scheduler"]["scheduler"]
    optimizer.step()
    scheduler.step()
    copied = copy.deepcopy(scheduler)
    assert copied.last_epoch == 1
    copied.optimizer.step()
    copied.step()
    copied.step()  # no update was made
    assert (copied.last_epoch, scheduler.last_epoch) == (2, 1)
    scheduler.detach()
    lr.torch.attach(optimizer, SHAPE.resolve(16))


def test_groups_may_have_schedules_of_their_own():
    def make(module):
        optimizer = torch.optim.SGD([{"params": [parameter]} for parameter in module.parameters()], lr=0.5)
        return lr.lightning.configure(optimizer, [SHAPE, "constant(0.2)"], module=module)

    used = Used()
    trainer(used).fit(Toy(make), loader())
    assert used.all[0] == [(SHAPE.resolve(16)(n), 0.2) for n in range(16)]
