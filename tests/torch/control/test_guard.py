"""The guard in torch: real nets, faults in data and weights, snapshots that are put back in place."""

import copy
import json
import math
import random
import sys
from typing import NamedTuple

import pytest
import torch
from torch import nn

import learnrate as lr
from controllers import Heard
from disks import full_disk
from facts import facts, tells
from learnrate.control import Undo, guard, plateau
from learnrate.control.controller import Action, Controller
from learnrate.errors import ArgumentError, ArgumentTypeError, GaveUpError, NotRestoredWarning

NAN = float("nan")


def net():
    return nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 1))


class Training:
    """A training loop as a user writes it, with faults on request.

    Args:
        faults: From the number of a batch to a function that changes its inputs and targets.
        make: Makes the optimizer.
    """

    def __init__(self, control=None, schedule=None, faults=None, make=None, scaler=None, accumulate=1, step=None, **options):
        torch.manual_seed(0)
        self.model, self.faults, self.scaler, self.accumulate = net(), faults or {}, scaler, accumulate
        make = make or (lambda parameters: torch.optim.AdamW(parameters, 1e-3))
        self.optimizer = make(self.model.parameters())
        self.schedule = schedule or lr.constant(0.01)
        self.attachment = lr.torch.attach(self.optimizer, self.schedule, control=control, model=self.model, **options)
        self.data = torch.Generator().manual_seed(1)
        self.batch, self.used, self.losses = 0, {}, []

    def run(self, batches, until=math.inf):
        for _ in range(batches):
            self.train()
            if self.attachment.updates >= until:
                break
        return self

    def train(self):
        self.optimizer.zero_grad()
        for _ in range(self.accumulate):
            inputs = torch.randn(32, 6, generator=self.data)
            targets = inputs[:, :3].sum(1, keepdim=True).relu()
            if self.batch in self.faults:
                inputs, targets = self.faults[self.batch](inputs, targets)
            self.batch += 1
            loss = (self.model(inputs) - targets).square().mean() / self.accumulate
            (self.scaler.scale(loss) if self.scaler else loss).backward()
            self.attachment.observe(loss * self.accumulate)
            self.losses.append(loss.item())
        before, lr_before = self.attachment.updates, self.optimizer.param_groups[0]["lr"]
        if self.scaler:
            self.scaler.step(self.optimizer)
            self.scaler.update()
        else:
            self.optimizer.step()
        if self.attachment.updates > before:
            self.used[before] = lr_before

    @property
    def kinds(self):
        return [event.kind for event in self.attachment.control.events]

    def state(self):
        """Copies of all tensors that training changes."""
        tensors = [*self.model.state_dict().items()]
        for index, parameter in enumerate(self.model.parameters()):
            tensors += [(f"{index}.{name}", value) for name, value in self.optimizer.state.get(parameter, {}).items()]
        return {name: value.clone() for name, value in tensors if isinstance(value, torch.Tensor)}


STATISTICS = ("1.running_mean", "1.running_var", "1.num_batches_tracked")


def poison(inputs, targets):
    return inputs * NAN, targets


def corrupt(inputs, targets):
    return inputs, targets + 100


def same(first, second, but=STATISTICS):
    assert first.keys() == second.keys()
    return [name for name in first if name not in but and not torch.equal(first[name], second[name])] == []


@pytest.mark.shows("torch", "control")
def test_a_nan_batch_changes_nothing():
    trained = Training(guard(every=20), faults={50: poison}).run(50)
    before = trained.state()
    trained.run(1)
    event = trained.attachment.control.events[0]
    assert (event.kind, event.update, trained.attachment.updates) == ("skip", 50, 50)
    assert same(trained.state(), before)
    assert all(torch.isfinite(buffer).all() for buffer in trained.model.buffers())
    assert set(event.evidence["mended"]) == set(STATISTICS[:2])
    assert tells(event.evidence["gradients"][0], "0.weight", "not finite")
    assert trained.run(150).losses[-1] < 0.3
    without = Training(faults={50: poison}).run(60)
    assert not math.isfinite(without.losses[-1])


