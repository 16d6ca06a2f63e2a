"""A curve as a table: one row an update, for spreadsheets and data frames."""

import csv
import io
from typing import TYPE_CHECKING

from learnrate.errors import MissingExtraError

if TYPE_CHECKING:
    import pandas as pd

    from learnrate.finder.curve import Curve


def columns(curve: "Curve") -> dict[str, list[float]]:
    """The table's columns by name; a merged curve's sweeps stand one below the other, numbered from 1.

    A metric whose name is taken gets an underscore: the table must not lose a column.
    """
    sweeps = curve.sweeps or (curve,)
    table: dict[str, list[float]] = {
        "sweep": [number for number, sweep in enumerate(sweeps, 1) for _ in range(len(sweep))],
        "update": [update for sweep in sweeps for update in sweep.updates.tolist()],
        "lr": [lr for sweep in sweeps for lr in sweep.lrs.tolist()],
        "loss": [loss for sweep in sweeps for loss in sweep.losses.tolist()],
    }
    for name in curve.metrics:
        column = name
        while column in table:
            column += "_"
        table[column] = [value for sweep in sweeps for value in sweep.metrics[name].tolist()]
    return table


def as_csv(curve: "Curve") -> str:
    """The table as CSV (RFC 4180, with line ends of one character); numbers as Python prints them, to lose no digit."""
    table = columns(curve)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table)
    writer.writerows(zip(*table.values(), strict=True))
    return text.getvalue()


def as_frame(curve: "Curve") -> "pd.DataFrame":
    """The table as a data frame.

    Raises:
        MissingExtraError: if pandas is not installed.
    """
    try:
        import pandas as pd
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "to_pandas needs pandas, which is not installed: pip install 'learnrate[pandas]'", name="pandas"
        ) from error
    return pd.DataFrame(columns(curve))
