"""The control of a run: at any time its schedules are what was used and what will be used."""

import json
import threading
import warnings
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import learnrate as lr
from facts import facts
from learnrate.control import (
    Action,
    Control,
    Controller,
    Cooldown,
    Event,
    Observation,
    Replace,
    Scale,
    Stop,
    Undo,
    composed,
)
from learnrate.errors import ArgumentError, ArgumentTypeError, LearnrateError, OtherScheduleWarning, OutputError
from scripted import Run, answer, boundaries, originals, scripted, scripts


def settled(control, change, update):
    """The answer to one request."""
    future = control.request(change)
    control.settle(update)
    return answer(future)


def assert_composes(run):
    """The schedules give the LRs that were used, bit for bit, also from the events and from their JSON."""
    control = run.control
    events = [Event.from_json(json.loads(json.dumps(event.to_json(), allow_nan=False))) for event in control.events]
    for schedules in (control.schedules, composed(control.original, control.events), composed(control.original, events)):
        assert {n: tuple(schedule(n) for schedule in schedules) for n in run.used} == run.used
        assert all(lr.parse(repr(schedule)) == schedule for schedule in schedules)


@given(original=originals, controllers=st.lists(scripts, max_size=2), asked=boundaries)
def test_the_schedules_are_what_was_used(original, controllers, asked):
    control = Control(original, controllers)
    run = Run(control)
    for changes in asked:
        futures = [control.request(change) for change in changes]
        before = control.schedules
        run.update()
        answers = [answer(future) for future in futures]
        assert all(isinstance(outcome, (Event, LearnrateError)) for outcome in answers)
        assert run.follows == control.schedules, "settle has not said that the schedules changed"
        if all(isinstance(outcome, LearnrateError) for outcome in answers) and not controllers:
            assert control.schedules is before
        assert run.follows[0](run.number) == control.schedules[0](run.number)
    assert_composes(run)


@given(original=originals, controllers=st.lists(scripts, max_size=2), asked=boundaries, data=st.data())
def test_a_resumed_run_goes_on_as_the_run_through(original, controllers, asked, data):
    stop = data.draw(st.integers(0, len(asked)))
    through, resumed = Run(Control(original, controllers)), Run(Control(original, controllers))
    for index, changes in enumerate(asked):
        if index == stop:
            resumed = resumed.resumed(controllers)
        kinds = []
        for run in (through, resumed):
            futures = [run.control.request(change) for change in changes]
            run.update()
            kinds.append([type(answer(future)) for future in futures])
        assert kinds[0] == kinds[1]
        assert resumed.number == through.number
        assert [s(through.number) for s in resumed.follows] == [s(through.number) for s in through.follows]
    assert resumed.used == through.used
    assert resumed.control.states == through.control.states
    assert resumed.control.factors == through.control.factors
    assert_composes(resumed)


@given(original=originals, asked=boundaries)
def test_undo_gives_back_what_was_in_force_and_what_is_left_is_the_original(original, asked):
    control = Control(original)
    run, kept = Run(control), []
    for changes in asked:
        for change in changes:
            if isinstance(change, (Stop, Undo)):
                continue
            before = (control._present, control.factor)
            if isinstance(settled(control, change, run.number), Event):
                kept.append(before)
        run.follows = control.schedules
        run.update()
    for before in reversed(kept):
        event = settled(control, Undo(), run.number)
        assert (control._present, control.factor) == before
        assert event.factor == before[1]
    assert isinstance(settled(control, Undo(), run.number), ArgumentError)
    ahead = range(run.number, 40)
    assert [[s(n) for n in ahead] for s in control.schedules] == [[s(n) for n in ahead] for s in original]


def test_a_listener_that_reads_the_schedules_hides_no_change():
    control = Control([lr.constant(0.1)], scripted((Action(), Action(0.5))))

    class Reader:
        def on_update(self, observation):
            self.schedules = control.schedules

        def on_event(self, event):
            self.schedules = control.schedules

        def on_resume(self, events):
            pass

        def close(self):
            pass

    control.listeners.append(Reader())
    run = Run(control)
    for _ in range(4):
        run.update()
    assert run.used == {0: (0.1,), 1: (0.1,), 2: (0.05,), 3: (0.05,)}


