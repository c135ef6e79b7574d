import copy
import pickle

import numpy as np
import pytest
from layer_checks import randomise, rebuilt
from seq2seq_checks import SOURCE_LENGTHS, TARGET_LENGTHS, batch, check_model_gradients

import rnnfast as rf
from rnnfast.decoding import beam_search, greedy, sample
from rnnfast.models import Bridge, Source
from rnnfast.training import SGD

LENGTHS = (SOURCE_LENGTHS, TARGET_LENGTHS)


def make(dtype="float64", *, shared=False, tokens=6):
    words = rf.Embedding(6, 4, dtype=dtype, seed=1)
    encoder = rf.Encoder(words, rf.LSTM(4, 3, bidirectional=True, dtype=dtype, seed=2))
    target = words if shared else rf.Embedding(tokens, 4, dtype=dtype, seed=3)
    look = rf.Attention(5, 6, kind="general", dtype=dtype, seed=4)
    decoder = rf.Decoder(target, rf.GRU(4, 5, 2, dtype=dtype, seed=5), attention=look, tied=shared, attention_size=4)
    return rf.Seq2Seq(encoder, decoder, bridge="dense", seed=6)


def translations(model, **how):
    return [tokens.tolist() for tokens in model.translate([[3, 1, 5], [4], [0, 2]], max_length=9, **how)]


@pytest.mark.parametrize("shared", [False, True])
def test_copies_files_and_configs(shared, tmp_path):
    model, x = randomise(make(shared=shared)), batch()
    model.freeze("encoder.*", "bridge.c*" if "bridge.c_l0.weight" in model.params else "bridge.h_l0*")
    wanted, lines = model(x, lengths=LENGTHS), translations(model)
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), rebuilt(model, tmp_path)):
        assert np.array_equal(again(x, lengths=LENGTHS), wanted)
        assert translations(again) == lines
        assert repr(again) == repr(model)
        assert again.frozen_names == model.frozen_names
        assert again.get_config() == model.get_config()
        assert again.flat_data.size == again.num_params == model.num_params
        assert (again.encoder.layers[0] is again.decoder.embedding) == shared
        again.flat_data[...] += 1
        assert np.array_equal(model(x, lengths=LENGTHS), wanted)
    fresh = rf.Seq2Seq.from_config(model.get_config())
    fresh.set_weights(model.get_weights())
    assert np.array_equal(fresh(x, lengths=LENGTHS), wanted)


def test_one_flat_buffer():
    model = make(shared=True)
    assert model.flat_data.size == model.flat_grad.size == sum(array.size for array in model.params.values())
    assert len({id(block) for block in model.blocks()}) == len(model.blocks())
    before = model(batch())
    model.flat_data[...] *= 1.5
    for block in model.blocks():
        block.changed()
    assert not np.array_equal(model(batch()), before)


def test_backward_runs_once_and_adds(tmp_path):
    model, x = randomise(make()), batch()
    y, backward = model.forward(x, lengths=LENGTHS)
    with pytest.raises(ValueError, match="shape of y"):
        backward(y[:, :2])
    assert backward(np.ones_like(y)) == {"source": None, "target": None}
    once = model.flat_grad.copy()
    assert once.any()
    with pytest.raises(RuntimeError, match="works once"):
        backward(np.ones_like(y))
    pair = (x["source"], x["target"])
    assert model.forward(pair, lengths=LENGTHS)[1](np.ones_like(y)) == (None, None)
    assert np.array_equal(model.flat_grad, 2 * once)
    grads = {}
    model.forward(x, lengths=LENGTHS)[1](np.ones_like(y), grads=grads)
    assert grads.keys() == model.params.keys()
    assert np.array_equal(grads["bridge.h_l0.weight"], 0.5 * model.grads["bridge.h_l0.weight"])
    _, late = model.forward(x)
    model.params["bridge.h_l0.bias"] = np.ones(5)
    with pytest.raises(RuntimeError, match="parameters have changed"):
        late(np.ones_like(y))


def task(rng, count, turn):
    """Strings of three to six digits, as tokens 3 to 12, and what becomes of them."""
    sources = [rng.integers(3, 13, rng.integers(3, 7)).tolist() for _ in range(count)]
    return sources, [turn(source) for source in sources]


def train(model, lines, epochs):
    x, y, lengths = model.pairs(*lines)
    optimizer = rf.Adam(0.015, clip_norm=1.0)
    for rate, count in ((0.015, epochs), (0.003, 2)):
        optimizer.learning_rate = rate
        how = {"epochs": count, "batch_size": 64, "seed": count, "verbose": False}
        model.fit(x, y, lengths=lengths, loss="cross_entropy", optimizer=optimizer, **how)


