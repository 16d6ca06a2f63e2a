"""The scenarios run in processes of their own, with a backend each: pytest must not import them."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from keras_backends import BACKENDS, facts

collect_ignore = ["reporting.py", *(path.name for path in Path(__file__).parent.glob("*scenarios.py"))]


@pytest.fixture(scope="session")
def both_backends(background):
    """The facts of each backend."""
    for backend in BACKENDS:
        if not find_spec(backend):
            pytest.skip(f"no {backend}")
    return {backend: facts(background, backend) for backend in BACKENDS}


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
