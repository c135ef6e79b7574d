"""The linear map on arrays: its equation in any memory, and kind errors."""

import numpy as np
import pytest
from checks import awkward, dtypes, relative_error

import rnnfast as rf
from rnnfast import ops
from rnnfast.kernels import _threads
from rnnfast.kernels._linear import PackedMatrix


def draw(*shape, seed=0, dtype=np.float64):
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(dtype)


@pytest.fixture(params=[1, 2, 3, 7])
def divided(request):
    """Every call is divided among so many threads."""
    before = _threads._set_worth_a_thread(0)
    rf.set_num_threads(request.param)
    yield
    _threads._set_worth_a_thread(before)


@dtypes
@pytest.mark.parametrize(("N", "inputs", "outputs"), [(1, 1, 1), (2, 3, 5), (49, 17, 1), (130, 1, 33), (97, 70, 130)])
def test_equation_and_gradients(divided, N, inputs, outputs, dtype):
    x, weight, bias, dy = (draw(*shape) for shape in ((N, inputs), (outputs, inputs), (outputs,), (N, outputs)))
    wanted = [x @ weight.T + bias, dy @ weight, dy.T @ x, dy.sum(0)]
    x, weight, bias, dy = (array.astype(dtype) for array in (x, weight, bias, dy))
    got = [ops.linear(x, weight, bias), *ops.linear_backward(x, weight, dy)]
    for a, b in zip(got, wanted, strict=True):
        assert a.dtype == dtype
        assert relative_error(a, b) < (1e-12 if dtype == np.float64 else 1e-5)


def test_any_memory():
    x, weight, dy = draw(5, 7, 3), draw(4, 3), draw(5, 7, 4)
    y, gradients = ops.linear(x, weight), ops.linear_backward(x, weight, dy)
    for name, other in awkward(x):
        assert np.array_equal(ops.linear(other, weight), y), name
        for a, b in zip(ops.linear_backward(other, weight, dy), gradients, strict=True):
            assert np.array_equal(a, b), name
    for name, other in awkward(weight):
        assert np.array_equal(ops.linear(x, other), y), name
    for name, other in awkward(dy):
        for a, b in zip(ops.linear_backward(x, weight, other), gradients, strict=True):
            assert np.array_equal(a, b), name


def test_out_may_overlap_x():
    x, weight = draw(100, 3), draw(3, 3)
    wanted = ops.linear(x, weight)
    assert ops.linear(x, weight, out=x) is x
    assert np.array_equal(x, wanted)


WRONG = {
    "x": ({"x": np.zeros((2, 4))}, ValueError, "x must have shape"),
    "x of no axis": ({"x": 1.0}, ValueError, "x must have shape"),
    "x complex": ({"x": np.zeros((2, 3), complex)}, TypeError, "x must be real"),
    "integer weight": ({"weight": np.zeros((5, 3), np.int16)}, TypeError, "weight .*int16"),
    "flat weight": ({"weight": np.zeros(3)}, TypeError, "weight .*shape"),
    "empty weight": ({"weight": np.zeros((5, 0)), "x": np.zeros((2, 0))}, TypeError, "weight .*shape"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments(name):
    change, error, message = WRONG[name]
    arguments = {"x": np.zeros((2, 3)), "weight": np.zeros((5, 3)), **change}
    with pytest.raises(error, match=message):
        ops.linear(**arguments)
    with pytest.raises(error, match=message):
        ops.linear_backward(**arguments, dy=np.zeros((2, 5)))


@pytest.mark.parametrize("dy", [np.zeros((3, 5)), np.zeros((2, 4)), np.zeros(5)])
def test_wrong_gradient(dy):
    with pytest.raises(ValueError, match="dy must have shape"):
        ops.linear_backward(np.zeros((2, 3)), np.zeros((5, 3)), dy)


@pytest.mark.parametrize("out", [np.zeros((2, 4)), np.zeros((2, 5), "f"), np.zeros((5, 2)).T, [0.0]])
def test_wrong_out(out):
    with pytest.raises((TypeError, ValueError), match="out must be"):
        ops.linear(np.zeros((2, 3)), np.zeros((5, 3)), out=out)


@pytest.mark.parametrize("other", [np.zeros((300, 5)), np.zeros((3, 500)), np.zeros((3, 5), "f")])
def test_packed_of_another_matrix_is_refused(other):
    with pytest.raises(ValueError, match="packed"):
        ops.linear(np.zeros((2, 3)), np.zeros((5, 3)), packed=PackedMatrix(other, None))


@dtypes
@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
def test_activation_of_a_packed_matrix(divided, activation, dtype):
    """Of each number by itself: the same bits whatever rows and columns are beside it; NaN goes through."""
    x, weight, bias = draw(130, 5, dtype=dtype), draw(37, 5, dtype=dtype), draw(37, dtype=dtype)
    x[7] = np.nan
    a = ops.linear(x, weight, bias)
    function = {"relu": lambda a: np.where(a < 0, 0, a), "tanh": np.tanh, "sigmoid": lambda a: 1 / (1 + np.exp(-a))}
    wanted = function[activation](a.astype(np.float64))
    y = ops.linear(x, weight, packed=PackedMatrix(weight.T, bias, activation))
    assert np.isnan(y[7]).all()
    np.testing.assert_allclose(y, wanted, rtol=0, atol=1e-15 if dtype == np.float64 else 3e-7)
    few = ops.linear(x[3:8, :], weight[11:], packed=PackedMatrix(weight[11:].T, bias[11:], activation))
    assert few.tobytes() == y[3:8, 11:].tobytes()


def test_unknown_activation():
    with pytest.raises(ValueError, match="'softmax'"):
        PackedMatrix(np.zeros((3, 5)), None, "softmax")
