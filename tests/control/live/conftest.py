"""What all tests of the page share."""

import pytest

from chromium import started


@pytest.fixture(scope="package", autouse=True)
def many_connections():
    """Without the limit on new connections: a test makes one for each request."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("learnrate.control.live.connections.CONNECTIONS_A_SECOND", 10_000)
        yield


@pytest.fixture(scope="package")
def browser():
    """One for all tests that need one."""
    with started() as driver:
        yield driver
