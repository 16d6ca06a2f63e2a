"""Control in a loop of Accelerate: accumulation, skipped updates, checkpoints."""

import math
import random
import warnings

import pytest
import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader, TensorDataset

import learnrate as lr
from controllers import Heard, halve_when_stalled, skip_not_finite, stop_after
from learnrate.control import Undo, guard, plateau
from learnrate.errors import ArgumentError, ArgumentTypeError, OtherScheduleWarning
from loops import Loop, reset

pytestmark = pytest.mark.xdist_group("transformers")  # which imports Accelerate

UPDATES = 24
SCHEDULE = lr.warmup(0.01, "25%") >> lr.one_cycle(0.04)
CONTROL = {"plateau": halve_when_stalled(3), "guard": skip_not_finite()}
SKIPPED = (5, 17)


@pytest.fixture(autouse=True)
def settings_of_one_test():
    yield
    reset()


class Run:
    """A loop with control: every micro-batch is observed, and changes are made by hand."""

    def __init__(
        self, updates=UPDATES, control=CONTROL, scaled=False, schedule=SCHEDULE, on_change="error", record=None, **options
    ):
        self.loop = Loop(**options)
        if scaled:
            self.loop.accelerator.scaler = torch.amp.GradScaler("cpu")
            self.loop.optimizer = self.loop.accelerator.prepare_optimizer(self.loop.optimizer.optimizer)
        parts = self.loop.accelerator, self.loop.optimizer, schedule
        self.attachment = lr.accelerate.prepare(*parts, updates=updates, control=control, on_change=on_change, record=record)
        self.heard, self.batch_losses, self.calls = Heard(), [], 0
        self.attachment.control.listeners.append(self.heard)

    def observe(self, loss):
        self.batch_losses.append(float(loss.detach()))
        self.attachment.observe(loss)

    def train(self, *, until=None, save=None, **options):
        def after(n):
            self.calls += 1
            if self.calls == save:
                self.loop.accelerator.save_state(self.folder)
            if self.calls == 9:
                self.attachment.scale(0.5, "to see what it does")
            if self.calls == 16:
                self.attachment.control.request(Undo())

        self.loop.train(3, after=after, until=until, observe=self.observe, **options)
        return self

    @property
    def follows_its_schedule(self):
        return self.loop.used == [self.attachment.control.schedule(n) for n in range(len(self.loop.used))]


def what_happened(run):
    return [(event.update, event.kind, event.who, event.factor) for event in run.attachment.control.events]


@pytest.mark.shows("accelerate", "control")
def test_a_run_that_is_resumed_uses_the_lrs_of_the_run_through(tmp_path):
    """The losses are those of a seeded model; those of the resumed run are given to it, because its batches are others."""
    at = random.Random(17).randrange(6, 20)
    through = Run()
    through.folder = tmp_path
    through.train(until=UPDATES, save=at, skipped=SKIPPED)
    resumed = Run()
    resumed.loop.accelerator.load_state(tmp_path)
    losses, resumed.calls = iter(through.batch_losses[at:]), at
    resumed.observe = lambda loss: resumed.attachment.observe(next(losses))
    skipped = [batch - at for batch in SKIPPED if batch >= at]
    resumed.train(until=UPDATES - at, skipped=skipped)
    count = at - sum(batch < at for batch in SKIPPED)
    assert resumed.loop.used == through.loop.used[count:]
    assert resumed.attachment.control.schedule == through.attachment.control.schedule
    assert through.follows_its_schedule
    kinds = [(event.kind, event.who) for event in through.attachment.control.events]
    assert kinds.count(("skip", "guard")) == 2
    assert {("scale", "plateau"), ("scale", "by hand"), ("undo", "by hand")} < set(kinds)
    assert through.attachment.updates == UPDATES - 2


@pytest.mark.shows("accelerate", "record")
@pytest.mark.parametrize("on_change", ["error", "new"])
def test_the_record_of_a_resumed_run_is_the_schedule_that_was_used(tmp_path, on_change):
    run, file = Run(record=tmp_path / "run.sqlite"), tmp_path / "run.sqlite"
    run.folder = tmp_path / "state"
    run.train(until=12, save=12, skipped=(5,))
    run.attachment.detach()
    longer = {} if on_change == "error" else {"updates": 36, "on_change": on_change}
    resumed = Run(record=file, **longer)
    with warnings.catch_warnings(action="ignore", category=OtherScheduleWarning):
        resumed.loop.accelerator.load_state(run.folder)
    resumed.train(until=6)
    resumed.attachment.detach()
    record, used = lr.Record.load(file), run.loop.used + resumed.loop.used
    assert [record.schedule()(n) for n in range(len(used))] == used == record.lrs.tolist()
    assert record.losses.tolist() == run.heard.losses + resumed.heard.losses


def test_the_loss_of_an_update_is_the_mean_of_its_accumulated_micro_batches():
    run = Run(updates=8, accumulate=3, examples=44)  # 11 micro-batches, the last update of an epoch has 2
    run.train(until=5)
    rows = [
        run.batch_losses[0:3],
        run.batch_losses[3:6],
        run.batch_losses[6:9],
        run.batch_losses[9:11],
        run.batch_losses[11:14],
    ]
    assert run.heard.losses == pytest.approx([sum(row) / len(row) for row in rows])


