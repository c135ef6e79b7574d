import numpy as np
import pytest

from rnnfast import Classifier, Tagger, files
from rnnfast.data import WordVocabulary, pad
from rnnfast.decoding import viterbi


def sentences(count=60, seed=0):
    """Names of one or two words among others; "new" begins a name only where a place follows."""
    rng = np.random.default_rng(seed)
    x, y = [], []
    for _ in range(count):
        words, tags = [], []
        for _ in range(rng.integers(1, 5)):
            kind = rng.integers(4)
            if kind == 0:
                words += ["new", "york"]
                tags += ["B-LOC", "I-LOC"]
            elif kind == 1:
                words += ["new", str(rng.choice(["cars", "shoes"]))]
                tags += ["O", "O"]
            elif kind == 2:
                words += [str(rng.choice(["ann", "bob"]))]
                tags += ["B-PER"]
            else:
                words += [str(rng.choice(["sees", "in", "with"]))]
                tags += ["O"]
        x.append(words)
        y.append(tags)
    return x, y


def small(**options):
    return Tagger(**{"hidden_size": 12, "embedding_dim": 8, "seed": 0, **options})


@pytest.mark.parametrize("output", ["softmax", "crf"])
def test_names_in_sentences(output):
    x, y = sentences()
    model = small(output=output).fit(x, y, epochs=25, batch_size=8)
    new_x, new_y = sentences(40, seed=1)
    assert model.score(new_x, new_y) == 1.0
    assert model.score(new_x, new_y, metric="entity_f1") == 1.0
    assert [tags.tolist() for tags in model.predict(new_x)] == new_y
    assert model.classes_.tolist() == ["B-LOC", "B-PER", "I-LOC", "O"]
    assert model.history_.history["accuracy"][-1] > 0.95


def test_scores_count_steps_and_entities():
    x, y = sentences()
    model = small().fit(x, y, epochs=25, batch_size=8)
    one = [["ann", "in", "new", "york"]]
    assert model.predict(one)[0].tolist() == ["B-PER", "O", "B-LOC", "I-LOC"]
    assert model.score(one, [["B-PER", "O", "B-LOC", "O"]]) == 0.75
    assert model.score(one, [["B-PER", "O", "B-LOC", "O"]], metric="entity_f1") == 0.5
    assert model.score(one, [["B-ORG", "O", "B-LOC", "I-LOC"]], metric="entity_f1") == 0.5


@pytest.mark.parametrize("output", ["softmax", "crf"])
def test_probabilities_and_best_paths_are_those_of_each_sequence_alone(output):
    rng = np.random.default_rng(0)
    x = [rng.normal(size=(n, 2)) for n in rng.integers(0, 9, 140)]
    y = [np.where(row[:, 0] > row[:, 1], 7, -3) for row in x]
    model = small(output=output, dtype="float64").fit(x, y, epochs=2)
    told, shares = model.predict(x), model.predict_proba(x)
    assert len(told) == len(shares) == 140
    for row, tags, share in zip(x, told, shares, strict=True):
        assert tags.shape == (len(row),)
        assert share.shape == (len(row), 2)
        np.testing.assert_allclose(share.sum(axis=1), 1, rtol=1e-12)
        if not len(row):
            continue
        out = model.network(model._inputs.encode([row])[0][None])
        ids = viterbi(out)[0][0] if output == "crf" else out[0].argmax(axis=1)
        assert tags.tolist() == model.classes_[ids].tolist()


@pytest.mark.parametrize("output", ["softmax", "crf"])
def test_padding_takes_no_part(output):
    rng = np.random.default_rng(0)
    rows = [rng.integers(0, 5, n) for n in rng.integers(1, 6, 30)]
    tags = [row % 3 for row in rows]
    x, lengths = pad(rows)
    y, _ = pad(tags, value=99)
    ragged = small(output=output).fit(rows, tags, epochs=3)
    padded = small(output=output).fit(x, y, lengths=lengths, epochs=3)
    assert np.array_equal(ragged.network.flat_data, padded.network.flat_data)
    assert padded.classes_.tolist() == [0, 1, 2]
    assert padded.score(x, y, lengths=lengths) == ragged.score(rows, tags)


@pytest.mark.parametrize("output", ["softmax", "crf"])
def test_files_seeds_and_params(tmp_path, output):
    x, y = sentences(20)
    model = small(output=output, cell="gru", dropout=0.2, recurrent_dropout=0.1)
    assert Tagger(**model.get_params()).get_params() == model.get_params()
    model.fit(x, y, epochs=2, validation_data=(x[:5], y[:5]))
    assert "val_loss" in model.history_.history
    again = Tagger(**model.get_params()).fit(x, y, epochs=2)
    assert np.array_equal(again.network.flat_data, model.network.flat_data)
    other = Tagger(**{**model.get_params(), "seed": 1}).fit(x, y, epochs=2)
    assert not np.array_equal(other.network.flat_data, model.network.flat_data)
    model.save(tmp_path / "model.safetensors")
    loaded = Tagger.load(tmp_path / "model.safetensors")
    assert loaded.get_params() == model.get_params()
    for a, b in zip(loaded.predict_proba(x), model.predict_proba(x), strict=True):
        assert np.array_equal(a, b)
    with pytest.raises(ValueError, match="it is a Tagger, not a Classifier"):
        Classifier.load(tmp_path / "model.safetensors")


def test_a_file_holds_a_vocabulary_once_and_what_else_is_wanted(tmp_path):
    vocabulary, path = WordVocabulary(["zebra", "b"]), tmp_path / "model.safetensors"
    for given in (vocabulary, None):
        model = small(vocabulary=given).fit([["zebra", "b"], ["b"]], [["A", "B"], ["B"]], epochs=1)
        model.save(path, extra={"licence": "free"})
        assert path.read_bytes().count(b"zebra") == 1
        assert files.load_with_extra(path)[1]["licence"] == "free"
        loaded = Tagger.load(path)
        assert (loaded.vocabulary, loaded.vocabulary_) == (given, model.vocabulary_)
        assert np.array_equal(loaded.predict_proba([["zebra"]])[0], model.predict_proba([["zebra"]])[0])
    with pytest.raises(TypeError, match="not JSON serializable"):
        model.save(path, extra={"licence": object()})


X, Y = [["a", "b"], ["c"]], [["A", "B"], ["C"]]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: small().predict(X), ValueError, "this Tagger is not fitted yet"),
        (lambda: small(output="hmm").fit(X, Y), ValueError, "output must be 'softmax' or 'crf', got 'hmm'"),
        (lambda: small().fit(X, Y[:1]), ValueError, "equally many sequences, at least one, got 2 and 1"),
        (
            lambda: small().fit(X, [["A"], ["C"]]),
            ValueError,
            r"y\[0\] must have one tag for each of the 2 steps, got 1",
        ),
        (lambda: small().fit(X, ["AB", "C"]), ValueError, r"y\[0\] must have one tag .* got one str"),
        (lambda: small().fit(X, [[], []]), ValueError, "at least one tag"),
        (lambda: small().fit(X, Y, epochs=1).score(X, [["A"], ["C"]]), ValueError, "one tag for each step"),
        (lambda: small().fit(X, Y, epochs=1).score([], []), ValueError, "at least one step"),
        (lambda: small().fit(X, Y, epochs=1).score(X, Y, metric="f1"), ValueError, "metric must be 'accuracy' or"),
        (lambda: small().fit(X, Y, epochs=1).score(X, Y, metric="entity_f1"), ValueError, "entity_f1: tags must be"),
    ],
)
def test_kind_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
