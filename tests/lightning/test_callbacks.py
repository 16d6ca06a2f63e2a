"""Follow beside Lightning's own callbacks that set LRs or make updates."""

import lightning as pl
import pytest
import torch
from lightning.pytorch.callbacks import (
    BackboneFinetuning,
    BaseFinetuning,
    LearningRateFinder,
    StochasticWeightAveraging,
)

import learnrate as lr
from learnrate.errors import LostRatiosWarning, OverruledWarning
from lightning_toy import QUIET, Toy, Used, loader, trainer

pytestmark = [pytest.mark.xdist_group("lightning"), *QUIET]

SHAPE = lr.warmup(0.1, "25%") >> lr.cosine(0.1, 0)


@pytest.mark.parametrize("first", [True, False])
def test_stochastic_weight_averaging_takes_over_at_its_epoch_in_any_order_of_callbacks(first):
    swa, used, follow = StochasticWeightAveraging(0.05, swa_epoch_start=2, annealing_epochs=1), Used(), None
    follow = lr.lightning.Follow(SHAPE)
    callbacks = (swa, follow) if first else (follow, swa)
    run = trainer(*callbacks, used, max_epochs=3)
    with pytest.warns(OverruledWarning, match=r"StochasticWeightAveraging sets the LR from epoch 1 on.*Follow") as caught:
        run.fit(Toy(), loader())
    assert len([entry for entry in caught if entry.category is OverruledWarning]) == 1
    schedule = SHAPE.resolve(24)
    assert used.first[:8] == [schedule(n) for n in range(8)]
    assert used.first[8:] == [used.first[8]] * 8 + [0.05] * 8
    assert follow.updates == {0: 8}


class WithBatchNorm(Toy):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1))


@pytest.mark.filterwarnings("ignore:StochasticWeightAveraging sets")
def test_the_pass_that_averaging_adds_for_batch_norms_is_no_part_of_the_run():
    used, swa = Used(), StochasticWeightAveraging(0.05, swa_epoch_start=2)
    run = trainer(swa, lr.lightning.Follow(SHAPE), used, max_epochs=3)
    run.fit(WithBatchNorm(), loader())
    schedule = SHAPE.resolve(24)
    assert used.first[:8] == [schedule(n) for n in range(8)]
    assert used.first[8:16] == [used.first[8]] * 8


@pytest.mark.filterwarnings("ignore:.*lr_find.*", "ignore:.*You are using .*torch.load")
def test_the_updates_of_the_finder_do_not_count_and_its_suggestion_is_named(tmp_path):
    class Attribute(Toy):
        lr = 0.5

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=self.lr)

    used, finder = Used(), LearningRateFinder(min_lr=1e-3, max_lr=0.1, num_training_steps=14, update_attr=True)
    run = trainer(finder, lr.lightning.Follow(SHAPE), used, default_root_dir=tmp_path)
    with pytest.warns(OverruledWarning, match=r"LearningRateFinder has set the LR .* Follow"):
        run.fit(Attribute(), loader())
    assert len(finder.optimal_lr.results["lr"]) == 14
    assert used.first == [SHAPE.resolve(16)(n) for n in range(16)]


class FinderInMidRun(LearningRateFinder):
    """Lightning's own example: it looks for an LR at the start of an epoch."""

    def on_fit_start(self, *arguments):
        return

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == 1:
            self.lr_find(trainer, pl_module)


def test_a_finder_in_mid_run_is_left_alone_and_the_schedule_goes_on_after_it(tmp_path):
    used = Used()
    finder = FinderInMidRun(min_lr=1e-3, max_lr=0.1, num_training_steps=5, update_attr=False)
    follow = lr.lightning.Follow(SHAPE)
    trainer(follow, used, finder, default_root_dir=tmp_path, max_epochs=4).fit(Toy(), loader())
    schedule = SHAPE.resolve(32)
    sought = used.first[8:-24]  # what the finder's own updates used
    assert used.first[:8] + used.first[-24:] == [schedule(n) for n in range(32)]
    assert sought == pytest.approx(finder.optimal_lr.results["lr"][: len(sought)])
    assert sought, "the finder made no update"
    assert follow.updates == {0: 32}


class Halves(pl.LightningModule):
    """A head that is trained, and a backbone that is unfrozen later."""

    def __init__(self):
        super().__init__()
        self.backbone, self.head = torch.nn.Linear(4, 4), torch.nn.Linear(4, 1)

    def training_step(self, batch, batch_idx):
        inputs, targets = batch
        return torch.nn.functional.mse_loss(self.head(self.backbone(inputs)), targets)

    def configure_optimizers(self):
        return torch.optim.SGD([parameter for parameter in self.parameters() if parameter.requires_grad], lr=0.1)


