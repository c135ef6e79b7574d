import copy
import json

import numpy as np
import pytest
from checks import relative_error
from layer_checks import randomise

from rnnfast import get_num_threads, set_num_threads
from rnnfast.layers import Dropout, Embedding, Linear
from rnnfast.models import Sequential
from rnnfast.training.optimizers import (
    ASGD,
    NTASGD,
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Lion,
    Nadam,
    RAdam,
    RMSprop,
    Rprop,
    find_optimizer,
)
from rnnfast.training.schedules import Cosine, Step

ALL = {
    "sgd": lambda: SGD(0.1),
    "momentum": lambda: SGD(0.1, momentum=0.9, weight_decay=0.1),
    "rmsprop": lambda: RMSprop(0.01, momentum=0.5, centered=True),
    "adagrad": lambda: Adagrad(0.1),
    "adadelta": lambda: Adadelta(),
    "adam": lambda: Adam(0.1, clip_norm=2.0),
    "amsgrad": lambda: Adam(0.1, amsgrad=True),
    "adamw": lambda: AdamW(Cosine(0.1, steps=8), no_decay="bias", clip_tensor_norm=1.0),
    "nadam": lambda: Nadam(0.1),
    "radam": lambda: RAdam(0.1),
    "adamax": lambda: Adamax(0.1),
    "lion": lambda: Lion(0.1),
    "asgd": lambda: ASGD(0.1, start=2),
    "ntasgd": lambda: NTASGD(0.1),
    "rprop": lambda: Rprop(0.1),
}
every_optimizer = pytest.mark.parametrize("make", ALL.values(), ids=list(ALL))


def model(dtype="float64", seed=0):
    return randomise(Sequential(Embedding(5, 3, dtype=dtype), Linear(3, 4, dtype=dtype)), seed)


def set_gradients(model, step):
    rng = np.random.default_rng(step)
    for name, gradient in model.grads.items():
        model.grads[name] = rng.standard_normal(gradient.shape)


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


@every_optimizer
def test_frozen_blocks_stay_and_do_not_count(make):
    net = randomise(Sequential(*(Linear(3, 3, dtype="float64") for _ in range(4))))
    net.layers[1].frozen = True
    before = {name: array.copy() for name, array in net.params.items()}
    free, optimizer = copy.deepcopy(net), make()
    optimizer.clip_norm = None
    for step in range(3):
        net.flat_grad[...] = np.random.default_rng(step).standard_normal(net.num_params)
        counted = [net.grads[name] for name in net.grads if not name.startswith("1.")]
        assert optimizer.step(net) == pytest.approx(np.sqrt(sum((g**2).sum() for g in counted)), rel=1e-12)
    for name, array in net.params.items():
        assert np.array_equal(array, before[name]) == name.startswith("1.")
    # What is not frozen moves as it does when nothing is.
    free.layers[1].frozen = False
    other = make()
    other.clip_norm = None
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


@every_optimizer
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_gradients_that_are_not_finite_leave_everything(bad, dtype, make):
    net, optimizer = model(dtype), make()
    set_gradients(net, 0)
    optimizer.step(net)
    before, state, norm = net.flat_data.copy(), optimizer.state(), optimizer.last_norm
    versions = [block.version for block in net.blocks()]
    net.flat_grad[3] = bad
    with pytest.raises(FloatingPointError, match="parameters are left as they were"):
        optimizer.step(net)
    assert np.array_equal(net.flat_data, before)
    assert [block.version for block in net.blocks()] == versions
    assert optimizer.last_norm == norm
    for name, value in optimizer.state().items():
        assert np.array_equal(value, state[name]), name


def test_gradients_whose_squares_overflow_float32_are_clipped():
    layer = Linear(2, 1, dtype="float32")
    before = layer.block.data.copy()
    layer.block.grad[...] = [3e30, 0, 4e30]
    assert SGD(1.0, clip_norm=1.0).step(layer) == pytest.approx(5e30, rel=1e-6)
    assert np.allclose(before - layer.block.data, [0.6, 0, 0.8], atol=1e-6)


