"""What an experiment of a paper is: arms, what they train, and the figures that the paper has for them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import learnrate as lr


@dataclass(frozen=True)
class Row:
    """One row of a table of a paper.

    Attributes:
        arm: What is trained, at full length.
        updates: Length in the paper, in updates.
        paper: The paper's figure, in percent; None where it has none.
    """

    arm: lr.Arm
    updates: int
    paper: float | None = None


@dataclass(frozen=True)
class Experiment:
    """An experiment of a paper.

    Attributes:
        name: Its name on the command line, such as "clr-table-1".
        title: What it shows.
        source: The paper, with table or figure.
        rows: From SCALE, the factor on every length, to the rows by name.
        recipe: Creates what is trained.
        evaluate_every: Updates between two evaluations at full length.
        seeds: Trainings of each arm.
        tune_each: Whether each arm is trained at the LR that `learnrate.tune` chooses for it.
        notes: What differs from the paper, or had to be inferred.
    """

    name: str
    title: str
    source: str
    rows: Callable[[float], Mapping[str, Row]]
    recipe: Callable[[], Any]
    evaluate_every: int
    seeds: int = 1
    tune_each: bool = False
    notes: tuple[str, ...] = ()


def scaled(length: float, scale: float) -> int:
    """A length of the paper in updates, shortened; at least one update."""
    return max(1, round(length * scale))
