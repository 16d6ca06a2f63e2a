"""`lr.logs`: what the trackers themselves read back."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import learnrate as lr
from facts import facts
from learnrate.control import Observation, Scale
from learnrate.control.running import begin
from learnrate.errors import ArgumentError, ArgumentTypeError
from learnrate.study import Comparison, Outcome, Training

SCHEDULE = lr.warmup(0.1, 4) >> lr.cosine(0.1, 0.0, 12)
CURVE = lr.Curve(np.geomspace(1e-3, 1, 40), np.concatenate([np.linspace(2, 1, 35), np.linspace(1, 9, 5)]), notes=("a note",))


class Quadratic(lr.Trainable):
    weight = 3.0

    def update(self, lr):
        loss = self.weight**2
        self.weight -= lr * 2 * self.weight
        return loss

    def save(self):
        return self.weight

    def restore(self, state):
        self.weight = state


@pytest.fixture(scope="module")
def plan():
    return lr.tune(Quadratic(), updates=100)


def recorded(folder):
    """The record of a run of 20 updates, whose LR was halved by hand from update 8 on, with a NaN among its losses."""
    control = begin([lr.linear(0.2, 0.1, 20)], record=f"{folder}/run.sqlite")
    for n in range(20):
        loss = float("nan") if n == 5 else 1 / (n + 1)
        control.observe(Observation(n, lr=control.schedule(n), loss=loss, gradient_norm=2.0))
        if n == 7:
            control.request(Scale(0.5), why="it stalls")
        control.settle(n + 1)
    control.observe(Observation(19, lr=control.schedule(19), metrics={"accuracy": 0.75}))
    control.close()
    return lr.Record.load(f"{folder}/run.sqlite")


def compared():
    """A comparison of two arms with two seeds, whose second name has characters that not every tracker allows."""

    def training(seed, level):
        return Training(seed, level, (2.0, 1.0, 0.5), (2, 3), (level / 2, level), "accuracy", updates=3)

    arms = [
        Outcome(name, "constant(0.1)", 3, (training(0, level), training(1, level + 0.1 * level)))
        for name, level in (("wsd", 0.8), ("50 % <b>$x", 0.6))
    ]
    return Comparison(3, tuple(arms))


COMPARED = {"wsd/seed 0": 0.8, "wsd/seed 1": 0.88, "50 _ _b__x/seed 0": 0.6, "50 _ _b__x/seed 1": 0.66}
"""The final accuracies of `compared`, by the names that a tracker gets."""


def write_everything(log, plan):
    """What every tracker is given; the facts of the run first, because trackio sends them with the first value."""
    log.schedule(SCHEDULE)
    log.plan(plan)
    log.curve(CURVE)
    for update in range(16):
        log(update, lr=SCHEDULE(update), momentum=torch.tensor(0.9))


@pytest.mark.xdist_group("tensorboard")
def test_tensorboard(tmp_path, plan):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(tmp_path) as writer:
        write_everything(lr.logs.to(writer), plan)
        lr.logs.to(writer).record(recorded(tmp_path))
    events = EventAccumulator(str(tmp_path), size_guidance={"tensors": 0, "scalars": 0})
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("lr")] == [
        (n, pytest.approx(SCHEDULE(n), rel=1e-6)) for n in range(16)
    ]
    assert [event.value for event in events.Scalars("momentum")] == pytest.approx([0.9] * 16)
    losses = [event.value for event in events.Scalars("range_test/loss")]
    assert losses == pytest.approx(CURVE.losses.tolist(), rel=1e-6)

    def text(name):
        (event,) = events.Tensors(f"{name}/text_summary")
        return event.tensor_proto.string_val[0].decode()

    assert lr.parse(text("schedule").strip()) == SCHEDULE
    assert lr.parse(text("plan/schedule").strip()) == plan.schedule
    assert all(sentence in text("plan/reasons") for sentence in plan.reasons)
    assert float(text("range_test/max_lr")) == CURVE.bounds().max_lr
    assert "a note" in text("range_test/reasons")
    assert lr.parse(text("run/planned").strip()) == lr.linear(0.2, 0.1, 20)
    used = lr.parse(text("run/schedule").strip())
    written = [(event.step, event.value) for event in events.Scalars("run/lr")]
    assert written == [(n, pytest.approx(used(n), rel=1e-6)) for n in range(20)]
    assert used(8) == 0.5 * lr.linear(0.2, 0.1, 20)(8)
    assert [event.step for event in events.Scalars("run/loss") if event.value != event.value] == [5]
    assert [event.value for event in events.Scalars("run/gradient_norm")] == [2.0] * 20
    assert [(event.step, event.value) for event in events.Scalars("run/accuracy")] == [(19, 0.75)]
    assert "it stalls" in text("run/events")


@pytest.mark.shows("torch", "LR in its logs")
@pytest.mark.xdist_group("tensorboard")
@pytest.mark.slow
def test_the_lr_that_an_optimizer_uses_is_logged_before_its_step(tmp_path):
    from torch.utils.tensorboard import SummaryWriter

    logged = {}
    with SummaryWriter(tmp_path) as writer:
        writer.add_scalar = lambda name, value, step: logged.update({step: value})
        log = lr.logs.to(writer)
        weight = torch.nn.Parameter(torch.zeros(1))
        optimizer = torch.optim.SGD([weight], lr=1.0)
        attachment = lr.torch.attach(optimizer, SCHEDULE)
        moved = [0.0]
        for _ in range(8):
            weight.grad = torch.ones(1)
            log(attachment.updates, lr=optimizer.param_groups[0]["lr"])
            optimizer.step()
            moved.append(-weight.item())
    assert list(logged) == list(range(8))
    assert list(logged.values()) == pytest.approx(np.diff(moved).tolist(), rel=1e-5)


def test_no_tracker_is_imported():
    code = (
        "import sys, learnrate as lr; lr.logs; "
        "print({'torch', 'tensorboard', 'wandb', 'mlflow', 'trackio'} & set(sys.modules))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "set()"


class Recorded:
    """What a tracker of one kind is called with: for the faults only, which no tracker sees."""

    def add_scalar(self, *arguments):
        raise AssertionError

    add_text = add_scalar


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: lr.logs.to(None), ArgumentTypeError, ("writer", "add_scalar", "log_metric", None)),
        (lambda: lr.logs.to({"log": 1}), ArgumentTypeError, ("writer", "dict")),
        (lambda: lr.logs.to(Recorded), ArgumentTypeError, ("writer", "Recorded")),
        (lambda: lr.logs.to(Recorded(), run_id="x"), ArgumentError, ("run_id", "MlflowClient", "x")),
        (lambda: lr.logs.to(Recorded())(-1, lr=1), ArgumentError, ("update", 0, -1)),
        (lambda: lr.logs.to(Recorded())(0.5, lr=1), ArgumentTypeError, ("update", "integer", 0.5)),
        (lambda: lr.logs.to(Recorded())(1, updates=3), ArgumentError, ("name", "'updates'", "axis")),
        (lambda: lr.logs.to(Recorded())(1), ArgumentError, ("value", "lr=")),
        (lambda: lr.logs.to(Recorded())(1, lr=torch.zeros(2)), ArgumentTypeError, ("lr", "scalar", "Tensor")),
        (lambda: lr.logs.to(Recorded())(1, lr=None), ArgumentTypeError, ("lr", "number", None)),
        (lambda: lr.logs.to(Recorded()).schedule(0.1), ArgumentTypeError, ("schedule", 0.1, "constant")),
        (lambda: lr.logs.to(Recorded()).plan(SCHEDULE), ArgumentTypeError, ("plan", "Plan", "warmup")),
        (lambda: lr.logs.to(Recorded()).curve([1.0]), ArgumentTypeError, ("curve", "Curve")),
        (lambda: lr.logs.to(Recorded()).record(CURVE), ArgumentTypeError, ("record", "Record")),
    ],
)
def test_a_fault_is_named(call, error, words):
    with pytest.raises(error, match=facts(*words)):
        call()


# Each of the others runs in a process of its own: they start servers and threads, and change the environment.

PREPARE = """
import json, sys, types
sys.path[:0] = {paths!r}
from test_logs import COMPARED, SCHEDULE, CURVE, Quadratic, compared, recorded, write_everything
import learnrate as lr
plan = lr.tune(Quadratic(), updates=100)
"""

WANDB = """
import wandb
run = wandb.init(mode="offline", dir=".", config={"batch": 32}, settings=wandb.Settings(silent=True))
run.log({"loss": 1.0})  # the user's own, over the user's own step
write_everything(lr.logs.to(wandb), plan)  # the module
lr.logs.to(run)(16, momentum=0.5)
lr.logs.to(run).record(recorded("."))
compared().log(run)
folder = run.settings.sync_dir
run.finish()
wandb.teardown()  # ends the process that writes the file
from pathlib import Path
from wandb.proto import wandb_internal_pb2

