"""What tests/conftest.py sets for the tests of the smoke part, without the frameworks that it imports."""

import hypothesis
import pytest

hypothesis.settings.register_profile("smoke", deadline=None, derandomize=True, max_examples=30)
hypothesis.settings.load_profile("smoke")


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    """Tests write nothing into the checkout."""
    monkeypatch.chdir(tmp_path)