@pytest.mark.parametrize("action", [Action(0.5, stop=True), Action(0.5, skip=True), Action(0.5, rollback=True)])
def test_what_names_an_update_has_no_factor(action):
    """The last update had the factor that was in force, not the new one."""
    run = Run(Control([lr.constant(0.1)], scripted((Action(), action))))
    for _ in range(3):
        run.update()
    assert_composes(run)
    assert run.used[0] == (0.1,)
    assert run.used[1] == ((0.1,) if action.stop else (0.05,))


def test_settle_says_whether_the_schedules_changed():
    control = Control([lr.constant(0.1)], scripted((Action(), Action(0.5), Action(0.5, stop=True))))
    said = []
    for n in range(4):
        control.observe(Observation(n, 0.1, loss=1.0))
        said.append(control.settle(n + 1))
    assert said == [False, True, False, False]
    control.request(Scale(0.5))
    assert control.settle(5)
    control.request(Stop())
    assert not control.settle(6)


def test_undo_of_another_schedule_gives_the_controllers_back():
    control = Control([lr.constant(0.1)], scripted((Action(0.5), Action(0.25))))
    run = Run(control)
    run.update()
    run.update()
    states = dict(control.states)
    settled(control, Replace("constant(1.0)"), 2)
    assert control.schedules[0](2) == 1.0
    assert control.factors == {"scripted": 1.0, "by hand": 1.0}
    settled(control, Undo(), 2)
    assert control.schedules[0](2) == 0.025, "the LR is what it was before the schedule was replaced by mistake"
    assert control.states == states
    assert Run(control, run.used, 2).resumed(scripted((Action(0.5), Action(0.25)))).control.states == states


def test_undo_takes_a_cooldown_of_a_controller_back():
    control = Control([lr.constant(0.1)], scripted((Action(), Action(cooldown=4))))
    run = Run(control)
    for _ in range(4):
        run.update()
    assert [lrs[0] for lrs in run.used.values()] == pytest.approx([0.1, 0.1, 0.1, 0.075])
    settled(control, Undo(), 4)
    run.follows = control.schedules
    run.update()
    assert run.used[4] == (0.1,)
    assert_composes(run)


def test_a_cooldown_that_cannot_begin_does_not_end_the_run():
    control = Control([lr.linear(0.1, 0.0, 2)], scripted((Action(), Action(), Action(cooldown=4))))
    run = Run(control)
    for _ in range(5):
        run.update()
    assert control.events[-1].kind == "cooldown"
    assert "no cooldown" in control.events[-1].reason
    assert_composes(run)


@pytest.mark.parametrize(
    "change", [Cooldown(5, end=0.5), Undo(), Replace("cosine(0.05, 0)"), Replace("cosine(0.1, 0, '50%')", begins="start")]
)
def test_a_refused_request_leaves_nothing_changed(change):
    control = Control([lr.constant(0.1)], scripted())
    before = json.dumps(control.state_dict())
    error = settled(control, change, 3)
    assert isinstance(error, ArgumentError)
    with pytest.raises(ArgumentError):
        control.preview(change, 3)
    assert json.dumps(control.state_dict()) == before
    assert control.schedule == lr.constant(0.1)


def test_factors_that_no_float_could_hold_are_refused():
    control = Control([lr.constant(0.1)])
    answers = [settled(control, Scale(1e6), n) for n in range(8)]
    assert [type(outcome) for outcome in answers] == [Event] * 5 + [ArgumentError] * 3
    assert control.factor == pytest.approx(1e30)
    assert control.schedules[0](10) == pytest.approx(1e29)


@pytest.mark.parametrize("change", ["scale 0.5", 0.5, None, Scale, {"kind": "scale", "factor": 0.5}])
def test_what_is_no_request_is_refused_at_once(change):
    control = Control([lr.constant(0.1)])
    with pytest.raises(ArgumentTypeError, match="request"):
        control.request(change)
    with pytest.raises(ArgumentTypeError, match="why"):
        control.request(Scale(0.5), why=3)
    assert not control.settle(1)


def test_a_cancelled_request_is_not_applied():
    control = Control([lr.constant(0.1)])
    future = control.request(Scale(0.5))
    assert future.cancel()
    assert not control.settle(1)
    assert control.events == []


