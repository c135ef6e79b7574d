# ruff: noqa: E402
import pickle

import numpy as np
import pytest

import rnnfast as rf

sklearn = pytest.importorskip("sklearn", reason="scikit-learn is wanted")

from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, KFold, TimeSeriesSplit, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from rnnfast.decoding._steps import log_softmax
from rnnfast.interop.sklearn import RNNClassifier, RNNForecaster, RNNRegressor, predict_parallel

# One batch of all, in float64: there a weight of 2 is a sequence given twice, but for rounding.
CHECKED = [
    RNNClassifier(hidden_size=6, epochs=25, batch_size=512, learning_rate=0.03, dtype="float64", random_state=0),
    RNNRegressor(
        cell="rnn", hidden_size=6, epochs=20, batch_size=64, learning_rate=0.03, dtype="float64", random_state=0
    ),
    RNNForecaster(window=3, hidden_size=4, epochs=2, random_state=0),
]
OTHERWISE = {
    "RNNForecaster": {
        "check_fit1d": "a series of one feature (T,) is what it is for",
        "check_methods_sample_order_invariance": "its samples are the steps of a series, whose order tells",
        "check_methods_subset_invariance": "it foretells what follows a whole series, not a number a step",
    }
}


@parametrize_with_checks(CHECKED, expected_failed_checks=lambda estimator: OTHERWISE.get(type(estimator).__name__, {}))
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


def series(count=24, steps=6, features=2, seed=0):
    """Sequences (N, T, F), a label and a number for each."""
    rng = np.random.default_rng(seed)
    x = rng.normal(2.0, 3.0, size=(count, steps, features))
    return x, np.where(x[:, -1, 0] > 2, "up", "down"), 500 + 20 * x[:, -1, 0]


def small(kind=RNNClassifier, **given):
    return kind(**{"hidden_size": 5, "epochs": 3, "batch_size": 8, "random_state": 0, **given})


def test_a_classifier_gives_the_softmax_of_its_network():
    x, y, _ = series()
    model = small(bidirectional=True, num_layers=2, pooling="mean").fit(x, y)
    assert model.classes_.tolist() == ["down", "up"]
    assert (model.n_features_in_, model.n_iter_, model.network_.layers[0].hidden_size) == (2, 3, 5)
    steps = x.reshape(-1, 2)
    scores = model.network_(((x - steps.mean(0)) / steps.std(0)).astype(np.float32)).astype(np.float64)
    np.testing.assert_allclose(model.decision_function(x), scores[:, 1] - scores[:, 0], atol=1e-6)
    np.testing.assert_allclose(model.predict_log_proba(x), log_softmax(scores), atol=1e-6)
    assert np.array_equal(model.predict(x) == "up", model.predict_proba(x)[:, 1] > 0.5)
    assert model.score(x, y) == np.mean(model.predict(x) == y)


def test_it_learns_which_sequences_rise():
    x, y, _ = series(count=80, seed=3)
    model = small(epochs=40, learning_rate=0.02).fit(x[:60], y[:60])
    assert model.score(x[60:], y[60:]) >= 0.85


def test_every_form_of_the_same_sequences_gives_the_same_bits():
    pd = pytest.importorskip("pandas", reason="frames are wanted")
    x, y, _ = series()
    wanted = small().fit(x, y).predict_proba(x)
    objects = np.empty(len(x), object)
    objects[:] = list(x)
    nested = pd.DataFrame({"a": [pd.Series(each[:, 0]) for each in x], "b": [pd.Series(each[:, 1]) for each in x]})
    for form in (list(x), x.tolist(), objects, nested):
        assert np.array_equal(small().fit(form, y).predict_proba(form), wanted)
    table = x[..., 0]
    one = small().fit(table, y)
    frame = pd.DataFrame(table, columns=list("abcdef"))
    named = small().fit(frame, y)
    assert named.feature_names_in_.tolist() == list("abcdef")
    assert np.array_equal(named.predict_proba(frame), one.predict_proba(table))
    assert np.array_equal(one.predict_proba([each[:4] for each in table]), one.predict_proba(table[:, :4, None]))
    other = pytest.importorskip("polars", reason="frames are wanted").DataFrame(table, schema=list("abcdef"))
    assert np.array_equal(named.predict_proba(other), one.predict_proba(table))


