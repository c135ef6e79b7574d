"""Twenty steps of every optimizer against torch, and against what Keras gave."""

import numpy as np
import pytest
from checks import relative_error
from layer_checks import randomise

from rnnfast.layers import Embedding, Linear
from rnnfast.models import Sequential
from rnnfast.training import (
    ASGD,
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
    schedules,
)

TORCH = {
    "sgd": (lambda: SGD(0.1), lambda t, p: t.SGD(p, 0.1)),
    "momentum": (
        lambda: SGD(0.1, momentum=0.9, weight_decay=0.02),
        lambda t, p: t.SGD(p, 0.1, momentum=0.9, weight_decay=0.02),
    ),
    "nesterov": (
        lambda: SGD(0.1, momentum=0.8, nesterov=True),
        lambda t, p: t.SGD(p, 0.1, momentum=0.8, nesterov=True),
    ),
    "rmsprop": (
        lambda: RMSprop(0.01, 0.9, 1e-3, weight_decay=0.1),
        lambda t, p: t.RMSprop(p, 0.01, 0.9, 1e-3, 0.1),
    ),
    "rmsprop momentum": (
        lambda: RMSprop(0.01, 0.9, 1e-3, momentum=0.7),
        lambda t, p: t.RMSprop(p, 0.01, 0.9, 1e-3, momentum=0.7),
    ),
    "rmsprop centered": (
        lambda: RMSprop(0.01, 0.9, 1e-2, centered=True),
        lambda t, p: t.RMSprop(p, 0.01, 0.9, 1e-2, centered=True),
    ),
    "rmsprop centered momentum": (
        lambda: RMSprop(0.01, 0.9, 1e-2, momentum=0.7, centered=True),
        lambda t, p: t.RMSprop(p, 0.01, 0.9, 1e-2, momentum=0.7, centered=True),
    ),
    "adagrad": (
        lambda: Adagrad(0.1, 0.2, 1e-3, weight_decay=0.1),
        lambda t, p: t.Adagrad(p, 0.1, 0, 0.1, 0.2, 1e-3),
    ),
    "adadelta": (
        lambda: Adadelta(0.7, 0.8, 1e-3, weight_decay=0.1),
        lambda t, p: t.Adadelta(p, 0.7, 0.8, 1e-3, 0.1),
    ),
    "adam": (
        lambda: Adam(0.01, 0.8, 0.95, 1e-6, weight_decay=0.1),
        lambda t, p: t.Adam(p, 0.01, (0.8, 0.95), 1e-6, 0.1),
    ),
    "amsgrad": (
        lambda: Adam(0.01, 0.8, 0.5, 1e-6, amsgrad=True),
        lambda t, p: t.Adam(p, 0.01, (0.8, 0.5), 1e-6, amsgrad=True),
    ),
    "adam decoupled": (
        lambda: Adam(0.01, weight_decay=0.1, decoupled=True),
        lambda t, p: t.AdamW(p, 0.01, weight_decay=0.1),
    ),
    "adamw": (lambda: AdamW(0.1), lambda t, p: t.AdamW(p, 0.1)),
    "nadam": (
        lambda: Nadam(0.01, 0.8, 0.95, 1e-3, 0.1, weight_decay=0.1),
        lambda t, p: t.NAdam(p, 0.01, (0.8, 0.95), 1e-3, 0.1, 0.1),
    ),
    "nadam decoupled": (
        lambda: Nadam(0.01, weight_decay=0.1, decoupled=True),
        lambda t, p: t.NAdam(p, 0.01, weight_decay=0.1, decoupled_weight_decay=True),
    ),
    "radam": (
        lambda: RAdam(0.1, 0.8, 0.95, 1e-3, weight_decay=0.1),
        lambda t, p: t.RAdam(p, 0.1, (0.8, 0.95), 1e-3, 0.1),
    ),
    "adamax": (
        lambda: Adamax(0.01, 0.8, 0.95, 1e-2, weight_decay=0.1),
        lambda t, p: t.Adamax(p, 0.01, (0.8, 0.95), 1e-2, 0.1),
    ),
    "asgd": (
        lambda: ASGD(0.1, 0.1, 0.6, 5, weight_decay=0.1),
        lambda t, p: t.ASGD(p, 0.1, 0.1, 0.6, 5, 0.1),
    ),
    "rprop": (
        lambda: Rprop(0.05, 0.4, 1.3, 0.01, 0.1),
        lambda t, p: t.Rprop(p, 0.05, (0.4, 1.3), (0.01, 0.1)),
    ),
    "schedule": (
        lambda: AdamW(schedules.Step(0.1, every=3, factor=0.5)),
        lambda t, p: t.AdamW(p, 0.1),
    ),
}