def test_requests_from_many_threads_are_all_answered():
    control = Control([lr.constant(0.1)])
    run, futures = Run(control), []

    def ask():
        for _ in range(25):
            futures.append(control.request(Scale(2.0)))
            futures.append(control.request(Undo()))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        run.update()
    for thread in threads:
        thread.join()
    run.update()
    kinds = [type(answer(future)) for future in futures]
    assert len(kinds) == 200
    scales = sum(isinstance(answer(f), Event) and answer(f).kind == "scale" for f in futures)
    undone = sum(isinstance(answer(f), Event) and answer(f).kind == "undo" for f in futures)
    assert scales == 100
    assert control.factor == 2.0 ** (scales - undone)
    assert_composes(run)


def test_close_answers_those_who_wait_and_those_who_come_later():
    control = Control([lr.constant(0.1)])
    waiting = control.request(Scale(0.5))
    cancelled = control.request(Scale(0.5))
    cancelled.cancel()
    control.close()
    control.close()
    for future in (waiting, control.request(Stop())):
        with pytest.raises(ArgumentError, match="ended"):
            future.result(timeout=0)


def test_close_closes_everything_also_after_a_failure():
    closed = []

    class Broken:
        def __init__(self, name, error=None):
            self.name, self.error = name, error

        def close(self):
            closed.append(self.name)
            if self.error:
                raise self.error

    control = Control([lr.constant(0.1)])
    control.listeners += [Broken("record", OSError("full")), Broken("page")]
    control.channels += [Broken("file"), Broken("signal")]
    waiting = control.request(Scale(0.5))
    with pytest.raises(OSError, match="full"):
        control.close()
    assert closed == ["signal", "file", "record", "page"]
    assert waiting.done()


def test_an_error_of_a_listener_is_no_refusal():
    class Full:
        def on_event(self, event):
            raise OutputError("the disk is full")

        def on_resume(self, events):
            pass

    control = Control([lr.constant(0.1)])
    control.listeners.append(Full())
    future = control.request(Scale(0.5))
    with pytest.raises(OutputError, match="full"):
        control.settle(1)
    assert not future.done()
    assert control.factor == 0.5


def test_other_processes_take_no_requests():
    control = Control([lr.constant(0.1)], rank=1)
    with pytest.raises(ArgumentError, match="process 0"):
        control.request(Scale(0.5)).result(timeout=0)


def test_a_change_reaches_all_processes_at_the_same_update():
    sent = []
    first = Control([lr.constant(0.1)], share=lambda value: sent.append(value) or value)
    other = Control([lr.constant(0.1)], rank=1, share=lambda value: sent[-1])
    for n in range(6):
        if n == 3:
            first.request(Scale(0.5), "too high")
            first.request(Cooldown(4, end=1.0))  # refused in both
        assert first.settle(n) == other.settle(n)
    assert first.schedules == other.schedules == (lr.constant(0.1) * lr.piecewise_constant((1.0, 0.5), (3,)),)
    assert [event.reason for event in other.events] == ["too high"]


def test_preview_is_what_comes_and_changes_nothing():
    control = Control([lr.cosine(0.1, 0.0, 100)], scripted((Action(0.5),)))
    Run(control).update()
    for change in (Scale(0.5), Replace("constant(0.3)"), Cooldown(9), Stop()):
        before = json.dumps(control.state_dict())
        preview = control.preview(change, 1)
        assert json.dumps(control.state_dict()) == before
        settled(control, change, 1)
        assert control.schedules[0] == preview
    assert control.schedules[0](5) < 0.3
    assert control.preview(Undo(), 1)(5) == 0.3


def test_stop_names_who():
    control = Control([lr.constant(0.1)])
    assert control.stopped is None
    settled(control, Stop(), 4)
    assert (control.stopped.who, control.stopped.update) == ("by hand", 4)
    resumed = Control([lr.constant(0.1)])
    resumed.load_state_dict(control.state_dict())
    assert resumed.stopped is None, "a run that is resumed goes on"
    assert [event.kind for event in resumed.events] == ["stop"]


def test_restarts_are_those_of_the_schedule_in_force():
    control = Control([lr.warm_restarts(0.1, 5)])
    assert [n for n in range(20) if control.restarts(n)] == [5, 10, 15]
    settled(control, Replace("warm_restarts(0.1, 3)"), 7)
    assert [n for n in range(7, 20) if control.restarts(n)] == [10, 13, 16, 19]
    resumed = Control([lr.warm_restarts(0.1, 5)])
    resumed.load_state_dict(control.state_dict())
    assert [n for n in range(7, 20) if resumed.restarts(n)] == [10, 13, 16, 19]


