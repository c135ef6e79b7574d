import copy

import numpy as np
import pytest
from checks import relative_error
from layer_checks import randomise

from rnnfast.layers import Linear
from rnnfast.models import Sequential
from rnnfast.training.optimizers import ASGD, NTASGD, SGD


def net():
    return randomise(Sequential(Linear(3, 2, dtype="float64"), Linear(2, 3, dtype="float64")))


def step(model, optimizer, number):
    model.flat_grad[...] = np.random.default_rng(number).standard_normal(model.num_params)
    optimizer.step(model)
    return model.flat_data.copy()


def test_averaging_starts_when_validation_no_longer_improves():
    model, plain = net(), net()
    optimizer, sgd = NTASGD(0.3, patience=2, weight_decay=0.1), SGD(0.3, weight_decay=0.1)
    reports = [9.0, 7.0, 8.0, 7.1, 7.2, 6.9]
    path = []
    for number, value in enumerate(reports):
        path.append(step(model, optimizer, number))
        step(plain, sgd, number)
        # Of all but the last two before 7.2 the best is 7.0; before 7.1 it was 9.0. Five steps are made then.
        assert optimizer.report(value) == (number >= 4)
        with optimizer.averaged(model):
            inside = model.flat_data.copy()
        first = min(number, 4)
        assert relative_error(inside, np.mean(path[4:] if number > 4 else path[first:], axis=0)) < 1e-14
        # The steps themselves are those of plain SGD.
        assert relative_error(model.flat_data, plain.flat_data) < 1e-14
    assert (optimizer.triggered_at, optimizer.reports) == (5, reports)


def test_reports_that_are_no_numbers_have_not_improved():
    optimizer = NTASGD(patience=1)
    assert [optimizer.report(value) for value in (3.0, float("nan"), float("nan"))] == [False, False, True]


def test_the_average_leaves_as_it_came():
    model, optimizer = net(), ASGD(0.1, start=0)
    model.freeze("0.bias")
    path = [step(model, optimizer, number) for number in range(5)]
    model.params["0.bias"] = [5.0, 6.0]
    before, versions = model.flat_data.copy(), [block.version for block in model.blocks()]

    def inside():
        with optimizer.averaged(model):
            assert model.params["0.bias"].tolist() == [5.0, 6.0]
            # Torch's count: the first mean is that of the second step.
            assert relative_error(model.params["1.bias"], np.mean(path[1:], axis=0)[-3:]) < 1e-14
            assert [block.version for block in model.blocks()] != versions
            raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        inside()
    assert np.array_equal(model.flat_data, before)


def test_before_the_first_step_the_average_is_the_model():
    model = net()
    before = model.flat_data.copy()
    with ASGD().averaged(model):
        assert np.array_equal(model.flat_data, before)
    other = NTASGD()
    other.step(model)
    with pytest.raises(ValueError, match="another model"), other.averaged(copy.deepcopy(model)):
        pass


def test_a_state_does_not_hear_later_reports():
    optimizer, other = NTASGD(), NTASGD()
    optimizer.report(3.0)
    state = optimizer.state()
    other.load_state(state)
    optimizer.report(2.0)
    state["reports"].append(1.0)
    assert (optimizer.reports, other.reports) == ([3.0, 2.0], [3.0])