def exact(model, sources, targets, **how):
    found = model.translate(sources, max_length=12, **how)
    return np.mean([tokens.tolist() == target for tokens, target in zip(found, targets, strict=True)])


def a_decoder(seed):
    return rf.Decoder(
        rf.Embedding(13, 16, seed=seed),
        rf.GRU(16, 32, seed=seed + 1),
        attention=rf.Attention(32, 64, kind="general", seed=seed + 2),
        seed=seed + 3,
    )


def test_reversal_is_learnt_and_the_encoder_serves_a_second_decoder(tmp_path):
    rng = np.random.default_rng(0)
    encoder = rf.Encoder(rf.Embedding(13, 16, seed=1), rf.GRU(16, 32, bidirectional=True, seed=2))
    model = rf.Seq2Seq(encoder, a_decoder(3), bridge="sum")
    train(model, task(rng, 3000, lambda source: source[::-1]), 9)
    unseen = task(rng, 200, lambda source: source[::-1])
    assert exact(model, *unseen) >= 0.98
    assert exact(model, *unseen, beam_size=1) >= 0.98

    found = greedy(model, unseen[0][:1])[0]
    assert found.alignment.shape == (len(found.tokens), len(unseen[0][0]))
    assert found.alignment.sum(axis=1) == pytest.approx(1, abs=1e-5)

    # Saved alone, frozen, and joined to a decoder that writes each digit's successor.
    encoder.save(tmp_path / "encoder")
    reader = rf.load(tmp_path / "encoder")
    reader.freeze()
    weights = reader.get_weights()
    second = rf.Seq2Seq(reader, a_decoder(20), bridge="sum")
    train(second, task(rng, 2000, lambda source: [3 + (token - 2) % 10 for token in source]), 4)
    assert exact(second, *task(rng, 200, lambda source: [3 + (token - 2) % 10 for token in source])) >= 0.98
    for array, before, first in zip(reader.get_weights(), weights, encoder.get_weights(), strict=True):
        assert np.array_equal(array, before)
        assert np.array_equal(array, first)
    assert exact(model, *unseen) >= 0.98


def test_a_frozen_encoder_takes_no_gradient():
    x = {"source": np.random.default_rng(0).standard_normal((3, 5, 2)), "target": batch()["target"]}
    encoder = rf.Encoder(rf.GRU(2, 3, dtype="float64"))
    decoder = rf.Decoder(rf.Embedding(6, 4, dtype="float64"), rf.GRU(4, 3, dtype="float64"))
    model = rf.Seq2Seq(encoder, decoder)
    gradients = []
    for frozen in (False, True):
        encoder.frozen = frozen
        model.zero_grad()
        y, backward = model.forward(x)
        assert backward(np.ones_like(y), need_dx=False)["source"] is None
        gradients.append({name: array.copy() for name, array in model.grads.items()})
    assert not any(array.any() for name, array in gradients[1].items() if name.startswith("encoder"))
    assert all(array.any() for name, array in gradients[0].items())
    for name, array in gradients[1].items():
        assert name.startswith("encoder") or np.array_equal(array, gradients[0][name])


def test_one_encoder_two_decoders_at_a_time():
    encoder = rf.Encoder(rf.Embedding(6, 4, seed=1), rf.GRU(4, 3, seed=2))
    first, second = (
        rf.Seq2Seq(encoder, rf.Decoder(rf.Embedding(6, 4, seed=seed), rf.GRU(4, 3, seed=seed), seed=seed))
        for seed in (3, 4)
    )
    wanted = first(batch())
    x, y, lengths = second.pairs([[3, 4], [5]], [[4], [5, 3]])
    encoder.freeze()
    second.fit(x, y, lengths=lengths, loss="cross_entropy", optimizer=SGD(0.5), epochs=2, verbose=False)
    assert np.array_equal(first(batch()), wanted)


