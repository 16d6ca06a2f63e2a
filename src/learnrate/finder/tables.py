"""A curve as a table with one row for each update, for spreadsheets and data frames."""

from typing import TYPE_CHECKING

from learnrate.tables import free_name

if TYPE_CHECKING:
    from learnrate.finder.curve import Curve


def columns(curve: "Curve") -> dict[str, list[float]]:
    """The columns of the table by name. The sweeps of a merged curve follow each other, numbered from 1.

    A metric with the name of another column gets an underscore, so that the table loses no column.
    """
    sweeps = curve.sweeps or (curve,)
    table: dict[str, list[float]] = {
        "sweep": [number for number, sweep in enumerate(sweeps, 1) for _ in range(len(sweep))],
        "update": [update for sweep in sweeps for update in sweep.updates.tolist()],
        "lr": [lr for sweep in sweeps for lr in sweep.lrs.tolist()],
        "loss": [loss for sweep in sweeps for loss in sweep.losses.tolist()],
    }
    for name in curve.metrics:
        table[free_name(name, table)] = [value for sweep in sweeps for value in sweep.metrics[name].tolist()]
    return table
