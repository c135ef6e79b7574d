import numpy as np
import pytest
from checks import max_error
from layer_checks import randomise

from rnnfast.layers import LSTM, Conv1D, Embedding, Last, Linear
from rnnfast.models import Graph, Sequential


def tagger():
    return randomise(
        Sequential(Embedding(7, 3, dtype="float64"), LSTM(3, 4, dtype="float64"), Linear(4, 5, dtype="float64"))
    )


def classifier():
    return randomise(Sequential(LSTM(3, 4, dtype="float64"), Last(), Linear(4, 5, dtype="float64")))


def draw(N=11, T=6):
    rng = np.random.default_rng(0)
    lengths = rng.integers(0, T - 1, N)
    return rng.integers(0, 7, (N, T)), rng.standard_normal((N, T, 3)), lengths


@pytest.mark.parametrize("batch_size", [1, 4, 11, 100])
@pytest.mark.parametrize("ragged", [False, True])
def test_predict_equals_a_call(batch_size, ragged):
    ids, vectors, lengths = draw()
    lengths = lengths if ragged else None
    for model, x in ((tagger(), ids), (classifier(), vectors)):
        y = model.predict(x, lengths=lengths, batch_size=batch_size)
        wanted = model(x, lengths=lengths)
        assert y.shape == wanted.shape
        assert max_error(y, wanted) < 1e-15
    assert model.predict(vectors[:0], lengths=None if lengths is None else lengths[:0]).shape == (0, 5)


def several():
    graph = Graph({"a": ("B", "T", 3), "b": ("B", "S", 3)})
    steps = graph.add(LSTM(3, 4, seed=0), "a")
    graph.outputs(steps=steps, last=graph.add(Last(), graph.add(LSTM(3, 2, seed=1), "b")))
    return graph


def test_predict_takes_lists_for_several_inputs_and_outputs():
    _, vectors, lengths = draw()
    lengths[0], lengths[8] = 2, 5  # a later batch is longer
    lists = [each[:n] for each, n in zip(vectors, lengths, strict=True)]
    model = several()
    wanted = model({"a": vectors[:, :5], "b": vectors}, lengths={"a": lengths})
    found = model.predict({"a": lists, "b": vectors}, batch_size=4)
    assert {name: each.tolist() for name, each in found.items()} == {k: v.tolist() for k, v in wanted.items()}
    one = Graph({"a": ("B", "T", 3)})
    steps = one.add(LSTM(3, 4, seed=0), "a")
    one.outputs(steps=steps, last=one.add(Last(), steps))
    wanted, found = one(vectors, lengths=lengths), one.predict(lists, batch_size=4)
    assert np.array_equal(found["last"], wanted["last"])
    for row, whole, n in zip(found["steps"], wanted["steps"], lengths, strict=True):
        assert np.array_equal(row, whole[:n])


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_evaluate_is_exact_over_ragged_batches(batch_size):
    ids, _, lengths = draw()
    model, y = tagger(), np.random.default_rng(1).integers(0, 5, (11, 6))
    found = model.evaluate(ids, y, loss="cross_entropy", metrics=["accuracy"], lengths=lengths, batch_size=batch_size)
    logits, mask = model(ids), np.arange(6) < lengths[:, None]
    losses = np.log(np.exp(logits).sum(axis=-1)) - np.take_along_axis(logits, y[..., None], -1)[..., 0]
    assert found["loss"] == pytest.approx(losses[mask].mean(), rel=1e-13)
    assert found["accuracy"] == (logits.argmax(axis=-1) == y)[mask].mean()
    assert set(found) == {"loss", "accuracy"}


def test_models_that_shorten_time():
    rng = np.random.default_rng(4)
    model = Sequential(Conv1D(2, 3, 3, stride=2, seed=0), LSTM(3, 4, seed=1), Linear(4, 1, seed=2))
    lengths = np.array([6, 3, 0, 7, 4])
    x, y = rng.standard_normal((5, 7, 2)).astype(np.float32), rng.standard_normal((5, 4, 1)).astype(np.float32)
    whole, left = model(x, lengths=lengths), model.output_lengths(lengths)
    assert whole.shape == (5, 4, 1)
    assert left.max() == 4
    assert np.array_equal(model.predict(x, lengths=lengths, batch_size=2), whole)
    listed = model.predict([each[:n] for each, n in zip(x, lengths, strict=True)], batch_size=2)
    assert all(np.array_equal(a, b[:n]) for a, b, n in zip(listed, whole, left, strict=True))
    mask = np.arange(4) < left[:, None]
    found = model.evaluate(x, y, loss="mse", lengths=lengths, batch_size=2)["loss"]
    assert found == pytest.approx(np.square(whole - y)[mask].mean(), rel=1e-6)
    assert model.fit(x, y, loss="mse", lengths=lengths, batch_size=5, verbose=False).history["loss"][0] == (
        pytest.approx(found, rel=1e-6)
    )


def test_nothing_counts_gives_nan():
    ids, _, lengths = draw()
    found = tagger().evaluate(ids, ids % 5, loss="cross_entropy", lengths=0 * lengths)
    assert np.isnan(found["loss"])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"y": np.zeros((10, 6), int)}, ValueError, r"equally many sequences.*x \(11, 6\), y \(10, 6\)"),
        ({"lengths": np.full(11, 7)}, ValueError, "from 0 to 6"),
        ({"lengths": np.full(10, 1)}, ValueError, r"\(11,\)"),
        ({"lengths": np.full(11, 6), "y": np.zeros((11, 5), int)}, ValueError, "equally many steps"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"loss": "hinge"}, ValueError, "hinge"),
        ({"metrics": ["shine"]}, ValueError, "shine"),
        ({"x": 3}, ValueError, "first axis"),
    ],
)
def test_bad_arguments(arguments, error, message):
    ids, _, _ = draw()
    arguments = {"x": ids, "y": ids % 5, "loss": "cross_entropy", **arguments}
    with pytest.raises(error, match=message):
        tagger().evaluate(arguments.pop("x"), arguments.pop("y"), **arguments)