def test_sequences_of_unequal_length_do_not_see_their_padding():
    x, y, number = series()
    ragged = [each[: 1 + n % 6] for n, each in enumerate(x)]
    model = small().fit(ragged, y)
    alone = np.concatenate([model.predict_proba([each]) for each in ragged])
    assert np.array_equal(model.predict_proba(ragged), alone)
    whole = small(RNNRegressor).fit(ragged, number)
    assert np.array_equal(whole.predict(ragged), np.concatenate([whole.predict(each[None]) for each in ragged]))
    assert small().fit([each[:, 0] for each in ragged], y).n_features_in_ == 1


@pytest.mark.parametrize("kind", [RNNClassifier, RNNRegressor])
def test_a_weight_is_a_sequence_given_so_often(kind):
    x, label, number = series()
    y = label if kind is RNNClassifier else number
    ragged = [each[: 1 + n % 6] for n, each in enumerate(x)]
    weights = np.arange(len(x)) % 3
    rows = np.repeat(np.arange(len(x)), weights)
    how = {"dtype": "float64", "batch_size": 100}
    one = small(kind, **how).fit(ragged, y, sample_weight=10.0 * weights)
    other = small(kind, **how).fit([ragged[row] for row in rows], y[rows])
    outputs = [each.network_.predict(x) for each in (one, other)]
    np.testing.assert_allclose(*outputs, rtol=1e-9, atol=1e-12)
    assert not np.allclose(outputs[0], small(kind, **how).fit(ragged, y).network_.predict(x), atol=1e-4)


def test_weights_of_classes_are_weights_of_their_sequences():
    x, _, _ = series()
    y = (np.arange(24) % 4 == 0).astype(int)
    by_class = small(class_weight="balanced").fit(x, y).predict_proba(x)
    assert np.array_equal(small().fit(x, y, np.where(y, 2.0, 2 / 3)).predict_proba(x), by_class)
    assert np.array_equal(small(class_weight={1: 3}).fit(x, y).predict_proba(x), by_class)
    with pytest.raises(ValueError, match="class_weight='balanced' needs all data at once"):
        small(class_weight="balanced").partial_fit(x, y, classes=[0, 1])


def test_a_regressor_learns_numbers_of_any_size():
    x, _, number = series(count=80, seed=1)
    y = np.stack([number, -1e-3 * number], axis=1)
    model = small(RNNRegressor, epochs=60, learning_rate=0.02).fit(x[:60], y[:60])
    told = model.predict(x[60:])
    assert told.shape == (20, 2)
    assert model.score(x[60:], y[60:]) > 0.8
    plain = small(RNNRegressor, scale=False, loss="mae").fit(x, number)
    assert plain.predict(x).shape == (80,)
    np.testing.assert_allclose(plain.predict(x), plain.network_(x.astype(np.float32))[:, 0], rtol=1e-6)


def test_partial_fit_goes_on():
    x, y, number = series()
    model = small().partial_fit(x[:8], y[:8], classes=["up", "down", "level"])
    first = model.predict_proba(x)
    assert first.shape == (24, 3)
    model.partial_fit(x[8:], y[8:])
    assert model.network_ is not None
    assert not np.allclose(model.predict_proba(x), first, atol=1e-3)
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        small().partial_fit(x, y)
    with pytest.raises(ValueError, match="is not the same as on the first call"):
        model.partial_fit(x, y, classes=["up", "down"])
    with pytest.raises(ValueError, match=r"labels that are not in classes_: \['sideways'\]"):
        model.partial_fit(x, np.full(24, "sideways"))
    regressor = small(RNNRegressor).partial_fit(x, number)
    with pytest.raises(ValueError, match="y must have 1 columns"):
        regressor.partial_fit(x, np.ones((24, 2)))


