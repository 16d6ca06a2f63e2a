"""A curve as a table with one row for each update, for spreadsheets and data frames."""

import csv
import io
from typing import TYPE_CHECKING

from learnrate.errors import MissingExtraError

if TYPE_CHECKING:
    import pandas as pd

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
        column = name
        while column in table:
            column += "_"
        table[column] = [value for sweep in sweeps for value in sweep.metrics[name].tolist()]
    return table


def as_csv(curve: "Curve") -> str:
    """The table as CSV (RFC 4180, but with line feeds only). Numbers have all digits, as Python prints them."""
    table = columns(curve)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table)
    writer.writerows(zip(*table.values(), strict=True))
    return text.getvalue()


def as_frame(curve: "Curve") -> "pd.DataFrame":
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
    return pd.DataFrame(columns(curve))