@every_optimizer
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_state_goes_on_where_it_was(make, dtype):
    a, optimizer = model(dtype), make()
    for step in range(3):
        set_gradients(a, step)
        optimizer.step(a)
        if isinstance(optimizer, NTASGD):
            optimizer.patience = 1
            optimizer.report(step)  # ever worse
    b, other, third = copy.deepcopy(a), make(), copy.deepcopy(optimizer)
    state = optimizer.state()
    plain = {name: value for name, value in state.items() if not isinstance(value, np.ndarray)}
    # As from a file: what is no array goes through JSON.
    other.load_state(json.loads(json.dumps(plain)) | {name: state[name] for name in state if name not in plain})
    if isinstance(optimizer, NTASGD):
        assert (optimizer.triggered_at, other.triggered_at, other.reports) == (3, 3, [0.0, 1.0, 2.0])
    c = copy.deepcopy(a)
    for step in range(3, 6):
        for net, its_optimizer in ((a, optimizer), (b, other), (c, third)):
            set_gradients(net, step)
            its_optimizer.step(net)
    assert np.array_equal(a.flat_data, b.flat_data)
    assert np.array_equal(a.flat_data, c.flat_data)
    assert optimizer.state()["steps"] == 6
    for name, value in optimizer.state().items():
        assert np.array_equal(value, other.state()[name]), name


def test_a_state_is_a_copy():
    net, optimizer = model(), Adam()
    set_gradients(net, 0)
    optimizer.step(net)
    state = optimizer.state()
    kept = state["m"].copy()
    other = Adam()
    other.load_state(state)
    state["m"][...] = 7
    optimizer.step(net)
    assert np.array_equal(other.state()["m"], kept)


def test_a_state_holds_the_learning_rate():
    optimizer, other = Adam(0.5), Adam()
    other.load_state(optimizer.state())
    assert other.learning_rate == 0.5
    optimizer = Adam(Cosine(0.1, steps=10))
    other.load_state(optimizer.state())
    assert other.learning_rate == Cosine(0.1, steps=10)
    optimizer.learning_rate = lambda steps: 0.25
    other.load_state(optimizer.state())
    assert other.learning_rate == Cosine(0.1, steps=10)


def test_an_optimizer_belongs_to_one_model():
    optimizer = Adam()
    optimizer.step(model())
    with pytest.raises(ValueError, match="another model"):
        optimizer.step(model())


def test_states_that_do_not_fit():
    optimizer, net = Adam(), model()
    set_gradients(net, 0)
    optimizer.step(net)
    good = optimizer.state()
    before = net.flat_data.copy()

    def loaded(state):
        other = Adam()
        other.load_state(state)
        return other

    for state, message in [
        ({"steps": 1, "m": np.zeros(3), "v": np.zeros(3)}, "31 parameters is wanted, got 3"),
        (good | {name: good[name].astype("f") for name in "mv"}, "must be float64 as the model, got float32 of m"),
        (good | {"parameters": good["parameters"] | {"1.bias": [5]}}, r"'1.bias' is \[4\], in the state \[5\]"),
        (good | {"parameters": {"a": [31]}}, r"'0.weight' is \[5, 3\], in the state not there"),
    ]:
        other = loaded(state)
        with pytest.raises(ValueError, match=message):
            other.step(net)
    for state, message in [
        ({"steps": 1, "velocity": np.zeros(3)}, "m, v, got velocity: was it saved with other options of Adam"),
        ({"steps": 1}, "m, v, got no arrays"),
        ({"m": np.zeros(3), "v": np.zeros(3)}, "must hold steps"),
        (good | {"optimizer": "SGD"}, "state of SGD, not of Adam"),
        (good | {"v": np.zeros(30)}, "one size, got 31 and, of v, 30"),
        (good | {"v": np.zeros((31, 1))}, r"v must be a flat .* got float64 \(31, 1\)"),
        (good | {"v": np.zeros(31, int)}, "v must be a flat .* got int64"),
        (good | {"steps": -1}, "steps must be 0 or more, got -1"),
        (good | {"learning_rate": -1.0}, "learning_rate must be at least 0"),
    ]:
        other = Adam(0.5)
        with pytest.raises(ValueError, match=message):
            other.load_state(state)
        assert (other.steps, other.learning_rate) == (0, 0.5)
        other.step(copy.deepcopy(net))
    with pytest.raises(ValueError, match="must hold momentum_product"):
        Nadam().load_state({"steps": 1, "m": np.zeros(3), "v": np.zeros(3)})
    assert np.array_equal(net.flat_data, before)


