"""A comparison as a table: a row for each training, or for each evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from learnrate import checks
from learnrate.tables import free_name

if TYPE_CHECKING:
    from learnrate.study.comparison import Comparison

TRAINING = ("score", "updates", "seconds", "first_loss", "start", "end", "schedule")
"""Fields of a training that are columns."""


def columns(comparison: Comparison, each: str) -> dict[str, list[Any]]:
    """The columns by name; rows are in the order of the arms and seeds.

    A metric with the name of another column gets an underscore, so that the table loses no column.

    Raises:
        ArgumentError: if `each` is neither "training" nor "evaluation".
    """
    return _trainings(comparison) if checks.choice("each", each, NAMES) == NAMES[0] else _evaluations(comparison)


NAMES = ("training", "evaluation")


def _trainings(comparison: Comparison) -> dict[str, list[Any]]:
    pairs = [(arm.name, training) for arm in comparison.arms for training in arm.trainings]
    table: dict[str, list[Any]] = {
        "arm": [name for name, _ in pairs],
        "seed": [training.seed for _, training in pairs],
        "metric": [comparison.metric] * len(pairs),
    }
    return {**table, **{field: [getattr(training, field) for _, training in pairs] for field in TRAINING}}


def _evaluations(comparison: Comparison) -> dict[str, list[Any]]:
    trainings = [(arm.name, training) for arm in comparison.arms for training in arm.trainings]
    rows = [(name, training, place) for name, training in trainings for place in range(len(training.checkpoints))]
    table: dict[str, list[Any]] = {
        "arm": [name for name, _, _ in rows],
        "seed": [training.seed for _, training, _ in rows],
        "update": [training.checkpoints[place] for _, training, place in rows],
        "seconds": [training.times[place] if training.times else float("nan") for _, training, place in rows],
    }
    series = [{training.metric: training.scores, **training.more} for _, training, _ in rows]
    for metric in dict.fromkeys(metric for metrics in series for metric in metrics):
        values = [
            metrics[metric][place] if metric in metrics else float("nan")
            for metrics, (_, _, place) in zip(series, rows, strict=True)
        ]
        table[free_name(metric, table)] = values
    return table
