"""A page from its start to its end: addresses, ports, threads, forks, the end of the run and of the process."""

import builtins
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from learnrate import constant, cosine, errors, function
from learnrate.control import Observation, Page, Scale, Stop
from learnrate.control.live import LivePage
from learnrate.control.running import begin
from live_run import SCHEDULE, Client, Run, running, until


def test_changes_over_http_are_those_of_the_control():
    with running() as run:
        run.steps(10).start()
        client = Client(run.page)
        answer = client.change({"kind": "scale", "factor": 0.5}, why="  it\n oscillates ")
        assert answer.status == 200
        event = run.control.events[0]
        assert answer.json() == {"update": event.update, "kind": "scale", "factor": 0.5, "reason": "it oscillates"}
        preview = client.request(
            "POST", "/api/preview", {"change": {"kind": "scale", "factor": 2}, "from": 0, "to": 200}
        ).json()
        assert len(preview["update"]) == len(preview["lr"]) == 201
        assert client.change({"kind": "undo"}).json()["factor"] == 1.0
        until(lambda: len(run.used) > run.control.events[-1].update + 5)
        run.end()
        # What the run used is what its schedule says, bit for bit.
        assert run.used == [run.control.schedules[0](n) for n in range(len(run.used))]
        assert run.used[event.update] == SCHEDULE(event.update) * 0.5


def test_an_error_in_a_text_has_its_column():
    with running() as run:
        run.step()
        answer = Client(run.page).change({"kind": "replace", "schedule": "warmup(0.1, 5) >> cosin(0.1, 0, 9)"})
        assert (answer.status, answer.json()["column"]) == (422, 19)
        assert "cosine" in answer.json()["error"]
        undo = Client(run.page).change({"kind": "undo"})
        assert undo.status == 422
        assert "column" not in undo.json()


def steady(n):
    return 0.1


def test_a_function_in_a_text_is_refused_with_advice_for_the_page():
    with running(schedules=(function(steady),)) as run:
        run.step()
        text = f"{SCHEDULE!r} >> {run.control.schedules[0]!r}"  # as the page shows it
        answer = Client(run.page).change({"kind": "replace", "schedule": text})
        assert answer.status == 422
        error = answer.json()["error"]
        assert "functions=" not in error
        assert "parse" not in error
        assert "steady" in error
        assert "cosine" in error
        assert text[answer.json()["column"] - 1 :].startswith(steady.__module__)


def test_a_preview_shows_the_highest_of_the_groups():
    with running(schedules=(cosine(0.1, 0.0, 100), constant(0.5))) as run:
        run.step()
        answer = Client(run.page).request(
            "POST", "/api/preview", {"change": {"kind": "scale", "factor": 0.5}, "from": 0, "to": 50}
        )
        assert max(answer.json()["lr"]) == 0.5
        assert answer.json()["lr"][-1] == 0.25


def test_a_run_that_has_ended_can_be_read_but_not_changed():
    with running() as run:
        run.steps(300)
        run.control.close()
        assert Client(run.page).get("/api/events?after=0").status == 200
        answer = Client(run.page).change({"kind": "scale", "factor": 0.5})
        assert answer.status == 409
        assert len(Client(run.page).get("/api/series?from=0&to=400&points=1000").body) > 10_000


def test_a_change_that_waits_when_the_run_ends_is_refused():
    with running() as run:
        run.step()
        answers = []
        asking = threading.Thread(target=lambda: answers.append(Client(run.page).change({"kind": "scale", "factor": 0.5})))
        asking.start()
        until(lambda: run.control._requests)
        run.control.close()
        asking.join(5)
        assert answers[0].status == 422
        assert "ended" in answers[0].json()["error"]