def test_pairs_and_the_loss():
    model = make("float64")
    x, y, lengths = model.pairs([[3, 4, 5], [4]], [[5], [3, 4]])
    assert x["source"].tolist() == [[3, 4, 5], [4, 0, 0]]
    assert x["target"].tolist() == [[1, 5, 0], [1, 3, 4]]
    assert y.tolist() == [[5, 2, 0], [3, 4, 2]]
    assert [lengths["source"].tolist(), lengths["target"].tolist()] == [[3, 1], [2, 3]]
    logits = model(x, lengths=lengths)
    log_probs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    total = -sum(log_probs[b, t, y[b, t]] for b, t in ((0, 0), (0, 1), (1, 0), (1, 1), (1, 2)))
    assert model.evaluate(x, y, lengths=lengths, loss="cross_entropy")["loss"] == pytest.approx(total / 5, abs=1e-12)
    # A hypothesis is scored as the loss scores it.
    for hypothesis in beam_search(model, [[3, 4, 5]], beam_size=4, n_best=4, max_length=3)[0]:
        x, y, lengths = model.pairs([[3, 4, 5]], [hypothesis.tokens])
        loss = model.evaluate(x, y, lengths=lengths, loss="cross_entropy")["loss"]
        assert hypothesis.score == pytest.approx(-loss * y.size, abs=1e-12)
        assert model.score([[3, 4, 5]], [hypothesis.tokens]) == pytest.approx(hypothesis.score, abs=1e-12)
    several = model.score([[3, 4, 5], [4], [0, 2]], [[5], [3, 4, 4], []])
    alone = [model.score([a], [b])[0] for a, b in (([3, 4, 5], [5]), ([4], [3, 4, 4]), ([0, 2], []))]
    assert np.allclose(several, alone, rtol=0, atol=1e-12)
    vectors = [np.ones((2, 3)), np.ones((4, 3))]
    x, _, lengths = model.pairs(vectors, [[3], []])
    assert (x["source"].shape, lengths["source"].tolist()) == ((2, 4, 3), [2, 4])
    x, _, lengths = model.pairs([np.ones(3), np.ones(3)], [[3], []])
    assert (x["source"].shape, list(lengths)) == ((2, 3), ["target"])
    with pytest.raises(ValueError, match="equally many, got 1 and 2"):
        model.pairs([[3]], [[3], [4]])
    with pytest.raises(ValueError, match="vectors must be equally long"):
        model.pairs([np.ones(3), np.ones(2)], [[3], [4]])


def test_scheduled_sampling(monkeypatch):
    model, x = randomise(make()), batch()
    fed = []
    forward = model.decoder.forward
    monkeypatch.setattr(
        model.decoder, "forward", lambda tokens, *a, **k: fed.append(tokens) or forward(tokens, *a, **k)
    )
    lengths = {"source": SOURCE_LENGTHS, "target": TARGET_LENGTHS}
    model.forward(x, lengths=lengths, rng=1)
    assert np.array_equal(fed.pop(), x["target"])
    shares = []
    for share in (0.3, 0.9):
        model.scheduled_sampling = share
        changed = []
        for seed in range(60):
            model.forward(x, rng=seed)
            assert np.array_equal(fed[-1][:, 0], x["target"][:, 0])
            changed.append((fed.pop() != x["target"])[:, 1:].mean())
        shares.append(np.mean(changed))
    # A token that is drawn may be the target's.
    assert 0.15 < shares[0] < 0.3 < 0.6 < shares[1] < 0.9
    y, _ = model.forward(x, lengths=lengths, rng=5)
    again, _ = model.forward(x, lengths=lengths, rng=5)
    assert np.array_equal(y, again)
    mixed = fed.pop()
    model.scheduled_sampling = 0.0
    assert np.array_equal(model({**x, "target": mixed}, lengths=lengths), y)
    monkeypatch.undo()
    model.scheduled_sampling = 0.5
    check_model_gradients(model, x, lengths=lengths, rng=7)
    model.scheduled_sampling = 1.5
    with pytest.raises(ValueError, match="scheduled_sampling must be from 0 to 1"):
        model.forward(x)


def test_translate_in_any_batches():
    model = randomise(make())
    sources = [[3, 1, 5], [4], [0, 2], [1, 1, 1, 1, 1], [5]]
    wanted = [row[0].tokens.tolist() for row in beam_search(model, sources, beam_size=3, max_length=6)]
    for size in (1, 2, 5):
        found = model.translate(sources, beam_size=3, batch_size=size, max_length=6)
        assert [each.tolist() for each in found] == wanted
    padded = np.zeros((5, 7), int)
    for row, source in zip(padded, sources, strict=True):
        row[: len(source)] = source
    lengths = [len(source) for source in sources]
    assert [e.tolist() for e in model.translate(padded, lengths, beam_size=3, max_length=6)] == wanted
    assert [e.tolist() for e in model.translate(padded, lengths, beam_size=1, max_length=6)] == [
        each.tokens.tolist() for each in greedy(model, sources, max_length=6)
    ]
    assert model.translate([]) == []
    drawn = [each.tokens.tolist() for each in sample(model, sources, seed=[1, 2, 3, 4, 5], max_length=6)]
    assert drawn[2] == sample(model, sources[2:3], seed=[3], max_length=6)[0].tokens.tolist()
    rows = beam_search(model, sources, beam_size=3, n_best=3, max_length=6)
    for source, row in zip(sources, rows, strict=True):
        for each in row:
            assert each.alignment is None or each.alignment.shape == (len(each.tokens), 5)
            assert each.alignment is None or not each.alignment[:, len(source) :].any()
            x, _, lengths = model.pairs([source], [each.tokens])
            looked = model.decode(x, lengths=lengths).weights[0, : len(each.tokens)]
            if len(each.tokens):
                assert np.abs(each.alignment[:, : len(source)] - looked).max() < 1e-12


