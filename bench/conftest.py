"""One thread for everybody: NumPy's BLAS reads its variables when it is imported."""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import pytest  # noqa: E402 - after the variables

# Commands of their own, which import what they compare with.
collect_ignore = ["epochs.py", "options.py", "seq2seq.py", "torch_modules.py"]


def pytest_configure(config):
    config.addinivalue_line("markers", "full: a case of the whole suite, left out with -m 'not full'")


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    from rnnfast import set_num_threads

    set_num_threads(1)


@pytest.fixture
def race(benchmark):
    """Compare what a call returns with the exact arrays, then time it in its group."""
    import numpy as np

    def run(group, call, expected):
        found = call()
        if not isinstance(expected, (list, tuple)):
            found, expected = [found], [expected]
        for array, exact in zip(found, expected, strict=True):
            assert np.shape(array) == np.shape(exact)
            assert np.abs(array - exact).max() < 1e-4 * max(1.0, np.abs(exact).max())
        benchmark.group = group
        benchmark(call)

    return run