def net(dtype):
    return randomise(Sequential(Embedding(5, 3, dtype=dtype), Linear(3, 4, dtype=dtype)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", TORCH)
def test_twenty_steps_equal_torch(case, dtype):
    torch = pytest.importorskip("torch")
    before = torch.get_default_dtype()
    # The dtype of the numbers that it counts with.
    torch.set_default_dtype(torch.float64)
    try:
        check_against_torch(torch, case, dtype)
    finally:
        torch.set_default_dtype(before)


def check_against_torch(torch, case, dtype):
    model, (make, make_theirs) = net(dtype), TORCH[case]
    optimizer = make()
    theirs = [torch.nn.Parameter(torch.from_numpy(array.copy())) for array in model.params.values()]
    their_optimizer = make_theirs(torch.optim, theirs)
    before = model.flat_data.copy()
    schedule = torch.optim.lr_scheduler.StepLR(their_optimizer, 3, 0.5) if case == "schedule" else None
    for step in range(20):
        rng = np.random.default_rng(step)
        for parameter, (name, gradient) in zip(theirs, model.grads.items(), strict=True):
            model.grads[name] = rng.standard_normal(gradient.shape)
            parameter.grad = torch.from_numpy(model.grads[name].copy())
        optimizer.step(model)
        their_optimizer.step()
        if schedule is not None:
            schedule.step()
    tolerance = 1e-6 if dtype == "float32" else 1e-12
    for parameter, array in zip(theirs, model.params.values(), strict=True):
        assert relative_error(array, parameter.detach().numpy()) < tolerance
    assert relative_error(model.flat_data, before) > 1e-2
    if case == "asgd":
        with optimizer.averaged(model):
            for parameter, array in zip(theirs, model.params.values(), strict=True):
                assert relative_error(array, their_optimizer.state[parameter]["ax"].numpy()) < tolerance


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_clipping_equals_torch(scale, dtype):
    torch = pytest.importorskip("torch")
    model = net(dtype)
    limits = {"clip_norm": 3.0 * scale, "clip_tensor_norm": 2.0 * scale, "clip_value": 0.7 * scale}
    optimizer = SGD(0.1, momentum=0.9, weight_decay=0.1, **limits)
    theirs = [torch.nn.Parameter(torch.from_numpy(array.copy())) for array in model.params.values()]
    their_optimizer = torch.optim.SGD(theirs, 0.1, momentum=0.9, weight_decay=0.1)
    for step in range(20):
        rng = np.random.default_rng(step)
        for parameter, (name, gradient) in zip(theirs, model.grads.items(), strict=True):
            model.grads[name] = rng.standard_normal(gradient.shape)
            parameter.grad = torch.from_numpy(scale * model.grads[name])
        norm = optimizer.step(model, scale=scale)
        wanted = torch.nn.utils.clip_grad_norm_(theirs, limits["clip_norm"]).item()
        assert norm == optimizer.last_norm == pytest.approx(wanted, rel=1e-6)
        for parameter in theirs:
            torch.nn.utils.clip_grad_norm_(parameter, limits["clip_tensor_norm"])
        torch.nn.utils.clip_grad_value_(theirs, limits["clip_value"])
        their_optimizer.step()
    for parameter, array in zip(theirs, model.params.values(), strict=True):
        # torch adds 1e-6 to the norm that it divides by.
        assert relative_error(array, parameter.detach().numpy()) < 1e-5


# Keras 3 in float64, gradients default_rng(step).standard_normal(5), the first two numbers a parameter of their own.
# Where the place of epsilon differs from ours it was 1e-30.
START = [0.5, -1.25, 2.0, -0.1, 3.0]
KERAS = {
    "rmsprop": (
        lambda: RMSprop(0.01, 0.9, 1e-30),
        [0.4330540933184034, -1.1812105323912367, 1.9635075447451826, -0.028006971380242884, 2.949989151734493],
    ),
    "rmsprop momentum": (
        lambda: RMSprop(0.01, 0.9, 1e-30, momentum=0.7),
        [0.26550411873881974, -1.0195944136201949, 1.9011650028847493, 0.09258698352190364, 2.8731381981244852],
    ),
    "adagrad": (
        lambda: Adagrad(0.1, 0.1, 1e-30),
        [0.37038008467522265, -1.1002610355273728, 1.9112918970807333, 0.16121996788604312, 2.870310041014418],
    ),
    "adadelta": (
        lambda: Adadelta(0.5, 0.95, 1e-7),
        [0.4991764297625275, -1.2463252419874291, 1.9996512278304603, -0.09590473572918966, 2.9961543535425967],
    ),
    "adam": (
        lambda: Adam(0.01, epsilon=1e-30),
        [0.4640416918291862, -1.2010990920744082, 1.9857371028168795, -0.034036595377185085, 2.9736309367374623],
    ),
    "adamw": (
        lambda: AdamW(0.01, epsilon=1e-30, weight_decay=0.1),
        [0.4548365551448712, -1.176816473923119, 1.946551506328364, -0.03265452089042171, 2.914349197090082],
    ),
    "nadam": (
        lambda: Nadam(0.01, epsilon=1e-7, momentum_decay=1.0),
        [0.47783473058728027, -1.2086708064345242, 1.995722119946002, -0.05118743554684806, 2.9725395149775053],
    ),
    "adamax": (
        lambda: Adamax(0.01, epsilon=1e-30),
        [0.4730830407422522, -1.2234373051116405, 1.9823955389816434, -0.0730452356238361, 2.987912068093891],
    ),
    "lion": (
        lambda: Lion(0.01, weight_decay=0.1),
        [0.5103508550927559, -1.1659116811395511, 1.9404166994794338, -0.018556216027702903, 2.9205270325652823],
    ),
    "clipnorm": (
        lambda: SGD(0.1, momentum=0.9, clip_tensor_norm=1.0),
        [1.4639070872957385, -0.5251058809317173, 1.7448805818788344, 2.3106786719723456, 1.9254886822117496],
    ),
    "clipvalue": (
        lambda: SGD(0.1, momentum=0.9, nesterov=True, clip_value=0.5),
        [0.887583493213218, -0.37963482218014694, 1.6475901232411976, 1.2320209836906095, 2.395608411011615],
    ),
    "global_clipnorm": (
        lambda: SGD(0.1, momentum=0.9, clip_norm=1.5),
        [1.3216369357002102, 0.15045176968789167, 2.1546592014736423, 2.575260361427097, 1.5148268480743632],
    ),
}


@pytest.mark.parametrize("case", KERAS)
def test_twenty_steps_equal_keras(case):
    make, wanted = KERAS[case]
    optimizer = make()
    model = Sequential(Linear(2, 1, bias=False, dtype="float64"), Linear(1, 3, bias=False, dtype="float64"))
    model.flat_data[...] = START
    for step in range(20):
        model.flat_grad[...] = np.random.default_rng(step).standard_normal(5)
        optimizer.step(model)
    # Keras clips by norms in float32.
    assert relative_error(model.flat_data, wanted) < (1e-7 if case.endswith("clipnorm") else 1e-12)
