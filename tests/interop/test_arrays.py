"""Other libraries' arrays in, NumPy's out: in place where the numbers are on the CPU."""

import numpy as np
import pytest

import rnnfast as rf
from rnnfast import ops


class Exchanged:
    """What has DLPack's protocol and no other."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()

    def __len__(self):
        return len(self.array)


def torch_tensor(array):
    return pytest.importorskip("torch").from_numpy(array)


def jax_array(array):
    jax = pytest.importorskip("jax")
    if array.dtype.itemsize == 8 and not jax.config.jax_enable_x64:
        array = array.astype(array.dtype.str[:2] + "4")
    return jax.numpy.asarray(array)


def address(value):
    return np.from_dlpack(value).__array_interface__["data"][0]


sources = pytest.mark.parametrize("make", [Exchanged, torch_tensor, jax_array])
rng = np.random.default_rng(0)
x, ids = rng.normal(size=(4, 6, 3)).astype("f"), rng.integers(0, 5, (4, 6))
lengths, labels = np.array([6, 2, 0, 3]), rng.integers(0, 2, 4)


@sources
def test_the_numbers_stay_where_they_are(make):
    given = make(x)
    found = ops.as_array(given)
    assert type(found) is np.ndarray
    assert found.__array_interface__["data"][0] == address(given)
    layer = rf.LSTM(3, 4, seed=0)
    seen, run = [], type(layer._levels[0]).forward
    patch = pytest.MonkeyPatch()
    with patch.context() as context:
        context.setattr(type(layer._levels[0]), "forward", lambda *args: seen.append(args[3]) or run(*args))
        y, _ = layer(given)
        (z, _), _ = layer.forward(given)
    assert [array.__array_interface__["data"][0] for array in seen] == [address(given)] * 2
    assert type(y) is type(z) is np.ndarray
    assert np.array_equal(y, layer(x)[0])


@sources
def test_every_entry_takes_them(make):
    lstm = rf.LSTM(3, 4, seed=0)
    want_y, state = lstm(x, lengths=lengths)
    y, after = lstm(make(x), tuple(map(make, (np.zeros((1, 4, 4), "f"),) * 2)), lengths=make(lengths))
    assert np.array_equal(y, want_y)
    assert np.array_equal(after.c, state.c)
    _, backward = lstm.forward(x)
    dx, _ = backward(make(want_y), grads={})
    assert np.array_equal(dx, lstm.forward(x)[1](want_y, grads={})[0])
    for layer, given in (
        (rf.Embedding(5, 3, seed=0), ids), (rf.Linear(3, 2, seed=0), x), (rf.LayerNorm(3), x),
        (rf.Conv1D(3, 2, 2, seed=0), x), (rf.GRUCell(3, 2, seed=0), x[:, 0]), (rf.Activation("tanh"), x),
    ):  # fmt: skip
        assert np.array_equal(layer(make(given)), layer(given))
    params = {name.removesuffix("_l0"): array for name, array in lstm.params.items()}
    assert np.array_equal(ops.forward("lstm", params, make(x))[0], lstm(x)[0])
    stream = lstm.stream(4)
    assert np.array_equal(stream(make(x[:, 0])).copy(), lstm(x[:, :1])[0][:, 0])
    lstm.params["bias_l0"] = make(np.full(16, 0.25, "f"))
    assert (lstm.params["bias_l0"] == 0.25).all()


@sources
def test_training_takes_them(make):
    def model():
        return rf.Sequential(rf.LSTM(3, 4, seed=0), rf.Last(), rf.Linear(4, 2, seed=1))

    ours, theirs = model(), model()
    settings = {"loss": "cross_entropy", "epochs": 2, "batch_size": 3, "seed": 0, "verbose": False}
    ours.fit(x, labels, **settings)
    theirs.fit(make(x), make(labels), **settings)
    assert np.array_equal(ours.flat_data, theirs.flat_data)
    predicted = theirs.predict(make(x))
    assert type(predicted) is np.ndarray
    assert np.array_equal(predicted, ours.predict(x))
    loss = {"loss": "cross_entropy"}
    assert ours.evaluate(x, labels, **loss) == theirs.evaluate(make(x), make(labels), **loss)
    theirs.train_on_batch(make(x), make(labels), loss="cross_entropy", optimizer="sgd")


def test_tensors_that_want_a_gradient_say_what_to_do():
    torch = pytest.importorskip("torch")
    wanting = torch.from_numpy(x).requires_grad_()
    with pytest.raises(RuntimeError, match=r"requires grad.*tensor\.detach\(\)"):
        rf.LSTM(3, 4)(wanting)
    assert rf.LSTM(3, 4)(wanting.detach())[0].shape == (4, 6, 4)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames(library):
    frames = pytest.importorskip(library)
    frame = frames.DataFrame(dict(zip("abc", x[0].T, strict=True)))
    layer = rf.GRU(3, 2, seed=0)
    assert np.array_equal(layer(frame)[0], layer(x[0])[0])
    linear = rf.Sequential(rf.Linear(3, 1, seed=0))
    target = frames.Series([float(v) for v in range(6)])
    linear.fit(frame, np.asarray(target)[:, None], loss="mse", epochs=1, verbose=False)
    assert linear.predict(frame).shape == (6, 1)
