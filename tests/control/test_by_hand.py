"""Changes by hand: lines appended to a file, and a signal."""

import os
import signal
import subprocess
import sys
import threading
import timeit

import pytest

import learnrate as lr
from learnrate.control import Control, by_hand
from learnrate.control import by_hand as module
from learnrate.control.running import begin
from learnrate.errors import ArgumentError, ArgumentTypeError, NotMeasuredWarning, OutputError
from scripted import Run, scripted

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="signals of POSIX")


@pytest.fixture
def clock(monkeypatch):
    """Looks at the file at each call of `look`, without waiting."""

    class Clock:
        now = 0.0

    monkeypatch.setattr(sys.modules["learnrate.control.by_hand"].time, "monotonic", lambda: Clock.now)
    return Clock


@pytest.fixture
def commands(tmp_path):
    return tmp_path / "run.commands"


class Driven(Run):
    """A run that looks at its file before each update."""

    def __init__(self, clock, schedule, hand, controllers=()):
        super().__init__(Control([schedule], [*controllers, hand]))
        self.clock = clock

    def update(self):
        self.clock.now += 1.0
        return super().update()


def append(path, text):
    with path.open("a") as file:
        file.write(text)


def answers(path):
    """The answers in the log, without their times."""
    lines = path.with_name(path.name + ".log").read_text().splitlines()
    return [line[20:] for line in lines]


def test_lines_of_a_file_are_applied_and_answered(clock, commands):
    run = Driven(clock, lr.constant(0.1), by_hand(file=commands))
    run.update()
    append(commands, "scale 0.5\n\n# a comment\n")
    run.update()
    run.update()
    append(commands, "schedule cosine(0.05, 0, 4)\nscale 2\n")
    run.update()
    run.update()
    append(commands, "undo\nundo\nscale a half\ncooldwon 500\nundo\nundo\nstop\n")
    run.update()
    run.control.close()
    assert [lrs[0] for lrs in run.used.values()] == pytest.approx([0.1, 0.1, 0.05, 0.05, 0.1, 2 * lr.cosine(0.05, 0, 4)(1)])
    log = answers(commands)
    assert f"process {os.getpid()}" in log[0]
    assert log[1] == "scale 0.5: applied at update 2"
    assert log[2] == "schedule cosine(0.05, 0, 4): applied at update 4"
    assert log[3] == "scale 2: applied at update 4"
    assert log[4].startswith("scale a half: not applied: column 9: ")
    assert log[5].startswith("cooldwon 500: not applied: column 1: ")
    assert log[6:9] == ["undo: applied at update 6"] * 3
    assert log[9].startswith("undo: not applied: ")
    assert log[10] == "stop: applied at update 6"
    assert "no more lines" in log[11]
    assert run.control.stopped.reason == "the end of the run (run.commands)"
    assert run.control.schedules[0](7) == 0.1
    assert run.used[3] == (0.05,)
    assert [event.who for event in run.control.events] == ["by hand"] * 7


def test_what_the_file_held_before_is_not_applied(clock, commands):
    append(commands, "scale 0.5\n")
    run = Driven(clock, lr.constant(0.1), by_hand(file=commands))
    run.update()
    assert run.control.events == []
    append(commands, "scale 0.1\n")
    run.update()
    assert run.control.factor == 0.1


def test_a_line_without_an_end_waits_and_is_taken_when_it_stays_so(clock, commands):
    run = Driven(clock, lr.constant(0.1), by_hand(file=commands))
    append(commands, "scale 0.")
    run.update()
    append(commands, "5")
    run.update()
    assert run.control.events == []
    run.update()
    assert run.control.factor == 0.5
    append(commands, "\nundo")
    run.update()
    run.update()
    assert run.control.factor == 1.0
    assert len(run.control.events) == 2


def test_a_file_that_is_replaced(clock, commands):
    run = Driven(clock, lr.constant(0.1), by_hand(file=commands))
    commands.write_text("scale 0.5\n")
    run.update()
    assert run.control.factor == 0.5
    commands.write_text("undo\n")  # with > in place of >>
    run.update()
    assert run.control.factor == 0.5
    assert "append" in answers(commands)[-1]
    other = commands.with_name("swap")
    other.write_text("undo\nscale 0.1\n")  # an editor, which writes another file and renames it
    other.replace(commands)
    run.update()
    assert run.control.factor == pytest.approx(0.05)
    commands.write_text("undo\nscale 0.1\n")
    os.utime(commands, ns=(1, 1))
    run.update()
    assert "append" in answers(commands)[-1]
    commands.write_text("scale 0.9\nscale 0.9\nscale 0.9\n")  # longer, and other lines at its beginning
    run.update()
    commands.unlink()
    run.update()
    assert len(run.control.events) == 2


