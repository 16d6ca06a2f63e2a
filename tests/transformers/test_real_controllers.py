"""The controllers of learnrate in a Trainer: plateau and guard, resumed, given up; a live page; trained twice."""

import math
import threading

import pytest
import torch
from transformers import TrainerCallback

import learnrate as lr
from learnrate.control import guard, plateau
from learnrate.errors import GaveUpError, NotMeasuredWarning, RecordWarning
from live_run import Client
from trainers import InOrder, Used, trainer

pytestmark = [
    pytest.mark.xdist_group("transformers"),
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

UPDATES = 160
SCHEDULE = lr.warmup(0.05, "5%") >> lr.one_cycle(0.1)
FAULTS = (30, 90, 91, 92)


class Regression(torch.nn.Module):
    """Its layers keep statistics of batches."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = torch.nn.Sequential(torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1))

    def forward(self, x, labels):
        outputs = self.layers(x)
        return {"loss": torch.nn.functional.mse_loss(outputs[:, 0], labels), "logits": outputs}

    @property
    def is_finite(self):
        return all(bool(torch.isfinite(value).all()) for value in self.state_dict().values())


def rows(faults=FAULTS, batches=UPDATES):
    """Rows in batches of four, which a Trainer without shuffling takes in order."""
    x = torch.randn(batches * 4, 4, generator=torch.Generator().manual_seed(0))
    for fault in faults:
        x[4 * fault] = math.nan
    return [{"x": row, "labels": torch.nan_to_num(row.sum())} for row in x]


def run(folder, follow, *more, resume=None, model=None, data=None, **changes):
    used, model = Used(), model or Regression()
    settings = {"max_steps": UPDATES, "optim": "sgd", "kind": InOrder, **changes}
    engine = trainer(folder, follow, *more, used, model=model, data=rows() if data is None else data, **settings)
    engine.train(resume_from_checkpoint=resume)
    return used.first, model, engine


def following(**options):
    return lr.transformers.Follow(SCHEDULE, report=lambda text: None, **options)


class Hand(TrainerCallback):
    def __init__(self, follow):
        self.follow = follow

    def on_step_begin(self, args, state, control, **kwargs):
        if state.global_step == 20:
            self.follow.scale(0.5)


@pytest.mark.shows("transformers", "control")
@pytest.mark.shows("transformers", "record")
def test_warm_up_plateau_guard_and_hand_over_one_cycle_resumed_in_mid_run(tmp_path):
    control, saving = [plateau(20), guard(every=10, recovery=40)], {"save_strategy": "steps", "save_steps": 67}
    through = following(control=control, record=tmp_path / "run.sqlite")
    used, model, _ = run(tmp_path, through, Hand(through), **saving)
    schedule = through.control.schedule
    assert used == [schedule(n) for n in range(UPDATES - len(FAULTS))]
    acts = {(event.who, event.kind) for event in through.control.events}
    assert {("by hand", "scale"), ("guard", "skip"), ("guard", "rollback"), ("plateau", "scale")} < acts
    assert model.is_finite
    resumed = following(control=control, record=tmp_path / "run.sqlite")
    later, model, _ = run(tmp_path, resumed, Hand(resumed), resume=tmp_path / "checkpoint-67", **saving)
    assert later == used[66:]
    assert model.is_finite
    record = lr.Record.load(tmp_path / "run.sqlite")
    assert [record.schedule()(n) for n in range(len(used))] == used == record.lrs.tolist()


def test_a_run_that_is_given_up_ends_with_good_weights_and_the_next_one_begins_anew(tmp_path):
    data = rows([60 + 7 * part + n for part in range(2) for n in range(3)])
    follow, model, used = following(control=guard(every=10, tries=1), record=tmp_path / "run.sqlite"), Regression(), Used()
    engine = trainer(tmp_path, follow, used, model=model, data=data, kind=InOrder, max_steps=100, optim="sgd")
    with pytest.raises(GaveUpError, match="update 64") as raised:
        engine.train()
    assert "layers.1.weight" in raised.value.report
    assert model.is_finite
    assert follow.control.stopped.who == "guard"
    assert lr.Record.load(tmp_path / "run.sqlite").events[-1].kind == "stop"
    count = len(used.first)
    engine.train_dataset = rows(())
    with pytest.warns(RecordWarning, match="attempt 2"):
        engine.train()
    assert used.first[count:] == [SCHEDULE.resolve(100)(n) for n in range(100)]
    assert follow.attachment is None


def test_a_metric_that_no_evaluation_has_is_warned_of(tmp_path):
    evaluating = {"eval_strategy": "steps", "eval_steps": 2, "options": {"eval_dataset": rows((), 4)}}
    with pytest.warns(NotMeasuredWarning, match="'eval_los'.*eval_loss"):
        run(tmp_path, following(control=plateau(10, monitor="eval_los")), data=rows(()), max_steps=4, **evaluating)


def test_a_live_page_applies_a_change(tmp_path):
    pytest.importorskip("starlette")
    pytest.importorskip("uvicorn")
    follow, before, answers, threads = following(page=True), threading.active_count(), [], []

    class Watcher(TrainerCallback):
        def on_step_begin(self, args, state, control, **kwargs):
            if state.global_step == 3:
                page = follow.control.listeners[0]
                client = Client(page)
                asking = threading.Thread(
                    target=lambda: answers.append((page, client.change({"kind": "scale", "factor": 0.5}).json()))
                )
                asking.start()
                threads.append(asking)
                while not follow.control.waiting():
                    asking.join(0.01)

    used, _, _ = run(tmp_path, follow, Watcher(), data=rows(()), max_steps=8)
    threads[0].join(120)
    page, answer = answers[0]
    page.stop()
    plain = SCHEDULE.resolve(8)
    assert answer["update"] == 4
    assert used == [plain(n) * (0.5 if n >= 4 else 1.0) for n in range(8)]
    assert threading.active_count() == before
