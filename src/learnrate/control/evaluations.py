"""Notices at the end of a run that a controller has waited for evaluations which were never made."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from learnrate.control.controller import Controller, Observation
from learnrate.control.events import Event
from learnrate.control.watched import LOSS
from learnrate.errors import NotMeasuredWarning
from learnrate.user_code import warn


class Evaluations:
    """A listener that counts updates until an evaluation is made, and warns at the end of a run that had none.

    Args:
        waiting: What controllers watch, by their names; see `waiting_for_metrics`.
    """

    def __init__(self, waiting: Mapping[str, str]) -> None:
        self._waiting, self._updates, self._expects = waiting, 0, True

    def on_update(self, observation: Observation) -> None:
        """Count an update."""
        self._updates += 1

    def on_evaluation(self, observation: Observation) -> None:
        """An evaluation was made: if it has another metric, the controller says so."""
        self._expects = False

    def on_event(self, event: Event) -> None:
        """An end that was decided may come before the first evaluation."""
        self._expects = self._expects and event.kind != "stop"

    def on_resume(self, events: Sequence[Event]) -> None:
        """The evaluations before are not known, and the rest of the run may be shorter than the way to the next."""
        self._expects = False

    def close(self) -> None:
        """Warn, unless an error has ended the run, which matters more.

        Warns:
            NotMeasuredWarning: if there were updates, and no evaluation.
        """
        if self._expects and self._updates and sys.exc_info()[0] is None:
            self._expects = False
            watched = ", ".join(f"{name} {metric}" for name, metric in self._waiting.items())
            warn(
                f"controllers watch metrics of evaluations ({watched}), and none was made in the {self._updates} updates of "
                "the run, so that they changed nothing: give validation data to the trainer, hand the scores over in a loop "
                "of your own, or watch the loss with monitor='loss'",
                NotMeasuredWarning,
            )


def waiting_for_metrics(controllers: Mapping[str, Controller[Any]]) -> dict[str, str]:
    """What controllers watch by their names, without those that watch the loss or nothing of their own choice."""
    monitors = {name: getattr(controller, "monitor", LOSS) for name, controller in controllers.items()}
    return {name: monitor or "the first metric" for name, monitor in monitors.items() if monitor != LOSS}