@pytest.mark.parametrize("where", ["memory", "cpu", "disk"])
def test_a_rollback_puts_everything_back_in_place(where):
    control = guard(every=40, where=where, patience=2, factor=0.5, recovery=80)
    trained = Training(control, faults={80: corrupt, 81: corrupt}).run(81)
    identities = [id(tensor) for tensor in (*trained.model.parameters(), *trained.model.buffers())]
    moments = [id(trained.optimizer.state[parameter]["exp_avg"]) for parameter in trained.model.parameters()]
    assert trained.kinds == ["skip"]
    trained.run(1)
    assert trained.kinds == ["skip", "scale", "rollback"]
    assert trained.attachment.control.events[-1].evidence["restored"] == 40
    # The snapshot is from just before update 40, when its batch was seen by the statistics, but nothing was applied.
    reference = Training().run(40)
    weights = reference.state()
    assert same(trained.state(), weights)
    statistics = reference.run(1).state()
    assert all(torch.equal(trained.state()[name], statistics[name]) for name in STATISTICS)
    assert identities == [id(tensor) for tensor in (*trained.model.parameters(), *trained.model.buffers())]
    assert moments == [id(trained.optimizer.state[parameter]["exp_avg"]) for parameter in trained.model.parameters()]
    trained.run(120)
    assert trained.used[79] == 0.01
    assert [trained.used[n] for n in (80, 119)] == [0.005, 0.005]
    assert [trained.used[n] for n in (160, 195)] == [0.01, 0.01]
    assert all(trained.used[n] == trained.attachment.control.schedule(n) for n in trained.used)
    assert where in repr(trained.attachment.snapshots)


def test_a_snapshot_from_the_beginning_of_an_explosion_is_not_put_back():
    trained = Training(guard(every=40, patience=1), faults={85: corrupt}).run(86)
    assert trained.attachment.control.events[-1].evidence["restored"] == 40
    trained = Training(guard(every=40, patience=1), faults={115: corrupt}).run(116)
    assert trained.attachment.control.events[-1].evidence["restored"] == 80


def test_a_second_rollback_goes_back_further():
    trained = Training(guard(every=40, patience=1), faults={115: corrupt, 120: corrupt}).run(122)
    restored = [event.evidence["restored"] for event in trained.attachment.control.events if event.kind == "rollback"]
    assert restored == [80, 40]


def test_a_rollback_before_the_optimizer_has_a_state():
    trained = Training(guard(patience=1), faults={25: corrupt}).run(26)
    assert trained.kinds[-1] == "rollback"
    assert len(trained.optimizer.state) == 0
    assert same(trained.state(), Training().state())
    assert trained.run(100).losses[-1] < 1


def test_a_full_disk_is_a_warning_and_the_run_goes_on():
    trained = Training(guard(every=20, where="disk", patience=1)).run(30)
    with full_disk(room=100), pytest.warns(NotRestoredWarning, match=facts("snapshot", 40, 20, "disk")):
        trained.run(20)
    trained.faults = {55: corrupt}
    trained.run(6)
    assert trained.attachment.control.events[-1].evidence["restored"] == 20


def test_losses_that_are_read_one_update_later():
    trained = Training(guard(every=20, late=True), faults={70: poison}).run(150)
    assert trained.kinds[:2] == ["scale", "rollback"]
    event = trained.attachment.control.events[1]
    assert (event.update, event.evidence["restored"]) == (70, 40)
    assert trained.losses[-1] < 0.3
    assert trained.attachment.updates == 149
    assert all(torch.isfinite(tensor).all() for tensor in trained.state().values())
    assert "skip" not in Training(guard(every=20, late=True), faults={70: corrupt}).run(150).kinds


def test_explosions_end_with_a_report_and_good_weights():
    trained = Training(guard(tries=1, recovery=40, every=20), schedule=lr.constant(0.01))
    trained.run(60)
    trained.faults = dict.fromkeys((60, 61, 62, 70, 71, 72), corrupt)
    with pytest.raises(GaveUpError, match=facts("given", "up", "rollback")) as error:
        trained.run(100)
    assert trained.attachment.stopped
    assert tells(error.value.report, "update 60", "update 67", "put back", "gradients", "weight")
    assert len(error.value.report.splitlines()) == len(trained.kinds)
    assert all(torch.isfinite(tensor).all() for tensor in trained.state().values())


@pytest.mark.shows("torch", "control")
def test_accumulated_gradients_are_left_out_together():
    trained = Training(guard(every=20), faults={101: poison}, accumulate=2).run(80)
    assert trained.kinds == ["skip"]
    assert trained.attachment.updates == 79
    assert trained.losses[-1] < 0.3


def scaler():
    return torch.amp.GradScaler("cpu", enabled=True, init_scale=2.0**10)


