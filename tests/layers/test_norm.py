import copy
import pickle
import threading

import numpy as np
import pytest
from checks import awkward, max_error, relative_error, same_bits
from layer_checks import check_citizen, check_layer_gradients, randomise, rebuilt

import rnnfast as rf
from rnnfast.layers import BatchNorm, LayerNorm
from rnnfast.training import SGD

KINDS = [LayerNorm, BatchNorm]
kinds = pytest.mark.parametrize("kind", KINDS, ids=["layer", "batch"])
LENGTHS = [4, 0, 2]


def draw(*shape, dtype=np.float64, seed=1):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) * rng.uniform(0.5, 3, shape[-1]) + rng.uniform(-2, 2, shape[-1])).astype(dtype)


def make(kind, size, dtype="float64", **options):
    layer = randomise(kind(size, dtype=dtype, **options))
    if layer.buffers:
        rng = np.random.default_rng(7)
        layer.buffers["running_mean"] = rng.uniform(-1, 1, size)
        layer.buffers["running_var"] = rng.uniform(0.5, 2, size)
    return layer


def by_loops(layer, x, lengths, training):
    """Step by step (or feature by feature), with Python's sums."""
    w, b, y = layer.params["weight"], layer.params["bias"], np.zeros(x.shape)
    places = [(r, t) for r in range(len(x)) for t in range(x.shape[1] if lengths is None else lengths[r])]
    for f in range(x.shape[2]):
        column = [x[r, t, f] for r, t in places]
        for r, t in places:
            if isinstance(layer, LayerNorm):
                values = list(x[r, t])
            elif training:
                values = column
            else:
                mean, variance = (layer.buffers[name][f] for name in ("running_mean", "running_var"))
                y[r, t, f] = w[f] * (x[r, t, f] - mean) / (variance + layer.eps) ** 0.5 + b[f]
                continue
            mean = sum(values) / len(values)
            variance = sum((v - mean) ** 2 for v in values) / len(values)
            y[r, t, f] = w[f] * (x[r, t, f] - mean) / (variance + layer.eps) ** 0.5 + b[f]
    return y


@kinds
@pytest.mark.parametrize("lengths", [None, LENGTHS])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-13), ("float32", 3e-6)])
def test_values(kind, lengths, dtype, tolerance):
    x = draw(3, 4, 5, dtype=dtype)
    layer = make(kind, 5, dtype)
    if lengths:
        x[1], x[2, 2:] = np.nan, np.inf  # what lies beyond has no say
    clean = np.where(np.isfinite(x), x, 0).astype(np.float64)
    for _, array in awkward(x):
        y = layer(array, lengths=lengths)
        assert y.dtype == dtype
        assert max_error(y, by_loops(layer, clean, lengths, False)) < tolerance
    wanted = by_loops(layer, clean, lengths, True)
    for _, array in awkward(x):
        y, backward = layer.forward(array, lengths=lengths)
        assert y.dtype == dtype
        assert max_error(y, wanted) < tolerance
        layer.zero_grad()
        dx = backward(np.ones_like(y))
        assert np.isfinite(dx).all()
        assert np.isfinite(layer.block.grad).all()
        assert layer.grads["bias"].tolist() == [12 if lengths is None else 6] * 5
        if lengths:
            assert not dx[1].any()
            assert not dx[2, 2:].any()


@kinds
@pytest.mark.parametrize(("shape", "lengths"), [((3, 4, 5), None), ((3, 4, 5), LENGTHS), ((4, 5), None), ((4, 3), [3])])
def test_gradients(kind, shape, lengths):
    check_layer_gradients(make(kind, shape[-1], eps=0.01), draw(*shape, seed=3), lengths=lengths)


def test_gradients_of_one_step():
    check_layer_gradients(make(LayerNorm, 5), draw(1, 1, 5))
    check_layer_gradients(make(LayerNorm, 5), draw(5))


