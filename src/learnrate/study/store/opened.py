"""Opening the store of a study by its path."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from learnrate import checks
from learnrate.errors import OutputError
from learnrate.study.store.sqlite import SqliteStore
from learnrate.study.store.store import Store


@contextmanager
def opened(study: str | Path, *, to_read: bool = False) -> Iterator[Store]:
    """The store of a path, closed at the end.

    Args:
        study: The file of a study of sqlite; or the folder of one of JSON Lines, whose name ends in "/" if it is new.
        to_read: Whether there has to be a study already, which is read and left as it is.

    Raises:
        OutputError: if it cannot be opened, or is no study.
    """
    path = checks.path("study", study)
    if to_read and not path.exists():
        raise OutputError(f"cannot read the study {path}: no such file")
    is_folder = path.is_dir() or (isinstance(study, str) and study.endswith("/"))
    if is_folder:
        raise NotImplementedError
    store: Store = SqliteStore(path.absolute(), to_read=to_read)
    try:
        yield store
    finally:
        store.close()
