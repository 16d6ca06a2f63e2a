"""The schedule of a driven run, made event by event: equal to the one made at once, at a cost that events do not raise."""

import pickle
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import learnrate as lr
from learnrate.control import Action, Controller, Event, Follow, Scale, composed, composition
from learnrate.control.composition import Composition
from learnrate.control.live.sources import Running
from learnrate.errors import LearnrateError
from learnrate.schedules import tree
from learnrate.schedules.base import known_length
from learnrate.schedules.switching import in_force_since

BOTH = (lr.constant(0.3), lr.linear(0.2, 0.0, 30))
changes = st.none() | st.sampled_from([(BOTH[0],), (BOTH[1],), BOTH])
kinds = st.sampled_from(["scale", "replace", "cooldown", "undo", "skip", "rollback", "stop"])
distances = st.sampled_from([0, 1, 1, 2, 3, 5, -1, -9])
steps = st.lists(st.tuples(distances, kinds, st.sampled_from([1.0, 0.5, 0.3, 2.0]), changes), max_size=20)


def events_of(drawn):
    """Events whose updates mostly rise; some are the same, and some runs go back."""
    update, events = 0, []
    for distance, kind, factor, schedules in drawn:
        update = max(0, update + distance)
        events.append(Event(update, kind, "x", factor, schedules if kind in ("replace", "cooldown", "undo") else None))
    return events


def in_force(original, events, group):
    """The plain meaning: what was decided last holds from its update on, whatever was decided for later updates before."""
    history = [(0, original, 1.0)]
    for event in events:
        if event.kind not in ("skip", "rollback", "stop"):
            schedules = history[-1][1] if event.schedules is None else event.schedules
            history = [entry for entry in history if entry[0] < event.update]
            history.append((event.update, schedules, event.factor))
    values = []
    for n in range(60):
        _, schedules, factor = [entry for entry in history if entry[0] <= n][-1]
        values.append(schedules[group if len(schedules) > 1 else 0](n) * factor)
    return values


