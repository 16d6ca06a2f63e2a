"""A comparison in a tracker: facts, sentences, and the metrics of every training over its updates."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from learnrate import checks, figures, logs, records
from learnrate.study.report import summary
from learnrate.tables import free_name

if TYPE_CHECKING:
    from learnrate.study.comparison import Comparison

MOST_LOSSES = 400
"""Losses of a training that are written at most: trackers take up to milliseconds for each."""


def write(comparison: Comparison, tracker: Any, name: str, run_id: str | None) -> None:
    """See `Comparison.log`. The facts of the run come first, because trackio sends them with the first value."""
    target = logs.to(tracker, run_id=run_id).target
    name = checks.text("name", name)
    titles = _titles(comparison)
    for arm in comparison.arms:
        key = f"{name}/{titles[arm.name]}"
        target.setting(f"{key}/schedule", arm.schedule)
        if arm.trainings:
            target.setting(f"{key}/mean", records.encode_float(arm.mean))
            target.setting(f"{key}/std", records.encode_float(arm.std))
            target.setting(f"{key}/seeds", len(arm.trainings))
    target.document(f"{name}/differences", "\n".join(summary.sentences(comparison)))
    for update, values in sorted(_numbers(comparison, name, titles).items()):
        target.scalars(update, values, f"{name}/{logs.UPDATES}")


def _titles(comparison: Comparison) -> dict[str, str]:
    """The names of the arms in a tracker. MLflow allows few characters beside letters, and a "/" would be a group."""
    titles: dict[str, str] = {}
    for arm in comparison.arms:
        titles[arm.name] = free_name(re.sub(r"[^\w. -]", "_", arm.name, flags=re.ASCII), list(titles.values()))
    return titles


def _numbers(comparison: Comparison, name: str, titles: dict[str, str]) -> dict[int, dict[str, float]]:
    """For each update the values of all trainings."""
    by_update: dict[int, dict[str, float]] = defaultdict(dict)
    for arm in comparison.arms:
        for training in arm.trainings:
            key = f"{name}/{titles[arm.name]}/seed {training.seed}"
            series = {training.metric: training.scores, **training.more}
            for metric, values in series.items():
                for update, value in zip(training.checkpoints, values, strict=False):
                    by_update[update][f"{key}/{metric}"] = value
            losses = np.array(training.losses)
            for place in figures.thinned(losses, MOST_LOSSES).tolist():
                update = min((place + 1) * training.losses_every, max(training.updates, 1))
                by_update[update][f"{key}/training loss"] = float(losses[place])
    return by_update
