import numpy as np
import pytest
from loss_checks import normal

import rnnfast as rf


def test_the_mean_of_weighted_classes_does_not_depend_on_the_batches():
    model = rf.Sequential(rf.GRU(2, 4, seed=0, dtype="float64"), rf.Linear(4, 3, seed=1, dtype="float64"))
    x, y = normal(7, 5, 2), np.random.default_rng(0).integers(0, 4, (7, 5))
    lengths = np.array([5, 0, 3, 1, 4, 5, 2])
    loss = rf.CrossEntropy(ignore_index=3, label_smoothing=0.1, class_weights=[0.5, 1.0, 3.0])
    means = [model.evaluate(x, y, lengths=lengths, loss=loss, batch_size=size)["loss"] for size in (1, 3, 7)]
    places = np.arange(5) < lengths[:, None]
    total, count, _ = loss(model(x), y, places)
    assert means == pytest.approx([total / count] * 3, rel=1e-12)


def test_a_gaussian_head_learns_mean_and_scale():
    rng = np.random.default_rng(0)
    x = rng.choice([-1.0, 1.0], (256, 1))
    y = 2 * x[:, 0] + np.where(x[:, 0] > 0, 0.2, 1.0) * rng.standard_normal(256)
    model, loss = rf.Sequential(rf.Linear(1, 2, seed=0)), rf.GaussianNLL()
    model.fit(x, y, loss=loss, optimizer=rf.Adam(0.05), epochs=120, batch_size=64, seed=0, verbose=False)
    mean, scale = loss.parameters(model(np.array([[1.0], [-1.0]])))
    wanted = [y[x[:, 0] > 0], y[x[:, 0] < 0]]
    assert mean == pytest.approx([each.mean() for each in wanted], abs=0.1)
    assert scale == pytest.approx([each.std() for each in wanted], rel=0.15)


def test_quantiles_cut_off_their_share():
    y = np.random.default_rng(0).exponential(size=500)
    model = rf.Sequential(rf.Linear(1, 3, seed=0))
    loss = rf.Quantile([0.1, 0.5, 0.9])
    model.fit(np.ones((500, 1)), y, loss=loss, optimizer=rf.Adam(0.02), epochs=100, seed=0, verbose=False)
    shares = (y[:, None] < model(np.ones((1, 1)))).mean(axis=0)
    assert shares == pytest.approx([0.1, 0.5, 0.9], abs=0.03)


def test_fit_takes_a_function_with_its_gradient():
    def absolute(predictions, targets, mask):
        difference = predictions - targets
        return abs(difference).sum(), difference.size, np.sign(difference)

    x, y = normal(40, 3), normal(40, 2, seed=1)
    found = []
    for loss in (absolute, "mae"):
        model = rf.Sequential(rf.Linear(3, 2, seed=0, dtype="float64"))
        history = model.fit(x, y, loss=loss, optimizer=rf.SGD(0.1), epochs=3, seed=0, verbose=False)
        found.append((history.history["loss"], model.params["0.weight"].tolist()))
    assert found[0] == found[1]


def test_binary_targets_one_a_step():
    x, lengths = normal(60, 6, 1), np.random.default_rng(2).integers(1, 7, 60)
    y = np.cumsum(x[..., 0], axis=1) > 0
    model = rf.Sequential(rf.GRU(1, 8, seed=0), rf.Linear(8, 1, seed=1))
    history = model.fit(
        x, y, lengths=lengths, loss="binary_cross_entropy", optimizer=rf.Adam(0.02), epochs=30, seed=0, verbose=False
    ).history["loss"]
    assert history[0] == pytest.approx(np.log(2), abs=0.2)
    assert history[-1] < 0.25
