"""What a study is: the part that must be the same when it is continued, here or by another process."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from learnrate import checks
from learnrate.errors import ArgumentError


@dataclass(frozen=True)
class Definition:
    """What must not change while a study is made.

    Attributes:
        arms: For each arm by name: its schedule, controllers, length, and name and hash of its recipe.
        updates: Length of the trainings in updates.
        evaluate_every: Updates between two evaluations; None for a twentieth of each training.
        tune_each: Whether each arm is trained at its own best LR, and the budget of that choice.
        until_sure: Whether seeds were ever added until a difference was sure. From then on only intervals that hold after
            every seed at once are right.
        data: Hashes of the data by path.
        batched: Whether arms of one seed are trained as one batch where that is possible.
    """

    arms: Mapping[str, Mapping[str, Any]]
    updates: int
    evaluate_every: int | None = None
    tune_each: float | str | bool = False
    until_sure: bool = False
    data: Mapping[str, str] = field(default_factory=dict)
    batched: bool = False

    def as_record(self) -> dict[str, Any]:
        """The definition as JSON holds it."""
        return {
            "arms": {name: dict(arm) for name, arm in self.arms.items()},
            "updates": self.updates,
            "evaluate_every": self.evaluate_every,
            "tune_each": self.tune_each,
            "until_sure": self.until_sure,
            "data": dict(self.data),
            "batched": self.batched,
        }

    def added_to(self, stored: Mapping[str, Any], path: object) -> "Definition":
        """This definition together with the other arms in the file; arms may be added to a study at any time.

        Args:
            stored: The record of the definition in the file.
            path: The file, for messages.

        Raises:
            ArgumentError: if something differs that the trainings of the file depend on.
        """
        remedy = f"continue {path} with its first values, or give the new study another file"
        for name in ("updates", "evaluate_every", "tune_each", "batched"):
            if stored[name] != getattr(self, name):
                checks.refuse(name, f"{stored[name]!r} as it is in the study", getattr(self, name), remedy)
        for name in self.data.keys() & stored["data"].keys():
            if self.data[name] != stored["data"][name]:
                checks.refuse(f"the data in {name}", "as they were in the study", self.data[name], remedy)
        for arm in self.arms.keys() & stored["arms"].keys():
            before, now = stored["arms"][arm], dict(self.arms[arm])
            changed = sorted(name for name in now if before.get(name) != now[name])
            if changed:
                raise ArgumentError(
                    f"the arm {arm!r} must be as it is in the study, received another {', '.join(changed)}: "
                    f"{checks.shown(now[changed[0]])} instead of {checks.shown(before.get(changed[0]))}: {remedy}, "
                    "or the new arm another name"
                )
        until_sure = self.until_sure or bool(stored["until_sure"])
        arms, data = {**stored["arms"], **self.arms}, {**stored["data"], **self.data}
        return replace(self, arms=arms, data=data, until_sure=until_sure)