def test_a_warm_start_ends_where_one_long_fit_does():
    x, y, _ = series()
    how = {"dropout": 0.3, "recurrent_dropout": 0.2}
    model = small(warm_start=True, **how).fit(x, y).fit(x, y)
    assert np.array_equal(model.predict_proba(x), small(epochs=6, **how).fit(x, y).predict_proba(x))
    with pytest.raises(ValueError, match=r"labels that are not in classes_"):
        model.fit(x, ["new"] * 24)
    assert np.array_equal(
        small(warm_start=False, **how).fit(x, y).fit(x, y).network_.flat_data, small(**how).fit(x, y).network_.flat_data
    )


def test_early_stopping_keeps_the_best_epoch():
    x, y, number = series(count=40)
    rng = np.random.default_rng(5)
    how = {"early_stopping": True, "epochs": 60, "n_iter_no_change": 3, "validation_fraction": 0.25}
    model = small(learning_rate=0.05, **how).fit(x, rng.permutation(y), sample_weight=rng.random(40))
    losses = model.history_.history["val_loss"]
    assert model.n_iter_ == len(losses) == int(np.argmin(losses)) + 4 < 60
    small(RNNRegressor, **{**how, "epochs": 2}).fit([each[: 1 + n % 6] for n, each in enumerate(x)], number)


def test_clones_pickles_and_an_optimizer_of_ones_own():
    x, y, _ = series()
    optimizer = rf.SGD(0.1, momentum=0.9)
    model = small(optimizer=optimizer, hidden_size=[4, 3], warm_start=True).fit(x, y)
    assert optimizer.steps == 0
    again = clone(model).fit(x, y)
    assert np.array_equal(again.predict_proba(x), model.predict_proba(x))
    copy = pickle.loads(pickle.dumps(model))
    assert np.array_equal(copy.predict_proba(x), model.predict_proba(x))
    assert np.array_equal(copy.fit(x, y).predict_proba(x), model.fit(x, y).predict_proba(x))
    sizes = [layer.hidden_size for layer in small(hidden_size=[4, 3]).fit(x, y).network_.layers[:1]]
    assert sizes == [[4, 3]] or sizes == [(4, 3)]


