import numpy as np
import pytest

from rnnfast import Classifier, EarlyStopping, files
from rnnfast.data import WordVocabulary, pad


def first_tells(count=120, seed=0):
    """Ragged token ids; the class is told by the first alone."""
    rng = np.random.default_rng(seed)
    x = [rng.integers(0, 4, rng.integers(3, 8)) for _ in range(count)]
    for i, row in enumerate(x):
        row[0] = 2 * rng.integers(2) + i % 2
    return x, ["odd" if i % 2 else "even" for i in range(count)]


def rising(count=80, seed=0):
    """Noisy series that rise or fall, of unequal length, on a scale far from 1."""
    rng = np.random.default_rng(seed)
    x = [1000 + 100 * ((1 if i % 2 else -1) * np.arange(n) / n + 0.1 * rng.normal(size=n)) for i, n in
         enumerate(rng.integers(5, 15, count))]  # fmt: skip
    return x, [i % 2 for i in range(count)]


def small(**options):
    return Classifier(**{"hidden_size": 12, "embedding_dim": 6, "seed": 0, **options})


@pytest.mark.parametrize(
    "options",
    [
        {"cell": "lstm", "bidirectional": True},
        {"cell": "gru", "pooling": "last", "num_layers": 2},
        {"cell": "rnn", "pooling": "last", "bidirectional": True},
    ],
)
def test_remembers_the_beginning_of_ragged_sequences(options):
    x, y = first_tells()
    model = small(**options).fit(x, y, epochs=20, batch_size=8)
    assert model.classes_.tolist() == ["even", "odd"]
    new_x, new_y = first_tells(100, seed=1)
    assert model.score(new_x, new_y) >= 0.98
    assert model.history_.history["accuracy"][-1] >= 0.98


@pytest.mark.parametrize("pooling", ["last", "mean", "max"])
def test_series_are_scaled_inside(pooling):
    x, y = rising()
    model = small(pooling=pooling).fit(x, y, epochs=15, batch_size=8)
    new_x, new_y = rising(seed=1)
    assert model.score(new_x, new_y) >= 0.98
    assert model.predict(new_x).dtype == np.int64
    joined = np.concatenate(x)
    assert model._inputs.scaler.offset == pytest.approx([joined.mean()])
    assert model._inputs.scaler.scale == pytest.approx([joined.std()])


def test_vectors_padded_with_lengths_equal_ragged_ones():
    rng = np.random.default_rng(0)
    rows = [rng.normal(3, 2, (n, 3)) for n in rng.integers(1, 6, 40)]
    y = [("up", 1) if row[:, 0].sum() > 3 * len(row) else ("down", -1) for row in rows]
    padded, lengths = pad(rows)
    padded[np.arange(padded.shape[1]) >= lengths[:, None]] = 1e6
    ragged = small().fit(rows, y, epochs=3)
    other = small().fit(padded, y, lengths=lengths, epochs=3)
    assert np.array_equal(ragged.network.flat_data, other.network.flat_data)
    probabilities = ragged.predict_proba(rows)
    np.testing.assert_array_equal(probabilities, other.predict_proba(padded, lengths=lengths))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    for row, found in zip(rows, probabilities, strict=True):
        np.testing.assert_allclose(ragged.predict_proba([row])[0], found, rtol=1e-4)
    assert set(map(tuple, ragged.predict(rows))) <= {("up", 1), ("down", -1)}


def test_texts_have_a_vocabulary_of_the_training_part():
    texts = ["good film", "bad film", "a good one", "a bad one"] * 10
    y = np.array([True, False] * 20)
    model = small(hidden_size=8).fit(texts, y, epochs=15, batch_size=8)
    assert model.predict(["bad !", "so good", "good"]).tolist() == [False, True, True]
    assert set(model.vocabulary_.tokens[4:]) == {"a", "bad", "film", "good", "one"}
    held_out = small().fit([*texts, "strange"], [*y, True], epochs=1, validation_split=1 / 41)
    assert "strange" not in held_out.vocabulary_
    given = WordVocabulary.from_texts(texts, max_size=6)
    assert len(small(vocabulary=given).fit(texts, y, epochs=1).vocabulary_) == 6
    words = small(hidden_size=8).fit(np.array(texts), y, epochs=15, batch_size=8)
    assert np.array_equal(words.network.flat_data, model.network.flat_data)


def test_equal_seeds_give_equal_models():
    x, y = first_tells(40)
    options = {"dropout": 0.3, "recurrent_dropout": 0.2, "num_layers": 2}
    models = [small(seed=seed, **options).fit(x, y, epochs=2) for seed in (1, 1, 2)]
    assert np.array_equal(models[0].network.flat_data, models[1].network.flat_data)
    assert not np.array_equal(models[0].network.flat_data, models[2].network.flat_data)


