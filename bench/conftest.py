"""One thread for everybody: NumPy's BLAS reads its variables when it is imported."""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import pytest  # noqa: E402 - after the variables


def pytest_configure(config):
    config.addinivalue_line("markers", "full: a case of the whole suite, left out with -m 'not full'")


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    from rnnfast.cli._contestants import use_threads

    use_threads(1)