def test_searches_with_several_processes():
    x, _, number = series()
    ragged = [each[: 2 + n % 5] for n, each in enumerate(x)]
    grid = {"hidden_size": [3, 5], "n_threads": [1]}
    search = GridSearchCV(small(RNNRegressor), grid, cv=KFold(2), n_jobs=2).fit(ragged, number)
    alone = GridSearchCV(small(RNNRegressor), grid, cv=KFold(2)).fit(ragged, number)
    assert np.array_equal(search.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"])
    best = search.best_estimator_
    assert np.array_equal(predict_parallel(best, ragged, n_jobs=2, chunk_size=7), best.predict(ragged))
    forecaster = rf.Forecaster(window=3, horizon=2, hidden_size=4, seed=0).fit(list(x), epochs=1)
    told = predict_parallel(forecaster, list(x), n_jobs=1, chunk_size=5)
    for one, other in zip(told, forecaster.predict(list(x)), strict=True):
        assert np.array_equal(one, other)
    with pytest.raises(ValueError, match="method must be a method of RNNRegressor, got 'guess'"):
        predict_parallel(best, ragged, method="guess")


def test_pipelines_and_cross_validation():
    x, y, _ = series()
    table = x[..., 0]
    piped = make_pipeline(StandardScaler(), small(scale=False)).fit(table, y, rnnclassifier__sample_weight=np.ones(24))
    scaled = (table - table.mean(0)) / table.std(0)
    np.testing.assert_allclose(piped.predict_proba(table), piped[-1].predict_proba(scaled), atol=1e-12)
    folds = cross_val_predict(small(), x, y, cv=KFold(3), method="predict_proba")
    for train, test in KFold(3).split(x):
        assert np.array_equal(folds[test], small().fit(x[train], y[train]).predict_proba(x[test]))


def test_threads_are_set_and_set_back(monkeypatch):
    x, y, _ = series()
    seen = []
    original = rf.Sequential.predict
    monkeypatch.setattr(
        rf.Sequential, "predict", lambda *args, **how: seen.append(rf.get_num_threads()) or original(*args, **how)
    )
    before = rf.get_num_threads()
    small(n_threads=3).fit(x, y).predict(x)
    small().fit(x, y).predict(x)
    assert seen == [3, before]
    assert rf.get_num_threads() == before


def test_a_forecaster_is_rnnfasts_own():
    wave = np.sin(np.arange(120) / 4)[:, None] * [1.0, 50.0]
    model = RNNForecaster(8, 3, hidden_size=6, epochs=4, random_state=0).fit(wave)
    own = model.forecaster_
    assert (model.n_features_in_, model.n_iter_, own.window, own.horizon) == (2, 4, 8, 3)
    assert np.array_equal(model.predict(), own.predict(wave))
    assert np.array_equal(model.predict(2), own.predict(wave, 2))
    assert np.array_equal(model.predict(wave[:50], 1), own.predict(wave[:50], 1))
    assert model.score(wave) == own.score(wave)
    again = clone(model).fit(wave)
    assert np.array_equal(pickle.loads(pickle.dumps(again)).predict(), model.predict())
    several = RNNForecaster(8, hidden_size=4, epochs=1, random_state=0).fit([wave[:40, 0], wave[50:, 0]])
    assert [each.shape for each in several.predict()] == [(1,), (1,)]
    search = GridSearchCV(
        RNNForecaster(8, 3, epochs=15, learning_rate=0.02, random_state=0, early_stopping=True),
        {"hidden_size": [1, 8]},
        cv=TimeSeriesSplit(2),
    ).fit(wave[:, 0])
    assert search.best_params_ == {"hidden_size": 8}
    assert search.predict(wave[:, 0]).shape == (3,)


X, Y, Z = series(count=6)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: small().predict(X), NotFittedError, "not fitted yet"),
        (lambda: RNNForecaster().predict(), NotFittedError, "not fitted yet"),
        (lambda: small().fit(X, None), ValueError, "RNNClassifier requires y to be passed"),
        (lambda: small().fit(X[..., None], Y), ValueError, r"\(N, T\) or \(N, T, F\).* got \(6, 6, 2, 1\)"),
        (lambda: small().fit([X[0], X[1][:, :1]], Y[:2]), ValueError, r"equally many features: got \[1, 2\]"),
        (lambda: small().fit([X[0], X[1][:3, 0] * 1j], Y[:2]), ValueError, r"X\[1\] must be numbers .* complex128"),
        (lambda: small().fit([X[0], X[1][:3] * np.nan], Y[:2]), ValueError, "Input X contains NaN"),
        (
            lambda: small().fit(["a text", "another"], Y[:2]),
            ValueError,
            "X must hold sequences of numbers, and has text",
        ),
        (lambda: small().fit([[], [1.0]], Y[:3]), ValueError, "inconsistent numbers of samples"),
        (
            lambda: small().fit(X, Y).predict(X[..., :1]),
            ValueError,
            "X has 1 features, but RNNClassifier is expecting 2",
        ),
        (lambda: small().fit(X[..., 0], Y).predict(X[:, :3, 0]), ValueError, "X has 3 features, but .* expecting 6"),
        (lambda: small().fit(X, Z), ValueError, "Unknown label type"),
        (lambda: small(cell="elman").fit(X, Y), ValueError, "cell must be one of 'lstm', 'gru', 'rnn'"),
        (lambda: small(pooling="sum").fit(X, Y), ValueError, "pooling must be one of"),
        (lambda: small(optimizer="newton").fit(X, Y), ValueError, "optimizer must be an Optimizer or one of"),
        (lambda: small(RNNRegressor, loss="no").fit(X, Z), ValueError, "loss"),
        (lambda: small(RNNRegressor).fit(X, X), ValueError, "array with dim 3"),
        (lambda: small().set_params(hidden=3), ValueError, "Invalid parameter 'hidden'"),
        (lambda: RNNForecaster(8).fit(X[0]), ValueError, r"6 sample\(s\).* minimum of 9 is required"),
        (lambda: RNNForecaster(2, epochs=1).fit(X[0]).predict(5), ValueError, "horizon must be at most 1"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_without_scikit_learn_it_says_what_to_install(monkeypatch):
    import importlib
    import sys

    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ImportError, match=r"rnnfast.interop.sklearn needs sklearn: pip install 'rnnfast\[sklearn\]'"):
        importlib.reload(sys.modules["rnnfast.interop.sklearn"])