def test_a_file_that_is_no_text(clock, commands):
    run = Driven(clock, lr.constant(0.1), by_hand(file=commands))
    commands.write_bytes(b"\xff\xfe\x00scale 0.5\n\x00\nscale 0.5\r\n")
    run.update()
    assert run.control.factor == 0.5
    assert len([answer for answer in answers(commands) if "not applied" in answer]) == 2


def test_a_file_that_is_too_large(clock, commands, monkeypatch):
    monkeypatch.setattr(sys.modules["learnrate.control.lines"], "LARGEST", 100)
    run = Driven(clock, lr.constant(0.1), by_hand(file=commands))
    commands.write_text("# long\n" * 50)
    for _ in range(3):
        run.update()
    assert len([answer for answer in answers(commands) if "larger than 100 bytes" in answer]) == 1
    with pytest.raises(OutputError, match="larger"):
        Control([lr.constant(0.1)], by_hand(file=commands))


def test_a_signal_scales_each_time_and_the_former_handler_comes_back(clock):
    received = []
    handler = lambda number, frame: received.append(number)  # noqa: E731
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        run = Driven(clock, lr.constant(0.8), by_hand(signal="SIGUSR1"))
        run.update()
        for _ in range(2):
            signal.raise_signal(signal.SIGUSR1)
        run.update()
        run.update()
        assert run.used[2] == (0.8 * 0.25,)
        assert received == [signal.SIGUSR1] * 2, "the handler that was there before is called too"
        assert "SIGUSR1" in run.control.events[0].reason
        run.control.close()
        assert signal.getsignal(signal.SIGUSR1) is handler
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_two_at_once_give_the_handlers_back(clock):
    before = signal.getsignal(signal.SIGUSR1)
    control = Control(
        [lr.constant(0.8)], [by_hand(signal="SIGUSR1", scale=0.1), scripted(), by_hand(signal="SIGUSR1", scale=0.5)]
    )
    signal.raise_signal(signal.SIGUSR1)
    control.settle(1)
    assert control.factor == pytest.approx(0.05)
    control.close()
    assert signal.getsignal(signal.SIGUSR1) is before


def test_a_handler_that_was_installed_on_top_stays(clock):
    before = signal.getsignal(signal.SIGUSR1)
    control = Control([lr.constant(0.8)], by_hand(signal="SIGUSR1"))
    mine = lambda number, frame: None  # noqa: E731
    signal.signal(signal.SIGUSR1, mine)
    try:
        control.close()
        assert signal.getsignal(signal.SIGUSR1) is mine
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_outside_of_the_main_thread_a_signal_is_refused_and_a_file_works(clock, commands):
    results = []

    def work():
        try:
            Control([lr.constant(0.1)], by_hand(signal="SIGUSR1"))
        except ArgumentError as error:
            results.append(str(error))
        control = Control([lr.constant(0.1)], by_hand(file=commands))
        append(commands, "scale 0.5\n")
        clock.now += 1
        control.settle(1)
        results.append(control.factor)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert "main thread" in results[0]
    assert results[1] == 0.5


def test_what_cannot_be_opened_leaves_no_handler_behind(tmp_path):
    before = signal.getsignal(signal.SIGUSR1)
    with pytest.raises(OutputError, match=r"no.commands"):
        Control([lr.constant(0.1)], [by_hand(signal="SIGUSR1"), by_hand(file=tmp_path / "no" / "no.commands")])
    assert signal.getsignal(signal.SIGUSR1) is before
    with pytest.raises(ArgumentError, match="resolved"):
        Control([lr.cosine(0.1, 0.0)], by_hand(signal="SIGUSR1"))
    assert signal.getsignal(signal.SIGUSR1) is before


def test_other_processes_open_nothing(commands):
    before = signal.getsignal(signal.SIGUSR1)
    control = Control([lr.constant(0.1)], by_hand(file=commands, signal="SIGUSR1"), rank=1)
    assert control.channels == []
    assert signal.getsignal(signal.SIGUSR1) is before
    assert not commands.with_name("run.commands.log").exists()


