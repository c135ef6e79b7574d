import copy

import numpy as np
import pytest
from layer_checks import randomise

from rnnfast.data import stream_batches
from rnnfast.layers import GRU, LSTM, Embedding, Last, Linear
from rnnfast.models import Sequential
from rnnfast.training import SGD, CrossEntropy
from rnnfast.training._sources import BatchSource, class_weights, make_source


def classifier():
    return randomise(Sequential(LSTM(2, 3, dtype="float64"), Last(), Linear(3, 4, dtype="float64")))


def draw(N=12, T=5):
    rng = np.random.default_rng(0)
    return rng.standard_normal((N, T, 2)), rng.integers(0, 4, N)


def quiet(model, *data, **how):
    return model.fit(*data, **{"loss": "cross_entropy", "optimizer": SGD(0.1), "seed": 0, "verbose": False, **how})


def chunks(x, y, size=4):
    return [(x[at : at + size], y[at : at + size]) for at in range(0, len(x), size)]


class ByNumber:
    def __init__(self, batches):
        self.batches, self.asked = batches, []

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, i):
        self.asked.append(i)
        return self.batches[i]


@pytest.mark.parametrize("form", ["function", "list", "mappings", "iterator"])
def test_batches_from_anywhere_train_as_arrays_do(form):
    x, y = draw()
    arrays, batches = classifier(), classifier()
    wanted = quiet(arrays, x, y, batch_size=4, epochs=3, shuffle=False)
    made = chunks(x, y)
    given, how = made, {"shuffle": False}
    if form == "function":
        given, how = lambda: iter(made), {}
    elif form == "mappings":
        given = [{"x": a, "y": b, "sample_weight": np.ones(4)} for a, b in made]
    elif form == "iterator":
        given, how = iter(made * 3), {"steps_per_epoch": 3}
    found = quiet(batches, given, epochs=3, **how)
    assert found.history == wanted.history
    assert np.array_equal(arrays.flat_data, batches.flat_data)


def test_batches_by_number_are_shuffled():
    x, y = draw()
    source = ByNumber(chunks(x, y, 1))
    quiet(classifier(), source, epochs=2)
    first, second = source.asked[:12], source.asked[12:]
    assert sorted(first) == sorted(second) == list(range(12))
    assert first != second
    source.asked.clear()
    quiet(classifier(), source, epochs=2, shuffle=False)
    assert source.asked == [*range(12)] * 2
    source.asked.clear()
    quiet(classifier(), source, steps_per_epoch=5)
    assert len(source.asked) == 5


def test_an_iterator_that_has_ended_says_so():
    x, y = draw()
    with pytest.raises(ValueError, match=r"no batches in epoch 2: give a function"):
        quiet(classifier(), iter(chunks(x, y)), epochs=2)


def test_streams_of_one_text_carry_their_state():
    ids = np.random.default_rng(0).integers(0, 5, 103)
    model = Sequential(Embedding(5, 4, seed=0), GRU(4, 6, seed=0), Linear(6, 5, seed=0))
    history = quiet(
        model,
        lambda: stream_batches(ids, 3, 8),
        stateful=True,
        epochs=2,
        optimizer=SGD(0.0),
        validation_data=lambda: stream_batches(ids, 3, 8),
    )
    total = count = 0
    for row, start in zip(range(3), (0, 34, 68), strict=True):
        y = ids[start + 1 : start + 35]
        logits = model(ids[None, start : start + 34])
        part, places, _ = CrossEntropy()(logits, y[None])
        total, count = total + part, count + places
        assert places == 34, row
    # Each epoch begins with the streams, and so with no state.
    assert history.history["loss"] == pytest.approx([total / count] * 2, rel=1e-6)
    assert history.history["val_loss"] == pytest.approx([total / count] * 2, rel=1e-6)


def test_lists_of_ragged_sequences_train_as_padded_arrays_do():
    rng = np.random.default_rng(0)
    lengths = np.array([3, 5, 0, 2, 4])
    listed = [rng.standard_normal((n, 2)) for n in lengths]
    padded = np.zeros((5, 5, 2))
    for row, each in zip(padded, listed, strict=True):
        row[: len(each)] = each
    y = np.array([0, 1, 2, 3, 0])
    one, other = classifier(), classifier()
    a = quiet(one, listed, y, batch_size=2, epochs=2, validation_split=0.4)
    b = quiet(other, padded, y, lengths=lengths, batch_size=2, epochs=2, validation_split=0.4)
    assert a.history == b.history
    assert np.array_equal(one.flat_data, other.flat_data)
    assert one.evaluate(listed, y) == one.evaluate(padded, y, lengths=lengths)
    assert np.array_equal(one.predict(listed), one.predict(padded, lengths=lengths))
    tagger = randomise(Sequential(LSTM(2, 3, dtype="float64"), Linear(3, 4, dtype="float64")))
    found = tagger.predict(listed, batch_size=2)
    wanted = tagger.predict(padded, lengths=lengths)
    assert [len(each) for each in found] == lengths.tolist()
    assert all(np.array_equal(each, row[: len(each)]) for each, row in zip(found, wanted, strict=True))
    tags = [rng.integers(0, 4, n) for n in lengths]
    assert np.isfinite(quiet(tagger, listed, tags, batch_size=2).history["loss"][0])


