"""What a controller watches: the loss of updates, or a metric of evaluations."""

from typing import Any, Literal

from learnrate import checks
from learnrate.control.controller import Controller, Observation, State
from learnrate.errors import NotMeasuredWarning
from learnrate.user_code import warn

Mode = Literal["min", "max"]
"""Whether lower or higher is better."""

LOSS = "loss"
"""The name for the loss of every update."""


class Watching(Controller[State]):
    """A controller, a frozen dataclass, that watches the loss or a metric by its field `monitor`."""

    monitor: str | None

    def __post_init__(self) -> None:
        checks.check_fields(self)

    @property
    def needs_loss(self) -> bool:  # type: ignore[override]
        """Whether it watches the loss."""
        return self.monitor == LOSS


def watched(monitor: str, mode: Mode, observation: Observation, values: Any) -> Any:
    """The value of an observation that is to fall.

    Args:
        monitor: "loss", or the name of a metric.
        mode: With "max", the value is negated.
        observation: An update or an evaluation.
        values: Number of values so far.

    Returns:
        The value; None if the observation has none.

    Warns:
        NotMeasuredWarning: if an evaluation does not have the metric, and none before it did.
    """
    is_evaluation = observation.loss is None and bool(observation.metrics)
    if monitor == LOSS:
        value = observation.loss
    else:
        value = observation.metrics.get(monitor)
        if is_evaluation and value is None and isinstance(values, int) and values == 0:
            warn(
                f"a controller watches {monitor!r}, which the evaluation does not have, only "
                f"{', '.join(observation.metrics)}: it waits",
                NotMeasuredWarning,
            )
    return value if value is None or mode == "min" else -value


def unit(monitor: str) -> str:
    """What is counted."""
    return "updates" if monitor == LOSS else "evaluations"
