import copy
import pickle
import threading

import numpy as np
import pytest
from layer_checks import check_layer_gradients, flatten, randomise

from rnnfast.layers import GRU, LSTM, Dropout, Embedding, Last, Linear
from rnnfast.layers._base import Layer
from rnnfast.layers._block import contiguous_runs
from rnnfast.models import Sequential


def tagger(dtype="float64"):
    """Integers to a score a step, through two recurrent layers of different widths."""
    return randomise(
        Sequential(
            Embedding(7, 3, dtype=dtype), LSTM(3, 4, dtype=dtype), LSTM(4, 2, dtype=dtype), Linear(2, 3, dtype=dtype)
        )
    )


def classifier(dtype="float64"):
    """Sequences of vectors to one score, from both directions."""
    return randomise(Sequential(LSTM(3, 2, bidirectional=True, dtype=dtype), Last(), Linear(4, 2, dtype=dtype)))


def vectors(B=3, T=5, F=3):
    return np.random.default_rng(5).standard_normal((B, T, F))


def tokens(B=3, T=5):
    return np.random.default_rng(5).integers(0, 7, (B, T))


def test_calls_its_layers_one_after_another():
    model, x, lengths = classifier(), vectors(), [5, 0, 2]
    lstm, last, linear = model.layers
    wanted = linear(last(lstm(x, lengths=lengths)[0], lengths=lengths))
    assert np.array_equal(model(x, lengths=lengths), wanted)
    (y, state), _ = model.forward(x, lengths=lengths)
    assert np.array_equal(y, wanted)
    assert len(state) == 1
    assert np.array_equal(state[0][0], lstm(x, lengths=lengths)[1][0])


@pytest.mark.parametrize("lengths", [None, [5, 0, 2]])
def test_gradients(lengths):
    check_layer_gradients(classifier(), vectors(), lengths=lengths)
    check_layer_gradients(tagger(), tokens(), lengths=lengths)


def test_gradients_with_state_and_dropout():
    model = randomise(
        Sequential(
            LSTM(3, 2, dtype="float64"),
            Dropout(0.4),
            Sequential(LSTM(2, 3, dtype="float64"), Linear(3, 2, dtype="float64")),
        )
    )
    _, state = model.run(vectors())
    assert isinstance(state[1], tuple)
    check_layer_gradients(model, vectors(), state=state, rng=3)


def test_state_carries_a_sequence_across_calls():
    model, x = tagger(), tokens(2, 9)
    whole, end = model.run(x)
    first, state = model.run(x[:, :4])
    second, state = model.run(x[:, 4:], state)
    assert np.array_equal(np.concatenate([first, second], axis=1), whole)
    for a, b in zip(flatten(state), flatten(end), strict=True):
        assert np.array_equal(a, b)
    (second_again, _), _ = model.forward(x[:, 4:], model.forward(x[:, :4])[0][1])
    assert np.array_equal(second_again, second)
    assert np.array_equal(model(x[:, 4:], model.run(x[:, :4])[1]), second)


def test_a_model_without_state():
    model = Sequential(Linear(3, 2), Linear(2, 1))
    (y, state), backward = model.forward(np.ones((4, 3)))
    assert state == ()
    dx, dstate = backward(np.ones((4, 1)), ())
    assert dx.shape == (4, 3)
    assert dstate == ()
    assert np.array_equal(y, model(np.ones((4, 3))))


def test_parameters_lie_in_one_flat_buffer():
    model = tagger("float32")
    assert model.flat_data.shape == model.flat_grad.shape == (model.num_params,)
    assert model.num_params == sum(array.size for array in model.params.values())
    assert np.array_equal(model.flat_data, np.concatenate([array.ravel() for array in model.params.values()]))
    model.flat_data[-1] = 12
    assert model.params["3.bias"][-1] == 12
    assert next(iter(model.params)) == "0.weight"
    assert "1.weight_ih_l0" in model.params
    model.layers[3].grads["bias"] += 1
    assert model.flat_grad[-3:].tolist() == [1, 1, 1]
    model.zero_grad()
    assert not model.flat_grad.any()


