import numpy as np
import pytest

from rnnfast.cli._speed import NumpyModel, speed_table
from rnnfast.models.language_model import LanguageModel
from rnnfast.training import Adam, CrossEntropy, train_step


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_the_numpy_side_computes_what_the_model_computes(cell):
    model = LanguageModel(11, cell=cell, hidden_size=9, embedding_dim=4, dtype="float64", seed=0)
    numpy = NumpyModel(model)
    optimizer = Adam(1e-3, clip_norm=1.0)
    rng = np.random.default_rng(0)
    state = numpy_state = None
    for _ in range(3):
        ids, targets = rng.integers(0, 11, (2, 3, 5))
        np.testing.assert_allclose(numpy.forward(ids)[0], model.network(ids), rtol=1e-9, atol=1e-12)
        step = train_step(model.network, ids, targets, CrossEntropy(), optimizer, state=state)
        loss, numpy_state = numpy.training_step(ids, targets, numpy_state)
        state = step.state
        assert loss == pytest.approx(step.loss_sum / step.count, rel=1e-9)
    np.testing.assert_allclose(numpy.embedding, model.network.params["0.weight"], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(numpy.weight, model.network.params["2.weight"], rtol=1e-6, atol=1e-7)
    for name, value in numpy.params.items():
        np.testing.assert_allclose(value, model.network.params[f"1.{name}_l0"], rtol=1e-6, atol=1e-7)


def test_the_table_leaves_the_model_as_it_was():
    model = LanguageModel(11, hidden_size=9, embedding_dim=4, seed=0)
    before = model.network.flat_data.copy()
    lines = speed_table(model, batch_size=2, chunk=3, rounds=2).splitlines()
    assert np.array_equal(model.network.flat_data, before)
    assert len(lines) == 4
    assert all(line.endswith("x") for line in lines[1:])