def test_what_clipping_does_is_kept():
    layer = randomise(Linear(2, 1, dtype="float64"))
    optimizer = SGD(1.0)
    assert (optimizer.last_norm, optimizer.last_clipped) == (None, False)
    for limits, wanted, clipped in [
        ({}, [3, 0, 4], False),
        ({"clip_norm": 5.0}, [3, 0, 4], False),
        ({"clip_norm": 2.5}, [1.5, 0, 2], True),
        ({"clip_tensor_norm": 3.5}, [3, 0, 3.5], True),
        ({"clip_tensor_norm": 4}, [3, 0, 4], False),
        ({"clip_value": 4.0}, [3, 0, 4], False),
        ({"clip_value": 3.5}, [3, 0, 3.5], True),
        ({"clip_norm": 2.5, "clip_tensor_norm": 1.75, "clip_value": 1.625}, [1.5, 0, 1.625], True),
    ]:
        for sign in (1, -1):
            before = layer.block.data.copy()
            layer.block.grad[...] = np.multiply([3, 0, 4], sign)
            for name in ("clip_norm", "clip_tensor_norm", "clip_value"):
                setattr(optimizer, name, limits.get(name))
            assert optimizer.step(layer) == optimizer.last_norm == 5.0
            assert optimizer.last_clipped is clipped
            assert np.allclose(before - layer.block.data, np.multiply(wanted, sign), rtol=1e-14)


@every_optimizer
def test_scale_is_that_of_the_gradients(make):
    a, b = model(), model()
    first, second = make(), make()
    for step in range(3):
        set_gradients(a, step)
        set_gradients(b, step)
        b.flat_grad[...] *= 4
        assert first.step(a) == second.step(b, scale=0.25)
    assert np.array_equal(a.flat_data, b.flat_data)


@pytest.mark.parametrize("scale", [0, -1.0, np.nan, np.inf])
def test_scales_that_mean_nothing(scale):
    with pytest.raises(ValueError, match="scale must be larger than 0 and finite"):
        SGD().step(model(), scale=scale)


@pytest.mark.parametrize("make", [AdamW, lambda **how: SGD(momentum=0.5, **how), lambda **how: Lion(**how)])
@pytest.mark.parametrize("clip", [None, 1.0])
def test_what_does_not_decay(make, clip):
    def run(**how):
        net, optimizer = three_layers(), make(learning_rate=0.1, clip_tensor_norm=clip, **how)
        for step in range(3):
            set_gradients(net, step)
            optimizer.step(net)
        return net

    plain, decayed = run(weight_decay=0.0), run(weight_decay=0.3)
    for patterns, kept in [
        (("bias",), ["0.bias", "1.bias", "2.bias"]),
        ("bias", ["0.bias", "1.bias", "2.bias"]),
        (("bi*", "*norm*"), ["0.bias", "1.bias", "2.bias"]),
        (("1.*", "0.weight"), ["0.weight", "1.weight", "1.bias"]),
        (("*",), list(plain.params)),
    ]:
        net = run(weight_decay=0.3, no_decay=patterns)
        for name in net.params:
            assert np.array_equal(net.params[name], (plain if name in kept else decayed).params[name]), name
            assert not np.array_equal(plain.params[name], decayed.params[name])


@pytest.mark.parametrize("make", [SGD, Adam, Nadam, lambda **how: ASGD(start=1, **how), lambda **how: AdamW(**how)])
def test_rates_of_their_own(make):
    def run(rate, **how):
        net, optimizer = three_layers(), make(learning_rate=rate, **how)
        for step in range(3):
            set_gradients(net, step)
            optimizer.step(net)
        return net

    net = run(0.1, rates={"0.*": 0.5, "bias": 0.25, "2.weight": 0})
    rates = {"0.weight": 0.05, "0.bias": 0.0125, "1.bias": 0.025, "1.weight": 0.1, "2.weight": 0, "2.bias": 0.025}
    for name, rate in rates.items():
        assert np.array_equal(net.params[name], run(rate).params[name]), name
    assert np.array_equal(net.params["2.weight"], three_layers().params["2.weight"])


def three_layers():
    return randomise(Sequential(*(Linear(3, 3, dtype="float64") for _ in range(3))))


