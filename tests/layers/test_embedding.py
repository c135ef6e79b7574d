import numpy as np
import pytest
from checks import relative_error
from layer_checks import check_layer_gradients, randomise, rebuilt

from rnnfast.layers import Embedding, Linear
from rnnfast.models import Sequential
from rnnfast.training import SGD, Adam


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
    with pytest.raises(ValueError, match=r"weights must have shape \(5, 2\).*got \(2, 5\)"):
        Embedding(5, 2, weights=np.zeros((2, 5)))
    with pytest.raises(TypeError, match="weights must hold real numbers"):
        Embedding(1, 2, weights=[["a", "b"]])
    for wrong in (5, -6):
        with pytest.raises(ValueError, match=f"padding_idx must be from -5 to 4, got {wrong}"):
            Embedding(5, 2, padding_idx=wrong)
    with pytest.raises(TypeError, match="padding_idx"):
        Embedding(5, 2, padding_idx=1.0)
    with pytest.raises(ValueError, match="word_dropout"):
        Embedding(5, 2, word_dropout=1.0)


def test_pretrained_vectors_are_copied():
    table = np.arange(12.0).reshape(4, 3)
    layer = Embedding(4, 3, weights=table, padding_idx=-2)
    assert layer.padding_idx == 2
    assert layer.params["weight"].tolist() == [[0, 1, 2], [3, 4, 5], [0, 0, 0], [9, 10, 11]]
    assert layer.dtype == np.float32
    table[...] = 7
    assert layer([1]).tolist() == [[3, 4, 5]]


def test_frozen_vectors_stay(tmp_path):
    model = Sequential(Embedding(6, 4, frozen=True, seed=0), Linear(4, 2, seed=0))
    kept = [array.copy() for array in model.params.values()]
    for again in (model, rebuilt(model, tmp_path)):
        (y, _), backward = again.forward([[0, 1, 5]])
        backward(np.ones_like(y))
        assert not again.grads["0.weight"].any()
        Adam(0.1).step(again)
        assert np.array_equal(again.params["0.weight"], kept[0])
        assert not np.array_equal(again.params["1.weight"], kept[1])
    model.layers[0].frozen = False
    (y, _), backward = model.forward([[0, 1, 5]])
    backward(np.ones_like(y))
    assert model.grads["0.weight"].any(axis=1).tolist() == [True, True, False, False, False, True]


def test_the_padding_symbol_is_never_trained(tmp_path):
    layer = Embedding(5, 3, padding_idx=3, dtype="float64", seed=0)
    ids = np.array([[3, 1, 3], [0, 1, 3]])
    assert not layer(ids)[ids == 3].any()
    assert layer(ids)[ids != 3].all()
    assert rebuilt(layer, tmp_path).padding_idx == 3
    layer.forward(ids)[1](np.ones((2, 3, 3)))
    assert layer.grads["weight"][:, 0].tolist() == [1, 2, 0, 0, 0]
    SGD(0.1, momentum=0.9, weight_decay=0.5).step(layer)
    assert not layer(ids)[ids == 3].any()


def test_word_dropout_drops_whole_symbols():
    layer = randomise(Embedding(2000, 3, word_dropout=0.3, dtype="float64"))
    ids = np.random.default_rng(2).integers(0, 2000, (40, 100))
    y, backward = layer.forward(ids, rng=4)
    kept = (y != 0).any(axis=-1)
    assert np.allclose(y[kept], layer(ids)[kept] / 0.7, rtol=1e-15)
    assert not y[~kept].any()
    dropped = np.zeros(2000, bool)
    dropped[ids[~kept]] = True
    assert not dropped[ids[kept]].any()
    assert abs(dropped.mean() - 0.3) < 0.04
    assert np.array_equal(layer.forward(ids[:3], rng=4)[0], y[:3])
    assert not np.array_equal(layer.forward(ids, rng=5)[0], y)
    assert np.array_equal(layer(ids), layer.params["weight"][ids])
    backward(np.ones_like(y))
    counts = np.bincount(ids.ravel(), minlength=2000)
    assert relative_error(layer.grads["weight"][:, 1], counts * ~dropped / 0.7) < 1e-14


def test_gradients_with_every_option():
    layer = randomise(Embedding(6, 4, padding_idx=0, word_dropout=0.5, dtype="float64"))
    ids, lengths = np.array([[5, 1, 2, 4], [3, 3, 9, 9]]), [4, 2]
    layer.params["weight"] = np.where(np.arange(6)[:, None] == 0, 0, layer.params["weight"])
    check_layer_gradients(layer, ids, lengths=lengths, rng=3)


@pytest.mark.parametrize("freeze", [False, True])
def test_parity_with_torch(freeze):
    torch = pytest.importorskip("torch")
    table = np.random.default_rng(0).standard_normal((7, 3)).astype(np.float32)
    table[2] = 0
    ids = np.array([[2, 1, 6, 1], [2, 2, 0, 3]])
    dy = np.random.default_rng(1).standard_normal((2, 4, 3)).astype(np.float32)
    layer = Embedding(7, 3, weights=table, frozen=freeze, padding_idx=2)
    theirs = torch.nn.Embedding.from_pretrained(torch.tensor(table), freeze=freeze, padding_idx=2)
    y, backward = layer.forward(ids)
    ty = theirs(torch.tensor(ids))
    backward(dy)
    wanted = np.zeros_like(table)
    if not freeze:
        ty.backward(torch.tensor(dy))
        wanted = theirs.weight.grad.numpy()
    assert np.array_equal(y, ty.detach().numpy())
    assert np.abs(layer.grads["weight"] - wanted).max() < 1e-6
