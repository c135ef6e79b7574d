import math

import numpy as np
import pytest

from rnnfast import files
from rnnfast.data import Vocabulary, stream_batches
from rnnfast.layers import GRU, Embedding, Linear
from rnnfast.models import language_model
from rnnfast.models.language_model import LanguageModel
from rnnfast.models.sequential import Sequential
from rnnfast.training import CrossEntropy, run

TEXT = "the quick brown fox jumps over the lazy dog; "
CELLS = ("lstm", "gru", "rnn")


def small(tokens=7, *, cell="lstm", dtype="float64", seed=1, **options):
    """A model all of whose parameters are random, biases too."""
    model = LanguageModel(tokens, cell=cell, hidden_size=5, embedding_dim=3, dtype=dtype, seed=seed, **options)
    rng = np.random.default_rng(seed)
    for name, value in model.network.params.items():
        model.network.params[name] = rng.normal(0, 0.7, value.shape)
    return model


def random_ids(size, num_tokens=7, seed=0):
    return np.random.default_rng(seed).integers(0, num_tokens, size)


def log_probabilities(network, ids):
    """Of every token but the first, from one pass over all."""
    logits = network(ids[None, :-1])[0].astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    return (logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)))[np.arange(len(ids) - 1), ids[1:]]


@pytest.mark.parametrize("cell", CELLS)
def test_learns_a_periodic_text(cell):
    model = LanguageModel(Vocabulary(TEXT), cell=cell, hidden_size=24, embedding_dim=8, seed=0)
    history = model.fit(TEXT * 40, TEXT * 2, epochs=8, batch_size=4, learning_rate=0.03, seed=0, verbose=False)
    assert history.epoch == list(range(8))
    assert set(history.history) == {"loss", "perplexity", "val_loss", "val_perplexity"}
    assert history.history["perplexity"][0] > 2.0
    # The held-out text's streams are short, and each has to find its place first.
    assert history.history["perplexity"][-1] < 1.2
    assert model.evaluate(TEXT * 8) < 1.2
    assert model.generate("the qu", 30, temperature=0.0) == (TEXT * 2)[6:36]
    assert model.cell == cell


def test_equal_seeds_give_equal_models():
    models = [LanguageModel(Vocabulary(TEXT), hidden_size=9, dropout=0.3, seed=seed) for seed in (3, 3, 4)]
    assert np.array_equal(models[0].network.flat_data, models[1].network.flat_data)
    assert not np.array_equal(models[0].network.flat_data, models[2].network.flat_data)
    for model, seed in zip(models, (5, 5, 5), strict=True):
        model.fit(TEXT * 3, epochs=2, batch_size=2, seed=seed, verbose=False)
    assert np.array_equal(models[0].network.flat_data, models[1].network.flat_data)
    other = LanguageModel(Vocabulary(TEXT), hidden_size=9, dropout=0.3, seed=3)
    other.fit(TEXT * 3, epochs=2, batch_size=2, seed=6, verbose=False)
    assert not np.array_equal(models[0].network.flat_data, other.network.flat_data)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("chunk", [12, 100])
