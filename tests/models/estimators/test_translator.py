import numpy as np
import pytest

import rnnfast as rf
from rnnfast.decoding import beam_search

WORDS = ["ab", "ba", "abc", "cab", "bca", "cc", "a", "b", "acb", "bb"]


@pytest.fixture(scope="module")
def upper():
    """A model that writes a text in capitals."""
    model = rf.Translator(tokens="characters", hidden_size=24, embedding_dim=8, seed=0)
    return model.fit(WORDS * 20, [word.upper() for word in WORDS] * 20, epochs=12, batch_size=16)


def test_texts_are_written(upper):
    assert upper.predict(WORDS) == [word.upper() for word in WORDS]
    assert upper.predict(WORDS, beam_size=1, batch_size=3) == [word.upper() for word in WORDS]
    assert upper.predict([]) == []
    assert upper.history_.history["loss"][-1] < 0.1
    # Lists of tokens are texts as well.
    assert upper.predict([["a", "b"]]) == ["AB"]


def test_scores_and_alignments(upper):
    sources = ["cab", "a"]
    rows = upper.write(sources, beam_size=4, n_best=3)
    assert [len(row) for row in rows] == [3, 3]
    for source, row in zip(sources, rows, strict=True):
        assert [each.score for each in row] == sorted((each.score for each in row), reverse=True)
        assert row[0].tokens == list(source.upper())
        assert row[0].alignment.shape == (len(source), len(source))
        assert np.allclose(row[0].alignment.sum(axis=1), 1, rtol=0, atol=1e-5)
        for each in row:
            total = upper.log_probability([source], [each.tokens])[0]
            assert each.score == pytest.approx(total, abs=1e-4)
    ids = [upper.source_vocabulary_.encode(source) for source in sources]
    wanted = beam_search(upper.network, ids, beam_size=4)
    assert [row[0].score for row in rows] == pytest.approx([row[0].score for row in wanted], abs=1e-5)


def test_what_is_asked_of_a_text_is_kept(upper):
    assert upper.predict(["ab"], prefixes=["CC"])[0].startswith("CC")
    assert "A" not in upper.predict(["ab"], banned=["A"])[0]
    assert len(upper.predict(["bb"], no_repeat=1)[0]) == len(set(upper.predict(["bb"], no_repeat=1)[0]))
    assert len(upper.predict(["ab"], min_length=5)[0]) >= 5
    assert len(upper.predict(["abc"], max_length=2)[0]) == 2
    assert "".join(upper.stream("bca")) == "BCA"
    with pytest.raises(ValueError, match="prefixes must be one for each source, 1, got 2"):
        upper.predict(["ab"], prefixes=["A", "B"])


def test_figures(upper):
    x, y = ["ab", "cab", "a", "a"], ["AB", "CABA", "B", "A"]
    # 'a' has two right texts, and is read once; of "CABA" one letter of four is missing.
    found = upper.measure(x, y)
    assert found["exact_match"] == pytest.approx(2 / 3)
    assert found["error_rate"] == pytest.approx(1 / 7)
    assert found["bleu"] == upper.score(x, y, metric="bleu")
    assert upper.score(x, y) == found["exact_match"]
    assert upper.score(WORDS, [word.upper() for word in WORDS], metric="error_rate") == 0
    with pytest.raises(ValueError, match="metric must be one of 'exact_match'"):
        upper.score(x, y, metric="f1")


def test_unknown_words_are_copied():
    rng = np.random.default_rng(0)

    def sentence():
        words = [f"w{i}" for i in rng.integers(0, 6, rng.integers(2, 5))]
        words[rng.integers(0, len(words))] = f"n{rng.integers(10**6)}"
        return words

    x = [sentence() for _ in range(300)]
    model = rf.Translator(tokens="space", hidden_size=24, embedding_dim=12, min_count=5, seed=1)
    model.fit(x, [words[::-1] for words in x], epochs=12, batch_size=16)
    found = model.write(["w3 zed w1", "yak w2"], beam_size=2)
    assert [row[0].text for row in found] == ["w1 zed w3", "w2 yak"]
    found = model.predict(["w3 zed w1"], replace_unknown_words=False)[0]
    assert found
    assert "zed" not in found
    assert "<unk>" not in found


def test_files(upper, tmp_path):
    upper.save(tmp_path / "m.safetensors")
    loaded = rf.Translator.load(tmp_path / "m.safetensors")
    assert loaded.get_params() == upper.get_params()
    mine, theirs = upper.write(WORDS), loaded.write(WORDS)
    assert [row[0].text for row in mine] == [row[0].text for row in theirs]
    assert [row[0].score for row in mine] == [row[0].score for row in theirs]
    with pytest.raises(ValueError, match="it is a Translator, not a Captioner"):
        rf.Captioner.load(tmp_path / "m.safetensors")


def test_tokens_of_a_function(tmp_path):
    def pairs(text):
        return [text[i : i + 2] for i in range(0, len(text), 2)]

    model = rf.Translator(tokens=pairs, target_tokens="words", hidden_size=8, embedding_dim=4, seed=0)
    model.fit(["abcd", "cdab"], ["one two", "two one"], epochs=1)
    assert model.source_vocabulary_.tokens[4:] == ["ab", "cd"]
    model.save(tmp_path / "m.safetensors")
    loaded = rf.Translator.load(tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match="tokenizer of one's own"):
        loaded.predict(["abcd"])
    loaded.source_vocabulary_.tokenizer = pairs
    assert loaded.predict(["abcd"]) == model.predict(["abcd"])


def test_validation_and_what_does_not_fit():
    model = rf.Translator(hidden_size=6, embedding_dim=4, bidirectional=False, cell="gru", attention=None, seed=0)
    model.fit(["a b", "b", "c d e"] * 4, ["x", "y x", "x"] * 4, epochs=2, validation_split=0.25)
    assert len(model.history_.history["val_loss"]) == 2
    assert model.write(["a"])[0][0].alignment is None
    before = model.predict(["a b"])
    with pytest.raises(ValueError, match="x and y must be equally many"):
        model.fit(["a"], [])
    with pytest.raises(TypeError, match=r"y\[1\] must be a text or a list of tokens, got 3"):
        model.fit(["a", "b"], ["x", 3])
    with pytest.raises(TypeError, match="x must be a list of texts, got str"):
        model.predict("a b")
    with pytest.raises(ValueError, match="tokens must be 'words', 'characters'"):
        rf.Translator(tokens="letters").fit(["a"], ["b"])
    with pytest.raises(ValueError, match="not fitted yet"):
        rf.Translator().predict(["a"])
    with pytest.raises(ValueError, match="kind must be one of"):
        model.set_params(attention="hard").fit(["a"], ["x"])
    assert model.predict(["a b"]) == before