def test_a_shared_layer_counts_once():
    shared = Linear(3, 3, activation="tanh", dtype="float64")
    model = randomise(Sequential(shared, Linear(3, 3, dtype="float64"), shared))
    assert model.num_params == 24
    assert list(model.params) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    check_layer_gradients(model, vectors()[0])


def test_a_layer_may_move_to_another_model():
    shared, a, b = (Linear(2, 2, dtype="float64", seed=seed) for seed in range(3))
    before = shared.params["weight"].copy()
    first, second = Sequential(a, shared), Sequential(shared, b)
    assert len(list(contiguous_runs(first.blocks()))) == 2
    assert second.flat_data.size == 12
    with pytest.raises(RuntimeError, match="moved to another model"):
        first.flat_data  # noqa: B018
    assert np.array_equal(shared.params["weight"], before)
    x = np.ones((1, 2))
    assert np.array_equal(first(x), shared(a(x)))
    _, backward = first.forward(x)
    backward(x)
    assert second.grads["0.bias"].tolist() == [1, 1]


def test_a_model_inside_a_model():
    inner = Sequential(Linear(4, 3, dtype="float64"), Linear(3, 2, dtype="float64"))
    outer = Sequential(Linear(5, 4, dtype="float64"), inner)
    assert list(outer.params) == ["0.weight", "0.bias", "1.0.weight", "1.0.bias", "1.1.weight", "1.1.bias"]
    assert np.shares_memory(inner.flat_data, outer.flat_data)
    assert inner.flat_data.size == 23
    outer.params["1.0.bias"] = [1, 2, 3]
    assert inner.params["0.bias"].tolist() == [1, 2, 3]
    check_layer_gradients(randomise(outer), np.random.default_rng(0).standard_normal((2, 5)))


def test_last_learns_its_directions():
    assert classifier().layers[1].directions == 2
    last = [Last() for _ in range(4)]
    Sequential(LSTM(3, 2, bidirectional=True), Dropout(0.1), last[0])
    Sequential(LSTM(3, 2, bidirectional=True), Linear(4, 4), last[1])
    Sequential(LSTM(3, 2, bidirectional=True), Sequential(Dropout(0.1), last[2]))
    Sequential(Sequential(Dropout(0.1), LSTM(3, 2, bidirectional=True)), last[3])
    assert [layer.directions for layer in last] == [2, 1, 2, 2]
    with pytest.raises(ValueError, match="of its own"):
        Sequential(LSTM(3, 2), last[0])