def test_a_chunk_as_long_as_the_text_is_full_back_propagation(cell, chunk):
    ids = random_ids(13)
    model, whole = small(cell=cell), small(cell=cell)
    model.fit(ids, epochs=1, batch_size=1, chunk=chunk, verbose=False)
    (logits, _), backward = whole.network.forward(ids[None, :-1])
    _, count, gradient = CrossEntropy()(logits, ids[None, 1:])
    backward(gradient / count)
    assert np.abs(whole.network.flat_grad).min() > 0 or cell == "rnn"
    np.testing.assert_allclose(model.network.flat_grad, whole.network.flat_grad, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("cell", CELLS)
def test_state_is_carried_from_chunk_to_chunk(cell, monkeypatch):
    states = []
    plain = run.add_gradients

    def spy(network, x, y, *args, state, **options):
        step = plain(network, x, y, *args, state=state, **options)
        states.append((x.copy(), state, step.state))
        return step

    monkeypatch.setattr(run, "add_gradients", spy)
    small(cell=cell).fit(random_ids(40), epochs=2, batch_size=3, chunk=5, verbose=False)
    assert [x.shape for x, *_ in states] == [(3, 5), (3, 5), (3, 3)] * 2
    assert [before is None for _, before, _ in states] == [True, False, False] * 2
    assert all(states[i][1] is states[i - 1][2] for i in (1, 2, 4, 5))


@pytest.mark.parametrize("cell", CELLS)
def test_evaluation_in_chunks_equals_one_long_pass(cell):
    model, ids = small(cell=cell), random_ids(700)
    expected = math.exp(-log_probabilities(model.network, ids).mean())
    assert model.evaluate(ids) == pytest.approx(expected, rel=1e-12)


def test_evaluation_in_streams_equals_the_streams_one_by_one():
    model, ids = small(), random_ids(602)
    pieces = [ids[0:202], ids[201:402], ids[401:602]]
    logs = np.concatenate([log_probabilities(model.network, piece) for piece in pieces])
    assert len(logs) == 601
    assert model.evaluate(ids, batch_size=3) == pytest.approx(math.exp(-logs.mean()), rel=1e-12)


def test_unknown_characters_count_in_the_held_out_text():
    model = small(Vocabulary("abcdef"))
    ids = np.array([1, 2, 0, 3, 0, 0, 4])
    expected = math.exp(-log_probabilities(model.network, ids).mean())
    assert model.evaluate("abxcyzd") == pytest.approx(expected, rel=1e-12)
    history = model.fit("abcdef" * 5, "axbycz", epochs=1, batch_size=2, verbose=False)
    assert history.history["val_perplexity"][0] > 1.0


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("temperature", [0.0, 1e-300, 1e-3])
def test_no_temperature_is_the_likeliest_token_given_all_before(cell, temperature):
    model, ids = small(cell=cell, seed=2), [3, 1, 4]
    written = model.generate(ids, 12, temperature=temperature, seed=0)
    for token in written:
        assert token == model.network(np.array([ids]))[0, -1].argmax()
        ids = [*ids, int(token)]


def test_generation_depends_on_seed_and_prompt_alone():
    model = small(Vocabulary("abcdef"))
    assert model.generate("abc", 50, seed=1) == model.generate("abc", 50, seed=1)
    assert model.generate("abc", 50, seed=1) != model.generate("abc", 50, seed=2)
    assert model.generate("abc", 50, seed=1)[:20] == model.generate("abc", 20, seed=1)
    assert model.generate("abc", 0) == ""


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_samples_follow_the_softmax(temperature):
    logits = np.array([0.0, -1.0, 1.5, 0.3, -0.2, 0.8])
    model = LanguageModel(6, hidden_size=2, embedding_dim=2)
    model.network.params["2.weight"] = np.zeros((6, 2))
    model.network.params["2.bias"] = logits
    draws = 5_000
    counts = np.bincount(model.generate([0], draws, temperature=temperature, seed=0), minlength=6)
    expected = np.exp(logits / temperature) / np.exp(logits / temperature).sum()
    assert (np.abs(counts / draws - expected) < 5 * np.sqrt(expected / draws)).all()


def test_the_unknown_character_is_never_written():
    model = small(Vocabulary("abc"))
    bias = np.array(model.network.params["2.bias"])
    bias[0] = 100.0
    model.network.params["2.bias"] = bias
    for temperature in (0.0, 1.0):
        text = model.generate("a", 100, temperature=temperature, seed=0)
        assert len(text) == 100
        assert set(text) <= set("abc")


def test_top_k_and_top_p_keep_the_likeliest():
    model = LanguageModel(6, hidden_size=2, embedding_dim=2)
    model.network.params["2.weight"] = np.zeros((6, 2))
    model.network.params["2.bias"] = np.log([0.05, 0.4, 0.1, 0.3, 0.1, 0.05])
    draws = 3_000
    for options in ({"top_k": 2}, {"top_p": 0.65}):
        counts = np.bincount(model.generate([0], draws, seed=0, **options), minlength=6)
        assert counts[[0, 2, 4, 5]].sum() == 0
        assert abs(counts[1] / draws - 4 / 7) < 0.045
    assert set(model.generate([0], 50, top_k=1).tolist()) == {1}
    assert set(model.generate([0], 500, top_p=0.85, seed=0).tolist()) == {1, 2, 3, 4}


def test_writing_ends_where_stop_has_been_written():
    model = small(Vocabulary("abcdef"))
    whole = model.generate("abc", 200, seed=1)
    for stop in (whole[7], whole[5:8], whole[150:156]):
        assert model.generate("abc", 200, seed=1, stop=stop) == whole[: whole.index(stop)]
    ids = small().generate([1, 2], 50, seed=0)
    first = int(np.flatnonzero(ids == ids[9])[0])
    assert small().generate([1, 2], 50, seed=0, stop=int(ids[9])).tolist() == ids[:first].tolist()
    assert len(small().generate([1, 2], 5, seed=0, stop=[3] * 6)) == 5


def test_params_make_an_equal_model():
    model = LanguageModel(Vocabulary("abc"), cell="rnn", hidden_size=7, embedding_dim=2, num_layers=2, dropout=0.1)
    again = LanguageModel(**model.get_params())
    assert repr(again) == repr(model)
    assert again.get_params() == model.get_params()
    assert model.get_params()["hidden_size"] == 7
    assert small(9).get_params()["tokens"] == 9


def test_numbers_instead_of_text():
    model = LanguageModel(7, hidden_size=8, embedding_dim=4, seed=0)
    ids = np.tile([0, 5, 3, 6], 60)
    model.fit(ids, ids[:40], epochs=4, batch_size=2, chunk=8, learning_rate=0.03, seed=0, verbose=False)
    written = model.generate(np.array([0, 5], dtype=np.uint8), 6, temperature=0.0)
    assert written.tolist() == [3, 6, 0, 5, 3, 6]
    assert model.vocabulary is None
    with pytest.raises(TypeError, match="no vocabulary"):
        model.generate("text")


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_files_round_trip(tmp_path, cell, dtype):
    model = small(Vocabulary("añ\n€"), cell=cell, dtype=dtype, dropout=0.25, num_layers=2)
    model.save(tmp_path / "model.safetensors")
    again = LanguageModel.load(tmp_path / "model.safetensors")
    assert again.vocabulary == model.vocabulary
    assert again.cell == cell
    assert again.num_tokens == 5
    assert repr(again) == repr(model)
    assert np.array_equal(again.network.flat_data, model.network.flat_data)
    assert again.generate("€a", 30, seed=3) == model.generate("€a", 30, seed=3)


def test_numbers_round_trip(tmp_path):
    small(6).save(tmp_path / "model.safetensors")
    again = LanguageModel.load(tmp_path / "model.safetensors")
    assert again.vocabulary is None
    assert again.num_tokens == 6


def test_a_loaded_model_trains_on_like_the_one_in_memory(tmp_path):
    model = small(Vocabulary(TEXT), dtype="float32")
    model.save(tmp_path / "model.safetensors")
    again = LanguageModel.load(tmp_path / "model.safetensors")
    for one in (model, again):
        one.fit(TEXT * 4, epochs=1, batch_size=2, seed=0, verbose=False)
    assert np.array_equal(again.network.flat_data, model.network.flat_data)


def test_files_that_are_no_language_model(tmp_path):
    path = tmp_path / "model.safetensors"
    vocabulary = Vocabulary("abc").to_dict()
    files.save(Sequential(Linear(3, 2)), path)
    with pytest.raises(ValueError, match=r"model\.safetensors: .*not a language model"):
        LanguageModel.load(path)
    network = Sequential(Embedding(7, 3), GRU(3, 5), Linear(5, 7))
    files.save(network, path)
    with pytest.raises(ValueError, match="not a language model"):
        LanguageModel.load(path)
    files.save(network, path, extra={"language_model": {"vocabulary": vocabulary}})
    with pytest.raises(ValueError, match=r"differ in size: \[4, 7\]"):
        LanguageModel.load(path)
    files.save(network, path, extra={"language_model": {"vocabulary": {"kind": "words"}}})
    with pytest.raises(ValueError, match=r"model\.safetensors: .*vocabulary of characters"):
        LanguageModel.load(path)
    path.write_bytes(b"no model at all")
    with pytest.raises(ValueError, match=r"model\.safetensors: "):
        LanguageModel.load(path)
    with pytest.raises(FileNotFoundError):
        LanguageModel.load(tmp_path / "absent")


def test_the_learning_rate_rises_then_falls_with_steps_or_clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(language_model.time, "monotonic", lambda: now[0])
    pace = language_model._Pace(0.1, 200, math.inf)
    rates = [pace.learning_rate() for _ in range(200)]
    assert rates[0] == pytest.approx(0.1 / 20)
    assert int(np.argmax(rates)) == 19
    assert rates[100] == pytest.approx(0.05)
    assert rates[-1] == pytest.approx(0.05 * (1 + math.cos(math.pi * 199 / 200)))
    assert not pace.is_over()
    pace = language_model._Pace(0.1, 200, 10.0)
    for _ in range(40):
        pace.learning_rate()
    now[0] = 5.0
    assert pace.learning_rate() == pytest.approx(0.05)
    assert not pace.is_over()
    now[0] = 11.0
    assert pace.learning_rate() == 0.0
    assert pace.is_over()


def test_a_time_limit_ends_the_fit_with_a_measured_epoch(monkeypatch):
    ticks = iter(range(1000))
    monkeypatch.setattr(language_model.time, "monotonic", lambda: next(ticks))
    model = small()
    history = model.fit(random_ids(500), random_ids(30), epochs=50, batch_size=2, chunk=5, time_limit=20, verbose=False)
    assert history.epoch == [0]
    assert history.history["val_perplexity"][0] > 1.0
    assert next(ticks) < 30


def test_callbacks_see_each_epoch_and_may_end_the_fit():
    seen = []

    def watch(epoch, logs):
        seen.append((epoch, sorted(logs)))
        return epoch == 1

    history = small().fit(random_ids(50), epochs=5, batch_size=2, callbacks=[watch], verbose=False)
    assert seen == [(0, ["loss", "perplexity"]), (1, ["loss", "perplexity"])]
    assert history.epoch == [0, 1]


def test_ctrl_c_ends_the_fit_and_keeps_the_model():
    def interrupt(epoch, logs):
        raise KeyboardInterrupt

    model = small()
    before = model.network.flat_data.copy()
    history = model.fit(random_ids(50), epochs=5, batch_size=2, callbacks=[interrupt], verbose=False)
    assert history.interrupted
    assert history.epoch == [0]
    assert not np.array_equal(model.network.flat_data, before)


def test_loss_is_the_mean_over_every_token(monkeypatch):
    ids = random_ids(24)
    model = small()
    monkeypatch.setattr(language_model._Pace, "learning_rate", lambda self: 0.0)
    history = model.fit(ids, epochs=1, batch_size=2, chunk=7, verbose=False)
    pieces = [ids[0:13], ids[12:24]]
    assert sum(x.size for x, *_ in stream_batches(ids, 2, 7)) == 24
    logs = np.concatenate([log_probabilities(model.network, piece) for piece in pieces])
    assert history.history["loss"][0] == pytest.approx(-logs.mean(), rel=1e-12)
    assert history.history["perplexity"][0] == pytest.approx(math.exp(-logs.mean()), rel=1e-12)


def test_a_bar_shows_perplexity_and_speed(capsys):
    small().fit(random_ids(50), random_ids(20), epochs=1, batch_size=2)
    shown = capsys.readouterr().err
    assert "Epoch 1/1" in shown
    assert "val_perplexity=" in shown
    assert "49/49" in shown
    assert "char/s" in shown


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: LanguageModel(5, cell="elman"), ValueError, "'lstm', 'gru', 'rnn', got 'elman'"),
        (lambda: LanguageModel(0), ValueError, "at least 1"),
        (lambda: LanguageModel(5, hidden_size=0), ValueError, "hidden_size"),
        (lambda: small().fit([1, 2, 3], batch_size=3), ValueError, "has 3 tokens; 3 streams"),
        (lambda: small().fit([1, 7, 3] * 20), ValueError, "from 0 to 6, got 1 to 7"),
        (lambda: small().fit([[1, 2]]), ValueError, r"got shape \(1, 2\)"),
        (lambda: small().fit([0.5] * 40), ValueError, "float64"),
        (lambda: small().fit([1, 2] * 20, [1]), ValueError, "at least 2 tokens, got 1"),
        (lambda: small().fit([1, 2] * 20, epochs=0), ValueError, "epochs"),
        (lambda: small().fit([1, 2] * 20, time_limit=0), ValueError, "time_limit"),
        (lambda: small(Vocabulary("abc")).fit("abcx" * 20), ValueError, r"'x' \(LATIN SMALL LETTER X\)"),
        (lambda: small().evaluate([3]), ValueError, "at least 2 tokens, got 1"),
        (lambda: small().generate([], 3), ValueError, "the prompt is empty"),
        (lambda: small(Vocabulary("abc")).generate("abx"), ValueError, "unknown character"),
        (lambda: small().generate([1], -1), ValueError, "length must be at least 0, got -1"),
        (lambda: small().generate([1], temperature=-0.1), ValueError, r"temperature .* got -0\.1"),
        (lambda: small().generate([1], temperature=math.nan), ValueError, "temperature .* got nan"),
        (lambda: small().generate([1], top_k=0), ValueError, "top_k must be None or at least 1, got 0"),
        (lambda: small().generate([1], top_p=0.0), ValueError, r"top_p must be more than 0 .* got 0\.0"),
        (lambda: small().generate([1], stop=[]), ValueError, "stop is empty"),
        (lambda: small().generate([1], stop=7), ValueError, "from 0 to 6, got 7"),
        (lambda: small().generate([1], temperature=math.inf), ValueError, "temperature .* got inf"),
    ],
)
def test_kind_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