def test_empty_sizes():
    model = make()
    for shape, lengths in (((0, 3), None), ((2, 0), None), ((2, 3), ([0, 0], [0, 0]))):
        x = {"source": np.zeros(shape, int), "target": np.zeros((shape[0], 4), int)}
        y, backward = model.forward(x, lengths=lengths)
        assert y.shape == (shape[0], 4, 6)
        assert np.isfinite(y).all()
        backward(np.ones_like(y))
        assert np.isfinite(model.flat_grad).all()
    x["target"] = np.zeros((2, 0), int)
    y, backward = model.forward(x)
    assert y.shape == (2, 0, 6)
    backward(y)


def test_summary(capsys):
    make(shared=True).summary()
    lines = capsys.readouterr().out.splitlines()
    text = "\n".join(lines)
    for wanted in (
        "encoder Encoder",
        "bridge Bridge dense",
        "decoder Decoder",
        "decoder.attention Attention",
        "(shared)",
    ):
        assert wanted in text
    assert lines[-1] == f"{make(shared=True).num_params:,} parameters"
    rf.Encoder(rf.GRU(3, 4)).summary()
    make().decoder.summary()


def test_refusals_say_why():
    model = make()
    encoder, decoder = model.encoder, model.decoder
    for how, message in (
        ({"attention": rf.Attention(4, 5, kind="general")}, "attention takes vectors of size 5, the encoder gives 6"),
        ({"context": "first"}, "context takes vectors of size 4, the encoder gives 6"),
    ):
        with pytest.raises(ValueError, match=message):
            rf.Seq2Seq(encoder, rf.Decoder(rf.Embedding(6, 4), rf.GRU(4, 4), **how), bridge="dense")
    merged = rf.Encoder(rf.Embedding(6, 4), rf.GRU(4, 4, bidirectional=True, merge="sum"))
    with pytest.raises(ValueError, match="merged its two directions step by step"):
        rf.Seq2Seq(merged, rf.Decoder(rf.Embedding(6, 4), rf.GRU(4, 4), context="first"), bridge="sum")
    with pytest.raises(TypeError, match="encoder must be an Encoder, got LSTM"):
        rf.Seq2Seq(rf.LSTM(3, 4), decoder)
    with pytest.raises(TypeError, match="decoder must be a Decoder, got Encoder"):
        rf.Seq2Seq(encoder, encoder)
    with pytest.raises(ValueError, match="one dtype"):
        rf.Seq2Seq(encoder, rf.Decoder(rf.Embedding(6, 4), rf.GRU(4, 4)), bridge="dense")
    x = batch()
    for wrong, message in (
        ({"source": x["source"]}, "a mapping with 'source' and 'target', or a pair of both, got a mapping with source"),
        (x["source"], "or a pair of both, got ndarray"),
        ({**x, "target": x["target"][:2]}, r"shape \(B, T\), with the B of the source"),
        ({**x, "source": np.ones((3, 5, 2))}, r"the source must have shape \(B, S\), got \(3, 5, 2\)"),
    ):
        with pytest.raises(ValueError, match=message):
            model(wrong)
    with pytest.raises(ValueError, match="lengths must be from 0 to 5"):
        model(x, lengths={"source": [6, 1, 1]})
    with pytest.raises(ValueError, match="lengths must be a mapping with 'source' and 'target'"):
        model(x, lengths=[1, 2, 3])
    plan = model.get_config()
    for change, message in (
        ({"bridge": plan["encoder"]}, "must be a Bridge, got Encoder"),
        ({"bridge": {"class": "Bridge", "config": {"kind": "copy", "layers": {}}}}, "equal depths"),
        ({"more": 1}, "encoder, bridge and decoder"),
    ):
        with pytest.raises(ValueError, match=message):
            rf.Seq2Seq.from_config({**plan, **change})
    assert Bridge.from_config(plan["bridge"]["config"]).kind == "dense"
    assert Source().memory is None