def test_memory_maps_larger_than_a_batch_are_read_by_the_batch(tmp_path):
    x, y = draw(N=40)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    one, other = classifier(), classifier()
    quiet(one, x, y, batch_size=7, epochs=2)
    quiet(other, mapped, y, batch_size=7, epochs=2)
    assert np.array_equal(one.flat_data, other.flat_data)


def test_weights_multiply_losses_and_leave_the_count():
    x, y = draw()
    weights = np.random.default_rng(1).uniform(0, 2, 12)
    model = classifier()
    found = quiet(model, x, y, sample_weight=weights, batch_size=5, optimizer=SGD(0.0)).history["loss"][0]
    logits = model(x)
    losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(12), y]
    assert found == pytest.approx((weights * losses).mean(), rel=1e-12)
    assert model.evaluate(x, y, sample_weight=weights)["loss"] == pytest.approx((weights * losses).mean(), rel=1e-12)


def test_a_class_weighs_as_so_many_sample_weights():
    x, y = draw()
    table = {0: 2.0, 2: 0.5, 3: 0}
    weights = np.array([{0: 2.0, 1: 1.0, 2: 0.5, 3: 0.0}[each] for each in y])
    one, other, both = classifier(), classifier(), classifier()
    a = quiet(one, x, y, class_weight=table, batch_size=5)
    b = quiet(other, x, y, sample_weight=weights, batch_size=5)
    quiet(both, x, y, sample_weight=weights, class_weight=table, batch_size=5)
    assert a.history == b.history
    assert np.array_equal(one.flat_data, other.flat_data)
    assert not np.array_equal(one.flat_data, both.flat_data)


def test_class_weights_go_with_one_score():
    x, y = draw()
    model = Sequential(LSTM(2, 3, seed=0), Last(), Linear(3, 1, seed=1))
    how = {"loss": "binary_cross_entropy", "class_weight": {0: 2.0}, "metrics": ["accuracy", "f1"], "verbose": False}
    flat, column = (copy.deepcopy(model).fit(x, each, seed=0, **how) for each in (y % 2, (y % 2)[:, None]))
    assert flat.history == column.history


def test_class_weights_of_steps():
    y = np.array([[0, 1, 1], [2, 0, 1]])
    assert class_weights(y, None, {0: 3.0, 1: 0.5}).tolist() == [[3, 0.5, 0.5], [1, 3, 0.5]]
    assert class_weights(y, [2, 1], {0: 3.0}).tolist() == [[6, 2, 2], [1, 3, 1]]
    assert class_weights(np.array([0.0, 1.0]), np.array([1, 2]), {1: 4}).tolist() == [1, 8]
    assert class_weights(y[..., None], None, {0: 3.0}).tolist() == [[3, 1, 1], [1, 3, 1]]
    assert class_weights(y[..., None], [2, 1], {0: 3.0}).tolist() == [[6, 2, 2], [1, 3, 1]]
    assert class_weights(y[:, :1], None, {0: 3.0}).tolist() == [3, 1]
    assert class_weights(y[:, :1], [[2], [1]], {0: 3.0}).tolist() == [[6], [1]]
    with pytest.raises(ValueError, match="targets of shape"):
        class_weights(np.zeros((2, 3, 4)), None, {1: 1})


def test_validation_data_have_weights_and_come_in_batches():
    x, y = draw()
    weights = np.linspace(0, 1, 12)
    model = classifier()
    tuples = quiet(model, x, y, optimizer=SGD(0.0), validation_data=(x, y, None, weights)).history["val_loss"][0]
    assert tuples == model.evaluate(x, y, sample_weight=weights)["loss"]
    batches = quiet(model, x, y, optimizer=SGD(0.0), epochs=2, validation_data=chunks(x, y)).history["val_loss"]
    assert batches == pytest.approx([model.evaluate(x, y)["loss"]] * 2, rel=1e-12)


def test_samplers_make_the_batches():
    x, y = draw()
    lengths = np.arange(12) % 6
    seen = []

    def sampler(given, rng):
        assert given.tolist() == lengths.tolist()
        rows = rng.permutation(12)
        seen.append(rows.tolist())
        return [rows[:5], rows[5:]]

    optimizer = SGD(0.1)
    quiet(classifier(), x, y, lengths=lengths, batch_size=sampler, epochs=2, optimizer=optimizer)
    assert optimizer.steps == 4
    assert seen[0] != seen[1]


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ([3], TypeError, r"a batch must be \(x, y\)"),
        ([(1,)], TypeError, "got 1 entries"),
        ([{"x": [1.0]}], ValueError, "a batch as a mapping has x, y"),
        ([{"x": [1.0], "y": [1], "z": 1}], ValueError, "got x, y, z"),
        (3.5, TypeError, "something that gives batches, got float"),
    ],
)
def test_bad_batches(given, error, message):
    with pytest.raises(error, match=message):
        next(BatchSource(given, None, False, None).epoch(np.random.default_rng(0)))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"x": np.zeros((3, 2))}, "y is missing"),
        ({"lengths": [1]}, "given with each batch"),
        ({"weights": [1]}, "given with each batch"),
        ({"y": np.zeros(3), "x": np.zeros((3, 2)), "steps": 4}, "steps_per_epoch is for batches"),
    ],
)
def test_what_does_not_go_together(how, message):
    given = {"x": [], "y": None, "lengths": None, "weights": None, **how}
    rest = {"target_steps": None, "batching": 4, "shuffle": True}
    with pytest.raises(ValueError, match=message):
        make_source(given.pop("x"), given.pop("y"), given.pop("lengths"), given.pop("weights"), **rest, **given)