def test_patterns_that_fit_nothing():
    with pytest.raises(ValueError, match=r"'beta\*' fits no parameter; there are 0.weight, 1.weight, 1.bias"):
        SGD(rates={"beta*": 0.1}).step(model())
    with pytest.raises(ValueError, match=r"'a\*' or 'norm' fits no parameter|'a\* or norm' fits no parameter"):
        SGD(no_decay=("a*", "norm")).step(model())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_threads_change_no_bit(dtype):
    before, found = get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            set_num_threads(threads)
            net = randomise(Sequential(Linear(301, 401, dtype=dtype), Linear(401, 7, dtype=dtype)))
            optimizer = AdamW(clip_norm=100.0, clip_value=0.3, no_decay="bias")
            norms = []
            for step in range(2):
                set_gradients(net, step)
                norms.append(optimizer.step(net))
            found.append((norms, net.flat_data.tobytes(), optimizer.state()["v"].tobytes()))
    finally:
        set_num_threads(before)
    assert found[0] == found[1] == found[2]


def test_learning_rates_are_obeyed():
    layer = randomise(Linear(2, 1, dtype="float64"))
    optimizer = SGD(Step(1.0, every=2, factor=0.5))
    for wanted in (1.0, 1.0, 0.5, 0.5, 0.25):
        layer.block.grad[...] = 1
        before = layer.block.data.copy()
        assert optimizer.current_rate() == wanted
        optimizer.step(layer)
        assert np.allclose(before - layer.block.data, wanted, rtol=1e-12)
    optimizer.learning_rate = 0.125
    assert optimizer.current_rate() == optimizer.learning_rate == 0.125
    before = layer.block.data.copy()
    optimizer.step(layer)
    assert np.allclose(before - layer.block.data, 0.125, rtol=1e-12)
    optimizer.learning_rate = lambda steps: -steps
    with pytest.raises(ValueError, match="the learning rate of step 6 must be at least 0"):
        optimizer.step(layer)
    assert optimizer.steps == 6
    with pytest.raises(ValueError, match="learning_rate must be at least 0"):
        optimizer.learning_rate = float("nan")


def test_models_without_parameters():
    net = Sequential(Dropout(0.5))
    for make in ALL.values():
        if "adamw" not in repr(make()).lower():
            assert make().step(net) == 0.0


def test_optimizers_by_name():
    for name in ("adam", "sgd", "adamw", "rmsprop", "adagrad", "adadelta", "nadam", "radam", "adamax", "lion", "asgd"):
        assert type(find_optimizer(name)).__name__.lower() == name
    assert type(find_optimizer("AdamW")) is AdamW
    assert type(find_optimizer("ntasgd")) is NTASGD
    assert type(find_optimizer("rprop")) is Rprop
    mine = Adam(0.5)
    assert find_optimizer(mine) is mine
    for bad in ("adamant", 3, None):
        with pytest.raises(ValueError, match=f"one of 'sgd', 'rmsprop', .* got {bad!r}"):
            find_optimizer(bad)


def test_an_optimizer_tells_its_arguments():
    assert repr(Lion()) == "Lion(learning_rate=0.0001, beta1=0.9, beta2=0.99)"
    assert repr(SGD(Step(0.1, every=3))).startswith(
        "SGD(learning_rate=Step(learning_rate=0.1, every=3, factor=0.1), mom"
    )


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
        (lambda: AdamW(clip_value=0), "clip_value must be larger than 0"),
        (lambda: Lion(clip_tensor_norm=-1), "clip_tensor_norm must be at least 0"),
        (lambda: SGD(rates={"a": -1}), r"rates\['a'\] must be at least 0"),
        (lambda: RMSprop(alpha=1), "alpha"),
        (lambda: RMSprop(momentum=1), "momentum"),
        (lambda: Adadelta(rho=1), "rho"),
        (lambda: NTASGD(patience=0), "patience must be 1 or more, got 0"),
        (lambda: Rprop(rates={"a": 1}), "rates have no meaning"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: SGD("0.1"), TypeError, "learning_rate must be a number, got '0.1'"),
        (lambda: Adam(None), TypeError, "learning_rate must be a number, got None"),
        (lambda: SGD([0.1, 0.2]), TypeError, r"learning_rate must be a number, got \[0.1, 0.2\]"),
        (lambda: SGD(0.1, momentum="0.9"), TypeError, "momentum must be a number, got '0.9'"),
        (lambda: Adam(clip_norm="1"), TypeError, "clip_norm must be a number, got '1'"),
        (lambda: Adam(clip_norm=0), ValueError, "clip_norm must be larger than 0, or None"),
        (lambda: SGD(-0.1), ValueError, r"learning_rate must be at least 0 and finite, got -0\.1"),
    ],
)
def test_arguments_that_are_no_numbers(call, error, message):
    with pytest.raises(error, match=message):
        call()
