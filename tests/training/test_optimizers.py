import copy

import numpy as np
import pytest
from checks import relative_error
from layer_checks import randomise

from rnnfast.layers import Embedding, Linear
from rnnfast.models import Sequential
from rnnfast.training import SGD, Adam
from rnnfast.training.optimizers import find_optimizer

CASES = {
    "sgd": (lambda: SGD(0.1), lambda t, p: t.optim.SGD(p, 0.1)),
    "momentum": (
        lambda: SGD(0.1, momentum=0.9, weight_decay=0.02),
        lambda t, p: t.optim.SGD(p, 0.1, momentum=0.9, weight_decay=0.02),
    ),
    "nesterov": (
        lambda: SGD(0.1, momentum=0.8, nesterov=True),
        lambda t, p: t.optim.SGD(p, 0.1, momentum=0.8, nesterov=True),
    ),
    "adam": (
        lambda: Adam(0.01, 0.8, 0.95, 1e-6, weight_decay=0.1),
        lambda t, p: t.optim.Adam(p, 0.01, (0.8, 0.95), 1e-6, 0.1),
    ),
    "adamw": (
        lambda: Adam(0.01, weight_decay=0.1, decoupled=True),
        lambda t, p: t.optim.AdamW(p, 0.01, weight_decay=0.1),
    ),
}


def model(dtype="float64", seed=0):
    return randomise(Sequential(Embedding(5, 3, dtype=dtype), Linear(3, 4, dtype=dtype)), seed)


def set_gradients(model, step):
    rng = np.random.default_rng(step)
    for name, gradient in model.grads.items():
        model.grads[name] = rng.standard_normal(gradient.shape)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("clip_norm", [None, 3.0])
@pytest.mark.parametrize("case", CASES)
def test_parity_with_torch_over_twenty_steps(case, clip_norm, dtype):
    torch = pytest.importorskip("torch")
    ours, (make, make_theirs) = model(dtype), CASES[case]
    optimizer = make()
    optimizer.clip_norm = clip_norm
    theirs = [torch.nn.Parameter(torch.from_numpy(array.copy())) for array in ours.params.values()]
    their_optimizer = make_theirs(torch, theirs)
    clipped = 0
    for step in range(20):
        set_gradients(ours, step)
        for parameter, gradient in zip(theirs, ours.grads.values(), strict=True):
            parameter.grad = torch.from_numpy(gradient.copy())
        norm = optimizer.step(ours)
        if clip_norm is not None:
            assert norm == pytest.approx(torch.nn.utils.clip_grad_norm_(theirs, clip_norm).item(), rel=1e-6)
            clipped += norm > clip_norm
        their_optimizer.step()
    assert clip_norm is None or clipped > 10
    for parameter, array in zip(theirs, ours.params.values(), strict=True):
        # torch adds 1e-6 to the norm that it divides by.
        assert relative_error(array, parameter.detach().numpy()) < (5e-6 if dtype == "float32" or clip_norm else 1e-12)


def test_sgd_by_hand():
    layer = randomise(Linear(2, 1, dtype="float64"))
    before = layer.block.data.copy()
    layer.block.grad[...] = [3, 0, 4]
    assert SGD(0.5, clip_norm=1.0).step(layer) == 5.0
    assert np.allclose(before - layer.block.data, [0.3, 0, 0.4], rtol=1e-14)
    assert layer.block.grad.tolist() == [3, 0, 4]


def test_adams_first_step_has_the_size_of_the_learning_rate():
    layer = randomise(Linear(2, 1, dtype="float64"))
    before = layer.block.data.copy()
    layer.block.grad[...] = [1e-3, -50, 2]
    Adam(0.01, epsilon=0).step(layer)
    assert np.allclose(layer.block.data - before, [-0.01, 0.01, -0.01], rtol=1e-12)


@pytest.mark.parametrize("make", [lambda: SGD(0.1, momentum=0.9), lambda: Adam(0.1)])
def test_frozen_blocks_stay_and_do_not_count(make):
    net = randomise(Sequential(*(Linear(3, 3, dtype="float64") for _ in range(4))))
    net.layers[1].frozen = True
    before = {name: array.copy() for name, array in net.params.items()}
    free, optimizer = copy.deepcopy(net), make()
    for step in range(3):
        net.flat_grad[...] = np.random.default_rng(step).standard_normal(net.num_params)
        counted = [net.grads[name] for name in net.grads if not name.startswith("1.")]
        assert optimizer.step(net) == pytest.approx(np.sqrt(sum((g**2).sum() for g in counted)), rel=1e-12)
    for name, array in net.params.items():
        assert np.array_equal(array, before[name]) == name.startswith("1.")
    # What is not frozen moves as it does when nothing is.
    free.layers[1].frozen = False
    other = make()
    for step in range(3):
        free.flat_grad[...] = np.random.default_rng(step).standard_normal(net.num_params)
        other.step(free)
    for name in net.params:
        assert np.array_equal(net.params[name], free.params[name]) != name.startswith("1.")