def test_a_log_that_cannot_be_written_any_more_does_not_end_the_run(clock, commands):
    run = Driven(clock, lr.constant(0.1), by_hand(file=commands))
    log = commands.with_name("run.commands.log")
    log.unlink()
    log.mkdir()
    append(commands, "scale a half\n")
    with pytest.warns(NotMeasuredWarning, match="scale a half"):
        run.update()


def test_it_is_a_value_beside_controllers():
    hand = by_hand(file="run.commands", signal="SIGUSR1")
    assert hand == by_hand("run.commands", "SIGUSR1", 0.5)
    assert module is by_hand
    with_names = Control([lr.constant(0.1)], {"lower": scripted(), "me": by_hand(signal="SIGUSR2")})
    assert list(with_names.controllers) == ["lower"]
    with_names.close()


@pytest.mark.parametrize(
    ("build", "error", "words"),
    [
        (by_hand, ArgumentError, "file or signal"),
        (lambda: by_hand(signal="SIGKILL"), ArgumentError, "SIGUSR1"),
        (lambda: by_hand(signal="SIGINT"), ArgumentError, "SIGUSR1"),
        (lambda: by_hand(signal="SIGHUP"), ArgumentError, "SIGUSR1"),
        (lambda: by_hand(signal="USR1"), ArgumentError, "SIGUSR1"),
        (lambda: by_hand(signal=signal.SIGUSR1), ArgumentTypeError, "signal"),
        (lambda: by_hand(file=3), ArgumentTypeError, "file"),
        (lambda: by_hand(file="a", scale=0), ArgumentError, "scale"),
        (lambda: by_hand(file="a", scale=1e9), ArgumentError, "factor"),
        (lambda: by_hand(file="a", scale="half"), ArgumentTypeError, "scale"),
        (lambda: Control([lr.constant(0.1)], by_hand), ArgumentTypeError, "by_hand"),
        (lambda: Control([lr.constant(0.1)], [by_hand]), ArgumentTypeError, "by_hand"),
    ],
)
def test_settings(build, error, words):
    with pytest.raises(error, match=words):
        build()


def test_a_system_without_such_signals(monkeypatch):
    monkeypatch.setattr(sys.modules["learnrate.control.by_hand"], "USABLE", ("SIGNONE",))
    with pytest.raises(ArgumentError, match="file="):
        by_hand(signal="SIGUSR1")


def test_looking_costs_less_than_a_microsecond(commands):
    control = Control([lr.constant(0.1)], by_hand(file=commands, signal="SIGUSR1"))
    channel = control.channels[0]
    channel.poll()
    best = min(timeit.repeat(channel.poll, number=20_000, repeat=7)) / 20_000
    control.close()
    assert best < 1e-6


SCRIPT = """
import sys, time
import learnrate as lr
from learnrate.control import Control, Observation, by_hand
control = Control([lr.constant(0.1)], by_hand(file=sys.argv[1], signal="SIGUSR1"))
n = 0
while control.stopped is None:
    control.observe(Observation(n, control.schedules[0](n), loss=1.0))
    n += 1
    control.settle(n)
    time.sleep(0.002)
control.close()
print(control.schedules[0](n))
"""


def test_a_real_process_is_steered_from_outside(commands):
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(commands)], stdout=subprocess.PIPE, text=True)
    log = commands.with_name("run.commands.log")
    wait_for(lambda: log.exists() and "reads the lines" in log.read_text(), process)
    process.send_signal(signal.SIGUSR1)
    wait_for(lambda: "SIGUSR1: applied" in log.read_text(), process)
    append(commands, "scale 0.1\nstop\n")
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    assert float(printed) == pytest.approx(0.1 * 0.5 * 0.1)


def wait_for(condition, process, seconds=60):
    import time

    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("wrong", [{"record": 3.5}, {"page": "yes"}])
def test_a_run_that_cannot_begin_leaves_the_signal_alone(wrong):
    before = signal.getsignal(signal.SIGUSR1)
    with pytest.raises(ArgumentTypeError):
        begin([lr.constant(0.1)], control=by_hand(signal="SIGUSR1"), **wrong)
    assert signal.getsignal(signal.SIGUSR1) == before
