import numpy as np
import pytest
from layer_checks import randomise, rebuilt
from seq2seq_checks import SOURCE_LENGTHS, TARGET_LENGTHS, batch, check_model_gradients

from rnnfast.layers import GRU, LSTM, Attention, Conv1D, Dropout, Embedding, LayerNorm, Linear, MeanPool
from rnnfast.models import Decoder, Encoder, Seq2Seq, Source

F64 = {"dtype": "float64"}
LENGTHS = (SOURCE_LENGTHS, TARGET_LENGTHS)


def make(cell=GRU, *, context=None, attention=None, coverage=False, tied=False, layers=(), width=None, **how):
    """A model with a decoder of a kind, its encoder two-way, or for `width` of vectors without recurrence."""
    if width is None:
        encoder = Encoder(Embedding(6, 2, **F64), cell(2, 3, bidirectional=True, **F64))
    else:
        encoder = Encoder(Linear(width, 6, activation="tanh", **F64))
    size = {"every": 4 + 6}.get(context, 6 if context == "first" else 4)
    embedding = 6 if context == "first" else 4
    size += 4 if how.get("input_feeding") else 6 if how.get("attention_order") == "bahdanau" else 0
    look = None if attention is None else Attention(4, 6, kind=attention, coverage=coverage, **F64)
    decoder = Decoder(
        Embedding(6, embedding, **F64), cell(size, 4, **F64), *layers, attention=look, context=context, tied=tied, **how
    )
    return randomise(Seq2Seq(encoder, decoder, bridge="dense"))


CASES = [
    {},
    {"cell": LSTM, "attention": "general"},
    {"attention": "additive", "attention_size": 5},
    {"attention": "normed", "tied": True},
    {"context": "every"},
    {"cell": LSTM, "context": "first"},
    {"context": "every", "attention": "general", "tied": True},
    {"context": "first", "attention": "additive"},
    {"layers": [LayerNorm(4, **F64), GRU(4, 4, **F64)], "attention": "general"},
    {"attention": "general", "input_feeding": True, "tied": True},
    {"attention": "general", "copy": True},
    {"attention": "general", "copy": True, "input_feeding": True, "cell": LSTM},
    {"cell": LSTM, "attention": "additive", "attention_order": "bahdanau", "layers": [LSTM(4, 4, **F64)]},
    {"attention": "normed", "input_feeding": True, "coverage": True, "context": "every"},
    {"attention": "additive", "attention_order": "bahdanau", "coverage": True, "context": "first"},
]


@pytest.mark.parametrize("number", range(len(CASES)))
def test_gradients(number):
    check_model_gradients(make(**CASES[number]), batch(), lengths=LENGTHS)
    if number % 4 == 1:
        check_model_gradients(make(**CASES[number]), batch())


@pytest.mark.parametrize("number", range(len(CASES)))
def test_step_by_step_is_the_whole(number):
    model, x = make(**CASES[number]), batch()
    wanted = model(x, lengths={"source": SOURCE_LENGTHS})
    tokens, state = model.start((x["source"], SOURCE_LENGTHS))
    assert tokens.tolist() == [1, 1, 1]
    for t in range(4):
        log_probs, state = model.step(x["target"][:, t], state)
        logits = wanted[:, t]
        whole = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
        assert np.abs(log_probs - whole).max() < 1e-12
        if t == 1:
            # Rows leave, come twice and change places: as the beams of a search.
            rows = np.array([2, 0, 2, 0])
            state = model.reorder(state, rows)
            x = {name: array[rows] for name, array in x.items()}
            wanted = wanted[rows]
        if t == 2:
            rows = np.array([0, 1, 3])
            state = model.reorder(state, rows)
            x = {name: array[rows] for name, array in x.items()}
            wanted = wanted[rows]


