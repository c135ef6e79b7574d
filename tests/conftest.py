"""For all tests."""

import os
from pathlib import Path

import pytest

import rnnfast
from rnnfast.kernels import _threads

# Scripts that make the files beside them need what those come from.
collect_ignore_glob = ["golden/*"]


@pytest.fixture(autouse=True, scope="session")
def same_package_in_other_processes():
    """Interpreters that tests start import the rnnfast under test, not a checkout that they happen to stand in."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONSAFEPATH", "1")
        patch.setenv("PYTHONPATH", os.fspath(Path(rnnfast.__file__).parents[1]))
        yield


@pytest.fixture(autouse=True)
def keep_threads():
    """A test that sets the number of threads sets it for itself alone."""
    before = rnnfast.get_num_threads()
    yield
    rnnfast.set_num_threads(before)


@pytest.fixture
def always_divided():
    """Every call is divided among the threads, however small it is; at least one must have been."""
    before, calls = _threads._set_worth_a_thread(0.0), _threads._divided_calls()
    yield
    _threads._set_worth_a_thread(before)
    assert _threads._divided_calls() > calls
