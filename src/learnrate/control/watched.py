"""What a controller watches: the loss of updates, or a metric of evaluations."""

from typing import Any, Literal

from learnrate.control.controller import Observation
from learnrate.errors import NotMeasuredWarning
from learnrate.user_code import warn

Mode = Literal["min", "max"]
"""Whether lower or higher is better."""

LOSS = "loss"
"""The name for the loss of every update."""


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
