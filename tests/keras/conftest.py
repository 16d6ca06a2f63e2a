"""The scenarios run in processes of their own, with a backend each: pytest must not import them."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

collect_ignore = ["reporting.py", *(path.name for path in Path(__file__).parent.glob("*scenarios.py"))]

SCENARIOS = Path(__file__).with_name("scenarios.py")
SUPPORT = Path(__file__).parents[1] / "support"
BACKENDS = ("torch", "jax")
LIMIT = 1200
"""Seconds that a process may take: half a minute, but much longer on a busy machine."""


@pytest.fixture(scope="session")
def both_backends(tmp_path_factory, pytestconfig):
    """The facts of each backend. One process after the other: a second worker of the tests has the other core."""
    for backend in BACKENDS:
        if not find_spec(backend):
            pytest.skip(f"no {backend}")
    folder = tmp_path_factory.mktemp("keras")
    # As in pytest itself: warnings are errors, but not with the oldest versions.
    strict = ["-W", "error"] if "error" in pytestconfig.getini("filterwarnings") else []
    return {backend: run(backend, folder, strict) for backend in BACKENDS}


def run(backend, folder, strict):
    path = os.pathsep.join([str(SUPPORT), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, *strict, str(SCENARIOS), backend, str(folder)],
        env=os.environ | {"KERAS_BACKEND": backend, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads((folder / f"{backend}.json").read_text())


@pytest.fixture(params=BACKENDS)
def backend(request):
    return request.param


@pytest.fixture
def outcome(both_backends, backend):
    """The facts of a scenario by its name."""

    def of(scenario):
        shown = both_backends[backend][scenario]
        assert "Traceback" not in str(shown.get("failed")), shown["failed"]
        return shown

    return of