def test_gradients_of_a_frozen_batch_norm():
    layer, x = make(BatchNorm, 5), draw(3, 4, 5)
    layer.frozen = True
    before = layer.buffer_block.data.copy()
    assert max_error(layer.forward(x, lengths=LENGTHS)[0], layer(x, lengths=LENGTHS)) < 1e-14
    check_layer_gradients(layer, x, lengths=LENGTHS)
    assert same_bits(layer.buffer_block.data, before)


@kinds
def test_a_constant_feature_and_far_from_zero(kind):
    layer = kind(4)
    y, backward = layer.forward(np.full((3, 2, 4), 7.0))
    assert not y.any()
    assert np.isfinite(backward(np.ones_like(y))).all()
    # A mean of a thousand deviations costs digits, but no more than float32's.
    x = draw(8, 50, 4) + 1000
    x = x.astype(np.float32).astype(np.float64)
    assert max_error(kind(4).forward(x)[0], kind(4, dtype="float64").forward(x)[0]) < 2e-3


def test_running_statistics():
    layer = make(BatchNorm, 5, momentum=0.25)
    x = draw(3, 4, 5)
    x[1], x[2, 2:] = np.nan, np.nan
    valid = np.concatenate([x[0], x[2, :2]])
    mean, variance = layer.buffers["running_mean"].copy(), layer.buffers["running_var"].copy()
    for _ in range(3):
        layer.forward(x, lengths=LENGTHS)
        mean = 0.75 * mean + 0.25 * valid.mean(axis=0)
        variance = 0.75 * variance + 0.25 * valid.var(axis=0, ddof=1)
    assert max_error(layer.buffers["running_mean"], mean) < 1e-14
    assert max_error(layer.buffers["running_var"], variance) < 1e-14
    before = layer.buffer_block.data.copy()
    layer(x, lengths=LENGTHS)
    assert same_bits(layer.buffer_block.data, before)


@pytest.mark.parametrize(("shape", "lengths"), [((0, 4, 5), None), ((3, 0, 5), None), ((2, 3, 5), [0, 0])])
@kinds
def test_no_steps(kind, shape, lengths):
    layer = make(kind, 5)
    before = [block.data.copy() for block in layer.buffer_blocks()]
    y, backward = layer.forward(np.full(shape, np.nan), lengths=lengths)
    assert y.shape == shape
    assert not y.any()
    assert not backward(np.ones(shape)).any()
    assert not layer.block.grad.any()
    assert not layer(np.full(shape, np.nan), lengths=lengths).any()
    assert all(map(same_bits, [block.data for block in layer.buffer_blocks()], before))


def test_what_is_not_finite_moves_nothing():
    layer = BatchNorm(2)
    layer.forward(np.array([[1.0, 2.0], [np.nan, 3.0]]))
    assert layer.buffers["running_mean"].tolist() == [0, 0]
    assert layer.buffers["running_var"].tolist() == [1, 1]


def test_one_step_moves_nothing():
    layer = make(BatchNorm, 5)
    before = layer.buffer_block.data.copy()
    y, backward = layer.forward(draw(1, 1, 5))
    assert np.array_equal(y.ravel(), layer.params["bias"])
    assert not backward(np.ones((1, 1, 5))).any()
    assert same_bits(layer.buffer_block.data, before)


def test_buffers_are_no_parameters():
    layer = BatchNorm(5)
    assert list(layer.params) == ["weight", "bias"]
    assert list(layer.buffers) == ["running_mean", "running_var"]
    assert layer.num_params == 10
    model = rf.Sequential(rf.Linear(3, 5), layer, BatchNorm(5), layer)
    assert list(model.buffers) == ["1.running_mean", "1.running_var", "2.running_mean", "2.running_var"]
    assert model.num_params == model.flat_data.size == 40
    assert dict(rf.Linear(2, 2).buffers) == {}
    before = model.buffers["1.running_var"].copy()
    model.flat_grad[...] = 1
    SGD(0.1, weight_decay=0.5).step(model)
    assert same_bits(model.buffers["1.running_var"], before)
    with pytest.raises(ValueError, match="read-only"):
        layer.buffers["running_mean"][0] = 1


