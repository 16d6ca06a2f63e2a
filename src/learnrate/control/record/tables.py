"""A record as a table with one row for each update."""

from typing import TYPE_CHECKING, Any

import numpy as np

from learnrate.tables import free_name

if TYPE_CHECKING:
    from learnrate.control.record.record import Record


def columns(record: "Record") -> dict[str, Any]:
    """The columns of the table by name. A metric is in the row of the last update before its evaluation, and NaN elsewhere.

    A metric with the name of another column gets an underscore, so that the table loses no column.
    """
    table: dict[str, Any] = {
        "update": record.updates,
        "lr": record.lrs,
        "loss": record.losses,
        "gradient_norm": record.gradient_norms,
        "time": record.times,
    }
    for name, metric in record.metrics.items():
        values = np.full(len(record), np.nan)
        if len(record):
            rows = np.searchsorted(record.updates, metric.updates, side="right") - 1
            values[rows[rows >= 0]] = metric.values[rows >= 0]
        table[free_name(name, table)] = values
    return table