class Unfreezes(BaseFinetuning):
    """Unfreezes the backbone in epoch 1 with a tenth of the LR in force, as Lightning does without an LR."""

    def freeze_before_training(self, pl_module):
        self.freeze(pl_module.backbone)

    def finetune_function(self, pl_module, epoch, optimizer):
        if epoch == 1:
            self.unfreeze_and_add_param_group(pl_module.backbone, optimizer)


def test_a_late_group_keeps_its_share_of_the_lr_in_force():
    used, schedule = Used(), lr.linear(0.1, 0.0, 24)
    trainer(Unfreezes(), lr.lightning.Follow(schedule, relative=True), used, max_epochs=3).fit(Halves(), loader())
    assert used.all[0][:8] == [(schedule(n),) for n in range(8)]
    assert used.all[0][8:] == [pytest.approx((schedule(n), schedule(n) / 10), rel=1e-12) for n in range(8, 24)]


class SaveAfter(pl.Callback):
    """Saves a checkpoint after an update."""

    def __init__(self, at, path):
        self.at, self.path = at, path

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step == self.at and not self.path.exists():
            trainer.save_checkpoint(self.path)


def test_late_groups_keep_their_shares_in_a_run_that_is_resumed(tmp_path):
    schedule, through, resumed = lr.linear(0.1, 0.0, 24), Used(), Used()
    for used, options in ((through, {}), (resumed, {"ckpt_path": tmp_path / "at.ckpt"})):
        callbacks = Unfreezes(), lr.lightning.Follow(schedule, relative=True), used, SaveAfter(19, tmp_path / "at.ckpt")
        trainer(*callbacks, max_epochs=3).fit(Halves(), loader(), **options)
    assert resumed.all[0] == through.all[0][19:]


@pytest.mark.filterwarnings("ignore:StochasticWeightAveraging sets")
@pytest.mark.parametrize("at", [5, 19])
def test_a_run_with_averaging_is_resumed_before_and_after_it_begins(tmp_path, at):
    through, resumed = Used(), Used()
    for used, options in ((through, {}), (resumed, {"ckpt_path": tmp_path / "at.ckpt"})):
        swa = StochasticWeightAveraging(0.05, swa_epoch_start=2, annealing_epochs=1)
        callbacks = swa, lr.lightning.Follow(SHAPE), used, SaveAfter(at, tmp_path / "at.ckpt")
        trainer(*callbacks, max_epochs=3).fit(Toy(), loader(), **options)
    assert resumed.first == through.first[at:]


def test_a_late_group_that_loses_its_share_is_named():
    used, schedule = Used(), lr.linear(0.1, 0.0, 24)
    with pytest.warns(LostRatiosWarning, match="relative=True"):
        trainer(Unfreezes(), lr.lightning.Follow(schedule), used, max_epochs=3).fit(Halves(), loader())
    assert used.all[0][8:] == [(schedule(n),) * 2 for n in range(8, 24)]


def test_backbone_finetuning_sets_the_share_of_its_group_at_each_epoch():
    used, schedule = Used(), lr.linear(0.1, 0.02, 32)
    finetuning = BackboneFinetuning(1, lambda epoch: 2.0, backbone_initial_ratio_lr=0.1, should_align=True)
    trainer(finetuning, lr.lightning.Follow(schedule, relative=True), used, max_epochs=4).fit(Halves(), loader())
    head, backbone = zip(*used.all[0][8:], strict=True)
    assert list(head) == [schedule(n) for n in range(8, 32)]
    starts = {n: backbone[n - 8] for n in (8, 16, 24)}
    assert starts[8] == pytest.approx(schedule(8) * 0.1)
    assert starts[16] == pytest.approx(2 * starts[8])  # lambda_func times what BackboneFinetuning had set before
    assert starts[24] == pytest.approx(4 * starts[8])
    for first in (8, 16, 24):  # within an epoch the group has the shape of the schedule
        shares = [backbone[n - 8] / head[n - 8] for n in range(first, first + 8)]
        assert shares == pytest.approx([shares[0]] * 8)


def test_backbone_finetuning_whose_lr_is_replaced_is_named():
    finetuning = BackboneFinetuning(1, lambda epoch: 2.0)
    with pytest.warns() as caught:
        trainer(finetuning, lr.lightning.Follow(SHAPE), max_epochs=3).fit(Halves(), loader())
    texts = [str(entry.message) for entry in caught if entry.category is OverruledWarning]
    assert any("BackboneFinetuning" in text and "relative=True" in text for text in texts)
