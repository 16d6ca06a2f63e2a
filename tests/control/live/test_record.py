"""The page of a record: of a run that has ended, and of one that is being recorded."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request

import pytest

from learnrate import errors
from learnrate.control import Observation, Page, Scale
from learnrate.control.live import serve
from learnrate.control.running import begin
from live_run import SCHEDULE, Client, until


@pytest.fixture
def recorded():
    from learnrate.control.live.recorded import Recorded

    return Recorded


def train(control, start, end, loss=1.0):
    for n in range(start, end):
        control.observe(Observation(n, control.schedules[0](n), loss=loss))
        control.settle(n + 1)


def test_a_record_shows_what_the_run_had(tmp_path, recorded):
    path = tmp_path / "run.sqlite"
    control = begin([SCHEDULE], record=path)
    train(control, 0, 200)
    control.request(Scale(0.5), why="by hand")
    train(control, 200, 400, loss=float("nan"))
    control.observe(Observation(399, 0.1, metrics={"accuracy": 0.5}))
    control.close()
    source = recorded(path)
    assert source.status == "finished"
    assert source.schedules()[1] == control.schedules
    assert source.total() == 20_000
    assert source.history.latest()["metrics"] == {"accuracy": 0.5}
    numbers, values = source.history.rows.window(0, 1000, 2000)
    assert numbers[0].tolist() == list(range(400))
    assert values[0, 0].tolist() == [control.schedules[0](n) for n in range(400)]
    assert values[5, 1].sum() == 200
    server = serve(source, Page(read_only=True))
    try:
        client = Client(type("Shown", (), {"server": server}))
        assert client.get("/api/events?after=0").json()["events"][0]["reason"] == "by hand"
        assert client.change({"kind": "undo"}).status == 403
    finally:
        server.stop()


def test_a_record_is_followed_while_it_grows_and_when_it_is_resumed(tmp_path, recorded, monkeypatch):
    monkeypatch.setattr("learnrate.control.live.recorded.INTERVAL", 0.1)
    path = tmp_path / "run.sqlite"
    control = begin([SCHEDULE], record=path)
    train(control, 0, 100)
    until(lambda: path.exists())
    source = recorded(path).follow()
    try:
        assert source.status == "running"
        train(control, 100, 200)
        until(lambda: source.history.rows.last == 199)
        control.request(Scale(0.5))
        train(control, 200, 250)
        until(lambda: source.history.event_count == 1)
        control.close()
        until(lambda: source.status == "finished")
        again = begin([SCHEDULE], record=path, start=150)
        train(again, 150, 180)
        until(lambda: source.history.rows.last == 179 and source.history.event_count == 0)
        again.close()
    finally:
        source.stop()


@pytest.mark.parametrize("name", ["run.sqlite", "run.jsonl"])
def test_another_run_at_the_same_place_is_shown_alone(tmp_path, recorded, monkeypatch, name):
    monkeypatch.setattr("learnrate.control.live.recorded.INTERVAL", 0.05)
    path, other = tmp_path / name, tmp_path / f"other.{name}"
    control = begin([SCHEDULE], record=path)
    train(control, 0, 50)
    control.request(Scale(0.5), why="of the first run")
    train(control, 50, 60)
    control.observe(Observation(59, 0.1, metrics={"accuracy": 0.5}))
    control.close()
    source = recorded(path).follow()
    try:
        assert source.history.latest()["update"] == 59
        control = begin([SCHEDULE], record=other)
        train(control, 0, 80, loss=2.0)  # it has gone further than what is shown
        control.close()
        other.replace(path)
        assert until(lambda: source.history.latest()["update"] == 79)
        numbers, values = source.history.rows.window(0, 1000, 2000)
        assert numbers[0].tolist() == list(range(80))
        assert set(values[0, 1].tolist()) == {2.0}
        assert (source.history.event_count, source.history.metrics) == (0, {})
        assert source.schedules()[1] == (SCHEDULE,)
    finally:
        source.stop()


def test_a_record_that_is_removed_is_named_once_and_what_was_read_stays(tmp_path, recorded, monkeypatch, capsys):
    monkeypatch.setattr("learnrate.control.live.recorded.INTERVAL", 0.05)
    path = tmp_path / "run.sqlite"
    control = begin([SCHEDULE], record=path)
    train(control, 0, 100)
    control.close()
    source = recorded(path).follow()
    try:
        path.unlink()
        until(lambda: source.failure is not None)
        time.sleep(0.2)
        assert capsys.readouterr().err.count("run.sqlite") == 1
        assert (source.status, source.history.rows.last) == ("finished", 99)
        train(again := begin([SCHEDULE], record=path), 0, 50)
        again.close()
        until(lambda: source.failure is None)
    finally:
        source.stop()


def test_what_is_no_record_is_refused(tmp_path, recorded):
    (tmp_path / "text").write_text("no record")
    with pytest.raises(errors.OutputError):
        recorded(tmp_path / "text")


@pytest.mark.slow
def test_the_command_serves_until_ctrl_c(tmp_path):
    control = begin([SCHEDULE], record=tmp_path / "run.sqlite")
    train(control, 0, 50)
    control.close()
    command = [sys.executable, "-m", "learnrate", "watch", "run.sqlite"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    link = process.stderr.readline().split()[-1]
    assert "the run has ended" in process.stdout.readline()
    address, token = link.split("#")
    request = urllib.request.Request(f"{address}api/events?after=0", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request) as answer:
        assert json.load(answer)["original"] == [repr(SCHEDULE)]
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)
    assert "Traceback" not in out + err


@pytest.mark.parametrize(("name", "why"), [("none.sqlite", "none.sqlite"), (".", "folder")])
def test_the_command_names_what_is_missing(tmp_path, name, why):
    ended = subprocess.run(
        [sys.executable, "-m", "learnrate", "watch", name],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert why in ended.stderr
    assert "Traceback" not in ended.stderr
