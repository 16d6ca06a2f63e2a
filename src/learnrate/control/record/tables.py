"""A record as a table with one row for each update."""

import csv
import io
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from learnrate import records
from learnrate.errors import MissingExtraError

if TYPE_CHECKING:
    import pandas as pd

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
        column = name
        while column in table:
            column += "_"
        values = np.full(len(record), np.nan)
        if len(record):
            rows = np.searchsorted(record.updates, metric.updates, side="right") - 1
            values[rows[rows >= 0]] = metric.values[rows >= 0]
        table[column] = values
    return table


def as_frame(record: "Record") -> "pd.DataFrame":
    """The table as a pandas DataFrame.

    Raises:
        MissingExtraError: if pandas is not installed.
    """
    try:
        import pandas as pd
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "to_pandas needs pandas, which is not installed: pip install 'learnrate[pandas]'", name="pandas"
        ) from error
    return pd.DataFrame(columns(record))


def write_csv(record: "Record", path: str | os.PathLike[str]) -> None:
    """Write the table as CSV (RFC 4180, but with line feeds only).

    Raises:
        OutputError: if the file cannot be written.
    """
    table = columns(record)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table)
    writer.writerows(zip(*(values.tolist() for values in table.values()), strict=True))
    records.write_atomically(path, text.getvalue().encode("utf-8", "backslashreplace"))