def scaled(fused, late):
    scaling = scaler()
    make = lambda parameters: torch.optim.AdamW(parameters, 1e-3, fused=fused)  # noqa: E731
    trained = Training(scaler=scaling, make=make)
    trained.attachment.detach()
    trained.attachment = lr.torch.attach(
        trained.optimizer, trained.schedule, control=guard(every=20, late=late), model=trained.model, scaler=scaling
    )
    return trained


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("late", [False, True])
def test_updates_that_a_scaler_skips_are_no_fault_of_the_next(fused, late):
    trained = scaled(fused, late)
    trained.faults = {50: poison}
    trained.run(150)
    assert trained.attachment.updates == 149
    assert trained.kinds == []
    assert trained.losses[-1] < 0.3
    assert all(torch.isfinite(buffer).all() for buffer in trained.model.buffers())


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("late", [False, True])
def test_a_scaler_that_skips_without_end_is_rolled_back(fused, late):
    trained = scaled(fused, late).run(80)
    with torch.no_grad():
        trained.model[0].weight.fill_(math.inf)
    trained.run(120)
    assert "rollback" in trained.kinds
    assert trained.losses[-1] < 0.3
    assert trained.scaler.get_scale() > 1, "its scale came back too"
    schedule = trained.attachment.control.schedule
    assert trained.used == {n: schedule(n) for n in trained.used}


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("late", [False, True])
def test_a_run_ends_if_a_scaler_skips_all_that_follows(fused, late, monkeypatch):
    monkeypatch.setattr(sys.modules["learnrate.control.guard"], "LONGEST", 3)  # 100 is a matter of patience
    trained = scaled(fused, late).run(80)
    trained.faults = dict.fromkeys(range(80, 1000), poison)
    heard = Heard()
    trained.attachment.control.listeners.append(heard)
    with pytest.raises(GaveUpError):
        trained.run(200)
    assert [observation.update for observation in heard.updates] == ([79] if late else []), "no other was made"
    assert trained.attachment.updates == 80
    assert all(torch.isfinite(parameter).all() for parameter in trained.model.parameters())


@pytest.mark.parametrize("late", [False, True])
def test_losses_before_a_checkpoint_was_loaded_do_not_count(late):
    """A loop that loads the last checkpoint when it sees that a loss is not finite."""
    trained = Training(guard(every=20, late=late)).run(40)
    checkpoint = copy.deepcopy(trained.attachment.state_dict())
    trained.attachment.observe(math.nan)
    trained.attachment.load_state_dict(checkpoint)
    trained.run(10)
    assert trained.kinds == []


def test_the_last_loss_that_was_to_be_read_later_is_in_the_record(tmp_path):
    trained = Training(guard(every=20, late=True), record=tmp_path / "run.sqlite").run(40)
    trained.attachment.detach()
    record = lr.Record.load(tmp_path / "run.sqlite")
    assert record.losses.tolist() == pytest.approx(trained.losses)


def test_updates_that_were_made_before_their_loss_was_read_are_in_the_record(tmp_path):
    trained = Training(guard(every=20, late=True), faults={60: poison}, record=tmp_path / "run.sqlite").run(100)
    trained.attachment.detach()
    record = lr.Record.load(tmp_path / "run.sqlite")
    assert "rollback" in [event.kind for event in record.events]
    assert record.updates.tolist() == list(trained.used)
    assert record.lrs.tolist() == list(trained.used.values())
    assert math.isnan(record.losses[60])


def test_several_groups_sparse_gradients_and_a_state_of_lists():
    torch.manual_seed(0)
    embedding, head = nn.Embedding(10, 4, sparse=True), nn.Linear(4, 1)
    model = nn.ModuleList([embedding, head])
    optimizer = torch.optim.SGD([{"params": embedding.parameters(), "lr": 0.1}, {"params": head.parameters(), "lr": 0.01}])
    attachment = lr.torch.attach(
        optimizer, [lr.constant(0.1), lr.constant(0.01)], control=guard(every=20, gradients=False, patience=2), model=model
    )
    weights = {}
    for n in range(120):
        rows = torch.randint(10, (16,))
        loss = (head(embedding(rows)).squeeze(1) - rows / 10).square().mean() * (1e6 if n in (80, 81) else 1)
        optimizer.zero_grad()
        loss.backward()
        attachment.observe(loss)
        weights[attachment.updates] = embedding.weight.detach().clone()
        optimizer.step()
        if n == 81:
            assert torch.equal(embedding.weight, weights[40])
            assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.01, 0.001])
    assert [event.kind for event in attachment.control.events][:3] == ["skip", "scale", "rollback"]


class Halved(NamedTuple):
    losses: int = 0


class halve_at(Controller):
    """Halves the LR from an update on."""

    def __init__(self, update):
        self.at = update

    def init(self):
        return Halved()

    def update(self, state, observation):
        losses = state.losses + (observation.loss is not None)
        return Halved(losses), Action(0.5 if losses > self.at else 1.0)