@pytest.mark.parametrize("copier", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_are_laid_out_anew(copier):
    model, x = classifier(), vectors()
    other = copier(model)
    assert np.array_equal(model(x), other(x))
    assert not np.shares_memory(model.flat_data, other.flat_data)
    assert other.flat_data.size == other.num_params
    other.params["2.bias"] = [5, 5]
    assert model.params["2.bias"][0] != 5
    shared = Linear(2, 2)
    twice = copier(Sequential(shared, shared))
    assert twice.layers[0] is twice.layers[1]
    assert twice.num_params == 6


def test_masks_follow_from_the_key_and_the_position():
    model = Sequential(Dropout(0.5), Dropout(0.5))
    x = np.ones((40, 50))
    (y, _), _ = model.forward(x, rng=1)
    assert np.array_equal(model.forward(x, rng=np.random.default_rng(1))[0][0], y)
    # Two layers of one mask would keep a half, two masks keep a quarter.
    assert abs((y != 0).mean() - 0.25) < 0.04
    longer = Sequential(Dropout(0.5), Dropout(0.5), Linear(50, 50, dtype="float64"))
    longer.params["2.weight"] = np.eye(50)
    assert np.array_equal(longer.forward(x, rng=1)[0][0], y)


def test_backward_works_once_and_all_or_nothing():
    model, x = classifier(), vectors()
    (y, _), backward = model.forward(x)
    with pytest.raises(ValueError, match=r"shape of y, \(3, 2\), got \(3, 3\)"):
        backward(np.ones((3, 3)))
    with pytest.raises(ValueError, match="dstate must be a tuple"):
        backward(y, [1])
    backward(y)
    kept = model.flat_grad.copy()
    with pytest.raises(RuntimeError, match="works once"):
        backward(y)
    _, backward = model.forward(x)
    model.params["2.bias"] = [0, 0]
    with pytest.raises(RuntimeError, match="changed"):
        backward(y)
    assert np.array_equal(model.flat_grad, kept)


class Interrupting(Layer):
    """Passes x through; Ctrl-C comes during its backward."""

    def __call__(self, x, *, lengths=None):
        return x

    def forward(self, x, *, lengths=None, rng=None):
        def backward(dy, grads=None, need_dx=True):
            raise KeyboardInterrupt

        return x, backward


def test_an_interrupted_backward_leaves_the_gradients():
    model = Sequential(Linear(2, 2), Interrupting(), Linear(2, 2))
    model.flat_grad[...] = np.arange(12)
    (y, _), backward = model.forward(np.ones((1, 2)))
    with pytest.raises(KeyboardInterrupt):
        backward(y)
    assert model.flat_grad.tolist() == list(range(12))


def test_gradients_into_a_mapping():
    model, x = classifier(), vectors()
    (y, _), backward = model.forward(x)
    mine = {}
    backward(np.ones_like(y), grads=mine)
    assert not model.flat_grad.any()
    model.forward(x)[1](np.ones_like(y), grads=mine)
    model.forward(x)[1](np.ones_like(y), need_dx=False)
    for name, gradient in model.grads.items():
        assert np.array_equal(mine[name], 2 * gradient)


def test_many_threads_in_one_model():
    model, x = classifier(), vectors()
    y = model(x)
    wanted = model.forward(x)[1](y)[0]
    single = model.flat_grad.copy()
    model.zero_grad()
    found = []

    def work():
        for _ in range(5):
            found.append(model.forward(x)[1](y)[0])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(found) == 20
    assert all(np.array_equal(dx, wanted) for dx in found)
    assert np.allclose(model.flat_grad, 20 * single, rtol=1e-12)


def test_summary_and_repr(capsys):
    model = classifier()
    model.summary()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["Layer", "Output", "shape", "Parameters"]
    assert [line.split("  ")[0].strip() for line in lines[2:5]] == ["0 LSTM", "1 Last", "2 Linear"]
    assert "(B, T, 4)" in lines[2]
    assert "(B, 4)" in lines[3]
    assert "(B, 2)" in lines[4]
    assert lines[-1] == f"{model.num_params} parameters"
    assert repr(Sequential(Dropout(0.5), Last())) == "Sequential(Dropout(p=0.5), Last(directions=None))"
    assert model.output_shape(model.input_shape) == ("B", 2)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Sequential(), ValueError, "at least one layer"),
        (lambda: Sequential(Linear(2, 2), "tanh"), TypeError, "layer 1 must be a Layer, got str"),
        (
            lambda: Sequential(Embedding(9, 4), Dropout(0.1), LSTM(5, 2)),
            ValueError,
            r"layer 2 \(LSTM\) takes 5 features, layer 1 \(Dropout\) gives 4",
        ),
        (lambda: Sequential(Linear(2, 2), Linear(2, 2, dtype="float64")), ValueError, "one dtype.*float32.*float64"),
        (lambda: tagger()(tokens(), state=[1, 2]), ValueError, "state must be a tuple.*2 entries, got list"),
        (lambda: tagger().forward(tokens(), (None,)), ValueError, "2 entries, got a tuple of 1"),
        (lambda: tagger().evaluate(tokens(), tokens()), ValueError, "evaluate needs loss="),
    ],
)
def test_bad_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_what_a_model_remembers_of_its_layers_is_not_copied():
    model, x = Sequential(GRU(3, 4, seed=0), Linear(4, 2, seed=1)), np.ones((2, 5, 3), np.float32)
    model.blocks().clear()
    assert model.num_params == model.flat_data.size == 3 * 4 * 8 + 4 + 10
    model.forward(x)[1](np.ones((2, 5, 2)))
    wanted = model.flat_grad.copy()
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        again.zero_grad()
        again.forward(x)[1](np.ones((2, 5, 2)))
        assert np.array_equal(again.flat_grad, wanted)
        assert np.array_equal(model.flat_grad, wanted)
        assert not {id(block) for block in again.blocks()} & {id(block) for block in model.blocks()}
