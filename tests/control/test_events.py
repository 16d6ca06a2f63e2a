"""Events as values, and the schedule that follows from them."""

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

import learnrate as lr
from learnrate.control import Event, composed
from learnrate.errors import LearnrateError

factors = st.sampled_from([1.0, 0.5, 0.3, 2.0, 1e-3])
steps = st.lists(
    st.tuples(st.integers(0, 6), factors, st.none() | st.sampled_from([lr.constant(0.3), lr.linear(0.2, 0.0, 30)])),
    max_size=12,
)


def by_hand(original, events, update):
    """The plain meaning of the events: what is in force at an update."""
    schedule, factor = original, 1.0
    for event in events:
        if event.update <= update:
            factor = event.factor
            schedule = event.schedules[0] if event.schedules else schedule
    return schedule(update) * factor


@given(original=st.sampled_from([lr.cosine(0.1, 0.0, 40), lr.constant(0.7)]), steps=steps)
def test_composed_is_what_was_in_force(original, steps):
    update, events = 0, []
    for distance, factor, schedule in steps:
        update += distance
        kind = "scale" if schedule is None else "replace"
        events.append(Event(update, kind, "x", factor, None if schedule is None else (schedule,)))
    (schedule,) = composed([original], events)
    assert [schedule(n) for n in range(60)] == [by_hand(original, events, n) for n in range(60)]
    assert lr.parse(repr(schedule)) == schedule


@given(count=st.integers(0, 40), most=st.integers(1, 9))
def test_very_many_factors_are_parts_of_a_switch(count, most):
    events = [Event(2 * n + 1, "scale", "x", 0.5 + n % 7 / 10) for n in range(count)]
    original, usual = lr.cosine(0.1, 0.0, 100), sys.modules["learnrate.control.composition"].MOST
    sys.modules["learnrate.control.composition"].MOST = most
    try:
        (schedule,) = composed([original], events)
    finally:
        sys.modules["learnrate.control.composition"].MOST = usual
    assert [schedule(n) for n in range(100)] == [by_hand(original, events, n) for n in range(100)]
    assert lr.parse(repr(schedule)) == schedule


def test_what_has_no_factor_changes_nothing():
    original = [lr.cosine(0.1, 0.0, 40)]
    assert composed(original, []) == tuple(original)
    assert composed(original, [Event(3, kind, "x", 0.5) for kind in ("skip", "rollback", "stop")]) == tuple(original)
    assert composed(original, [Event(3, "scale", "x", 1.0)]) == tuple(original)
    assert composed(original, [Event(0, "scale", "x", 0.5)]) == (original[0] * 0.5,)


def test_groups():
    original = [lr.constant(0.1), lr.constant(0.2)]
    first, second = composed(original, [Event(3, "replace", "x", 0.5, (lr.constant(1.0),)), Event(5, "scale", "x", 0.1)])
    assert [first(n) for n in (2, 3, 5)] == [0.1, 0.5, 0.1]
    assert [second(n) for n in (2, 3, 5)] == [0.2, 0.5, 0.1]
    first, second = composed([lr.constant(0.1)], [Event(3, "replace", "x", 1.0, tuple(original))])
    assert (first(2), second(2), second(3)) == (0.1, 0.1, 0.2)


@given(
    event=st.builds(
        Event,
        st.integers(0, 2**40),
        st.sampled_from(["scale", "replace", "cooldown", "undo", "skip", "rollback", "stop"]),
        st.text(max_size=10),
        st.floats(1e-30, 1e30),
        st.none() | st.just((lr.cosine(0.1, 0.0, 40), lr.constant(1.0))),
        st.text(max_size=20),
        st.dictionaries(
            st.text(max_size=5),
            st.integers()
            | st.booleans()
            | st.none()
            | st.text(max_size=5)
            | st.floats(width=32, allow_nan=False, allow_infinity=False),
            max_size=3,
        ),
        st.floats(0, 2e9),
    )
)
def test_json(event):
    assert Event.from_json(json.loads(json.dumps(event.to_json(), allow_nan=False))) == event


@pytest.mark.parametrize(
    "change",
    [
        {"update": -1},
        {"update": 1.5},
        {"kind": "explode"},
        {"who": 3},
        {"factor": 0},
        {"factor": "x"},
        {"schedules": []},
        {"schedules": "constant(0.1)"},
        {"schedules": ["cosine("]},
        {"schedules": [3]},
        {"schedules": 3},
        {"reason": None},
        {"evidence": []},
        {"evidence": 3},
        {"time": "now"},
    ],
)
def test_what_is_no_event(change):
    good = Event(3, "scale", "x", 0.5).to_json()
    assert Event.from_json(good) == Event(3, "scale", "x", 0.5)
    with pytest.raises(LearnrateError):
        Event.from_json({**good, **change})
    (name,) = change
    with pytest.raises(LearnrateError, match=name):
        Event.from_json({key: value for key, value in good.items() if key != name})