def test_the_loss_of_an_update_that_the_scaler_skips_is_not_observed():
    run = Run(scaled=True, control=halve_when_stalled(100))
    run.train(until=12, skipped=(3, 9))
    finite = [loss for loss in run.batch_losses if math.isfinite(loss)]
    assert len(finite) == 10
    assert run.heard.losses == finite
    assert run.attachment.updates == 10
    # A loss that is finite, although its gradients were not, does not count either.
    run = Run(scaled=True, control=halve_when_stalled(100))
    real = run.observe
    run.observe = lambda loss: real(loss if torch.isfinite(loss) else torch.tensor(7.0))
    run.train(until=6, skipped=(3,))
    assert 7.0 in run.batch_losses
    assert 7.0 not in run.heard.losses
    assert run.heard.losses == [loss for loss in run.batch_losses if loss != 7.0]


@pytest.mark.parametrize(
    ("on_change", "expected"),
    [
        ("keep", lambda before, after, n: before),
        ("rebase", lambda before, after, n: before.rebase(n, 36)),
        ("new", lambda before, after, n: after),
    ],
)
def test_a_resumed_run_of_another_length_keeps_its_factors_and_has_no_false_event(tmp_path, on_change, expected):
    run = Run()
    run.folder = tmp_path
    run.train(until=12, save=12, skipped=(5,))
    happened, n = what_happened(run), run.attachment.updates
    resumed = Run(updates=36, on_change=on_change, control=CONTROL)
    with pytest.warns(OtherScheduleWarning) as warned:
        resumed.loop.accelerator.load_state(tmp_path)
    assert len(warned) == 1
    assert what_happened(resumed) == happened
    assert resumed.heard.events == []
    factor = run.attachment.control.factor
    assert factor < 1
    resumed.train(until=1)
    goes_on = expected(SCHEDULE.resolve(UPDATES), SCHEDULE.resolve(36), n)
    assert resumed.loop.used == pytest.approx([factor * goes_on(n)])
    used = run.loop.used + resumed.loop.used
    assert used == [resumed.attachment.control.schedule(count) for count in range(n + 1)]
    # The checkpoint of a run that went on under another schedule goes on under that one, and nothing is said of it.
    if on_change == "new":
        resumed.loop.accelerator.save_state(tmp_path)
        again = Run(updates=36)
        again.loop.accelerator.load_state(tmp_path)
        assert again.attachment.control.schedule == resumed.attachment.control.schedule


def test_the_end_of_a_run_and_scores_are_the_loops_own():
    run = Run(control=[halve_when_stalled(1, score="accuracy loss"), stop_after(4)], schedule=lr.constant(0.01))
    while not run.attachment.stopped:
        run.train(until=1)
        run.attachment.evaluated({"accuracy loss": torch.tensor(1.0)})
    assert run.loop.used == [0.01, 0.01, 0.005, 0.0025]


def test_wrong_arguments_are_refused_and_nothing_is_registered():
    loop = Loop()
    for options, words in (({"control": 3}, "controller"), ({"record": 3}, "record"), ({"model": 3}, "model")):
        with pytest.raises(ArgumentTypeError, match=words):
            lr.accelerate.prepare(loop.accelerator, loop.optimizer, lr.constant(0.1), **{"control": CONTROL, **options})
    assert not loop.accelerator._custom_objects
    lr.torch.attach(loop.optimizer, lr.constant(1)).detach()


@pytest.mark.shows("accelerate", "control")
def test_the_guard_of_learnrate_leaves_out_and_puts_back(tmp_path):
    torch.manual_seed(0)
    accelerator = Accelerator(cpu=True)
    inputs = torch.randn(64, 4)
    loader = DataLoader(TensorDataset(inputs, inputs.sum(1, keepdim=True)), batch_size=8)
    model = torch.nn.Sequential(torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1))
    model, optimizer, loader = accelerator.prepare(model, torch.optim.SGD(model.parameters(), lr=0.1), loader)
    parts, options = (accelerator, optimizer, SCHEDULE), {"updates": 64, "model": model, "record": tmp_path / "run.sqlite"}
    attachment = lr.accelerate.prepare(*parts, **options, control=[plateau(20), guard(every=5)])
    used = {}
    for number, (x, y) in enumerate(batch for _ in range(8) for batch in loader):
        loss = (model(x * (math.nan if number in (20, 40, 41, 42) else 1.0)) - y).square().mean()
        accelerator.backward(loss)
        attachment.observe(loss)
        used[attachment.updates] = optimizer.param_groups[0]["lr"]
        optimizer.step()
        optimizer.zero_grad()
    kinds = [event.kind for event in attachment.control.events if event.who == "guard"]
    assert kinds[:5] == ["skip", "skip", "skip", "scale", "rollback"]
    assert used == {n: attachment.control.schedule(n) for n in range(60)}
    assert all(bool(torch.isfinite(value).all()) for value in model.state_dict().values())
    attachment.detach()
    assert {n: lr.Record.load(tmp_path / "run.sqlite").schedule()(n) for n in used} == used
    with pytest.raises(ArgumentError, match="model"):
        lr.accelerate.prepare(*parts, updates=64, control=guard())
