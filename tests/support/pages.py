"""Runs the Python blocks of a page of the documentation, in order and in one namespace: also `python pages.py PAGE`."""

import contextlib
import os
import re
import sys
import types
import warnings
from pathlib import Path
from unittest import SkipTest

from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

from learnrate.errors import LearnrateWarning

ROOT = Path(__file__).parents[2]


SYBIL = Sybil(parsers=[PythonCodeBlockParser(), SkipParser()])


def pages():
    """All pages that have a block of Python, by their name: "README.md", "docs/extending.md"."""
    paths = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [str(path.relative_to(ROOT)) for path in paths if re.search(r"^\s*```python$", path.read_text(), re.MULTILINE)]


def needs_a_process_of_its_own(page):
    """Whether a page sets the environment, as the backend of Keras, which frameworks read when they are imported."""
    return "os.environ" in (ROOT / page).read_text()


def run(page):
    """Run a page in the current folder and return its names.

    A warning of learnrate is an error, unless the page catches it. Those of frameworks are not the subject of a page.
    """
    document = SYBIL.parse(ROOT / page)
    # A module of its own, which dataclasses, pickling and the like look up by name.
    module = types.ModuleType("page_" + re.sub(r"\W", "_", Path(page).stem))
    sys.modules[module.__name__] = module
    document.namespace = module.__dict__
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", LearnrateWarning)
        for example in document:
            with contextlib.suppress(SkipTest):
                example.evaluate()
    return document.namespace


def skipped_without_reason(page):
    """The lines of a page whose block is left out by a comment that does not say why."""
    return [
        example.line
        for example in SYBIL.parse(ROOT / page)
        if isinstance(example.parsed, tuple) and not any(example.parsed[1:])
    ]


if __name__ == "__main__":
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    run(sys.argv[1])