def test_a_change_that_waits_when_the_page_ends_is_answered(caplog):
    with running() as run:
        run.step()
        answers = []
        asking = threading.Thread(target=lambda: answers.append(Client(run.page).change({"kind": "scale", "factor": 0.5})))
        asking.start()
        until(lambda: run.control._requests)
        time.sleep(0.1)  # until the server waits for it
        run.page.stop()
        asking.join(5)
        assert answers[0].status == 202
        assert caplog.records == []
        run.step()
        assert [event.kind for event in run.control.events] == ["scale"]


def test_a_taken_port_is_an_error_of_the_call():
    with running() as first:
        with pytest.raises(errors.ArgumentError, match=rf"(?s)port.*{first.page.server.port}.*port=0"):
            begin([SCHEDULE], page=Page(port=first.page.server.port))
        with running() as second:
            assert second.page.server.port != first.page.server.port
            assert Client(second.page).get("/api/events?after=0").status == 200
            # The tokens of one run open no other.
            assert Client(second.page, first.page.server.app.access.change).get("/api/events?after=0").status == 401


def test_the_page_of_a_run_that_has_ended_leaves_its_port_to_the_next_one():
    with running() as first:
        port = first.page.server.port
        first.control.close()
        second = begin([SCHEDULE], page=Page(port=port))
        try:
            (page,) = second.listeners
            assert page.server.port == port
            assert Client(page).get("/api/events?after=0").status == 200
        finally:
            second.close()
            page.stop()


def test_a_port_can_be_served_again_at_once():
    with running() as run:
        port = run.page.server.port
        assert Client(run.page).get("/api/events?after=0").status == 200
    with running(Page(port=port)) as again:
        assert again.page.server.port == port
        assert Client(again.page).get("/api/events?after=0").status == 200


def test_an_address_that_is_not_of_this_machine():
    with pytest.raises(errors.ArgumentError, match="host"):
        begin([SCHEDULE], page=Page(host="192.0.2.1"))
    with pytest.raises(errors.ArgumentError, match="host"):
        begin([SCHEDULE], page=Page(host="no such host"))


def test_another_address_warns():
    with pytest.warns(errors.OpenToOthersWarning, match="0.0.0.0"):
        control = begin([SCHEDULE], page=Page(host="0.0.0.0"))
    page = control.listeners[0]
    assert socket.gethostname() in page.link
    page.stop()


@pytest.mark.parametrize("page", [1, "yes", None, {"port": 5}, 8080])
def test_what_is_no_setting_is_refused(page):
    with pytest.raises(errors.ArgumentTypeError, match="page"):
        begin([SCHEDULE], page=page)


@pytest.mark.parametrize(
    "settings",
    [
        {"port": -1},
        {"port": 70_000},
        {"port": "80"},
        {"host": ""},
        {"host": 5},
        {"read_only": 1},
        {"title": 5},
        {"names": "a"},
    ],
)
def test_settings_are_checked_at_once(settings):
    with pytest.raises((errors.ArgumentError, errors.ArgumentTypeError), match=next(iter(settings))):
        Page(**settings)


def test_no_page_without_being_asked_for_and_none_but_in_process_0():
    threads = threading.active_count()
    assert begin([SCHEDULE]).listeners == []
    assert begin([SCHEDULE], page=True, rank=1).listeners == []
    assert threading.active_count() == threads


def test_the_link_is_one_line(capsys):
    with running() as run:
        out, err = capsys.readouterr()
        assert out == ""
        assert err.count("\n") == 1
        assert err.split()[-1] == run.page.link
        assert run.page.server.app.access.read not in err


