"""Columns as CSV and as data frames, whatever they hold."""

import csv
import io
from collections.abc import Container, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from learnrate.errors import MissingExtraError

if TYPE_CHECKING:
    import pandas as pd


def free_name(name: str, taken: Container[str]) -> str:
    """The name, with underscores behind it as long as it is taken, so that a table loses no column."""
    while name in taken:
        name += "_"
    return name


def as_csv(columns: Mapping[str, Iterable[Any]]) -> str:
    """Columns by name as CSV (RFC 4180, but with line feeds only). Numbers have all digits, as Python prints them."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue()


def as_frame(columns: Mapping[str, Any]) -> "pd.DataFrame":
    """Columns by name as a pandas DataFrame.

    Raises:
        MissingExtraError: if pandas is not installed.
    """
    try:
        import pandas as pd
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "to_pandas needs pandas, which is not installed: pip install 'learnrate[pandas]'", name="pandas"
        ) from error
    return pd.DataFrame(columns)
