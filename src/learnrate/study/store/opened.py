"""Opening the store of a study by its path."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from learnrate import checks
from learnrate.errors import OutputError
from learnrate.study.store.folder import FolderStore
from learnrate.study.store.sqlite import SqliteStore
from learnrate.study.store.store import Store


@contextmanager
def opened(study: str | Path, *, to_read: bool = False) -> Iterator[Store]:
    """The store of a path, closed at the end.

    Args:
        study: The file of a study of sqlite; or the folder of one of JSON Lines, whose name ends in "/" if it is new.
        to_read: Whether there has to be a study already, which is not changed.

    Raises:
        OutputError: if it cannot be opened, or is no study.
    """
    path = checks.path("study", study)
    if to_read and not path.exists():
        raise OutputError(f"cannot read the study {path}: no such file")
    is_folder = isinstance(study, str) and study.endswith(("/", os.sep))
    if is_folder and path.is_file():
        raise OutputError(
            f"cannot open the study {study}: {path} is a file, and a name with a slash at its end is a folder's"
        )
    path = path.absolute()
    if not to_read and not path.parent.is_dir():
        raise OutputError(f"cannot write the study {path}: there is no folder {path.parent}; create it first")
    store: Store = FolderStore(path, to_read=to_read) if is_folder or path.is_dir() else SqliteStore(path, to_read=to_read)
    try:
        yield store
    finally:
        store.close()
