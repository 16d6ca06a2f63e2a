"""Warnings about what cannot be given back, at the user's own line."""

import contextlib
import sys
import warnings
from pathlib import Path

_SKIPPED = (str(Path(__file__).parents[2]), contextlib.__file__)


def warn(message: str, category: type[Warning]) -> None:
    """Warn at the nearest line outside learnrate: how deep the call is depends on the function that makes the snapshot."""
    depth = 1
    while sys._getframe(depth).f_code.co_filename.startswith(_SKIPPED) and sys._getframe(depth).f_back is not None:
        depth += 1
    warnings.warn(message, category, stacklevel=depth + 1)