def records(data):
    # The log format of LevelDB: blocks of 32 KiB; records with check sum, length and type: whole, first, middle, last.
    position, parts = 7, b""
    while position < len(data):
        if 32768 - position % 32768 < 7:
            position += 32768 - position % 32768
            continue
        length, kind = int.from_bytes(data[position + 4 : position + 6], "little"), data[position + 6]
        parts += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):
            yield parts
            parts = b""

(file,) = Path(folder).glob("*.wandb")
history, config, metrics = [], {}, {}
for data in records(file.read_bytes()):
    record = wandb_internal_pb2.Record()
    record.ParseFromString(data)
    if record.HasField("history"):
        history.append({(item.key or "/".join(item.nested_key)): json.loads(item.value_json) for item in record.history.item})
    for update in [*record.config.update, *(record.run.config.update if record.HasField("run") else [])]:
        config[update.key or "/".join(update.nested_key)] = json.loads(update.value_json)
    if record.HasField("metric"):
        metrics[record.metric.name] = record.metric.step_metric
rows = [row for row in history if "lr" in row]
print(json.dumps({
    "lr": [[row["updates"], row["lr"]] for row in rows],
    "loss": [row["range_test/loss"] for row in history if "range_test/loss" in row],
    "schedule": config["schedule"], "peak": config["plan/max_lr"], "axis": metrics["lr"], "batch": config["batch"],
    "curve_axis": metrics["range_test/loss"], "record_axis": metrics["run/lr"], "used": config["run/schedule"],
    "record": [[row["run/updates"], row["run/lr"]] for row in history if "run/lr" in row],
    "accuracy": [[row["run/updates"], row["run/accuracy"]] for row in history if "run/accuracy" in row],
    "events": config["run/events"],
    "compared": {
        key: [[row["study/updates"], row[f"study/{key}/accuracy"]] for row in history if f"study/{key}/accuracy" in row]
        for key in COMPARED
    },
    "differences": config["study/differences"], "compared_schedule": config["study/wsd/schedule"],
}))
"""

MLFLOW = """
import mlflow, warnings
mlflow.set_tracking_uri("sqlite:///tracking.db")
def read(run_id, client):
    run = client.get_run(run_id)
    history = client.get_metric_history(run_id, "lr")
    losses = client.get_metric_history(run_id, "range_test/loss")
    reasons = mlflow.artifacts.load_text(f"{run.info.artifact_uri}/plan/reasons.txt")
    return {
        "lr": [[entry.step, entry.value] for entry in history], "loss": [entry.value for entry in losses],
        "schedule": run.data.params["schedule"], "peak": float(run.data.params["plan/max_lr"]), "axis": "updates",
        "curve_axis": "range_test/updates", "batch": 32, "reasons": reasons == str(plan.reasons),
        "record": [[entry.step, entry.value] for entry in client.get_metric_history(run_id, "run/lr")],
        "accuracy": [[entry.step, entry.value] for entry in client.get_metric_history(run_id, "run/accuracy")],
        "record_axis": "run/updates", "used": run.data.params["run/schedule"],
        "events": mlflow.artifacts.load_text(f"{run.info.artifact_uri}/run/events.txt"),
        "compared": {
            key: [[entry.step, entry.value] for entry in client.get_metric_history(run_id, f"study/{key}/accuracy")]
            for key in COMPARED
        },
        "differences": mlflow.artifacts.load_text(f"{run.info.artifact_uri}/study/differences.txt"),
        "compared_schedule": run.data.params["study/wsd/schedule"],
    }
