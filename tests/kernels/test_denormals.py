"""Subnormal numbers count as zero inside a kernel, on every thread, and as themselves again after it."""

import platform

import numpy as np
import pytest

from rnnfast.kernels import _threads

pytestmark = pytest.mark.skipif(
    platform.machine().lower() not in {"x86_64", "amd64", "arm64", "aarch64"}, reason="no flush mode on this processor"
)

LEAST_NORMAL = float(np.finfo(np.float64).tiny)
SUBNORMAL = LEAST_NORMAL / 4


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize(
    ("first", "second", "product"),
    [
        pytest.param(LEAST_NORMAL, 0.25, SUBNORMAL, id="result"),
        pytest.param(SUBNORMAL, 4.0, LEAST_NORMAL, id="operand"),
    ],
)
def test_flushed_inside_and_restored_after(threads, first, second, product):
    _threads.set_num_threads(threads)
    _, seen, products = _threads._self_test(threads, wait=20.0, factors=(first, second))
    assert len(np.unique(seen)) == threads
    np.testing.assert_array_equal(products, [[product, 0.0, product]] * threads)


def test_normal_numbers_are_untouched():
    _, _, products = _threads._self_test(1, factors=(LEAST_NORMAL, 1.5))
    np.testing.assert_array_equal(products, np.full((1, 3), 1.5 * LEAST_NORMAL))


def test_the_callers_mode_is_numpys():
    _threads.set_num_threads(2)
    _threads._self_test(2, wait=20.0, factors=(LEAST_NORMAL, 0.25))
    x = np.full(9, LEAST_NORMAL)
    np.testing.assert_array_equal((x * 0.25) * 4.0, x)
