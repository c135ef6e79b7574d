import numpy as np
import pytest
from layer_checks import check_layer_gradients, randomise

from rnnfast.layers import Embedding


@pytest.mark.parametrize("shape", [(), (4,), (2, 5), (2, 0), (0, 3), (2, 3, 4)])
def test_rows_of_the_table(shape):
    layer = Embedding(7, 3, seed=0)
    ids = np.random.default_rng(1).integers(0, 7, shape)
    wanted = np.array([layer.params["weight"][i] for i in ids.ravel()]).reshape(*shape, 3)
    assert np.array_equal(layer(ids), wanted)
    assert np.array_equal(layer.forward(ids)[0], wanted)


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64])
def test_every_integer_dtype_and_layout(kind):
    layer = Embedding(100, 3, seed=0)
    ids = np.random.default_rng(1).integers(0, 100, (3, 5)).astype(kind)
    wanted = layer(ids.tolist())
    spread = np.full((6, 10), 111, kind)
    spread[::2, ::2] = ids
    for array in (ids, np.asfortranarray(ids), spread[::2, ::2], ids.astype(ids.dtype.newbyteorder())):
        array.flags.writeable = False
        assert np.array_equal(layer(array), wanted)


def test_gradient_sums_repeated_ids():
    layer = randomise(Embedding(6, 4, dtype="float64"))
    ids = np.array([[5, 1, 1], [1, 0, 5]])
    check_layer_gradients(layer, ids)
    _, backward = layer.forward(ids)
    layer.zero_grad()
    dy = np.arange(24.0).reshape(2, 3, 4)
    assert backward(dy) is None
    wanted = np.zeros((6, 4))
    np.add.at(wanted, ids, dy)
    assert np.array_equal(layer.grads["weight"], wanted)
    assert not layer.grads["weight"][2:5].any()


def test_the_caller_may_write_to_the_ids():
    layer, ids = Embedding(4, 2, dtype="float64"), np.array([3, 3])
    _, backward = layer.forward(ids)
    ids[...] = 0
    backward(np.ones((2, 2)))
    assert layer.grads["weight"].tolist() == [[0, 0], [0, 0], [0, 0], [2, 2]]


def test_ids_beyond_the_end_may_be_anything():
    layer = randomise(Embedding(4, 2, dtype="float64"))
    ids, lengths = np.array([[1, 2, -1], [-5, 99, 7], [3, 0, 1]]), np.array([2, 0, 3])
    y = layer(ids, lengths=lengths)
    assert np.array_equal(y[0, :2], layer(ids[0, :2]))
    assert not y[0, 2].any()
    assert not y[1].any()
    check_layer_gradients(layer, ids, lengths=lengths)
    layer.zero_grad()
    layer.forward(ids, lengths=lengths)[1](np.ones((3, 3, 2)))
    assert layer.grads["weight"][:, 0].tolist() == [1, 2, 1, 1]


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        ([[0, 1], [10, 2]], ValueError, r"from 0 to 9, got 10 at \[1, 0\]"),
        ([3, -1], ValueError, r"got -1 at \[1\]"),
        (np.array([2**64 - 1], np.uint64), ValueError, "0 to 9"),
        ([1.0], TypeError, "integers, got dtype float64"),
        ([True], TypeError, "integers, got dtype bool"),
        (["a"], TypeError, "integers"),
    ],
)
def test_bad_ids(ids, error, message):
    layer = Embedding(10, 2)
    with pytest.raises(error, match=message):
        layer(ids)
    with pytest.raises(error, match=message):
        layer.forward(ids)


def test_bad_arguments_and_config():
    with pytest.raises(ValueError, match="num_embeddings"):
        Embedding(0, 2)
    with pytest.raises(TypeError, match="embedding_dim"):
        Embedding(3, "2")
    layer = Embedding(5, 2, dtype="float64", seed=1)
    assert Embedding(**layer.config()).config() == layer.config()
    assert layer.output_shape(("B", "T")) == ("B", "T", 2)
    assert np.array_equal(Embedding(5, 2, seed=1).params["weight"], layer.params["weight"].astype(np.float32))