def test_several_groups_keep_their_own_schedules():
    control = Control([lr.constant(0.1), lr.linear(0.2, 0.0, 10)])
    settled(control, Scale(0.5), 2)
    settled(control, Cooldown(2), 4)
    values = [[s(n) for n in (0, 2, 3, 4, 5, 6)] for s in control.schedules]
    assert values == [pytest.approx([0.1, 0.05, 0.05, 0.05, 0.025, 0]), pytest.approx([0.2, 0.08, 0.07, 0.06, 0.03, 0])]
    settled(control, Replace("constant(1.0)"), 7)
    assert [s(7) for s in control.schedules] == [1.0, 1.0]
    settled(control, Undo(), 8)
    assert [s(1) for s in control.schedules] == [0.1, lr.linear(0.2, 0.0, 10)(1)]


def test_a_program_that_follows_other_schedules():
    control = Control([lr.constant(0.1), lr.constant(0.2)], scripted((Action(0.5),)))
    Run(control).update()
    control.replaced([lr.constant(0.3), lr.constant(0.4)], 5)
    assert [s(5) for s in control.schedules] == [0.3, 0.4]
    assert control.settle(5)
    with pytest.raises(ArgumentError, match="schedules"):
        control.replaced([lr.constant(0.3)] * 3, 6)
    with pytest.raises(ArgumentError, match="resolved"):
        control.replaced([lr.cosine(0.1, 0.0), lr.constant(1.0)], 6)
    settled(control, Undo(), 6)
    assert [s(6) for s in control.schedules] == [0.05, 0.1]


def test_a_run_resumed_without_its_controller_loses_its_factor():
    control = Control([lr.constant(0.1)], {"lower": scripted((Action(0.5),)), "other": scripted((Action(0.1),))})
    run = Run(control)
    run.update()
    run.update()
    with pytest.warns(OtherScheduleWarning, match="lower"):
        resumed = run.resumed({"other": scripted((Action(0.1),))})
    resumed.follows = resumed.control.schedules
    assert resumed.follows[0](2) == pytest.approx(0.005)
    resumed.update()
    resumed.update()
    assert resumed.used[2] == (pytest.approx(0.005),)
    assert resumed.used[3] == (pytest.approx(0.01),)
    assert resumed.control.events[-1].who == "lower"
    assert_composes(resumed)


@given(data=st.data())
def test_a_broken_state_is_refused_and_changes_nothing(data):
    control = Control([lr.cosine(0.1, 0.0, 30)], [scripted((Action(0.5),))])
    run = Run(control)
    settled(control, Replace("constant(0.5)"), 0)
    run.update()
    settled(control, Scale(0.5), 1)
    saved = json.loads(json.dumps(control.state_dict()))
    parts = [(saved, key) for key in saved] + [(saved["hand"], key) for key in saved["hand"]]
    parts += [(event, key) for event in saved["events"] for key in event]
    parts += [(saved["controllers"]["scripted"], key) for key in saved["controllers"]["scripted"]]
    parts += [(entry, key) for entry in saved["hand"]["before"] for key in entry]
    part, key = data.draw(st.sampled_from(parts))
    part[key] = data.draw(st.sampled_from([None, -1.5, "x", [], [1], [None], {}, {"a": 1}, float("nan"), ["cosine("], True]))
    fresh = Control([lr.cosine(0.1, 0.0, 30)], [scripted((Action(0.5),))])
    before = json.dumps(fresh.state_dict())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", OtherScheduleWarning)
            fresh.load_state_dict(saved)
    except LearnrateError:
        assert json.dumps(fresh.state_dict()) == before
    else:
        json.dumps(fresh.state_dict(), allow_nan=False)
        Run(fresh, number=1).update()


@pytest.mark.parametrize("state", [None, 3, "x", [], {}, {"events": []}, {"events": [], "hand": {}, "controllers": {}}])
def test_what_is_no_state_is_refused(state):
    control = Control([lr.constant(0.1)])
    with pytest.raises(LearnrateError):
        control.load_state_dict(state)