@pytest.mark.parametrize("make", [lambda: SGD(0.1, momentum=0.9, weight_decay=0.1), lambda: Adam(0.1, clip_norm=2.0)])
def test_frozen_parameters_stay_and_do_not_count(make):
    net = randomise(Sequential(*(Linear(3, 3, dtype="float64") for _ in range(3))))
    net.freeze("0.weight", "1.bias", "2.weight")
    before = {name: array.copy() for name, array in net.params.items()}
    optimizer, other = make(), make()
    learning = [name for name in net.params if name not in net.frozen_names]
    assert learning == ["0.bias", "1.weight", "2.bias"]
    flat = np.concatenate([before[name].ravel() for name in learning])
    small = Linear(14, 1, bias=True, dtype="float64")
    small.block.data[...] = flat
    for step in range(3):
        set_gradients(net, step)
        small.block.grad[...] = np.concatenate([net.grads[name].ravel() for name in learning])
        assert optimizer.step(net) == pytest.approx(other.step(small), rel=1e-14)
    for name in net.frozen_names:
        assert np.array_equal(net.params[name], before[name])
    now = np.concatenate([net.params[name].ravel() for name in learning])
    assert relative_error(now, small.block.data) < 1e-14
    assert (now != flat).all()


def test_frozen_blocks_keep_their_version():
    net = model()
    net.layers[0].frozen = True
    net.freeze("1.bias")
    versions = [block.version for block in net.blocks()]
    set_gradients(net, 0)
    SGD(0.1).step(net)
    assert [block.version > version for block, version in zip(net.blocks(), versions, strict=True)] == [False, True]


def test_a_model_that_lost_a_layer_steps_alike():
    def make():
        return [randomise(Linear(2, 2, dtype="float64"), seed) for seed in range(3)]

    whole, parted = Sequential(*make()), Sequential(*make())
    Sequential(parted.layers[1], Linear(2, 2, dtype="float64"))
    for net in (whole, parted):
        optimizer = Adam(0.1, clip_norm=1.0)
        for step in range(3):
            set_gradients(net, step)
            optimizer.step(net)
    for name in whole.params:
        assert relative_error(parted.params[name], whole.params[name]) < 1e-12


def test_every_step_advances_the_versions():
    net = model()
    versions = [block.version for block in net.blocks()]
    set_gradients(net, 0)
    SGD(0.1).step(net)
    assert all(block.version > version for block, version in zip(net.blocks(), versions, strict=True))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_gradients_that_are_not_finite_leave_the_model(bad):
    net, optimizer = model("float32"), Adam()
    before = net.flat_data.copy()
    net.flat_grad[3] = bad
    with pytest.raises(FloatingPointError, match="parameters are left as they were"):
        optimizer.step(net)
    assert np.array_equal(net.flat_data, before)
    assert optimizer.steps == 0


def test_gradients_whose_squares_overflow_float32_are_clipped():
    layer = Linear(2, 1, dtype="float32")
    before = layer.block.data.copy()
    layer.block.grad[...] = [3e30, 0, 4e30]
    assert SGD(1.0, clip_norm=1.0).step(layer) == pytest.approx(5e30, rel=1e-6)
    assert np.allclose(before - layer.block.data, [0.6, 0, 0.8], atol=1e-6)


@pytest.mark.parametrize("make", [lambda: SGD(0.1), lambda: SGD(0.1, momentum=0.9), lambda: Adam(0.1)])
def test_state_goes_on_where_it_was(make):
    a, optimizer = model(), make()
    for step in range(3):
        set_gradients(a, step)
        optimizer.step(a)
    b, other, third = copy.deepcopy(a), make(), copy.deepcopy(optimizer)
    other.load_state(optimizer.state())
    c = copy.deepcopy(a)
    for step in range(3, 6):
        for net, its_optimizer in ((a, optimizer), (b, other), (c, third)):
            set_gradients(net, step)
            its_optimizer.step(net)
    assert np.array_equal(a.flat_data, b.flat_data)
    assert np.array_equal(a.flat_data, c.flat_data)
    assert optimizer.state()["steps"] == 6


def test_an_optimizer_belongs_to_one_model():
    optimizer = Adam()
    optimizer.step(model())
    with pytest.raises(ValueError, match="another model"):
        optimizer.step(model())
    optimizer = Adam()
    optimizer.load_state({"steps": 1, "m": np.zeros(3), "v": np.zeros(3)})
    with pytest.raises(ValueError, match="31 parameters is wanted, got 3"):
        optimizer.step(model())
    with pytest.raises(ValueError, match="m, v, got velocity"):
        optimizer.load_state({"steps": 1, "velocity": np.zeros(3)})


def test_optimizers_by_name():
    assert isinstance(find_optimizer("adam"), Adam)
    assert isinstance(find_optimizer("sgd"), SGD)
    mine = Adam(0.5)
    assert find_optimizer(mine) is mine
    with pytest.raises(ValueError, match="'adam' or 'sgd', got 'lion'"):
        find_optimizer("lion")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Adam(-1e-3), "learning_rate must be at least 0"),
        (lambda: Adam(float("nan")), "learning_rate"),
        (lambda: Adam(beta1=1.0), "beta1 must be at least 0 and less than 1"),
        (lambda: Adam(beta2=-0.1), "beta2"),
        (lambda: Adam(epsilon=-1), "epsilon"),
        (lambda: Adam(clip_norm=0), "clip_norm must be larger than 0"),
        (lambda: SGD(momentum=1.5), "momentum"),
        (lambda: SGD(weight_decay=-1), "weight_decay"),
        (lambda: SGD(nesterov=True), "nesterov needs a momentum"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()
