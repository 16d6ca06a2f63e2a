"""The arms of a comparison: what differs between its trainings."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from learnrate import checks
from learnrate.control.controller import named, openers
from learnrate.errors import ArgumentError
from learnrate.recipes.recipe import AnyRecipe
from learnrate.schedules import Schedule, parse
from learnrate.tuner.families import NAMED

LONGEST_NAME = 80
"""Characters of the name of an arm: it stands in tables and legends."""


@dataclass(frozen=True)
class Arm:
    """What differs between the trainings of a comparison: a schedule, and where it is wanted controllers or a recipe.

    Attributes:
        schedule: The LR of each update, or its text. With `tune_each` also the name of a family of schedules, such as
            "one_cycle", which is tuned from scratch; see `learnrate.tune`.
        recipe: What is trained, if it is not the recipe of the whole comparison: with another optimizer, say. A recipe, or
            the path of its file.
        control: A controller of `learnrate.control`, several in a list, or a mapping from names. They act during each
            training, each with a state of its own.
        updates: Length of its trainings in updates, if it is not that of the whole comparison.

    Raises:
        ArgumentError: if a number breaks its rule.
        ArgumentTypeError: if an argument is of the wrong type.
        ParseError: if the text is no schedule.

    Example:
        >>> import learnrate as lr
        >>> Arm("warmup(0.1, '5%') >> cosine(0.1, 0)").schedule
        warmup(max_lr=0.1, length='5%') >> cosine(start=0.1, end=0.0)
    """

    schedule: Schedule | str
    recipe: AnyRecipe | str | Path | None = None
    control: Any = None
    updates: int | None = None

    def __post_init__(self) -> None:
        schedule = self.schedule
        if isinstance(schedule, str) and schedule not in NAMED:
            schedule = parse(schedule)
        if not isinstance(schedule, (Schedule, str)):
            remedy = "make a constant of a number with learnrate.constant"
            checks.refuse_type(
                "schedule of an arm", "a learnrate schedule, its text, or the name of a family", schedule, remedy
            )
        object.__setattr__(self, "schedule", schedule)
        _require_controllers(self.control)
        object.__setattr__(self, "updates", checks.optional(checks.length)("updates of an arm", self.updates))

    @property
    def family(self) -> str | None:
        """The name of the family that is to be tuned; None if the schedule is given."""
        return self.schedule if isinstance(self.schedule, str) else None

    def as_record(self) -> dict[str, Any]:
        """What two studies are compared by: the same arm has the same record."""
        return {
            "schedule": self.schedule if isinstance(self.schedule, str) else repr(self.schedule),
            "control": None if self.control is None else repr(self.control),
            "updates": self.updates,
        }


def _require_controllers(control: Any) -> None:
    """Refuse what cannot act in a study, or cannot be compared with that of a study which goes on."""
    if control is None:
        return
    if openers(control):
        raise ArgumentError(
            "control of an arm must act by itself, received something by which people act: all trainings of an arm are to "
            "be made alike"
        )
    controllers = named(control)
    if not controllers:
        checks.refuse("control of an arm", "at least one controller, or None", control)
    for name, controller in controllers.items():
        if " at 0x" in repr(controller):
            remedy = "make its class a frozen dataclass"
            checks.refuse(f"repr of the controller {name}", "the same in every process", repr(controller), remedy)


def read_arms(arms: object) -> dict[str, Arm]:
    """The arms of a comparison as a user gives them.

    Args:
        arms: A mapping from names to arms; an arm is an `Arm`, a schedule, its text, the name of a family, or a recipe that
            is trained at the LR that it has without learnrate.

    Raises:
        ArgumentError: if there are none, a name is empty or too long, or an arm breaks a rule.
        ArgumentTypeError: if it is not a mapping, or an arm is something else.
    """
    if not isinstance(arms, Mapping):
        checks.refuse_type("arms", "a mapping from names to schedules or arms", arms, "write {'cosine': ..., 'wsd': ...}")
    if not arms:
        raise ArgumentError("arms must have at least one arm, received an empty mapping")
    return {_name(name): _arm(name, arm) for name, arm in arms.items()}


def _name(name: object) -> str:
    text = checks.text("the name of an arm", name)
    if not text.strip() or len(text) > LONGEST_NAME or not text.isprintable():
        checks.refuse("the name of an arm", f"of 1 to {LONGEST_NAME} printable characters", text)
    return text


def _arm(name: str, arm: object) -> Arm:
    if isinstance(arm, Arm):
        return arm
    if isinstance(arm, (str, Schedule)):
        return Arm(arm)
    rule = "a schedule, its text, or an Arm"
    return checks.refuse_type(f"arms[{name!r}]", rule, arm, "an arm with a recipe of its own is Arm(schedule, recipe=...)")
