"""The answer of the tuner: a schedule with its bounds, its cost, and its reasons."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from learnrate import records
from learnrate.finder import Bounds, Curve, NoAnswer
from learnrate.schedules import Schedule, parse
from learnrate.schedules.base import known_length
from learnrate.tuner.trials import Race

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Plan:
    """A schedule for a whole run, with the evidence that chose it.

    Attributes:
        schedule: The schedule; `schedule.length` is where to stop, for cycles at the end of one.
        max_lr: Its peak.
        interval: The lowest and the highest peak at which a run is expected to learn nearly as much; reasons say how near.
        family: The kind of schedule.
        bounds: What was read off the range test; `NoAnswer` where it told too little, and the races alone chose.
        step_size: Half a cycle in updates; None where the schedule is no triangular2.
        cycles: Number of cycles; None likewise.
        updates: Length of the training that was asked for.
        spent: Updates that tuning made.
        reasons: Why, sentence by sentence.
        races: Every race that was run.
        curve: The range test.
    """

    schedule: Schedule
    max_lr: float
    interval: tuple[float, float]
    family: str
    bounds: Bounds | NoAnswer
    step_size: int | None
    cycles: int | None
    updates: int
    spent: int
    reasons: tuple[str, ...]
    races: tuple[Race, ...]
    curve: Curve

    @property
    def length(self) -> int:
        """Number of updates to train for: to the end of the schedule, or all that were asked for where it has none."""
        return known_length(self.schedule) or self.updates

    @property
    def cost(self) -> float:
        """Updates that tuning made, as a share of those of the training that was asked for."""
        return self.spent / self.updates

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the planned schedule and return the axes.

        Args:
            ax: The axes to draw in; a new figure by default.

        Raises:
            MissingExtraError: if matplotlib is not installed.
        """
        return self.schedule.plot(self.length, ax)

    def as_record(self) -> dict[str, Any]:
        """The plan as JSON holds it."""
        return {
            "schedule": repr(self.schedule),
            "max_lr": self.max_lr,
            "interval": list(self.interval),
            "family": self.family,
            "step_size": self.step_size,
            "cycles": self.cycles,
            "updates": self.updates,
            "spent": self.spent,
            "cost": self.cost,
            "reasons": list(self.reasons),
            "bounds": self.bounds.as_record() if isinstance(self.bounds, Bounds) else None,
            "races": [_race_record(race) for race in self.races],
            "curve": self.curve.as_record(),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Plan":
        """The inverse of `as_record`."""
        curve = Curve.from_record(record["curve"])
        low, high = record["interval"]
        return cls(
            schedule=parse(record["schedule"]),
            max_lr=record["max_lr"],
            interval=(low, high),
            family=record["family"],
            # Why the curve carries no bounds is in the curve.
            bounds=curve.bounds() if record["bounds"] is None else Bounds.from_record(record["bounds"]),
            step_size=record["step_size"],
            cycles=record["cycles"],
            updates=record["updates"],
            spent=record["spent"],
            reasons=tuple(record["reasons"]),
            races=tuple(_race(race) for race in record["races"]),
            curve=curve,
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the plan as JSON, whole or not at all.

        Raises:
            OutputError: if the file cannot be written.
        """
        records.save(path, "plan", self.as_record())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Plan":
        """Read a plan that `save` wrote.

        Raises:
            OutputError: if the file cannot be read or holds no plan.
        """
        return records.load(path, "plan", cls.from_record)


def _race_record(race: Race) -> dict[str, Any]:
    score = None if race.score is None else records.encode_float(race.score)
    losses = {name: records.encode_float(getattr(race, name)) for name in ("loss", "highest")}
    return {**vars(race), **losses, "score": score, "judged": list(race.judged)}


def _race(record: Mapping[str, Any]) -> Race:
    score = None if record["score"] is None else float(record["score"])
    losses = {name: float(record[name]) for name in ("loss", "highest")}
    return Race(**{**record, **losses, "score": score, "judged": tuple(record["judged"])})