def test_what_is_missing_is_named(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.split(".")[0] in ("uvicorn", "starlette", "anywidget"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *args, **kwargs)

    for module in [
        name
        for name in sys.modules
        if name.startswith("learnrate.control.live.") and name.rsplit(".", 1)[1] in ("server", "app", "notebook")
    ]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(errors.MissingExtraError, match=r"learnrate\[live\]"):
        begin([SCHEDULE], page=True)
    from learnrate.control import widget

    with pytest.raises(errors.MissingExtraError, match=r"learnrate\[notebook\]"):
        widget(begin([SCHEDULE]))


def test_a_state_that_is_loaded_brings_its_events():
    with running() as run:
        run.steps(20)
        run.control.request(Scale(0.5))
        run.steps(20)
        state = run.control.state_dict()
    control = begin([SCHEDULE], page=True, start=40)
    page = control.listeners[0]
    try:
        control.load_state_dict(state)
        answer = until(lambda: (a := Client(page).get("/api/events?after=0").json())["count"] and a)
        assert [event["kind"] for event in answer["events"]] == ["scale"]
        assert page.history.undoable == 1
        assert Client(page).request("POST", "/api/preview", {"change": {"kind": "undo"}, "from": 0, "to": 9}).status == 200
    finally:
        page.stop()


def test_a_loss_that_is_not_finite_is_kept_apart():
    with running() as run:
        for n, loss in enumerate([1.0, float("nan"), None, float("inf"), 2.0]):
            run.control.observe(Observation(n, 0.1, loss=loss))
        run.page.refresh()
        _, values = run.page.history.rows.window(0, 10, 10)
        assert values[5, 1].tolist() == [0, 1, 0, 1, 0]
        assert values[4, 1].tolist() == [1, 0, 0, 0, 1]


def test_rows_do_not_wait_without_end_when_nobody_takes_them(monkeypatch):
    monkeypatch.setattr("learnrate.control.live.sources.MOST_WAITING", 100)
    with running() as run:
        run.page.stop()
        run.steps(1000)
        assert len(run.page._waiting) < 100
        assert run.page.history.rows.rows >= 900


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_process_keeps_no_port(recwarn):
    with running() as run:
        run.step()
        port = run.page.server.port
        child = os.fork()
        if child == 0:
            run.control.observe(Observation(1, 0.1, loss=1.0))
            run.control.request(Stop())
            time.sleep(30)
            os._exit(0)
        try:
            assert Client(run.page).get("/api/events?after=0").status == 200
            run.page.stop()
            with socket.socket() as again, pytest.raises(ConnectionRefusedError):
                again.connect(("127.0.0.1", port))
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


SCRIPT = """
import sys, time
from live_run import Run
run = Run().steps(50)
if sys.argv[1] == "interrupt":
    while True:
        run.step()
        time.sleep(0.001)
"""


@pytest.mark.slow
@pytest.mark.parametrize("end", ["interrupt", "run out"])
def test_the_process_ends_when_the_training_does(end):
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, end],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    line = process.stderr.readline()
    assert "http://127.0.0.1:" in line
    if end == "interrupt":
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
    start = time.monotonic()
    rest = process.communicate(timeout=300)[1]
    assert time.monotonic() - start < 10
    if end == "interrupt":
        assert "KeyboardInterrupt" in rest
        assert rest.count("Traceback") == 1
    else:
        assert (process.returncode, rest) == (0, "")


def test_a_fault_of_a_schedule_is_told_and_ends_nothing(caplog):
    def broken(n):
        if np.max(n) > 5000:
            raise ZeroDivisionError("a function of the user's")
        return 0.1

    with running(schedules=(function(broken),)) as run:
        run.steps(5).start()
        assert Client(run.page).get("/api/plan?from=0&to=9000&points=50").status == 500
        until(lambda: "a function of the user's" in caplog.text)
        question = {"change": {"kind": "scale", "factor": 0.5}, "from": 0, "to": 9000}
        assert Client(run.page).request("POST", "/api/preview", question).status == 500
        until(lambda: len(run.used) > 20)
        assert Client(run.page).get("/api/series?from=0&to=100&points=50").status == 200


def test_a_page_can_be_stopped_twice_and_from_anywhere():
    run = Run().steps(5)
    run.page.stop()
    run.page.stop()
    run.steps(5)
    run.control.close()
    assert isinstance(run.page, LivePage)
