"""The scenarios of Keras in the background: a process for each backend, which Keras takes when it is imported."""

import json
import os
import sys
from pathlib import Path

from background import Program

BACKENDS = ("torch", "jax")

SCENARIOS = Path(__file__).parents[1] / "keras" / "scenarios.py"


def programs(background, strict):
    """The scenarios of each backend.

    Args:
        background: Where they write to.
        strict: Whether a warning is an error, as in the tests themselves.
    """
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    options = ["-W", "error"] if strict else []
    return [
        Program(
            name(backend),
            [sys.executable, *options, str(SCENARIOS), backend, str(background.folder_of(name(backend)))],
            {"KERAS_BACKEND": backend, "PYTHONPATH": path},
        )
        for backend in BACKENDS
    ]


def name(backend):
    return f"keras-{backend}"


def facts(background, backend):
    """The facts of a backend by scenario."""
    background.ended(name(backend))
    return json.loads((background.folder_of(name(backend)) / f"{backend}.json").read_text())
