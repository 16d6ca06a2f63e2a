"""A controller that watches a metric of evaluations, in a run that makes none."""

import warnings
from dataclasses import dataclass
from typing import NamedTuple

import pytest

import learnrate as lr
from learnrate.control import Action, Controller, Follow, plateau
from learnrate.control.running import begin
from learnrate.errors import NotMeasuredWarning


def run(follow, updates=5, **scores):
    for _ in range(updates):
        follow.observe(0.5)
    if scores:
        follow.observe(**scores)
    return follow


@pytest.mark.parametrize(
    "control",
    [
        plateau(3, monitor="val_loss"),
        plateau.torch(monitor="val_loss"),
        plateau.keras(),
        {"mine": plateau(3, monitor="val_loss", mode="max")},
    ],
)
def test_a_run_without_evaluations_says_so_once_at_its_end(control):
    with warnings.catch_warnings(action="error"):
        follow = run(Follow(lr.constant(0.1), control))
    (name,) = follow.control.controllers
    with pytest.warns(NotMeasuredWarning, match=name) as caught:
        follow.close()
    assert "5 updates" in str(caught[0].message)
    with warnings.catch_warnings(action="error"):
        follow.close()


@pytest.mark.parametrize("control", [None, plateau(3), plateau(3, monitor="val_loss")])
def test_nothing_is_said_where_nothing_is_missing(control):
    with warnings.catch_warnings(action="error"):
        run(Follow(lr.constant(0.1), control), val_loss=0.5).close()
        Follow(lr.constant(0.1), control).close()  # no update was made


def fails(follow):
    with follow:
        run(follow)
        raise ZeroDivisionError


def test_an_error_that_ends_the_run_is_not_hidden():
    with warnings.catch_warnings(action="error"), pytest.raises(ZeroDivisionError):
        fails(Follow(lr.constant(0.1), plateau(3, monitor="val_loss")))


def test_a_run_that_is_stopped_or_resumed_may_end_before_its_next_evaluation():
    control = plateau(3, monitor="val_loss")
    with warnings.catch_warnings(action="error"):
        stopped = run(Follow(lr.constant(0.1), control))
        stopped.control.request(lr.control.Stop())
        run(stopped).close()
        resumed = Follow(lr.constant(0.1), control)
        resumed.load_state_dict(stopped.state_dict())
        run(resumed).close()


class Nothing(NamedTuple):
    """No state."""


@dataclass(frozen=True)
class accuracy_rule(Controller[Nothing]):
    """A controller of the user, with the field that the others have."""

    monitor: str = "accuracy"

    def init(self):
        return Nothing()

    def update(self, state, observation):
        return state, Action()


def test_a_controller_of_the_user_is_named_too_and_only_the_first_process_speaks():
    with pytest.warns(NotMeasuredWarning, match="accuracy"):
        run(Follow(lr.constant(0.1), accuracy_rule())).close()
    assert begin([lr.constant(0.1)], control=accuracy_rule(), rank=1).listeners == []
