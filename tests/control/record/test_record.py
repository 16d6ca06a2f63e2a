"""A record says what happened: the schedule that was used, resumed runs, values that are not finite, notes."""

import json
import math
import sqlite3
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import learnrate as lr
from facts import facts
from learnrate.control import Action, Controller, Cooldown, Observation, Replace, Scale, Stop, Undo
from learnrate.control.running import begin
from learnrate.errors import ArgumentError, ArgumentTypeError, OutputError, OverruledWarning, RecordWarning
from recording import recorded, run, step

FORMS = ("run.sqlite", "run.jsonl")
SCHEDULE = lr.warmup(0.1, 5) >> lr.cosine(0.1, 0.0, 45)


def halving(p):
    return p * p


class Seen(NamedTuple):
    updates: int = 0


class Every(Controller):
    """Multiplies the LR each few updates, as long as no evaluation comes."""

    def __init__(self, updates, factor):
        self.updates, self.factor = updates, factor

    def init(self):
        return Seen()

    def update(self, state, observation):
        state = Seen(state.updates + (observation.loss is not None))
        return state, Action(self.factor ** (state.updates // self.updates), stop=state.updates == 60)


REQUESTS = st.one_of(
    st.floats(0.1, 3.0).map(Scale),
    st.just(Undo()),
    st.integers(1, 30).map(Cooldown),
    st.sampled_from(
        [
            Replace("linear(0.2, 0.01, 40)"),
            Replace("triangular(0.01, 0.1, 7)", begins="start"),
            Replace("constant(0.05)"),
            Stop(),
        ]
    ),
)


RANDOM_RUN = given(
    requests=st.dictionaries(st.integers(0, 59), REQUESTS, max_size=8),
    resumes=st.lists(st.tuples(st.integers(1, 50), st.integers(0, 9)), max_size=3),
    controlled=st.booleans(),
    groups=st.integers(1, 2),
)


@pytest.mark.slow
@settings(max_examples=60)
@RANDOM_RUN
def test_the_schedule_of_a_record_is_what_the_run_used(**drawn):
    is_what_the_run_used("run.jsonl", **drawn)


@pytest.mark.slow
@settings(max_examples=8)  # a database waits for the disk at its end
@RANDOM_RUN
def test_the_schedule_of_a_database_is_what_the_run_used(**drawn):
    is_what_the_run_used("run.sqlite", **drawn)


def is_what_the_run_used(form, requests, resumes, controlled, groups):
    """Random changes by hand and by a controller; stopped a few updates after a checkpoint, and resumed from it."""
    schedules = [SCHEDULE, lr.linear(0.03, 0.2, 50)][:groups]
    controllers = Every(13, 0.7) if controlled else None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / form

        def new():
            return begin(schedules, control=controllers, record=path)

        def train(control, updates):
            for n in updates:
                used[n] = max(schedule(n) for schedule in control.schedules)
                control.observe(Observation(n, lr=used[n], loss=1 / (n + 1)))
                if n in requests:
                    control.request(requests[n])
                control.settle(n + 1)

        used, control, at = {}, new(), 0
        for stop, redone in resumes:
            if stop <= at:
                continue
            train(control, range(at, stop))
            state = json.loads(json.dumps(control.state_dict()))
            train(control, range(stop, stop + redone))  # lost, because the last checkpoint is older
            control.close()
            used = {n: value for n, value in used.items() if n < stop}
            control, at = new(), stop
            control.load_state_dict(state)
        train(control, range(at, 60))
        control.close()

        record = lr.Record.load(path)
        assert record.updates.tolist() == list(range(60))
        assert record.lrs.tolist() == [used[n] for n in range(60)]
        again = record.schedule()
        again = again if isinstance(again, tuple) else (again,)
        assert len(again) == groups
        assert [max(schedule(n) for schedule in again) for n in range(60)] == record.lrs.tolist()
        future = [max(schedule(n) for schedule in control.schedules) for n in range(60, 90)]
        assert [max(schedule(n) for schedule in again) for n in range(60, 90)] == future
        assert list(record.events) == control.events
        texts = [lr.parse(repr(schedule)) for schedule in again]
        assert texts == list(again)


@pytest.mark.parametrize("form", FORMS)
def test_values_come_back_as_they_were(form, tmp_path):
    losses = [1.5, math.nan, math.inf, -math.inf, 0.1 + 0.2, 5e-324]
    control = begin([SCHEDULE], record=tmp_path / form)
    for n, loss in enumerate(losses):
        step(control, n, loss, gradient_norm=None if n == 2 else loss)
    control.observe(Observation(5, lr=0.1, metrics={"accuracy": np.float32(0.5), "Fehler η": math.nan}))
    control.close()
    record = lr.Record.load(tmp_path / form)
    assert record.losses.tolist() == pytest.approx(losses, rel=0, abs=0, nan_ok=True)
    norms = [math.nan if n == 2 else loss for n, loss in enumerate(losses)]
    assert record.gradient_norms.tolist() == pytest.approx(norms, rel=0, abs=0, nan_ok=True)
    assert {name: metric.updates.tolist() for name, metric in record.metrics.items()} == {"accuracy": [5], "Fehler η": [5]}
    assert record.metrics["accuracy"].values.tolist() == [0.5]
    assert math.isnan(record.metrics["Fehler η"].values[0])
    assert list(record.notes) == []
    with pytest.raises(ValueError, match="read-only"):
        record.losses[0] = 1


def test_a_loss_of_nan_differs_from_none_in_the_file(tmp_path):
    control = begin([SCHEDULE], record=tmp_path / "run.sqlite")
    control.observe(Observation(0, lr=0.1, loss=math.nan))
    control.observe(Observation(1, lr=0.1, loss=None))
    control.close()
    connection = sqlite3.connect(tmp_path / "run.sqlite")
    assert connection.execute("SELECT loss FROM run").fetchall() == [("nan",), (None,)]
    connection.close()


@pytest.mark.parametrize("form", FORMS)
def test_a_resumed_run_goes_on_in_its_record_and_loses_nothing(form, tmp_path):
    path = tmp_path / form
    control = begin([SCHEDULE], record=path)
    run(control, range(10))
    control.observe(Observation(9, lr=0.1, metrics={"accuracy": 0.5}))
    control.request(Scale(0.5), "before the checkpoint")
    run(control, range(10, 15))
    state = control.state_dict()
    control.request(Scale(0.1), "after the checkpoint")
    run(control, range(15, 20))
    control.observe(Observation(19, lr=0.1, metrics={"accuracy": 0.6}))
    control.close()

    control = begin([SCHEDULE], record=path, start=15)
    control.load_state_dict(state)
    run(control, range(15, 18))
    control.close()

    record = lr.Record.load(path)
    assert record.updates.tolist() == list(range(18))
    assert [event.reason for event in record.events] == ["before the checkpoint"]
    assert record.metrics["accuracy"].values.tolist() == [0.5]
    assert [(part.number, part.start, part.resumed) for part in record.attempts] == [(1, 0, False), (2, 15, True)]
    assert any("attempt 2 from update 15" in note for note in record.notes)
    first = lr.Record.load(path, attempt=1)
    assert first.updates.tolist() == list(range(20))
    assert [event.reason for event in first.events] == ["before the checkpoint", "after the checkpoint"]
    assert first.metrics["accuracy"].values.tolist() == [0.5, 0.6]
    assert [first.schedule()(n) for n in range(20)] == first.lrs.tolist()


def test_a_checkpoint_that_is_loaded_in_the_midst_of_a_run_begins_an_attempt(tmp_path):
    control = begin([SCHEDULE], record=tmp_path / "run.sqlite")
    control.request(Scale(0.5))
    run(control, range(5))
    state = control.state_dict()
    run(control, range(5, 10))
    control.request(Scale(0.1))
    run(control, range(10, 12))
    control.load_state_dict(state)
    control.load_state_dict(state)
    used = run(control, range(5, 8))
    control.close()
    record = lr.Record.load(tmp_path / "run.sqlite")
    assert record.updates.tolist() == list(range(8))
    assert record.lrs[5:].tolist() == used
    assert [record.schedule()(n) for n in range(8)] == record.lrs.tolist()
    assert list(record.events) == control.events
    assert [(part.number, part.start) for part in record.attempts] == [(1, 0), (2, 5)]


def test_a_run_that_goes_back_by_itself_is_another_attempt(tmp_path):
    control = begin([SCHEDULE], record=tmp_path / "run.sqlite")
    control.request(Scale(0.5))
    run(control, range(10))
    used = run(control, range(4, 8))
    control.close()
    record = lr.Record.load(tmp_path / "run.sqlite")
    assert record.updates.tolist() == list(range(8))
    assert record.lrs[4:].tolist() == used
    assert [record.schedule()(n) for n in range(8)] == record.lrs.tolist()
    assert len(lr.Record.load(tmp_path / "run.sqlite", attempt=1)) == 10


@pytest.mark.parametrize("form", FORMS)
def test_an_update_that_was_skipped_and_made_again_counts_once(form, tmp_path):
    control = begin([SCHEDULE], record=tmp_path / form)
    for n, loss in ((0, 1.0), (1, math.inf), (1, math.nan), (1, 0.5), (2, 0.4)):
        step(control, n, loss)
    control.close()
    record = lr.Record.load(tmp_path / form)
    assert (record.updates.tolist(), record.losses.tolist()) == ([0, 1, 2], [1.0, 0.5, 0.4])
    assert len(record.attempts) == 1
    if form == "run.sqlite":
        connection = sqlite3.connect(tmp_path / form)
        assert connection.execute("SELECT n, loss FROM run").fetchall() == [(0, 1.0), (1, 0.5), (2, 0.4)]
        connection.close()


@pytest.mark.parametrize("form", FORMS)
def test_another_run_in_the_same_file_is_said_and_both_stay(form, tmp_path):
    recorded(tmp_path / form, SCHEDULE, 20)
    control = begin([lr.constant(0.3)], record=tmp_path / form)
    assert len(lr.Record.load(tmp_path / form)) == 20  # nothing is replaced before the first update
    with pytest.warns(RecordWarning, match=facts("20 updates", "attempt=1")):
        run(control, range(5))
    control.close()
    assert lr.Record.load(tmp_path / form).lrs.tolist() == [0.3] * 5
    assert lr.Record.load(tmp_path / form).schedule() == lr.constant(0.3)
    first = lr.Record.load(tmp_path / form, attempt=1)
    assert (len(first), first.schedule()) == (20, SCHEDULE)
    with pytest.raises(ArgumentError, match=facts("attempt", "2", "3")):
        lr.Record.load(tmp_path / form, attempt=3)


def test_a_run_that_goes_on_under_another_schedule_or_without_its_events(tmp_path):
    path = tmp_path / "run.sqlite"
    control = begin([SCHEDULE], record=path)
    run(control, range(3))
    control.request(Scale(0.5))
    run(control, range(3, 8))
    control.request(Scale(0.1), "made again under another schedule")
    run(control, range(8, 10))
    control.close()
    control = begin([lr.constant(0.2)], record=path, start=7)
    run(control, range(7, 12))
    control.close()
    control = begin([lr.constant(0.2)], record=path, start=10)
    control.request(Scale(2.0))
    run(control, range(10, 20))
    control.close()
    record = lr.Record.load(path)
    assert record.updates.tolist() == list(range(20))
    assert [record.schedule()(n) for n in range(20)] == record.lrs.tolist()
    assert [event.update for event in record.events] == [4, 11]
    assert record.original == (repr(SCHEDULE),)


def test_a_record_of_a_resumed_run_alone_knows_what_happened_before(tmp_path):
    control = begin([SCHEDULE])
    control.request(Scale(0.5))
    used = run(control, range(10))
    state = control.state_dict()
    control = begin([SCHEDULE], record=tmp_path / "run.sqlite", start=10)
    control.load_state_dict(state)
    used += run(control, range(10, 20))
    control.close()
    record = lr.Record.load(tmp_path / "run.sqlite")
    assert [record.schedule()(n) for n in range(20)] == used
    assert any("begins with update 10" in note for note in record.notes)


def test_an_lr_that_something_else_wrote_is_said(tmp_path):
    control = begin([SCHEDULE], record=tmp_path / "run.sqlite")
    for n in range(10):
        control.observe(Observation(n, lr=0.5 if n in (6, 7) else SCHEDULE(n) * (1 + 1e-8), loss=1.0))
        control.settle(n + 1)
    control.close()
    record = lr.Record.load(tmp_path / "run.sqlite")
    with pytest.warns(OverruledWarning, match=facts("2 of 10", "update 6", "0.5")):
        assert record.schedule() == SCHEDULE
    assert any("2 of 10" in note for note in record.notes)
    assert "2 of 10" in repr(record)


@pytest.mark.parametrize("form", FORMS)
def test_schedules_with_functions_of_the_user(form, tmp_path):
    schedule = lr.custom(0.1, 0.0, halving, 50)
    control = begin([schedule], record=tmp_path / form)
    run(control, range(3))
    control.replaced([lr.custom(0.05, 0.0, halving, 40)], 3)
    run(control, range(3, 10))
    control.close()
    record = lr.Record.load(tmp_path / form)
    assert len(record.losses) == 10
    assert "halving" in repr(record)
    with pytest.raises(ArgumentError, match=facts("functions", "halving")):
        record.schedule()
    with pytest.raises(ArgumentError, match=facts("functions", "halving")):
        _ = record.events
    assert [record.schedule([halving])(n) for n in range(10)] == record.lrs.tolist()
    record = lr.Record.load(tmp_path / form, functions=[halving])
    assert [record.schedule()(n) for n in range(10)] == record.lrs.tolist()
    assert record.events[0].schedules == (lr.custom(0.05, 0.0, halving, 40),)


def test_a_function_of_the_script_that_trained_is_recognized(tmp_path):
    control = begin([lr.custom(0.1, 0.0, halving, 50)], record=tmp_path / "run.jsonl")
    run(control, range(3))
    control.close()
    text = (tmp_path / "run.jsonl").read_text().replace(f"{halving.__module__}.halving", "__main__.halving")
    (tmp_path / "run.jsonl").write_text(text)
    assert lr.Record.load(tmp_path / "run.jsonl").schedule([halving]) == lr.custom(0.1, 0.0, halving, 50)


def test_a_function_without_a_name_is_said_at_the_start(tmp_path):
    with pytest.warns(RecordWarning, match=facts("<lambda>", "top level")):
        recorded(tmp_path / "run.sqlite", lr.custom(0.1, 0.0, lambda p: p, 50), 3)
    with pytest.raises(ArgumentError, match="functions"):
        lr.Record.load(tmp_path / "run.sqlite").schedule()


@pytest.mark.parametrize("form", FORMS)
def test_a_run_without_updates_and_one_with_a_single_one(form, tmp_path):
    begin([SCHEDULE], record=tmp_path / form).close()
    record = lr.Record.load(tmp_path / form)
    assert (len(record), record.schedule(), record.events, record.metrics, record.notes) == (0, SCHEDULE, (), {}, ())
    assert repr(record).startswith("Record of 0 updates")
    recorded(tmp_path / f"single-{form}", SCHEDULE, 1)
    record = lr.Record.load(tmp_path / f"single-{form}")
    assert (record.updates.tolist(), record.schedule()) == ([0], SCHEDULE)
    assert "1 update in" in repr(record)


def test_missing_updates_are_said(tmp_path):
    control = begin([SCHEDULE], record=tmp_path / "run.sqlite")
    run(control, [0, 1, 4, 5, 9])
    control.close()
    assert any(
        "5 updates are missing" in note and "update 2" in note for note in lr.Record.load(tmp_path / "run.sqlite").notes
    )


def test_the_table(tmp_path):
    control = begin([SCHEDULE], record=tmp_path / "run.sqlite")
    run(control, range(3))
    control.observe(Observation(2, lr=0.1, metrics={"loss": 0.25}))
    control.close()
    record = lr.Record.load(tmp_path / "run.sqlite")
    frame = record.to_pandas()
    assert list(frame.columns) == ["update", "lr", "loss", "gradient_norm", "time", "loss_"]
    assert frame["lr"].tolist() == record.lrs.tolist()
    assert frame["loss_"].tolist() == pytest.approx([math.nan, math.nan, 0.25], nan_ok=True)
    record.to_csv(tmp_path / "run.csv")
    rows = (tmp_path / "run.csv").read_text().splitlines()
    assert rows[0] == "update,lr,loss,gradient_norm,time,loss_"
    assert [float(row.split(",")[1]) for row in rows[1:]] == record.lrs.tolist()


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"path": 3}, ArgumentTypeError, ("path", 3)),
        ({"path": "no.sqlite"}, OutputError, ("no.sqlite",)),
        ({"path": "."}, OutputError, (".", "directory")),
        ({"path": "run.sqlite", "attempt": 0}, ArgumentError, ("attempt", 1, 0)),
        ({"path": "run.sqlite", "attempt": "first"}, ArgumentTypeError, ("attempt", "first")),
        ({"path": "run.sqlite", "functions": [len, 3]}, ArgumentTypeError, ("functions", 3)),
    ],
)
def test_a_wrong_argument_is_named(arguments, error, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recorded("run.sqlite", SCHEDULE, 2)
    with pytest.raises(error, match=facts(*words)):
        lr.Record.load(**arguments)


def broken(content, tmp_path):
    (tmp_path / "broken").write_bytes(content)
    return tmp_path / "broken"


def other_database(path, *statements):
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()
    return path


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: broken(b"", path), ("empty",)),
        (lambda path: broken(b"epoch,loss\n1,2\n", path), ("not the record",)),
        (lambda path: broken(b'{"learnrate": "curve", "version": 1}\n', path), ("not the record",)),
        (lambda path: broken(b'{"learnrate": "record", "version": 99}\n', path), ("version", 99, "upgrade")),
        (lambda path: broken(b'{"learnrate": "record", "version": 1}\n{"table": "updates"}\n', path), ("line 2",)),
        (lambda path: broken(b"SQLite format 3\x00" + bytes(2000), path), ("broken",)),
        (lambda path: other_database(path / "broken", "CREATE TABLE a (b)"), ("something else",)),
        (lambda path: other_database(path / "run.sqlite", "PRAGMA user_version = 99"), ("version", 99, "upgrade")),
        (lambda path: other_database(path / "run.sqlite", "DROP TABLE events"), ("run.sqlite", "events")),
        (lambda path: other_database(path / "run.sqlite", "UPDATE attempts SET schedules = '['"), ("broken", "JSON")),
    ],
)
def test_what_is_no_record_is_one_clear_error(make, words, tmp_path):
    recorded(tmp_path / "run.sqlite", SCHEDULE, 2)
    path = make(tmp_path)
    with pytest.raises(OutputError, match=facts(path.name, *words)) as caught:
        lr.Record.load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_damaged_file_is_an_error_and_nothing_else(share, tmp_path):
    path = tmp_path / "run.sqlite"
    recorded(path, SCHEDULE, 2000)
    content = bytearray(path.read_bytes())
    at = int(share * len(content))
    content[at : at + 6000] = bytes(6000)
    path.write_bytes(content)
    with pytest.raises(OutputError, match=facts("run.sqlite")):
        lr.Record.load(path)
    path.write_bytes(content[: at // 4096 * 4096])
    with pytest.raises(OutputError, match=facts("run.sqlite")):
        lr.Record.load(path)


def test_a_finished_record_is_one_plain_file_that_can_be_read_in_a_folder_without_rights(tmp_path):
    recorded(tmp_path / "run.sqlite", SCHEDULE, 5)
    assert [path.name for path in tmp_path.iterdir()] == ["run.sqlite"]


def test_what_a_killed_process_did_after_the_end_of_its_record_is_known_from_the_checkpoint(tmp_path):
    """The file as a kill leaves it: without the last updates, whose events are in the checkpoint alone."""
    path, schedule = tmp_path / "run.sqlite", lr.linear(0.1, 0.0, 100)
    used = recorded(path, schedule, 10)
    lost = begin([schedule])
    assert run(lost, range(10)) == used
    used += run(lost, range(10, 12))
    lost.request(Scale(0.5))
    used += run(lost, range(12, 15))
    again = begin([schedule], record=path)
    again.load_state_dict(lost.state_dict())
    used += run(again, range(15, 20))
    again.close()
    record = lr.Record.load(path)
    assert record.updates.tolist() == [*range(10), *range(15, 20)]
    assert [record.schedule()(n) for n in range(20)] == used  # no warning of another LR
    assert [event.kind for event in record.events] == ["scale"]