@pytest.mark.parametrize("way", ["deepcopy", "pickle", "file"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_statistics_go_where_the_layer_goes(way, dtype, tmp_path):
    model = rf.Sequential(rf.Linear(3, 5, dtype=dtype, seed=0), make(BatchNorm, 5, dtype))
    x = draw(2, 4, 3, dtype=dtype)
    model.forward(x)
    again = {
        "deepcopy": lambda: copy.deepcopy(model),
        "pickle": lambda: pickle.loads(pickle.dumps(model)),
        "file": lambda: rebuilt(model, tmp_path),
    }[way]()
    assert {name: array.tolist() for name, array in again.buffers.items()} == {
        name: array.tolist() for name, array in model.buffers.items()
    }
    assert same_bits(again(x), model(x))
    wanted = model(x)
    again.forward(x)
    assert same_bits(model(x), wanted)
    assert not same_bits(again(x), wanted)


@kinds
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_citizen(kind, dtype, tmp_path):
    check_citizen(make(kind, 5, dtype), draw(3, 4, 5, dtype=dtype), tmp_path, lengths=LENGTHS)
    assert kind(5).config() == {**({"momentum": 0.1} if kind is BatchNorm else {}), "num_features": 5, "eps": 1e-5,
                                "dtype": "float32"}  # fmt: skip


@kinds
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_in_a_stream_and_a_pool(kind, dtype):
    model = rf.Sequential(rf.GRU(3, 5, seed=0, dtype=dtype), make(kind, 5, dtype), rf.Linear(5, 2, seed=1, dtype=dtype))
    x = draw(2, 6, 3, dtype=dtype)
    stream, pool, y = model.stream(2), model.pool(4), model(x)
    slots = [pool.join(), pool.join()]
    model.params["1.weight"] = np.zeros(5)  # a stream keeps what was
    model.forward(x)
    for t in range(6):
        assert same_bits(stream(x[:, t]).copy(), np.ascontiguousarray(y[:, t]))
        assert same_bits(pool(x[:, t], slots).copy(), np.ascontiguousarray(y[:, t]))
    alone = make(kind, 5, dtype)
    assert max_error(alone.stream()(np.arange(5)), alone(np.arange(5)[None])) < 1e-6
    with pytest.raises(ValueError, match=r"must have shape \(1, 5\)"):
        alone.stream()(np.zeros((1, 4)))


def test_a_stream_knows_that_statistics_changed():
    layer = make(BatchNorm, 5)
    stream = layer.stream(2)
    assert stream.run(draw(2, 3, 5)).shape == (2, 3, 5)
    layer.forward(draw(2, 3, 5))
    with pytest.raises(RuntimeError, match="changed since this stream"):
        stream.run(draw(2, 3, 5))


def test_threads_lose_no_update():
    layer, x = BatchNorm(3, momentum=0.5, dtype="float64"), np.random.default_rng(0).standard_normal((2, 2, 3))
    threads = [threading.Thread(target=lambda: [layer.forward(x) for _ in range(50)]) for _ in range(4)]
    version = layer.buffer_block.version
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert layer.buffer_block.version == version + 200
    assert max_error(layer.buffers["running_mean"], x.reshape(-1, 3).mean(axis=0)) < 1e-14


def test_summary_says_what_is_trained(capsys):
    model = rf.Sequential(
        rf.LSTM(50, 64), BatchNorm(64), rf.LSTM(64, 32), rf.Last(), rf.Linear(32, 1, activation="sigmoid")
    )
    model.summary()
    lines = capsys.readouterr().out.splitlines()
    assert lines[3].split() == ["1", "BatchNorm", "(B,", "T,", "64)", "256"]
    assert lines[-1] == "42,145 parameters: 42,017 trained, 128 not trained"
    model.layers[0].frozen = True
    model.summary()
    assert (
        capsys.readouterr().out.splitlines()[-1] == "42,145 parameters: 12,577 trained, 29,440 frozen, 128 not trained"
    )
    BatchNorm(4).summary()
    assert capsys.readouterr().out.splitlines()[-1] == "16 parameters: 8 trained, 8 not trained"


@pytest.mark.parametrize(
    ("make_it", "error", "message"),
    [
        (lambda: LayerNorm(0), ValueError, "num_features must be at least 1"),
        (lambda: BatchNorm(3, momentum=1.5), ValueError, "momentum must be from 0 to 1, got 1.5"),
        (lambda: BatchNorm(3, momentum=None), TypeError, "momentum must be a number"),
        (lambda: LayerNorm(3, eps=-1), ValueError, "eps must be at least 0 and finite"),
        (
            lambda: LayerNorm(3)(np.zeros((2, 4))),
            ValueError,
            r"LayerNorm: x must have shape \(\.\.\., 3\), got \(2, 4\)",
        ),
        (lambda: BatchNorm(3)(np.zeros((2, 4, 3)), lengths=[1, 5]), ValueError, "from 0 to 4"),
        (lambda: BatchNorm(3).forward([["a"] * 3]), TypeError, "real numbers"),
    ],
)
def test_bad_arguments(make_it, error, message):
    with pytest.raises(error, match=message):
        make_it()


@kinds
def test_backward_belongs_to_its_call(kind):
    layer, x = make(kind, 5), draw(2, 3, 5)
    _, backward = layer.forward(x)
    mine = {}
    assert backward(np.ones((2, 3, 5)), mine, need_dx=False) is None
    assert mine["bias"].tolist() == [6] * 5
    assert not layer.block.grad.any()
    _, backward = layer.forward(x)
    layer.params["bias"] = np.zeros(5)
    with pytest.raises(RuntimeError, match="changed"):
        backward(np.ones((2, 3, 5)))
    # Another forward call moves the statistics, which is no concern of this backward.
    wanted = layer.forward(x)[1](x)
    y, backward = layer.forward(x)
    layer.forward(x + 1)
    y[...] = 7
    assert same_bits(backward(x), wanted)


@kinds
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 3e-6)])
def test_parity_with_torch(kind, dtype, tolerance):
    torch = pytest.importorskip("torch")
    layer = make(kind, 5, dtype)
    x, dy = draw(3, 4, 5, dtype=dtype), draw(3, 4, 5, dtype=dtype, seed=2)
    valid = np.arange(4) < np.array(LENGTHS)[:, None]
    theirs = torch.nn.LayerNorm(5) if kind is LayerNorm else torch.nn.BatchNorm1d(5)
    theirs = theirs.to(getattr(torch, dtype))
    with torch.no_grad():
        for mapping in (layer.params, layer.buffers):
            for name, array in mapping.items():
                getattr(theirs, name).copy_(torch.tensor(array.copy()))
    for lengths, chosen in ((None, np.ones_like(valid)), (LENGTHS, valid)):
        tx = torch.tensor(x[chosen], requires_grad=True)
        theirs.train()
        theirs.zero_grad()
        ty = theirs(tx)
        ty.backward(torch.tensor(dy[chosen]))
        layer.zero_grad()
        y, backward = layer.forward(x, lengths=lengths)
        assert relative_error(y[chosen], ty.detach().numpy()) < tolerance
        assert relative_error(backward(dy)[chosen], tx.grad.numpy()) < 2 * tolerance
        for name in layer.params:
            assert relative_error(layer.grads[name], getattr(theirs, name).grad.numpy()) < tolerance
        for name in layer.buffers:
            assert relative_error(layer.buffers[name], getattr(theirs, name).numpy()) < tolerance
        theirs.eval()
        with torch.no_grad():
            assert relative_error(layer(x, lengths=lengths)[chosen], theirs(tx).numpy()) < tolerance