client = mlflow.MlflowClient()
experiment = client.create_experiment("learnrate", artifact_location="artifacts")
with mlflow.start_run(experiment_id=experiment) as run:
    write_everything(lr.logs.to(mlflow), plan)
    lr.logs.to(mlflow).record(recorded("."))
    compared().log(mlflow)
    long = lr.multistep(1.0, 0.9, tuple(range(1, 3000)))
    lr.logs.to(mlflow).schedule(long, "long")
by_module = read(run.info.run_id, client)
text = mlflow.artifacts.load_text(f"{run.info.artifact_uri}/long.txt")
assert lr.parse(text) == long and "long" not in client.get_run(run.info.run_id).data.params
other = client.create_run(experiment)
try:
    lr.logs.to(client)
except lr.errors.ArgumentError as error:
    assert "run_id" in str(error)
else:
    raise AssertionError
log = lr.logs.to(client, run_id=other.info.run_id)
log.schedule(SCHEDULE)
log(3, lr=0.5)
run = client.get_run(other.info.run_id)
assert run.data.metrics == {"lr": 0.5} and lr.parse(run.data.params["schedule"]) == SCHEDULE
assert by_module.pop("reasons")
print(json.dumps(by_module))
"""

TRACKIO = """
import trackio
run = trackio.init(project="learnrate", name="first", config={"batch": 32}, embed=False, auto_log_cpu=False)
write_everything(lr.logs.to(run), plan)
for writer in (run, trackio):  # new logs, which do not know that values were written
    try:
        lr.logs.to(writer).schedule(SCHEDULE, "late")
    except lr.errors.ArgumentError as error:
        assert "trackio" in str(error), error
    else:
        raise AssertionError
