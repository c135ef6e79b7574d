import threading

import numpy as np
import pytest
from checks import central_differences, relative_error
from layer_checks import check_layer_gradients, randomise

import rnnfast as rf
from rnnfast.layers._penalties import add_penalty, penalties
from rnnfast.training import train_step

LENGTHS = np.array([5, 0, 1, 3])


def draw(*shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(0.1, 1.0, shape) * rng.choice([-1.0, 1.0], shape)


def by_hand(x, alpha, beta, lengths):
    lengths = np.full(len(x), x.shape[1]) if lengths is None else lengths
    sizes = [row[:end] ** 2 for row, end in zip(x, lengths, strict=True)]
    changes = [np.diff(row[:end], axis=0) ** 2 for row, end in zip(x, lengths, strict=True)]
    both = [np.concatenate(each) for each in (sizes, changes)]
    return sum(factor * (each.mean() if each.size else 0.0) for factor, each in zip((alpha, beta), both, strict=True))


@pytest.mark.parametrize("lengths", [None, LENGTHS, np.array([0, 1, 1, 0]), np.zeros(4, int)])
@pytest.mark.parametrize(("alpha", "beta"), [(2.0, 0.0), (0.0, 1.5), (2.0, 1.5), (0.0, 0.0)])
def test_penalty_and_gradient(alpha, beta, lengths):
    layer, x, dy = rf.ActivityRegularizer(alpha, beta), draw(4, 5, 3), draw(4, 5, 3, seed=1)

    def penalty(x=x):
        with penalties() as found:
            layer.forward(x, lengths=lengths)
        return sum(found)

    assert penalty() == pytest.approx(by_hand(x, alpha, beta, lengths), rel=1e-12)
    with penalties():
        y, backward = layer.forward(x, lengths=lengths)
    assert np.array_equal(y, x)
    slope = backward(dy) - dy
    wanted = np.empty_like(x)
    for at in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[at] = 1e-4
        wanted[at] = (penalty(x + step) - penalty(x - step)) / 2e-4
    assert relative_error(slope, wanted) < 1e-9 if wanted.any() else not slope.any()
    with pytest.raises(RuntimeError, match="works once"):
        backward(dy)


def test_float32_and_empty_batches():
    layer = rf.ActivityRegularizer(2.0, 1.5)
    x = draw(4, 5, 3).astype(np.float32)
    with penalties() as found:
        y, backward = layer.forward(x, lengths=LENGTHS)
        assert backward(y).dtype == np.float32
        for shape in ((0, 5, 3), (4, 0, 3)):
            y, backward = layer.forward(np.zeros(shape, np.float32))
            assert backward(y).shape == shape
    assert found[0] == pytest.approx(by_hand(x, 2.0, 1.5, LENGTHS), rel=1e-6)
    assert found[1:] == [0.0, 0.0]


def test_the_gradient_does_not_follow_y():
    layer, x = rf.ActivityRegularizer(2.0, 1.5), draw(2, 3, 4)
    y, backward = layer.forward(x.copy())
    y[...] = 0
    same = layer.forward(x)[1]
    assert np.array_equal(backward(np.zeros_like(x)), same(np.zeros_like(x)))


def test_inference_adds_nothing():
    layer, x = rf.ActivityRegularizer(2.0, 1.5), draw(2, 3, 4)
    with penalties() as found:
        assert np.array_equal(layer(x), x)
    assert found == []
    rows = rf.Sequential(rf.LSTM(4, 3, seed=0), layer, rf.Linear(3, 2, seed=1))
    stream = rows.stream(2)
    assert np.array_equal(np.stack([stream(x[:, t]).copy() for t in range(3)], axis=1), rows(x))


def network():
    return randomise(
        rf.Sequential(
            rf.LSTM(3, 4, dtype="float64"),
            rf.ActivityRegularizer(beta=1.5),
            rf.Sequential(rf.Dropout(0.4), rf.ActivityRegularizer(alpha=2.0)),
            rf.Linear(4, 2, dtype="float64"),
        )
    )


@pytest.mark.parametrize("lengths", [None, LENGTHS])
def test_gradients_of_loss_and_penalty_through_a_network(lengths):
    net, x, y = network(), draw(4, 5, 3), draw(4, 5, 2, seed=3)

    def loss():
        for block in net.blocks():
            block.changed()
        with penalties() as found:
            (predictions, _), _ = net.forward(x, lengths=lengths, rng=7)
        mask = None if lengths is None else np.arange(5) < lengths[:, None]
        total, count, _ = rf.MSE()(predictions, y, mask)
        return total / count + sum(found)

    step = train_step(net, x, y, rf.MSE(), rf.SGD(0.0), lengths=lengths, rng=7)
    assert step.loss_sum / step.count + step.penalty == pytest.approx(loss(), rel=1e-14)
    assert step.penalty > 0.05
    assert relative_error(net.flat_grad, central_differences(loss, net.flat_data)) < 1e-7


def test_outputs_alone_have_the_usual_gradient():
    check_layer_gradients(
        rf.Sequential(rf.Linear(3, 4, dtype="float64"), rf.ActivityRegularizer()), draw(2, 5, 3), lengths=[5, 2]
    )


def test_history_shows_the_penalty():
    net, x, y = network(), draw(4, 5, 3), draw(4, 5, 2, seed=3)
    net.layers[2].layers[0].p = 0.0
    plain = net.evaluate(x, y, loss="mse")["loss"]
    outputs, _ = net.layers[0](x)
    wanted = by_hand(outputs, 2.0, 1.5, None)
    fit = {"loss": "mse", "optimizer": rf.SGD(0.0), "batch_size": 4, "verbose": False}
    assert net.fit(x, y, **fit).history["loss"][0] == pytest.approx(plain + wanted, rel=1e-12)


def test_training_makes_activities_slower():
    x, y = draw(8, 12, 3), draw(8, 12, 2, seed=3)
    changes = []
    for beta in (0.0, 30.0):
        net = rf.Sequential(rf.LSTM(3, 8, seed=0), rf.ActivityRegularizer(beta=beta), rf.Linear(8, 2, seed=1))
        net.fit(x, y, loss="mse", optimizer=rf.Adam(0.02), epochs=30, seed=0, verbose=False)
        changes.append(float((np.diff(net.layers[0](x)[0], axis=1) ** 2).mean()))
    assert changes[1] < 0.2 * changes[0]


def test_each_thread_gathers_its_own():
    seen = []

    def other():
        add_penalty(5.0)
        with penalties() as own:
            add_penalty(3.0)
            seen.extend(own)

    with penalties() as outer:
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        with penalties() as inner:
            add_penalty(1.0)
        add_penalty(2.0)
    assert (seen, inner, outer) == ([3.0], [1.0], [2.0])


def test_bad_arguments():
    for wrong in ({"alpha": -1}, {"beta": float("inf")}):
        with pytest.raises(ValueError, match="must be at least 0 and finite"):
            rf.ActivityRegularizer(**wrong)
    with pytest.raises(ValueError, match=r"with beta, x must have shape \(B, T, F\), got \(5, 3\)"):
        rf.ActivityRegularizer(beta=1.0).forward(draw(5, 3))
    with pytest.raises(ValueError, match="dy must have the shape of y"):
        rf.ActivityRegularizer(1.0).forward(draw(5, 3))[1](draw(5, 2))


def test_the_public_check_counts_the_penalty():
    model = rf.Sequential(rf.GRU(3, 4, dtype="float64", seed=0), rf.ActivityRegularizer(alpha=2.0, beta=1.0))
    x = np.random.default_rng(0).normal(size=(3, 5, 3))
    assert max(rf.testing.check_gradients(model, x, lengths=[5, 2, 0]).values()) < 1e-6