def test_a_fit_begins_anew():
    x, y = first_tells(40)
    model = small().fit(x, y, epochs=2)
    before = model.network.flat_data.copy()
    assert np.array_equal(model.fit(x, y, epochs=2).network.flat_data, before)


@pytest.mark.parametrize("kind", ["ids", "words", "series", "vectors"])
def test_files_round_trip(tmp_path, kind):
    ids, y = first_tells(30)
    x = {
        "ids": ids,
        "words": [["abcd"[i] for i in row] for row in ids],
        "series": [row / 4 for row in ids],
        "vectors": [np.stack([row, row**2], axis=1) for row in ids],
    }[kind]
    y = [("a", 1), None, 2.5] * 10
    model = small(bidirectional=True, dropout=0.1, num_layers=2, pooling="max").fit(x, y, epochs=2)
    assert model._inputs.kind == kind
    model.save(tmp_path / "model.safetensors")
    again = Classifier.load(tmp_path / "model.safetensors")
    assert again.get_params() == model.get_params()
    assert again.classes_.tolist() == model.classes_.tolist() == [("a", 1), None, 2.5]
    assert np.array_equal(again.predict_proba(x), model.predict_proba(x))


def test_arguments_of_fit_are_handed_on():
    x, y = first_tells(60)
    held_out = first_tells(20, seed=1)
    stop = EarlyStopping(patience=0, monitor="val_loss", min_delta=10.0)
    model = small().fit(x, y, epochs=9, optimizer="sgd", validation_data=held_out, callbacks=[stop], batch_size=60)
    assert len(model.history_.epoch) == 2
    assert set(model.history_.history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert model.history_.history["val_accuracy"][-1] == pytest.approx(model.score(*held_out))
    only_odd = small().fit(x, y, epochs=20, class_weight={"even": 0.0})
    assert set(only_odd.predict(x)) == {"odd"}


def test_empty_sequences_and_none_at_all():
    x, y = first_tells(20)
    model = small().fit([[], *x], ["odd", *y], epochs=1)
    assert model.predict_proba([[], []]).shape == (2, 2)
    assert model.predict([]).shape == (0,)


def test_params_round_trip():
    model = Classifier(cell="gru", hidden_size=[8, 4], pooling="max", seed=3)
    assert Classifier(**model.get_params()).get_params() == model.get_params()
    assert model.set_params(cell="rnn", dropout=0.2) is model
    assert (model.cell, model.dropout) == ("rnn", 0.2)
    assert repr(model) == "Classifier(cell='rnn', hidden_size=[8, 4], dropout=0.2, pooling='max', seed=3)"
    assert repr(Classifier()) == "Classifier()"
    with pytest.raises(ValueError, match="no argument 'hidden'; it has cell, hidden_size"):
        model.set_params(hidden=3)


def test_a_fit_that_fails_leaves_the_model():
    x, y = first_tells(20)
    model = small().fit(x, y, epochs=1)
    before = model.predict_proba(x)
    with pytest.raises(ValueError, match="no such"):
        model.fit([[0.5, 1.0]] * 4, [1, 2, 3, 4], epochs=1, metrics=["no such"])
    assert np.array_equal(model.predict_proba(x), before)
    assert model.classes_.tolist() == ["even", "odd"]


def test_scikit_learn_clones_validates_and_searches():
    base = pytest.importorskip("sklearn.base", reason="scikit-learn is wanted")
    selection = pytest.importorskip("sklearn.model_selection", reason="scikit-learn is wanted")
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    x = rng.normal(size=(60, 4, 2)) + 2 * y[:, None, None]
    model = small(hidden_size=8)
    assert base.clone(model).get_params() == model.get_params()
    assert base.is_classifier(model)
    scores = selection.cross_val_score(model, x, y, cv=3, params={"epochs": 15, "batch_size": 4})
    assert scores.shape == (3,)
    assert scores.mean() > 0.9
    search = selection.GridSearchCV(model, {"pooling": ["last", "max"]}, cv=2).fit(x, y, epochs=2)
    assert search.best_params_["pooling"] in ("last", "max")


X, Y = [[0, 1], [2]], ["a", "b"]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: small().predict(X), ValueError, "this Classifier is not fitted yet"),
        (lambda: small().save("nowhere"), ValueError, "not fitted"),
        (lambda: small(cell="elman").fit(X, Y), ValueError, "cell must be one of 'lstm', 'gru', 'rnn', got 'elman'"),
        (lambda: small(pooling="sum").fit(X, Y), ValueError, "pooling must be one of 'last', 'mean', 'max', got 'sum'"),
        (lambda: small(hidden_size=0).fit(X, Y), ValueError, "hidden_size must be at least 1, got 0"),
        (lambda: small(dropout=1.0).fit(X, Y), ValueError, "dropout must be at least 0 and less than 1"),
        (lambda: small().fit(X, ["a"]), ValueError, "equally many sequences, at least one, got 2 and 1"),
        (lambda: small().fit([], []), ValueError, "at least one, got 0 and 0"),
        (lambda: small().fit([[], []], Y), ValueError, "at least one sequence that is not empty"),
        (lambda: small().fit("text", Y), TypeError, "x must be a list of sequences .* got str"),
        (lambda: small().fit([1, 2], Y), TypeError, r"x\[0\] is 1"),
        (lambda: small().fit(np.zeros(2), Y), ValueError, r"\(N, T\) or \(N, T, F\), got shape \(2,\)"),
        (lambda: small().fit([["a"], [1]], Y), ValueError, "one kind, got ids and words"),
        (lambda: small().fit([[[1, 2]], [[1]]], Y), ValueError, r"equally many features, got \[1, 2\]"),
        (lambda: small().fit([[[1, 2], [1]], X[0]], Y), ValueError, r"x\[0\] .* its steps differ in length"),
        (lambda: small().fit([[1j], [2]], Y), ValueError, r"x\[0\] must be words, or numbers .* complex128"),
        (lambda: small().fit([[np.nan], [2.0]], Y), ValueError, r"x\[0\] must hold finite numbers"),
        (lambda: small().fit([[0, -1], [2]], Y), ValueError, r"x\[0\] must have token ids from 0 to 2.* got -1 to 0"),
        (lambda: small().fit(X, [["a"], ["b"]]), TypeError, r"a label must be hashable, got list \['a'\]"),
        (lambda: small().fit(X, np.zeros((2, 2))), ValueError, r"one label for each sequence, .* got \(2, 2\)"),
        (lambda: small().fit(X, [np.nan, 1.0]), ValueError, "a label must not be nan"),
        (lambda: small().fit(X, Y, validation_split=1.0), ValueError, "validation_split"),
        (lambda: small().fit(X, Y, validation_data=X), ValueError, "validation_data must be a tuple"),
        (lambda: small().fit(X, Y, validation_data=(X, ["a", "c"])), ValueError, "'c' was not in the training part"),
        (lambda: small().fit(X, Y, class_weight={"c": 1}), ValueError, "'c' was not .* which has 'a', 'b'"),
        (lambda: small().fit(X, Y, batch_size=0), ValueError, "batch_size"),
        (lambda: small().fit(X, Y, epochs=1).predict([[3]]), ValueError, r"x\[0\] .* from 0 to 2, .* got 3 to 3"),
        (lambda: small().fit(X, Y, epochs=1).predict([[0.5]]), ValueError, r"x\[0\] must be token ids \(T,\)"),
        (lambda: small().fit([["a"], ["b"]], Y, epochs=1).predict([[1]]), TypeError, r"x\[0\] must be a text or"),
        (
            lambda: small().fit([[0.5]] * 2, Y, epochs=1).predict([[[0.5]]]),
            ValueError,
            r"must have shape \(T,\).*\(1, 1\)",
        ),
        (lambda: small().fit([[[0.5]]] * 2, Y, epochs=1).predict([[0.5]]), ValueError, r"shape \(T, 1\), as .* \(1,\)"),
        (lambda: small().fit(X, Y, epochs=1).score(X, ["a"]), ValueError, "equally many sequences"),
        (lambda: small(num_embeddings=2).fit(X, Y), ValueError, "from 0 to 1"),
    ],
)
def test_kind_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_labels_and_files_that_cannot_be(tmp_path):
    path = tmp_path / "model.safetensors"
    model = small().fit(X, [frozenset("a"), frozenset("b")], epochs=1)
    with pytest.raises(TypeError, match="of type frozenset cannot be written"):
        model.save(path)
    model = small().fit(X, Y, epochs=1)
    files.save(model.network, path)
    with pytest.raises(ValueError, match=r"model\.safetensors: it is a model without a task, not a Classifier"):
        Classifier.load(path)
    whole = {"class": "Classifier", "params": model.get_params(), "state": model._state()}
    for wrong in (
        {"params": {"hidden": 3}},
        {"params": 3},
        {"state": {}},
        {"state": {**whole["state"], "labels": ["a"]}},
        {"state": {**whole["state"], "labels": ["a", "a"]}},
        {"state": {**whole["state"], "inputs": {**whole["state"]["inputs"], "size": 9}}},
        {"state": {**whole["state"], "inputs": {**whole["state"]["inputs"], "kind": "words"}}},
    ):
        files.save(model.network, path, extra={"estimator": {**whole, **wrong}})
        with pytest.raises(ValueError, match=r"model\.safetensors: the Classifier in it is damaged"):
            Classifier.load(path)
    files.save(model.network, path, extra={"estimator": whole})
    assert Classifier.load(path).classes_.tolist() == Y
