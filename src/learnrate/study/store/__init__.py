"""Where a study is kept: one file of sqlite, or a folder of JSON Lines for file systems on which sqlite cannot be used."""

from learnrate.study.store.store import Contents, Store, Stored

__all__ = ["Contents", "Store", "Stored"]