@pytest.mark.shows("torch", "control")
@pytest.mark.parametrize(("seed", "late"), [(0, False), (1, False), (2, True)])
def test_a_composition_resumes_at_any_update(seed, late):
    """Warm-up, two controllers, a guard that rolls back, and changes by hand, over one-cycle."""
    schedule = lr.warmup(0.01, 20) >> lr.one_cycle(0.01, 180)
    control = lambda: [plateau(30), halve_at(60), guard(every=20, patience=2, recovery=40, late=late)]  # noqa: E731
    faults = {45: poison, 90: corrupt, 91: corrupt}

    def by_hand(trained):
        if trained.batch == 30:
            trained.attachment.scale(0.7, "a try")
        if trained.batch == 70:
            trained.attachment.control.request(Undo())

    def go(trained, batches):
        for _ in range(batches):
            by_hand(trained)
            trained.train()
        return trained

    through = go(Training(control(), schedule, faults), 200)
    assert {"rollback", "scale", "undo"} <= set(through.kinds)
    assert late or "skip" in through.kinds
    at = random.Random(seed).randrange(5, 195)
    first = go(Training(control(), schedule, faults), at)
    saved = json.loads(json.dumps(first.attachment.state_dict()))
    second = Training(control(), schedule, faults)
    second.model.load_state_dict(first.model.state_dict())
    second.optimizer.load_state_dict(first.optimizer.state_dict())
    second.attachment.load_state_dict(saved)
    second.batch = first.batch
    second.data.set_state(first.data.get_state())
    go(second, 200 - at)
    used = {**first.used, **second.used}
    assert used == through.used
    assert all(lr_used == second.attachment.control.schedule(n) for n, lr_used in used.items())
    assert second.kinds == through.kinds


def test_a_checkpoint_is_a_snapshot_itself():
    trained = Training(guard(every=40, patience=1)).run(70)
    resumed = Training(guard(every=40, patience=1)).run(50)  # its own snapshots are of other weights
    resumed.model.load_state_dict(trained.model.state_dict())
    resumed.optimizer.load_state_dict(trained.optimizer.state_dict())
    resumed.attachment.load_state_dict(trained.attachment.state_dict())
    resumed.faults = {53: corrupt}
    resumed.run(4)
    assert resumed.attachment.control.events[-1].evidence["restored"] == 70
    assert same(resumed.state(), trained.state())


def test_a_scheduler_has_a_guard_too():
    torch.manual_seed(0)
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    scheduler = lr.torch.Scheduler(optimizer, lr.constant(0.01), control=guard(every=20, patience=2), model=model)
    for n in range(100):
        loss = (model(torch.randn(32, 6)) - 1).square().mean() * (1e5 if n in (60, 61) else 1)
        optimizer.zero_grad()
        loss.backward()
        scheduler.observe(loss)
        optimizer.step()
        scheduler.step()
        if n == 61:
            assert optimizer.param_groups[0]["lr"] == pytest.approx(0.001)
    assert scheduler.last_epoch == 98
    assert [event.kind for event in scheduler.control.events][:3] == ["skip", "scale", "rollback"]


@pytest.mark.parametrize("drive", [lr.torch.attach, lr.torch.Scheduler])
def test_what_fails_at_the_start_leaves_nothing_behind(drive, tmp_path):
    """In a notebook the error, and with it all that was begun, lives until the next error."""
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with pytest.raises(ArgumentError, match="model") as error:
        drive(optimizer, lr.constant(0.5), control=guard(), record=tmp_path / "run.sqlite")
    assert optimizer.param_groups[0]["lr"] == 0.1
    drive(optimizer, lr.constant(0.5), control=guard(), model=model, record=tmp_path / "run.sqlite").detach()
    assert error.value


def test_a_guard_needs_the_model():
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with pytest.raises(ArgumentError, match=facts("model", "attach", None)):
        lr.torch.attach(optimizer, lr.constant(0.1), control=guard())
    with pytest.raises(ArgumentTypeError, match=facts("scaler", "GradScaler", "True")):
        lr.torch.attach(optimizer, lr.constant(0.1), control=guard(), model=model, scaler=True)
    with pytest.raises(ArgumentTypeError, match=facts("controller", "guard(...)")):
        lr.torch.attach(optimizer, lr.constant(0.1), control=guard, model=model)
    lr.torch.attach(optimizer, lr.constant(0.1), control=guard(), model=model)  # nothing was left behind