@contextmanager
def parts_of(most, width):
    """With small parts, a few events make several levels of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(composition, "MOST", most)
        patch.setattr(composition, "WIDTH", width)
        yield


SIZES = pytest.mark.parametrize("sizes", [(256, 64), (2, 2), (3, 4)])


@SIZES
@given(original=st.sampled_from([(lr.cosine(0.1, 0.0, 40),), (lr.constant(0.7), lr.cosine(0.1, 0.0, 40))]), data=st.data())
def test_event_by_event_is_the_same_as_at_once(sizes, original, data):
    events = events_of(data.draw(steps))
    with parts_of(*sizes):
        step_by_step = Composition(original)
        for count, event in enumerate(events, start=1):
            step_by_step.add(event)
            if data.draw(st.booleans()):
                assert step_by_step.schedules == composed(original, events[:count])
        schedules = step_by_step.schedules
        assert schedules == composed(original, events)
    for group, schedule in enumerate(schedules):
        assert [schedule(n) for n in range(60)] == in_force(original, events, group)
        assert lr.parse(repr(schedule)) == schedule


@SIZES
def test_one_schedule_becomes_one_for_each_group_in_the_midst(sizes):
    events = [Event(n + 1, "scale", "x", 0.5 + n % 7 / 10) for n in range(20)]
    events += [Event(25, "replace", "x", 1.0, BOTH), *(Event(n, "scale", "x", 1 / n) for n in range(26, 40))]
    with parts_of(*sizes):
        first, second = composed([lr.constant(1.0)], events)
    assert [first(n) for n in range(60)] == in_force((lr.constant(1.0),), events, 0)
    assert [second(n) for n in range(60)] == in_force((lr.constant(1.0),), events, 1)


def many(count, every=10):
    """Events that scale, and each tenth of which replaces."""
    for n in range(1, count + 1):
        yield Event(n, "scale", "x", 0.5 + n % 7 / 10, None if n % every else (lr.linear(0.2 + n / count, 0.0, 2 * count),))


def test_ten_thousand_events_are_a_value_like_any_other():
    (schedule,) = composed([lr.cosine(0.1, 0.0, 20_000)], many(10_000))
    assert lr.parse(repr(schedule)) == schedule == pickle.loads(pickle.dumps(schedule))
    assert hash(lr.parse(repr(schedule))) == hash(schedule)
    followed = [event for event in many(10_000) if event.schedules is not None and event.update <= 7_777][-1].schedules[0]
    assert schedule(7_777) == followed(7_777) * (0.5 + 7_777 % 7 / 10)
    assert in_force_since(schedule, 9_995) == 9_990
    assert in_force_since(schedule, 5) == 0 == in_force_since(BOTH[0], 9)


def test_a_hundred_thousand_replacements_have_few_levels_and_a_narrow_end():
    (schedule,) = composed(
        [lr.constant(0.1)], (Event(n, "replace", "x", 1.0, BOTH[n % 2 : n % 2 + 1]) for n in range(1, 100_001))
    )
    assert tree.depth(schedule) <= 5
    widths, part = [], schedule
    while isinstance(part, lr.switch):
        widths.append(len(part.schedules))
        part = part.schedules[-1]
    assert sum(widths) <= 3 * composition.WIDTH
    assert [schedule(n) for n in (0, 77_776, 77_777, 100_000)] == [0.1, 0.3, 0.0, 0.3]


def test_complete_parts_are_shared():
    followed = Composition([lr.constant(0.1)])
    *before, last = many(9_000, every=3)
    for event in before:
        followed.add(event)
    old = {id(part) for part in tree.tree(followed.schedules[0])}
    followed.add(last)
    (new,) = followed.schedules
    assert len([part for part in tree.tree(new) if id(part) not in old]) < 10


@pytest.mark.parametrize(
    "event",
    [
        Event(3, "scale", "x", 0.0),
        Event(3, "scale", "x", float("nan")),
        Event(-1, "scale", "x", 0.5),
        Event(3, "replace", "x", 1.0, ("constant(0.1)",)),
    ],
)
def test_what_no_run_can_do(event):
    with pytest.raises(LearnrateError):
        composed([lr.constant(0.1)], [event])


class Calls(NamedTuple):
    """Number of calls so far."""

    count: int = 0


@dataclass(frozen=True)
class restless(Controller[Calls]):
    """Another factor at each update."""

    def init(self):
        return Calls()

    def update(self, state, observation):
        return Calls(state.count + 1), Action(0.5 + (state.count + 1) % 7 / 10)


def lines(work):
    """Lines of Python that some work takes: its cost, whatever else the machine does."""
    count, before = 0, sys.gettrace()

    def trace(frame, event, argument):
        nonlocal count
        count += event == "line"
        return trace

    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def cost_of_actions(action, early, late, actions):
    """The most lines that an action takes after a few and after many earlier ones."""
    costs = {}
    for n in range(late + actions):
        measured = early <= n < early + actions or n >= late
        if measured:
            costs.setdefault(n < late, []).append(lines(action))
        else:
            action()
    return max(costs[True]), max(costs[False])


@pytest.mark.parametrize("replaces", [False, True], ids=["scale", "replace"])
def test_an_action_costs_the_same_after_many_others(replaces, tmp_path):
    # The work in C that grows with events, such as a copy of a list, is not seen here; benchmarks/events.py sees it.
    follow = Follow(lr.cosine(0.1, 0.0, 10**6), restless(), record=tmp_path / "run.jsonl")
    page = Running(follow.control)
    follow.control.listeners.append(page)
    before = [follow.schedule]

    def action():
        if replaces:
            follow.control.replaced([lr.linear(0.1, 0.05, 10**6 + follow.updates)], follow.updates)
        follow.observe(0.5)
        (schedule,) = follow.control.schedules
        assert schedule != before[0]
        known_length(schedule)
        page.schedules()
        before[0] = schedule

    few, much = cost_of_actions(action, early=100, late=1_000, actions=80)
    follow.close()
    assert much <= 1.3 * few


def test_an_action_under_torch_costs_the_same_after_many_others():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    attachment = lr.torch.attach(optimizer, lr.cosine(0.1, 0.0, 10**6), control=restless())

    def action():
        if attachment.updates % 3 == 0:
            attachment.replace(lr.linear(0.1, 0.05, 10**6 + attachment.updates))
        attachment.observe(0.5)
        optimizer.step()

    few, much = cost_of_actions(action, early=60, late=900, actions=12)
    used = optimizer.param_groups[0]["lr"]
    assert used == attachment.control.schedule(attachment.updates)
    attachment.detach()
    assert much <= 1.3 * few


def test_a_change_by_hand_after_many_actions_is_undone():
    follow = Follow(lr.constant(0.1), restless())
    for _ in range(700):
        follow.observe(0.5)
    follow.control.request(Scale(0.5))
    follow.observe(0.5)
    assert follow.schedule == composed(follow.control.original, follow.control.events)[0]
    state = follow.state_dict()
    other = Follow(lr.constant(0.1), restless())
    other.load_state_dict(state)
    assert (other.schedule, other.lr) == (follow.schedule, follow.lr)
