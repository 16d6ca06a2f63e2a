"""What the rules of other libraries need of an observation: the number that they monitor, and the LR in force."""

from typing import Any, Protocol

from learnrate import checks
from learnrate.control.controller import Action, Observation
from learnrate.control.watched import LOSS
from learnrate.errors import NotMeasuredWarning
from learnrate.user_code import warn

LOWEST = 1e-30
"""The lowest factor. A rule without a floor would go on until its factor is 0, which no float can come back from."""

NEAR = 1e-6
"""Two LRs are the same if they differ by less than this share: the rounding of single precision is a tenth of it."""


class Driven(Protocol):
    """What the states of rules about the LR have in common.

    Attributes:
        lr: The LR that the other library would have; NaN before the first call.
        base: The LR of the schedule, without the factor of this controller, at the last call.
        factor: This controller's factor.
        acted: The update after which it changed; -1 if it has not.
    """

    @property
    def lr(self) -> Any:
        """See the class."""

    @property
    def base(self) -> Any:
        """See the class."""

    @property
    def factor(self) -> Any:
        """See the class."""

    @property
    def acted(self) -> Any:
        """See the class."""


def monitor(name: str, value: object) -> str | None:
    """The check of an argument `monitor`: None, or the name of a number."""
    if value is None:
        return None
    if not checks.text(name, value):
        checks.refuse(name, "None, 'loss' or the name of a metric", value)
    return str(value)


def monitored(name: str | None, observation: Observation) -> Any:
    """The number that a rule looks at, or None if the observation has none for it.

    Args:
        name: "loss": the loss of each update. Another name: the metric of that name of each evaluation. None: the first
            metric of each evaluation.
        observation: What the rule was called with.

    Warns:
        NotMeasuredWarning: if an evaluation has no metric of this name.
    """
    if name == LOSS:
        return observation.loss
    metrics = observation.metrics
    if name is None:
        return next(iter(metrics.values()), None)
    if metrics and name not in metrics:
        warn(
            f"monitor must be the name of a metric of the evaluation, which has {', '.join(metrics)}, received {name!r}: "
            "this evaluation is passed over",
            NotMeasuredWarning,
        )
    return metrics.get(name)


def called(name: str | None) -> str:
    """The name of what is monitored, for a reason."""
    return "the metric" if name is None else name


def in_force(state: Driven, observation: Observation, shown: Any = None) -> tuple[Any, Any]:
    """The LR in force as the other library would have it, and the LR of the schedule without the factor.

    As long as nothing else changes the LR, it is the number that the rule itself has computed, so that a comparison with a
    floor is not decided by the rounding of a product. An evaluation after the update at which the rule acted still shows the
    LR before.

    Args:
        state: Of the rule.
        observation: What it was called with.
        shown: The LR to be used in place of `observation.lr`.
    """
    where, shown = observation.xp.where, observation.lr if shown is None else shown
    same = (abs(shown - state.lr) <= NEAR * state.lr) | (observation.update == state.acted)
    return where(same, state.lr, shown), where(same, state.base, shown / state.factor)


def factor_of(lr: Any, base: Any, otherwise: Any, observation: Observation) -> Any:
    """The factor that makes an LR of the LR of the schedule; `otherwise` where that is 0."""
    where = observation.xp.where
    return observation.xp.clip(where(base > 0, lr / where(base > 0, base, 1.0), otherwise), LOWEST, None)


def scaled_by(factor: Any, observation: Observation) -> Action:
    """The action of a rule that has this factor."""
    return Action(observation.xp.clip(factor, LOWEST, None))