@pytest.mark.parametrize("number", range(7))
def test_padding_changes_no_number(number):
    model, x = make(**CASES[number]), batch()
    wanted, backward = model.forward(x, lengths=LENGTHS)
    dy = np.random.default_rng(1).standard_normal(wanted.shape)
    backward(dy)
    gradients = model.flat_grad.copy()
    longer = {name: np.pad(array, ((0, 0), (0, 3)), constant_values=99) for name, array in x.items()}
    for name, lengths in (("source", SOURCE_LENGTHS), ("target", TARGET_LENGTHS)):
        for row, length in zip(longer[name], lengths, strict=True):
            row[length:] = 99  # no token at all
    y, backward = model.forward(longer, lengths=LENGTHS)
    assert np.array_equal(y[:, :4], wanted)
    assert not y[:, 4:].any()
    assert [bool(row[length:].any()) for row, length in zip(y, TARGET_LENGTHS, strict=True)] == [False] * 3
    model.zero_grad()
    backward(np.concatenate([dy, np.ones((3, 3, 6))], axis=1))
    assert np.array_equal(model.flat_grad, gradients)
    assert np.array_equal(model(longer, lengths=LENGTHS), y)
    for b in range(3):
        alone = {
            name: array[b : b + 1, : lengths[b]] for (name, array), lengths in zip(x.items(), LENGTHS, strict=True)
        }
        assert np.abs(model(alone)[0] - wanted[b, : TARGET_LENGTHS[b]]).max(initial=0) < 1e-12


def test_where_it_looks_is_told():
    model, x = make(attention="general"), batch()
    found = model.decode(x, lengths=LENGTHS)
    assert found.weights.shape == (3, 4, 5)
    assert np.allclose(found.weights[[0, 2]].sum(axis=-1), 1)
    assert not found.weights[1].any()
    assert not found.weights[2, :, 2:].any()
    source = model.read(x["source"], SOURCE_LENGTHS)
    embedded = model.decoder.embedding(x["target"])
    h, _ = model.decoder.recurrent.run(embedded, source.state)
    scores = np.einsum("bth,bsh->bts", h @ model.decoder.attention.params["weight"].T, source.memory)
    weights = np.exp(scores[0]) / np.exp(scores[0]).sum(axis=-1, keepdims=True)
    assert np.allclose(found.weights[0, :1], weights[:1], rtol=0, atol=1e-12)
    combine = model.decoder.combine.params["weight"]
    mixed = np.tanh(np.concatenate([weights @ source.memory[0], h[0]], axis=-1) @ combine.T)
    logits = mixed @ model.decoder.params["output.weight"].T + model.decoder.params["output.bias"]
    assert np.allclose(model.decode(x, lengths={"source": SOURCE_LENGTHS}).logits[0], logits, rtol=0, atol=1e-12)


def test_contexts_by_hand():
    x, lengths = batch(), {"source": SOURCE_LENGTHS}
    for context in ("every", "first"):
        model = make(context=context)
        outputs, _ = model.encoder.run(x["source"], lengths=SOURCE_LENGTHS)
        ends = [outputs[b, SOURCE_LENGTHS[b] - 1, :3] if SOURCE_LENGTHS[b] else np.zeros(3) for b in range(3)]
        c = np.concatenate([np.array(ends), outputs[:, 0, 3:]], axis=-1)
        assert c[[0, 2]].all()
        assert np.array_equal(model.encoder.context(outputs, SOURCE_LENGTHS)[0], c)
        embedded, state = model.decoder.embedding(x["target"]), model.read(x["source"], SOURCE_LENGTHS).state[0]
        (layer,) = model.decoder.recurrent.layers
        if context == "every":
            h, _ = layer(np.concatenate([embedded, np.repeat(c[:, None], 4, axis=1)], axis=-1), state)
        else:
            h, _ = layer(np.concatenate([c[:, None], embedded], axis=1), state)
            h = h[:, 1:]
        assert np.abs(model(x, lengths=lengths) - model.decoder.output(h)).max() < 1e-12


@pytest.mark.parametrize("context", [None, "first", "every"])
@pytest.mark.parametrize("kind", ["one vector", "vectors"])
def test_sources_of_vectors(context, kind):
    attention = "general" if kind == "vectors" and context != "first" else None
    model, x = make(context=context, attention=attention, width=5), batch(width=5)
    lengths = {"source": SOURCE_LENGTHS, "target": TARGET_LENGTHS}
    if kind == "one vector":
        x["source"], lengths = x["source"][:, 0], {"target": TARGET_LENGTHS}
    check_model_gradients(model, x, lengths=lengths)
    if kind == "one vector":
        read = model.encoder(x["source"])
        assert np.array_equal(model.encoder.context(read)[0], read)
        assert len(model.translate(list(x["source"]), max_length=3)) == 3
        with pytest.raises(ValueError, match="one vector a source has none"):
            model(x, lengths=(SOURCE_LENGTHS, TARGET_LENGTHS))


