import numpy as np
import pytest
from checks import relative_error
from layer_checks import randomise

import rnnfast as rf
from rnnfast.training import train_step


def weights(*shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(0.1, 1.0, shape) * rng.choice([-1.0, 1.0], shape)


REGULARIZERS = {
    "l1": (rf.L1(0.3), (5, 3), lambda w: 0.3 * np.abs(w).sum()),
    "l2": (rf.L2(0.3), (5,), lambda w: 0.3 * (w**2).sum()),
    "l1l2": (rf.L1L2(0.3, 0.7), (2, 3, 2), lambda w: 0.3 * np.abs(w).sum() + 0.7 * (w**2).sum()),
    "orthogonal wide": (rf.Orthogonal(0.3), (3, 5), lambda w: 0.3 * ((w @ w.T - np.eye(3)) ** 2).sum()),
    "orthogonal tall": (rf.Orthogonal(0.3), (5, 3), lambda w: 0.3 * ((w.T @ w - np.eye(3)) ** 2).sum()),
    "orthogonal gates": (
        rf.Orthogonal(0.3, gates=4),
        (12, 3),
        lambda w: 0.3 * sum(((g @ g.T - np.eye(3)) ** 2).sum() for g in np.split(w, 4)),
    ),
}


@pytest.mark.parametrize("case", REGULARIZERS)
def test_penalty_and_gradient(case):
    regularizer, shape, formula = REGULARIZERS[case]
    weight = weights(*shape)
    penalty, gradient = regularizer(weight)
    assert penalty == pytest.approx(formula(weight), rel=1e-12)
    wanted, epsilon = np.empty(shape), 1e-5
    for at in np.ndindex(shape):
        step = np.zeros(shape)
        step[at] = epsilon
        wanted[at] = (regularizer(weight + step)[0] - regularizer(weight - step)[0]) / (2 * epsilon)
    assert relative_error(gradient, wanted) < 1e-8
    single, slope = regularizer(weight.astype(np.float32))
    assert single == pytest.approx(penalty, rel=1e-5)
    assert slope.dtype == np.float32
    assert relative_error(slope, gradient) < 1e-5


def test_a_rotation_bears_no_penalty():
    rotation = np.linalg.qr(weights(6, 6))[0]
    for weight, gates in ((rotation, 1), (rotation[:4], 1), (rotation[:, :2], 1), (np.vstack([rotation] * 3), 3)):
        penalty, gradient = rf.Orthogonal(2.0, gates=gates)(weight)
        assert penalty < 1e-28
        assert np.abs(gradient).max() < 1e-13
    assert rf.Orthogonal(2.0)(2 * rotation)[0] == pytest.approx(2 * 9 * 6)


def test_wide_and_tall_differ_by_a_constant():
    weight = weights(5, 3)
    small, gradient = rf.Orthogonal(1.0)(weight)
    assert ((weight @ weight.T - np.eye(5)) ** 2).sum() == pytest.approx(small + 2)
    assert relative_error(gradient, rf.Orthogonal(1.0)(weight.T)[1].T) < 1e-14


def model(dtype="float64"):
    return randomise(
        rf.Sequential(rf.GRU(2, 3, dtype=dtype), rf.Last(), rf.Linear(3, 2, dtype=dtype), rf.Linear(2, 1, dtype=dtype))
    )


X, Y = weights(6, 4, 2, seed=5), weights(6, 1, seed=6)


def test_a_step_follows_the_gradient_of_loss_and_penalty():
    rules = {"*weight_*": rf.L2(0.05), "0.weight_hh*": rf.Orthogonal(0.1, gates=3), "2.*": rf.L1(0.2)}
    plain, net = model(), model()
    plain.freeze("2.bias")
    net.freeze("2.bias")
    alone = train_step(plain, X, Y, rf.MSE(), rf.SGD(0.0))
    before = net.flat_data.copy()
    step = train_step(net, X, Y, rf.MSE(), rf.SGD(0.5, clip_norm=0.1), regularizers=rules)
    params = {name: array.copy() for name, array in plain.params.items()}
    assert step.loss_sum == alone.loss_sum
    assert alone.penalty == 0.0
    squares = sum((params[f"0.weight_{which}_l0"] ** 2).sum() for which in ("ih", "hh"))
    gates = np.split(params["0.weight_hh_l0"], 3)
    wanted = 0.05 * squares + 0.1 * sum(((g @ g.T - np.eye(3)) ** 2).sum() for g in gates)
    wanted += 0.2 * np.abs(params["2.weight"]).sum()  # its bias is frozen
    assert step.penalty == pytest.approx(wanted, rel=1e-12)
    assert (
        relative_error(net.grads["0.weight_ih_l0"] - plain.grads["0.weight_ih_l0"], 0.1 * params["0.weight_ih_l0"])
        < 1e-12
    )
    assert relative_error(net.grads["2.weight"] - plain.grads["2.weight"], 0.2 * np.sign(params["2.weight"])) < 1e-12
    assert np.array_equal(net.grads["3.weight"], plain.grads["3.weight"])
    # The norm that is clipped is that of both.
    learning = [name for name in net.params if name != "2.bias"]
    norm = np.sqrt(sum((net.grads[name] ** 2).sum() for name in learning))
    assert step.norm == pytest.approx(norm, rel=1e-12)
    moved = np.sqrt(((net.flat_data - before) ** 2).sum())
    assert moved == pytest.approx(0.5 * 0.1, rel=1e-12)


def test_l2_is_half_of_weight_decay():
    decayed, penalised = model(), model()
    for _ in range(3):
        train_step(decayed, X, Y, rf.MSE(), rf.SGD(0.1, weight_decay=0.02))
        train_step(penalised, X, Y, rf.MSE(), rf.SGD(0.1), regularizers={"*": rf.L2(0.01)})
    assert relative_error(penalised.flat_data, decayed.flat_data) < 1e-13


def test_history_reports_the_penalty_and_evaluation_does_not():
    net, rules = model(), {"*.weight*": rf.L2(0.5)}
    squares = sum((array**2).sum() for name, array in net.params.items() if "weight" in name)
    plain = net.evaluate(X, Y, loss="mse")["loss"]
    history = net.fit(
        X,
        Y,
        loss="mse",
        optimizer=rf.SGD(0.0),
        batch_size=4,
        regularizers=rules,
        validation_data=(X, Y),
        verbose=False,
    ).history
    assert history["loss"][0] == pytest.approx(plain + 0.5 * squares, rel=1e-12)
    assert history["val_loss"][0] == pytest.approx(plain, rel=1e-12)


def test_penalties_shrink_weights_in_a_fit():
    sizes = []
    for amount in (0.0, 0.3):
        net = model("float32")
        net.fit(
            X, Y, loss="mse", optimizer=rf.SGD(0.1), epochs=30, regularizers={"*": rf.L2(amount)}, verbose=False, seed=0
        )
        sizes.append(float((net.flat_data**2).sum()))
    assert sizes[1] < 0.05 * sizes[0]


def test_a_function_is_a_regularizer():
    step = train_step(model(), X, Y, rf.MSE(), rf.SGD(0.1), regularizers={"3.bias": lambda b: (7.0, 0 * b)})
    assert step.penalty == 7.0


def test_bad_rules_are_refused_before_training():
    net = model()
    before = net.flat_data.copy()
    for rules, message in (
        ({"9.*": rf.L2()}, r"regularizers: '9\.\*' fits no parameter"),
        ({"*": rf.Orthogonal()}, r"Orthogonal: the parameter must be a matrix, got shape \(9,\)"),
        ({"0.weight_ih*": rf.Orthogonal(gates=4)}, r"a matrix of 4 equal parts, got shape \(9, 2\)"),
    ):
        with pytest.raises(ValueError, match=message):
            net.fit(X, Y, loss="mse", regularizers=rules, verbose=False)
    assert np.array_equal(net.flat_data, before)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: rf.L1(-0.1), "amount must be at least 0"),
        (lambda: rf.L2(float("nan")), "amount"),
        (lambda: rf.L1L2(0.1, float("inf")), "l2 must be at least 0 and finite"),
        (lambda: rf.Orthogonal(-1), "amount"),
        (lambda: rf.Orthogonal(1, gates=0), "gates must be at least 1"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_repr():
    assert repr([rf.L1(0.1), rf.L2(0.2), rf.L1L2(0.1), rf.Orthogonal(1, 3)]) == (
        "[L1(amount=0.1), L2(amount=0.2), L1L2(l1=0.1, l2=0.0), Orthogonal(amount=1.0, gates=3)]"
    )
