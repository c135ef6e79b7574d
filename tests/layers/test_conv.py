import numpy as np
import pytest
from checks import awkward, max_error, relative_error, same_bits
from layer_checks import check_citizen, check_layer_gradients, randomise

import rnnfast as rf
from rnnfast.layers import Conv1D

SHAPES = [
    {},
    {"dilation": 2},
    {"stride": 2},
    {"stride": 3, "dilation": 2},
    {"causal": False},
    {"causal": False, "stride": 2, "dilation": 2},
]
shapes = pytest.mark.parametrize("options", SHAPES, ids=str)
LENGTHS = [9, 0, 4, 1]


def draw(*shape, dtype=np.float64, seed=1):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def make(size=3, dtype="float64", activation=None, **options):
    return randomise(Conv1D(5, 3, size, activation=activation, dtype=dtype, **options))


def by_loops(layer, x, lengths=None):
    """Output by output, step of the window by step."""
    weight, span = layer.params["weight"], layer.dilation * (layer.kernel_size - 1)
    reach = 0 if layer.causal else span
    counts = [max(0, -(-(n - reach) // layer.stride)) for n in (lengths if lengths else [x.shape[1]] * len(x))]
    y = np.zeros((len(x), max(0, -(-(x.shape[1] - reach) // layer.stride)), layer.out_channels))
    for row, count in enumerate(counts):
        for t in range(count):
            y[row, t] = layer.params["bias"] if layer.bias else 0
            for k in range(layer.kernel_size):
                at = t * layer.stride + reach - layer.dilation * (layer.kernel_size - 1 - k)
                if at >= 0:
                    y[row, t] += weight[:, :, k] @ x[row, at]
    return y


@shapes
@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("B", "T"), [(4, 9), (1, 8), (3, 1), (2, 0), (0, 5)])
def test_values(options, size, bias, B, T):
    layer, x = make(size, bias=bias, **options), draw(B, T, 5)
    wanted = by_loops(layer, x)
    assert layer.output_shape(x.shape) == wanted.shape
    for _, array in awkward(x) if x.size else [("", x)]:
        assert max_error(layer(array), wanted) < 1e-13
        assert max_error(layer.forward(array)[0][0], wanted) < 1e-13
    assert max_error(randomise(Conv1D(5, 3, size, bias=bias, **options))(x), wanted) < 1e-5


@shapes
def test_lengths(options):
    layer, x = make(3, **options), draw(4, 9, 5)
    wanted = by_loops(layer, x, LENGTHS)
    x[np.arange(9) >= np.array(LENGTHS)[:, None]] = np.nan
    (y, _), backward = layer.forward(x, lengths=LENGTHS)
    assert max_error(y, wanted) < 1e-13
    assert max_error(layer(x, lengths=LENGTHS), wanted) < 1e-13
    after = layer.output_lengths(LENGTHS)
    for row, length in enumerate(after):
        assert not y[row, length:].any()
        assert y[row, :length].all()
    layer.zero_grad()
    dx, _ = backward(np.ones_like(y))
    assert np.isfinite(layer.block.grad).all()
    assert layer.grads["bias"].tolist() == [after.sum()] * 3
    for row, length in enumerate(LENGTHS):
        assert np.isfinite(dx).all()
        assert not dx[row, length:].any()


@shapes
@pytest.mark.parametrize("lengths", [None, [7, 0, 5]])
@pytest.mark.parametrize("activation", [None, "tanh", ("elu", 0.5)])
def test_gradients(options, lengths, activation):
    check_layer_gradients(make(3, activation=activation, **options), draw(3, 7, 5), lengths=lengths)


@pytest.mark.parametrize("lengths", [None, [6, 0, 2]])
@pytest.mark.parametrize("T", [6, 1, 0])
def test_gradients_through_the_state(lengths, T):
    layer = make(3, dilation=2, activation="softplus")
    lengths = None if lengths is None else np.minimum(lengths, T)
    x, state = draw(3, T, 5), draw(3, 4, 5, seed=2)
    rng = np.random.default_rng(3)
    if T:
        check_layer_gradients(layer, x, state=state, lengths=lengths)
    # Without dx the rest is the same.
    found = []
    for need_dx in (True, False):
        (y, after), backward = layer.forward(x, state, lengths=lengths)
        rng = np.random.default_rng(3)
        mine = {}
        dx, dstate = backward(rng.standard_normal(y.shape), rng.standard_normal(after.shape), mine, need_dx)
        assert (dx is None) != need_dx
        found.append((dstate, mine["weight"], mine["bias"]))
    for a, b in zip(*found, strict=True):
        assert np.array_equal(a, b)


def test_one_unbatched_sequence():
    layer, x = make(3), draw(6, 5)
    assert np.array_equal(layer(x), layer(x[None])[0])
    assert np.array_equal(layer(x, lengths=4), layer(x[None], lengths=[4])[0])
    (y, state), backward = layer.forward(x, draw(2, 5))
    assert y.shape == (6, 3)
    assert np.array_equal(state, x[-2:])
    dx, dstate = backward(np.ones((6, 3)), np.ones((2, 5)))
    assert (dx.shape, dstate.shape) == ((6, 5), (2, 5))
    check_layer_gradients(layer, x, state=draw(2, 5))


@pytest.mark.parametrize("activation", [None, "relu", "tanh", "sigmoid", ("leaky_relu", 0.3)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("dilation", [1, 3])
def test_pieces_and_steps_have_the_bits_of_the_whole(activation, dtype, dilation):
    layer = make(4, dtype, activation, dilation=dilation)
    x = draw(3, 23, 5, dtype=dtype)
    y, end = layer.run(x)
    state, pieces = None, []
    for piece in np.split(x, [1, 2, 2, 9, 20], axis=1):
        part, state = layer.run(piece, state)
        pieces.append(part)
    assert same_bits(np.concatenate(pieces, axis=1), y)
    assert same_bits(state, end)
    stream = layer.stream(3)
    for t in range(23):
        assert same_bits(stream(x[:, t]).copy(), np.ascontiguousarray(y[:, t]))
    assert same_bits(stream.snapshot(), end)


def test_lengths_and_the_state_after():
    layer, x, state = make(3), draw(3, 5, 5), draw(3, 2, 5, seed=2)
    y, after = layer.run(x, state, lengths=[5, 1, 0])
    assert np.array_equal(after, [x[0, 3:], [state[1, 1], x[1, 0]], state[2]])
    assert np.array_equal(y[1, :1], layer.run(x[1:2, :1], state[1:2])[0][0])


def test_reset_snapshot_and_restore():
    layer, x = make(3, "float32"), draw(2, 8, 5, dtype=np.float32)
    stream, y = layer.stream(2), layer(x)
    for t in range(4):
        stream(x[:, t])
    kept = stream.snapshot()
    assert np.array_equal(kept, x[:, 2:4])
    assert same_bits(stream.run(x[:, 4:6]), np.ascontiguousarray(y[:, 4:6]))
    stream.restore(kept)
    assert same_bits(stream(x[:, 4]), np.ascontiguousarray(y[:, 4]))
    stream.reset([1])
    afresh = layer(x[:, 5:])
    assert np.array_equal(stream(x[:, 5]), [y[0, 5], afresh[1, 0]])
    stream.reset()
    assert np.array_equal(stream(x[:, 5]), afresh[:, 0])
    for wrong, error, message in (
        (None, TypeError, "state must be that of a Conv1D"),
        (np.zeros((2, 3, 5)), ValueError, r"\(2, 2, 5\), the last steps before x, got \(2, 3, 5\)"),
    ):
        with pytest.raises(error, match=message):
            stream.restore(wrong)
    assert np.array_equal(stream(x[:, 6]), afresh[:, 1])
    with pytest.raises(ValueError, match=r"\(2, 5\), one step of each sequence, got \(2, 4\)"):
        stream(np.zeros((2, 4)))
    alone = layer.stream()
    assert same_bits(alone(x[0, 0]), np.ascontiguousarray(y[:1, 0]))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_front_end_in_a_model(dtype):
    model = rf.Sequential(
        *(rf.Embedding(9, 5, dtype=dtype, seed=0), make(3, dtype, "tanh"), rf.GRU(3, 4, dtype=dtype, seed=1)),
        *(Conv1D(4, 2, 2, dilation=3, dtype=dtype, seed=2), rf.Linear(2, 3, dtype=dtype, seed=3)),
    )
    ids = np.random.default_rng(0).integers(0, 9, (2, 12))
    y, end = model.run(ids)
    assert [np.shape(part) for part in end] == [(2, 2, 5), (1, 2, 4), (2, 3, 4)]
    stream = model.stream(2)
    for t in range(5):
        assert same_bits(stream(ids[:, t]).copy(), np.ascontiguousarray(y[:, t]))
    kept = stream.snapshot()
    for t in range(5, 12):
        assert same_bits(stream(ids[:, t]).copy(), np.ascontiguousarray(y[:, t]))
    stream.restore(kept)
    assert same_bits(stream.run(ids[:, 5:]), np.ascontiguousarray(y[:, 5:]))
    assert all(map(same_bits, stream.snapshot(), end))
    pool = model.pool(4)
    pool.join()  # which pauses
    slots = [pool.join(), pool.join()]
    for t in range(5):
        assert same_bits(pool(ids[:, t], slots).copy(), np.ascontiguousarray(y[:, t]))
    assert same_bits(pool(ids[1:, 5], slots[1:]).copy(), y[1:, 5])
    assert same_bits(pool(ids[:1, 5], slots[:1]).copy(), y[:1, 5])
    pool.leave(slots[0])
    moved = pool.join(pool.snapshot(slots[1]))
    assert moved == slots[0]
    assert same_bits(pool(ids[[1, 1], 6], [moved, slots[1]]).copy(), y[[1, 1], 6])
    assert same_bits(pool(ids[:1, 0], [0]).copy(), y[:1, 0])


def test_gradients_of_a_model():
    model = rf.Sequential(
        *(
            make(3, activation="tanh"),
            rf.GRU(3, 4, dtype="float64", seed=1),
            Conv1D(4, 2, 2, stride=2, dtype="float64"),
        ),
        rf.MeanPool(),
    )
    check_layer_gradients(model, draw(3, 6, 5), lengths=[6, 3, 0])
    state = (draw(3, 2, 5, seed=4), draw(1, 3, 4, seed=5), ())
    check_layer_gradients(model, draw(3, 6, 5), state=state)


@shapes
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_citizen(options, dtype, tmp_path):
    layer = make(3, dtype, ("elu", 0.5), **options)
    check_citizen(layer, draw(4, 9, 5, dtype=dtype), tmp_path, lengths=LENGTHS)
    assert Conv1D(**layer.config()).config() == layer.config()
    assert Conv1D(2, 3, 4).config()["activation"] is None


def test_shapes_for_the_summary(capsys):
    model = rf.Sequential(Conv1D(3, 4, 5), Conv1D(4, 6, 2, stride=2, bias=False))
    model.summary()
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split()[2:] == ["(B,", "T,", "4)", "64"]
    assert lines[3].split()[2:] == ["(B,", "T',", "6)", "48"]
    assert Conv1D(3, 4, 5, causal=False).output_shape(("B", 9, 3)) == ("B", 5, 4)


def test_seeds_fix_the_first_weights():
    a, b, c = (Conv1D(20, 30, 3, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(a.params["weight"], b.params["weight"])
    assert not np.array_equal(a.params["weight"], c.params["weight"])
    limit = np.sqrt(6 / (3 * 50))
    assert 0.95 * limit < np.abs(a.params["weight"]).max() <= limit
    assert not a.params["bias"].any()


def test_backward_belongs_to_its_call():
    layer, x, dy = make(3, activation="tanh"), draw(2, 4, 5), draw(2, 4, 3)
    wanted, _ = layer.forward(x)[1](dy)
    (y, _), backward = layer.forward(x)
    y[...] = 7
    x[...] = 8
    assert np.array_equal(backward(dy)[0], wanted)
    with pytest.raises(RuntimeError, match="works once"):
        backward(dy)
    _, backward = layer.forward(x)
    layer.params["bias"] = np.zeros(3)
    with pytest.raises(RuntimeError, match="changed"):
        backward(dy)
    assert max_error(layer(x), np.tanh(by_loops(layer, x))) < 1e-13


@pytest.mark.parametrize(
    ("make_it", "error", "message"),
    [
        (lambda: Conv1D(0, 3, 2), ValueError, "in_channels must be at least 1"),
        (lambda: Conv1D(3, 3, 2.0), TypeError, "kernel_size must be a whole number"),
        (lambda: Conv1D(3, 3, 2, stride=0), ValueError, "stride must be at least 1"),
        (lambda: Conv1D(3, 3, 2, dilation=-1), ValueError, "dilation must be at least 1"),
        (lambda: Conv1D(3, 3, 2, activation="x"), ValueError, "activation must be one of"),
        (lambda: make()(np.zeros((2, 3, 4))), ValueError, r"\(B, T, 5\) or \(T, 5\), got \(2, 3, 4\)"),
        (lambda: make()(np.zeros(5)), ValueError, r"\(B, T, 5\) or \(T, 5\), got \(5,\)"),
        (lambda: make()(np.zeros((2, 3, 5)), lengths=[4, 1]), ValueError, "from 0 to 3"),
        (lambda: make()(np.zeros((2, 3, 5)), np.zeros((2, 5))), ValueError, r"state must have shape \(2, 2, 5\)"),
        (lambda: make(stride=2)(np.zeros((2, 3, 5)), np.zeros((2, 2, 5))), ValueError, r"state must be \(\)"),
        (lambda: make(stride=2).stream(), ValueError, "stride=2 cannot run step by step: it must be causal"),
        (lambda: make(causal=False).stream(), ValueError, "causal=False"),
        (lambda: make(causal=0), TypeError, "causal must be True or False, got 0"),
    ],
)
def test_bad_arguments(make_it, error, message):
    with pytest.raises(error, match=message):
        make_it()


@shapes
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 3e-6)])
def test_parity_with_torch(options, dtype, tolerance):
    torch = pytest.importorskip("torch")
    layer, x = make(4, dtype, "relu", **options), draw(3, 11, 5, dtype=dtype)
    tx = torch.tensor(x, requires_grad=True)
    weights = {name: torch.tensor(array.copy(), requires_grad=True) for name, array in layer.params.items()}
    padded = tx.transpose(1, 2)
    if layer.causal:
        padded = torch.nn.functional.pad(padded, (layer.span, 0))
    ty = torch.nn.functional.conv1d(
        padded, weights["weight"], weights["bias"], stride=layer.stride, dilation=layer.dilation
    )
    ty = torch.relu(ty).transpose(1, 2)
    (y, _), backward = layer.forward(x)
    assert relative_error(y, ty.detach().numpy()) < tolerance
    dy = draw(*y.shape, dtype=dtype, seed=2)
    ty.backward(torch.tensor(dy))
    assert relative_error(backward(dy)[0], tx.grad.numpy()) < tolerance
    for name, theirs in weights.items():
        assert relative_error(layer.grads[name], theirs.grad.numpy()) < tolerance