def test_names_of_controllers():
    control = Control([lr.constant(0.1)], [scripted(), scripted(), scripted()])
    assert list(control.controllers) == ["scripted", "scripted-2", "scripted-3"]
    assert list(Control([lr.constant(0.1)], {"a": scripted(), "b": scripted()}).controllers) == ["a", "b"]
    assert list(Control([lr.constant(0.1)], scripted()).controllers) == ["scripted"]
    assert Control([lr.constant(0.1)], []).controllers == {}
    for wrong in ({"by hand": scripted()}, {"": scripted()}):
        with pytest.raises(ArgumentError, match="name"):
            Control([lr.constant(0.1)], wrong)
    for wrong in (
        "plateau",
        0.5,
        scripted,
        [scripted],
        [scripted(), None],
        {3: scripted()},
        {"a": 1},
        lambda s, o: s,
        Path("a"),
    ):
        with pytest.raises(ArgumentTypeError):
            Control([lr.constant(0.1)], wrong)
    with pytest.raises(ArgumentError, match="resolved"):
        Control([lr.cosine(0.1, 0.0)])


@dataclass(frozen=True)
class returns(Controller):
    """A controller whose second result is something else."""

    what: object = None

    def init(self):
        return scripted().init()

    def update(self, state, observation):
        return state, self.what


@pytest.mark.parametrize(
    ("what", "error"),
    [
        (0.5, ArgumentTypeError),
        (None, ArgumentTypeError),
        (Action(0.0), ArgumentError),
        (Action(float("nan")), ArgumentError),
        (Action(float("inf")), ArgumentError),
    ],
)
def test_a_controller_that_returns_something_else_is_named(what, error):
    control = Control([lr.constant(0.1)], returns(what))
    with pytest.raises(error, match="returns"):
        control.observe(Observation(0, 0.1, loss=1.0))


def test_a_checkpoint_between_the_decision_and_the_next_update():
    control = Control([lr.constant(0.1)], scripted((Action(0.5, cooldown=4),)))
    control.observe(Observation(3, 0.1, loss=1.0))
    resumed = Run(control, number=4).resumed(scripted((Action(0.5, cooldown=4),))).control
    for current in (control, resumed):
        assert current.settle(4)
    assert resumed.schedules == control.schedules
    assert control.schedules[0](4) == 0.05
    assert control.schedules[0](6) == 0.025


def test_evidence_and_reason_of_an_action():
    control = Control([lr.constant(0.1)], {"lower": scripted((Action(np.float64(0.5)),))})
    control.observe(Observation(0, 0.1, loss=float("nan"), gradient_norm=2.0))
    control.settle(1)
    event = json.loads(json.dumps(control.events[0].to_json(), allow_nan=False))
    assert (event["who"], event["factor"], event["update"]) == ("lower", 0.5, 1)
    assert event["evidence"]["loss"] == "nan"
    assert event["evidence"]["gradient_norm"] == 2.0


def test_what_is_told_to_listeners():
    calls = []

    class Listener:
        def on_update(self, observation):
            calls.append(("update", observation.update))

        def on_evaluation(self, observation):
            calls.append(("evaluation", observation.update))

        def on_event(self, event):
            calls.append((event.kind, event.update))

        def on_resume(self, events):
            pass

        def close(self):
            calls.append("closed")

    control = Control([lr.constant(0.1)], scripted((Action(skip=True), Action())))
    control.listeners.append(Listener())
    run = Run(control)
    run.update()
    run.update()
    control.observe(Observation(0, 0.1, metrics={"accuracy": 0.5}))
    settled(control, Scale(0.5), 1)
    control.close()
    assert calls == [("skip", 0), ("update", 0), ("evaluation", 0), ("scale", 1), "closed"]


def test_answers_go_to_futures():
    assert isinstance(Control([lr.constant(0.1)]).request(Stop()), Future)


def test_a_rollback_without_snapshots_is_refused():
    @dataclass(frozen=True)
    class forgetful(scripted):
        needs_snapshots: ClassVar[bool] = False

    control = Control([lr.constant(0.1)], forgetful((Action(rollback=True),)))
    with pytest.raises(ArgumentError, match=facts("needs_snapshots", "forgetful", "True")):
        control.observe(Observation(0, 0.1, loss=1.0))


def test_the_state_of_a_controller_must_be_a_named_tuple():
    @dataclass(frozen=True)
    class forgetful(Controller):
        def init(self):
            return {"losses": 0}

        def update(self, state, observation):
            return state, Action()

    with pytest.raises(ArgumentTypeError, match="the state that init of control returns must be a NamedTuple"):
        Control([lr.constant(0.1)], forgetful())
