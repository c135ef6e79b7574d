import copy

import numpy as np
import pytest
from checks import relative_error
from layer_checks import randomise

from rnnfast.layers import Linear
from rnnfast.models import Sequential
from rnnfast.training import EMA, SGD


def net(dtype="float64", seed=0):
    return randomise(Sequential(Linear(3, 5, dtype=dtype), Linear(5, 3, dtype=dtype)), seed)


def walk(model, steps, start=0):
    for step in range(start, start + steps):
        model.flat_grad[...] = np.random.default_rng(step).standard_normal(model.num_params)
        SGD(0.1).step(model)
        yield model.flat_data.astype(np.float64)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-14), ("float32", 1e-6)])
@pytest.mark.parametrize("corrected", [False, True])
def test_the_average_is_the_weighted_mean(dtype, tolerance, corrected):
    model = net(dtype)
    ema, path = EMA(model, 0.8, bias_correction=corrected), [model.flat_data.astype(np.float64)]
    for count, weights in enumerate(walk(model, 6), 1):
        ema.update()
        path.append(weights)
        share = 0.2 * 0.8 ** np.arange(count)[::-1]
        wanted = share @ path[1:] / (1 - 0.8**count) if corrected else share @ path[1:] + 0.8**count * path[0]
        with ema.weights() as inside:
            assert inside is model
            assert relative_error(model.flat_data, wanted) < tolerance
        assert np.array_equal(model.flat_data, weights.astype(dtype))
    assert ema.updates == 6


def test_equal_to_torch():
    torch = pytest.importorskip("torch")
    model = net()
    theirs = torch.nn.Linear(1, model.num_params, bias=False, dtype=torch.float64)
    averaged = torch.optim.swa_utils.AveragedModel(theirs, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9))
    with torch.no_grad():
        theirs.weight[:, 0] = torch.from_numpy(model.flat_data)
    averaged.update_parameters(theirs)
    ema = EMA(model, 0.9)
    for weights in walk(model, 5):
        ema.update()
        with torch.no_grad():
            theirs.weight[:, 0] = torch.from_numpy(weights)
        averaged.update_parameters(theirs)
    assert relative_error(ema.state()["average"], averaged.module.weight.detach().numpy()[:, 0]) < 1e-14


def test_the_model_gets_its_weights_back_after_an_error():
    model = net()
    ema = EMA(model, 0.5)
    for _ in walk(model, 2):
        ema.update()
    before, versions = model.flat_data.copy(), [block.version for block in model.blocks()]
    seen = []

    def inside():
        with ema.weights():
            assert not np.array_equal(model.flat_data, before)
            seen.extend(block.version for block in model.blocks())
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        inside()
    assert np.array_equal(model.flat_data, before)
    now = [block.version for block in model.blocks()]
    assert all(a < b < c for a, b, c in zip(versions, seen, now, strict=True))
    ema.update()


def test_no_update_inside():
    ema = EMA(net(), 0.5)
    with ema.weights():
        with pytest.raises(RuntimeError, match="update it outside"):
            ema.update()
        with pytest.raises(RuntimeError, match="open already"), ema.weights():
            pass
    assert ema.updates == 0


def test_what_does_not_change_stays_to_the_bit():
    model = net("float32")
    before = model.flat_data.copy()
    ema = EMA(model, 0.7)
    for _ in range(5):
        ema.update()
    assert np.array_equal(ema.state()["average"], before)


def test_copies():
    model, other = net(), net(seed=1)
    ema = EMA(model, 0.5, bias_correction=True)
    (weights,) = walk(model, 1)
    ema.update()
    ema.copy_to(other)
    assert np.array_equal(other.flat_data, weights)
    list(walk(model, 1))
    ema.copy_to(model)
    assert np.array_equal(model.flat_data, weights)
    with pytest.raises(ValueError, match="names and shapes alike"):
        ema.copy_to(Linear(3, 5))


@pytest.mark.parametrize("corrected", [False, True])
def test_state_goes_on_where_it_was(corrected):
    model = net("float32")
    ema = EMA(model, 0.9, bias_correction=corrected)
    for _ in walk(model, 3):
        ema.update()
    copied = copy.deepcopy(model)
    other = EMA(copied, 0.9, bias_correction=corrected)
    other.load_state(ema.state())
    for _ in walk(model, 3, 3):
        ema.update()
    for _ in walk(copied, 3, 3):
        other.update()
    assert other.updates == ema.updates == 6
    assert np.array_equal(ema.state()["average"], other.state()["average"])


def test_states_that_do_not_fit():
    ema = EMA(net(), 0.5)
    good = ema.state()
    for state, message in [
        (EMA(Linear(2, 3), 0.5).state(), r"'0.weight' is \[5, 3\], in the state not there"),
        (good | {"average": good["average"][:-1]}, r"float64 \(38,\), got float64 \(37,\)"),
        (good | {"average": good["average"].astype("f")}, "must be float64"),
    ]:
        with pytest.raises(ValueError, match=message):
            ema.load_state(state)
    assert np.array_equal(ema.state()["average"], good["average"])


@pytest.mark.parametrize("decay", [-0.1, 1.0, float("nan")])
def test_bad_decays(decay):
    with pytest.raises(ValueError, match="decay must be at least 0 and less than 1"):
        EMA(net(), decay)