lr.logs.to(trackio)(16, lr=0.5)
trackio.finish()
trackio.init(project="learnrate", name="second", embed=False, auto_log_cpu=False)
lr.logs.to(trackio).record(recorded("."))
trackio.finish()
trackio.init(project="learnrate", name="third", embed=False, auto_log_cpu=False)
compared().log(trackio)
trackio.finish()
from trackio.sqlite_storage import SQLiteStorage
rows = SQLiteStorage.get_logs("learnrate", "first")
config = SQLiteStorage.get_run_config("learnrate", "first")
record = SQLiteStorage.get_logs("learnrate", "second")
facts = SQLiteStorage.get_run_config("learnrate", "second")
history = SQLiteStorage.get_logs("learnrate", "third")
config_of_study = SQLiteStorage.get_run_config("learnrate", "third")
print(json.dumps({
    "lr": [[row["updates"], row["lr"]] for row in rows if "lr" in row][:16],
    "loss": [row["range_test/loss"] for row in rows if "range_test/loss" in row],
    "schedule": config["schedule"], "peak": config["plan/max_lr"], "axis": "updates", "batch": config["batch"],
    "curve_axis": "range_test/updates", "record_axis": "run/updates", "used": facts["run/schedule"],
    "record": [[row["run/updates"], row["run/lr"]] for row in record if "run/lr" in row],
    "accuracy": [[row["run/updates"], row["run/accuracy"]] for row in record if "run/accuracy" in row],
    "events": facts["run/events"],
    "compared": {
        key: [[row["study/updates"], row[f"study/{key}/accuracy"]] for row in history if f"study/{key}/accuracy" in row]
        for key in COMPARED
    },
    "differences": config_of_study["study/differences"], "compared_schedule": config_of_study["study/wsd/schedule"],
}))
"""

SCRIPTS = {"wandb": WANDB, "mlflow": MLFLOW, "trackio": TRACKIO}


@pytest.mark.heavy
@pytest.mark.slow
@pytest.mark.parametrize("tracker", SCRIPTS)
def test_a_tracker_reads_back_what_was_written(tracker, tmp_path, plan):
    if importlib.util.find_spec(tracker) is None:
        pytest.skip(f"{tracker} is not installed: it belongs to the extra test-all")
    paths = [str(Path(__file__).parent), *filter(None, sys.path)]
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "TRACKIO_DIR": str(tmp_path / "trackio"),
        "OMP_NUM_THREADS": "1",
    }
    ended = subprocess.run(
        [sys.executable, "-c", PREPARE.format(paths=paths) + SCRIPTS[tracker]],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    written = json.loads(ended.stdout.splitlines()[-1])
    assert written["lr"] == [[n, pytest.approx(SCHEDULE(n))] for n in range(16)]
    assert written["loss"] == pytest.approx(CURVE.losses.tolist())
    assert lr.parse(written["schedule"]) == SCHEDULE
    assert written["peak"] == plan.max_lr
    assert (written["axis"], written["curve_axis"], written["batch"]) == ("updates", "range_test/updates", 32)
    used = lr.parse(written["used"])
    assert written["record"] == [[n, pytest.approx(used(n))] for n in range(20)]
    assert (written["record_axis"], written["accuracy"]) == ("run/updates", [[19, 0.75]])
    assert used(8) == 0.5 * lr.linear(0.2, 0.1, 20)(8)
    assert "it stalls" in written["events"]
    assert written["compared"] == {
        key: [[2, pytest.approx(end / 2, abs=0.05)], [3, pytest.approx(end)]] for key, end in COMPARED.items()
    }
    assert [str(difference) in written["differences"] for difference in compared().differences()] == [True]
    assert written["compared_schedule"] == "constant(0.1)"
