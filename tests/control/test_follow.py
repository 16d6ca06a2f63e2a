"""A loop without a framework that follows a schedule under control."""

import json
import math
import random
import threading
from typing import NamedTuple

import numpy as np
import pytest

import learnrate as lr
from controllers import halve_when_stalled
from learnrate.control import Action, Controller, Follow, LivePage, Observation, Replace, Scale, Stop, Undo
from learnrate.errors import ArgumentError, ArgumentTypeError, LossError
from live_run import Client

SCHEDULE = lr.warmup(0.1, 20) >> lr.cosine(0.1, 0.0, 180)


class Nothing(NamedTuple):
    """A state with nothing in it."""


class skip_broken(Controller):
    """Leaves out what is not finite; asks for a rollback where the loss is huge."""

    needs_snapshots = True

    def init(self):
        return Nothing()

    def update(self, state, observation):
        return state, Action(skip=not observation.finite, rollback=observation.finite and (observation.loss or 0) > 100)


def loss_of(n):
    return 1.0 + 0.1 * math.sin(n * n)


def steps(follow, count, used):
    """Updates of a loop; the LRs that it used are added to `used`."""
    for _ in range(count):
        used.append(follow.lr)
        follow.observe(loss_of(follow.updates))
        if follow.updates % 10 == 0:
            follow.observe(score=loss_of(follow.updates // 20))


CONTROL = {"stalled": halve_when_stalled(17), "score": halve_when_stalled(3, "score"), "plateau": lr.control.plateau(25)}


def test_what_was_used_is_the_schedule():
    used = []
    with Follow(SCHEDULE, CONTROL) as follow:
        steps(follow, 60, used)
        follow.scale(0.5, "by way of trial")
        steps(follow, 140, used)
    assert follow.updates == len(used) == 200
    assert used == [follow.schedule(n) for n in range(200)]
    assert {event.who for event in follow.control.events} >= {"stalled", "score", "by hand"}
    by_hand = next(event for event in follow.control.events if event.who == "by hand")
    assert (by_hand.update, by_hand.reason) == (61, "by way of trial")
    assert used[60] > 1.5 * used[61]


@pytest.mark.parametrize("seed", range(3))
def test_a_run_that_is_resumed_uses_the_lrs_of_the_one_that_was_not(seed):
    at = random.Random(seed).randrange(1, 199)
    whole, parts = [], []
    steps(Follow(SCHEDULE, CONTROL), 200, whole)
    first = Follow(SCHEDULE, CONTROL)
    steps(first, at, parts)
    state = json.loads(json.dumps(first.state_dict()))
    again = Follow(SCHEDULE, CONTROL)
    again.load_state_dict(state)
    assert again.lr == whole[at]
    steps(again, 200 - at, parts)
    assert parts == whole


def falls(n):
    return 1.0 - 0.001 * n


@pytest.mark.parametrize("function", [falls, lambda n: 1.0 - 0.001 * n], ids=["named", "lambda"])
def test_a_schedule_with_your_own_function_is_resumed_after_changes_by_hand(function):
    def begun():
        return Follow(lr.function(function) * 0.1)

    def asked(follow, n):
        for change in {3: [Scale(0.5)], 6: [Replace("constant(0.3)")], 9: [Undo()]}.get(n, []):
            follow.control.request(change)
        follow.observe(1.0)
        return follow.lr

    whole, first, again = begun(), begun(), begun()
    expected = [asked(whole, n) for n in range(20)]
    lrs = [asked(first, n) for n in range(12)]
    again.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert lrs + [asked(again, n) for n in range(12, 20)] == expected
    again.control.request(Undo())
    again.observe(1.0)
    assert again.lr == 0.1 * function(21)


def test_an_update_that_is_left_out_does_not_count():
    follow = Follow(lr.linear(1.0, 0.0, 10), skip_broken())
    assert not follow.observe(0.5).skip
    assert follow.observe(math.nan).skip
    assert (follow.updates, follow.lr) == (1, 0.9)
    assert follow.observe(1e6).rollback
    assert (follow.updates, follow.lr) == (1, 0.9)
    assert not follow.observe(0.5).skip
    assert follow.updates == 2
    assert [event.kind for event in follow.control.events] == ["skip", "rollback"]


def test_an_evaluation_changes_the_lr_of_the_next_update_and_is_at_the_lr_that_was_used():
    observed = []

    class watching(Controller):
        needs_loss = False

        def init(self):
            return Nothing()

        def update(self, state, observation):
            observed.append(observation)
            return state, Action(0.5 if observation.metrics else 1.0)

    follow = Follow(lr.linear(1.0, 0.0, 10), watching())
    follow.observe(0.5)
    follow.observe(accuracy=np.float32(0.25))
    assert observed[1] == Observation(0, 1.0, metrics={"accuracy": 0.25})
    assert follow.updates == 1
    assert follow.lr == 0.45


def test_arrays_with_one_element_are_numbers():
    follow = Follow("constant(0.1)", lr.control.gradient_size(smoothing=5))
    follow.observe(np.array(0.5), gradient_norm=np.array([2.0]))
    assert follow.updates == 1


def test_a_stop_and_an_undo():
    follow = Follow(SCHEDULE)
    follow.control.request(Scale(0.5))
    follow.observe(1.0)
    follow.control.request(Undo())
    follow.control.request(Stop(), why="enough")
    assert not follow.stopped
    follow.observe(1.0)
    assert follow.stopped
    assert follow.lr == SCHEDULE(2)


def test_the_record_and_the_same_run_again(tmp_path):
    path, used = tmp_path / "run.sqlite", []
    with Follow(SCHEDULE, halve_when_stalled(17), record=path) as follow:
        steps(follow, 60, used)
        state = follow.state_dict()
        steps(follow, 20, used)
    with Follow(SCHEDULE, halve_when_stalled(17), record=path, start=60) as again:
        again.load_state_dict(state)
        del used[60:]
        steps(again, 60, used)
    record = lr.Record.load(path)
    assert record.lrs.tolist() == used
    assert record.metrics["score"].updates.tolist() == list(range(9, 120, 10))
    followed = []
    steps(Follow(record.schedule()), 120, followed)
    assert followed == used


def test_the_page_changes_the_run():
    with Follow(SCHEDULE, page=True) as follow:
        (page,) = [listener for listener in follow.control.listeners if isinstance(listener, LivePage)]
        answers = []
        asking = threading.Thread(target=lambda: answers.append(Client(page).change({"kind": "scale", "factor": 0.5})))
        asking.start()
        while asking.is_alive() and follow.updates < 190:
            follow.observe(1.0)
            asking.join(0.02)
        applied = answers[0].json()["update"]
        assert follow.schedule(applied) == 0.5 * SCHEDULE(applied)
        assert follow.schedule(applied - 1) == SCHEDULE(applied - 1)
    page.stop()


@pytest.mark.parametrize(
    ("use", "error", "words"),
    [
        (lambda follow: follow.observe(), LossError, "loss"),
        (lambda follow: follow.observe("low"), LossError, "loss"),
        (lambda follow: follow.observe(np.ones(3)), LossError, "loss"),
        (lambda follow: follow.observe(1.0), ArgumentError, "gradient_norm"),
        (lambda follow: follow.observe(1.0, gradient_norm="small"), LossError, "gradient_norm"),
        (lambda follow: follow.observe(1.0, accuracy=0.5), ArgumentError, "accuracy"),
        (lambda follow: follow.observe(gradient_norm=1.0, accuracy=0.5), ArgumentError, "gradient_norm"),
        (lambda follow: follow.observe(accuracy=None), LossError, "accuracy"),
        (lambda follow: follow.scale(0), ArgumentError, "factor"),
        (lambda follow: follow.scale("half"), ArgumentTypeError, "factor"),
        (lambda follow: follow.load_state_dict({"updates": 3}), ArgumentError, "state_dict"),
        (lambda follow: follow.load_state_dict(None), ArgumentError, "state_dict"),
        (lambda follow: follow.load_state_dict({**follow.state_dict(), "updates": -1}), ArgumentError, "updates"),
        (lambda follow: follow.load_state_dict({"updates": 3, "control": 7}), ArgumentTypeError, "7"),
    ],
)
def test_wrong_arguments_change_nothing(use, error, words):
    follow = Follow(SCHEDULE, lr.control.gradient_size(smoothing=5))
    follow.observe(1.0, gradient_norm=1.0)
    before = follow.state_dict(), follow.lr
    with pytest.raises(error, match=words):
        use(follow)
    assert (follow.state_dict(), follow.lr) == before


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"schedule": 0.1}, ArgumentTypeError, "schedule"),
        ({"schedule": "cosin(0.1, 0, 5)"}, ArgumentError, "cosine"),
        ({"schedule": lr.cosine(0.1, 0.0)}, ArgumentError, "resolved"),
        ({"start": -1}, ArgumentError, "start"),
        ({"start": 1.5}, ArgumentTypeError, "start"),
        ({"control": 3}, ArgumentTypeError, "control"),
        ({"record": 3}, ArgumentTypeError, "record"),
        ({"page": "yes"}, ArgumentTypeError, "page"),
    ],
)
def test_wrong_settings_are_refused_at_once(arguments, error, words):
    with pytest.raises(error, match=words):
        Follow(**{"schedule": SCHEDULE, **arguments})


def test_nothing_is_asked_of_a_run_that_has_ended():
    with Follow(SCHEDULE) as follow:
        follow.observe(1.0)
    with pytest.raises(ArgumentError, match="ended"):
        follow.scale(0.5)
