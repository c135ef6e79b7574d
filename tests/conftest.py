"""For all tests."""

import os
from pathlib import Path

import pytest

import rnnfast


@pytest.fixture(autouse=True, scope="session")
def same_package_in_other_processes():
    """Interpreters that tests start import the rnnfast under test, not a checkout that they happen to stand in."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONSAFEPATH", "1")
        patch.setenv("PYTHONPATH", os.fspath(Path(rnnfast.__file__).parents[1]))
        yield