def test_a_recurrent_encoder_of_vectors():
    encoder = Encoder(LSTM(3, 4, bidirectional=True, **F64))
    decoder = Decoder(Embedding(6, 2, **F64), LSTM(2, 4, **F64), attention=Attention(4, 8, kind="additive", **F64))
    model = randomise(Seq2Seq(encoder, decoder, bridge="sum"))
    check_model_gradients(model, batch(width=3), lengths=LENGTHS)


def test_dropout():
    model, x = make(attention="general", layers=[Dropout(0.5)], dropout=0.5), batch()
    first, second, other = (model.forward(x, rng=seed)[0] for seed in (1, 1, 2))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)
    check_model_gradients(model, x, rng=3)
    assert np.array_equal(model(x), model(x))


def test_refusals_say_why():
    words = Embedding(6, 4)
    with pytest.raises(ValueError, match="tokens that are not written yet; the encoder may be bidirectional"):
        Decoder(words, GRU(4, 3, bidirectional=True))
    for layers, message in (
        ([GRU(4, 3, reverse=True)], "reads in reverse"),
        ([GRU(4, 3), MeanPool()], "MeanPool, needs whole sequences"),
        ([GRU(4, 3), Conv1D(3, 3, 2)], "must be RNN, LSTM, GRU or a layer without state, got Conv1D"),
        ([Dropout(0.1)], "at least one recurrent layer"),
        ([GRU(5, 3)], "takes 5 features, the embedding gives 4"),
    ):
        with pytest.raises(ValueError, match=message):
            Decoder(words, *layers)
    for how, message in (
        ({"attention": Attention(5)}, "query_size must be .* 3, got 5"),
        ({"attention_size": 3}, "with attention alone"),
        ({"context": "always"}, "None, 'first' or 'every', got 'always'"),
        ({"context": "every"}, "more than 4 features"),
        ({"tied": True}, "tied must be an Embedding"),
        ({"stop": 6}, "stop must be a token, 0 to 5, got 6"),
        ({"start": True}, "start must be a token"),
    ):
        with pytest.raises(ValueError, match=message):
            Decoder(words, GRU(4, 3), **how)
    with pytest.raises(TypeError, match="embedding must be an Embedding"):
        Decoder(GRU(4, 3), GRU(4, 3))
    decoder = Decoder(words, GRU(4, 3), attention=Attention(3))
    with pytest.raises(ValueError, match=r"outputs \(B, S, 3\) of the encoder, got none"):
        decoder.run([[1]], Source())
    decoder = Decoder(words, GRU(9, 3), context="every")
    with pytest.raises(ValueError, match=r"a context \(B, 5\), got shape \(1, 4\)"):
        decoder.run([[1]], Source(context=np.ones((1, 4))))


def test_alone_and_in_files(tmp_path):
    words = Embedding(6, 4, seed=1)
    decoder = Decoder(words, LSTM(4, 4, seed=2), attention=Attention(4, 3, kind="general", seed=3), tied=True, start=3)
    source = Source(memory=np.random.default_rng(4).standard_normal((2, 5, 3)))
    tokens = np.array([[3, 1, 5], [3, 0, 2]])
    again = rebuilt(decoder, tmp_path)
    assert again.output.tied is again.embedding
    assert (again.start, again.stop, again.context) == (3, 2, None)
    assert again.get_config() == decoder.get_config()
    assert np.array_equal(again(tokens, source).logits, decoder(tokens, source).logits)
    for change in ({"start": 9}, {"output": None}, {"attention": None}, {"context": 3}, {"recurrent": None}):
        with pytest.raises(ValueError, match=r"start must|made of|context must"):
            Decoder.from_config({**decoder.get_config(), **change})
    plan = decoder.get_config()
    plan["recurrent"]["config"]["layers"][0]["config"]["bidirectional"] = True
    with pytest.raises(ValueError, match="reads in reverse"):
        Decoder.from_config(plan)
