"""Decoders whose steps depend on what the steps before attended to."""

from functools import partial

import numpy as np
import pytest
from layer_checks import randomise, rebuilt

import rnnfast as rf
from rnnfast.decoding import beam_search
from rnnfast.kernels._threads import _set_worth_a_thread
from rnnfast.layers import GRU, LSTM, RNN, Attention, Dropout, Embedding, LayerNorm
from rnnfast.layers._penalties import penalties
from rnnfast.models import Decoder, Encoder, Seq2Seq, Source

F64 = {"dtype": "float64"}
KINDS = ["dot", "scaled_dot", "general", "additive", "normed", "location"]
CELLS = {"rnn": RNN, "lstm": LSTM, "gru": GRU, "before": partial(GRU, reset="before")}
ORDERS = ["feeding", "bahdanau"]
B, S, T, E, H, F, A, V, C = 4, 5, 4, 3, 5, 6, 7, 6, 2
SOURCE_LENGTHS, TARGET_LENGTHS = np.array([5, 0, 2, 3]), np.array([3, 4, 0, 1])


def make(
    order="feeding", kind="general", cell="lstm", *, layers=(), context=None, coverage=False, dtype="float64", **how
):
    """A decoder that feeds h~, one of Bahdanau's order, or with order="luong" a plain one."""
    writing = {name: how.pop(name) for name in ("copy", "coverage_loss") if name in how}
    width = H if kind in ("dot", "scaled_dot") else F
    fed = {"feeding": A, "bahdanau": width}.get(order, 0)
    options = {"num_positions": 7} if kind == "location" else {}
    options |= {"hidden_size": 4} if kind in ("additive", "normed") else {}
    look = Attention(H, width, kind, coverage=coverage, dtype=dtype, **options)
    heard = E if context == "first" else C if context == "every" else 0
    cells = CELLS[cell](E + fed + (C if context == "every" else 0), H, how.pop("num_layers", 1), dtype=dtype, **how)
    decoder = Decoder(
        Embedding(V, E, dtype=dtype),
        cells,
        *layers,
        attention=look,
        attention_size=A,
        context=context,
        input_feeding=order == "feeding",
        attention_order="bahdanau" if order == "bahdanau" else "luong",
        **writing,
    )
    assert decoder.context_size == heard
    return randomise(decoder)


def sources(decoder, rows=B, positions=S, lengths=SOURCE_LENGTHS):
    """A source with a state, and tokens."""
    rng, dtype = np.random.default_rng(3), decoder.dtype
    state = []
    for layer in decoder.recurrent.layers:
        if layer.has_state:
            arrays = [0.5 * rng.standard_normal((layer.num_layers, rows, H)).astype(dtype) for _ in range(2)]
            state.append(tuple(arrays) if layer.cell == "lstm" else arrays[0])
    memory = rng.standard_normal((rows, positions, decoder.memory_size)).astype(dtype)
    context = rng.standard_normal((rows, decoder.context_size)).astype(dtype) if decoder.context else None
    held = rng.integers(0, V, (rows, positions))
    return Source(tuple(state), memory, lengths, context, held), rng.integers(0, V, (rows, T))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def cell_by_hand(layer, i, x, state):
    p = {name.removesuffix(f"_l{i}"): array for name, array in layer.params.items() if name.endswith(f"_l{i}")}
    h, W, R, b = state[0], p["weight_ih"], p["weight_hh"], p["bias"]
    if layer.cell == "rnn":
        return (np.tanh(W @ x + R @ h + b),)
    if layer.cell == "lstm":
        i, f, g, o = np.split(W @ x + R @ h + b, 4)
        c = sigmoid(f) * state[1] + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(c), c
    wr, wz, wn = np.split(W @ x + b, 3)
    rr, rz, rn = np.split(R, 3)
    r, z = sigmoid(wr + rr @ h), sigmoid(wz + rz @ h)
    if layer.options.get("reset") == "before":
        n = np.tanh(wn + rn @ (r * h))
    else:
        n = np.tanh(wn + r * (rn @ h + p["bias_hn"]))
    return ((1 - z) * n + z * h,)


def look_by_hand(attention, query, memory, coverage):
    p, kind = attention.params, attention.kind
    if not len(memory):
        return np.zeros(attention.key_size), np.zeros(0)
    if kind in ("additive", "normed"):
        inside = p["weight_query"] @ query + memory @ p["weight_key"].T
        if attention.coverage:
            inside = inside + np.outer(coverage, p["weight_coverage"])
        v = p["weight_score"]
        if kind == "normed":
            v, inside = p["scale"][0] * v / np.sqrt(v @ v), inside + p["bias"]
        scores = np.tanh(inside) @ v
    elif kind == "location":
        scores = (p["weight"] @ query)[: len(memory)]
    else:
        scores = memory @ (p["weight"] @ query if kind == "general" else query)
        scores = scores / np.sqrt(len(query)) if kind == "scaled_dot" else scores
    weights = np.exp(scores) / np.exp(scores).sum()
    return weights @ memory, weights


def by_hand(decoder, tokens, source, lengths):
    """Logits and weights from the equations, a row and a step at a time."""
    logits, looked = np.zeros((*tokens.shape, V)), np.zeros((*tokens.shape, source.memory.shape[1]))
    layers = [layer for layer in decoder.recurrent.layers if layer.has_state]
    early = decoder.attention_order == "bahdanau"
    for b in range(len(tokens)):
        states = []
        for layer, state in zip(layers, source.state, strict=True):
            arrays = state if layer.cell == "lstm" else (state,)
            states += [tuple(array[i, b] for array in arrays) for i in range(layer.num_layers)]
        memory = source.memory[b, : source.lengths[b]]
        fed, coverage = np.zeros(A), np.zeros(len(memory))
        first = decoder.context == "first"
        for t in range(-first, lengths[b]):
            x = source.context[b] if t < 0 else decoder.embedding.params["weight"][tokens[b, t]]
            if decoder.context == "every":
                x = np.concatenate([x, source.context[b]])
            if early:
                context, weights = look_by_hand(decoder.attention, states[-1][0], memory, coverage)
                x = np.concatenate([x, context])
            elif decoder.input_feeding:
                x = np.concatenate([x, fed])
            level = 0
            for layer in layers:
                for i in range(layer.num_layers):
                    states[level] = cell_by_hand(layer, i, x, states[level])
                    x = states[level][0] + x if layer.residual and i else states[level][0]
                    level += 1
            if not early:
                context, weights = look_by_hand(decoder.attention, x, memory, coverage)
            coverage = coverage + weights
            fed = np.tanh(decoder.combine.params["weight"] @ np.concatenate([context, x]))
            if t >= 0:
                logits[b, t] = decoder.output.params["weight"] @ fed + decoder.output.params["bias"]
                if decoder.gate is not None:
                    embedded = decoder.embedding.params["weight"][tokens[b, t]]
                    seen = np.concatenate([context, x, embedded])
                    p = sigmoid(decoder.gate.params["weight"][0] @ seen + decoder.gate.params["bias"][0])
                    p = p if len(memory) else 1.0
                    total = p * np.exp(logits[b, t]) / np.exp(logits[b, t]).sum()
                    for word, weight in zip(source.tokens[b], weights, strict=False):
                        total[word] += (1 - p) * weight
                    assert abs(total.sum() - 1) < 1e-12
                    logits[b, t] = np.log(total)
                looked[b, t, : len(memory)] = weights
    return logits, looked


def check_gradients(decoder, source, tokens, lengths, rng=None):
    """Every gradient against differences of fourth order."""
    y, backward = decoder.forward(tokens, source, lengths=lengths, rng=rng)
    dy, grads = np.random.default_rng(9).standard_normal(y.shape), {}
    back = backward(dy, grads=grads)
    flat = [("memory", source.memory, back.memory, None)]
    for i, (state, dstate) in enumerate(zip(source.state or (), back.state, strict=source.state is not None)):
        pairs = zip(state, dstate, strict=True) if isinstance(state, tuple) else [(state, dstate)]
        flat += [(f"state {i} {j}", value, gradient, None) for j, (value, gradient) in enumerate(pairs)]
    if decoder.context:
        flat.append(("context", source.context, back.context, None))
    for name in decoder.params:
        flat.append((name, decoder.params[name].copy(), grads[name], partial(decoder.params.__setitem__, name)))

    def loss():
        with penalties() as found:
            return float((decoder.forward(tokens, source, lengths=lengths, rng=rng)[0] * dy).sum()) + sum(found)

    places = np.random.default_rng(10)
    for name, values, gradient, put in flat:
        largest = np.abs(gradient).max()
        assert largest > 0, f"gradient of {name} is zero"
        for place in {int(np.abs(gradient).argmax()), int(places.integers(values.size))}:
            at = np.unravel_index(place, values.shape)
            kept, total = values[at], 0.0
            for step, weight in ((1, 8), (-1, -8), (2, -1), (-2, 1)):
                values[at] = kept + 1e-3 * step
                if put:
                    put(values)
                total += weight * loss()
            values[at] = kept
            if put:
                put(values)
            error = abs(total / 12e-3 - gradient[at]) / largest
            assert error < 1e-6, f"gradient of {name} is off by {error:.1e}"


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("order", ORDERS)
def test_equations_and_gradients(order, kind, cell):
    decoder = make(order, kind, cell)
    source, tokens = sources(decoder)
    found = decoder.run(tokens, source, lengths=TARGET_LENGTHS)
    logits, looked = by_hand(decoder, tokens, source, TARGET_LENGTHS)
    assert np.abs(found.logits - logits).max() < 1e-12
    assert np.abs(found.weights - looked).max() < 1e-12
    y, _ = decoder.forward(tokens, source, lengths=TARGET_LENGTHS)
    assert np.array_equal(y, found.logits)
    check_gradients(decoder, source, tokens, TARGET_LENGTHS)


OPTIONS = [
    {"num_layers": 2, "residual": True},
    {"num_layers": 3, "cell": "gru", "kind": "additive"},
    {"context": "every", "kind": "normed"},
    {"context": "first", "cell": "gru"},
    {"layers": [LSTM(H, H, 2, **F64)], "cell": "gru"},
    {"coverage": True, "kind": "additive", "order": "luong"},
    {"coverage": True, "kind": "normed", "context": "first", "coverage_loss": 0.7},
    {"copy": True, "kind": "normed"},
    {"copy": True, "order": "luong", "context": "first"},
    {"copy": True, "order": "luong", "coverage": True, "coverage_loss": 1.5, "kind": "additive"},
]


# An order of an option's own makes it one case.
CASES = {repr(case): case for option in OPTIONS for order in ORDERS for case in [{"order": order, **option}]}


@pytest.mark.parametrize("case", CASES.values(), ids=map(str, range(len(CASES))))
def test_options(case):
    decoder = make(**case)
    source, tokens = sources(decoder)
    found = decoder.run(tokens, source, lengths=TARGET_LENGTHS)
    logits, looked = by_hand(decoder, tokens, source, TARGET_LENGTHS)
    assert np.abs(found.logits - logits).max() < 1e-12
    valid = np.arange(T) < TARGET_LENGTHS[:, None]
    assert np.abs(found.weights - looked)[valid].max() < 1e-12
    check_gradients(decoder, source, tokens, TARGET_LENGTHS)


@pytest.mark.parametrize("order", ORDERS)
def test_what_is_dropped_and_options_of_cells(order):
    dropping = {"dropout": 0.4, "num_layers": 2, "recurrent_dropout": 0.3, "zoneout": 0.2, "weight_drop": 0.3}
    decoder = make(order, "additive", "lstm", layers=[Dropout(0.3)], peephole=True, layer_norm=True, **dropping)
    source, tokens = sources(decoder)
    first, second, other = (decoder.forward(tokens, source, rng=seed)[0] for seed in (1, 1, 2))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)
    check_gradients(decoder, source, tokens, TARGET_LENGTHS, rng=5)
    assert np.array_equal(decoder(tokens, source).logits, decoder(tokens, source).logits)
    learned = make(order, "dot", "gru", learned_state=True)
    (_, memory, lengths, *_), tokens = sources(learned)
    check_gradients(learned, Source(None, memory, lengths), tokens, TARGET_LENGTHS)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 5, 4), (4, 1, 1), (3, 5, 0), (0, 5, 4), (2, 0, 3)])
def test_sizes(order, shape):
    rows, positions, steps = shape
    decoder = make(order, "additive", "gru", coverage=True)
    source, tokens = sources(decoder, rows, positions, np.full(rows, positions))
    tokens = tokens[:, :steps]
    y, backward = decoder.forward(tokens, source)
    assert np.abs(y - by_hand(decoder, tokens, source, np.full(rows, steps))[0]).max(initial=0) < 1e-12
    back = backward(np.ones_like(y))
    assert back.memory.shape == source.memory.shape
    assert back.state[0].shape == source.state[0].shape
    without = decoder.forward(tokens, source._replace(lengths=None))[0]
    assert np.array_equal(without, y)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("order", ORDERS)
def test_equal_bits_for_any_number_of_threads(order, dtype):
    decoder = make(order, "normed", "lstm", coverage=True, num_layers=2, dtype=dtype)
    rows = 21
    rng = np.random.default_rng(1)
    source, tokens = sources(decoder, rows, S, rng.integers(0, S + 1, rows))
    lengths, found = rng.integers(0, T + 1, rows), []
    before, worth = rf.get_num_threads(), _set_worth_a_thread(0)
    try:
        for threads in (1, 2, 3):
            rf.set_num_threads(threads)
            decoder.zero_grad()
            y, backward = decoder.forward(tokens, source, lengths=lengths)
            back = backward(np.ones_like(y))
            found.append([y, back.memory, *back.state[0], decoder.flat_grad.copy()])
    finally:
        rf.set_num_threads(before)
        _set_worth_a_thread(worth)
    for other in found[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(found[0], other, strict=True))


@pytest.mark.parametrize("order", ORDERS)
def test_float32_and_padding(order):
    exact, decoder = make(order, num_layers=2), make(order, num_layers=2, dtype="float32")
    decoder.set_weights([array.astype(np.float32) for array in exact.get_weights()])
    source, tokens = sources(exact)
    single = Source(*(each.astype(np.float32) if i == 1 else each for i, each in enumerate(source)))
    y = decoder(tokens, single, lengths=TARGET_LENGTHS).logits
    assert y.dtype == np.float32
    assert np.abs(y - exact(tokens, source, lengths=TARGET_LENGTHS).logits).max() < 2e-6
    hidden = source.memory.copy()
    for row, length in zip(hidden, SOURCE_LENGTHS, strict=True):
        row[length:] = np.nan
    found = []
    for memory in (source.memory, hidden):
        exact.zero_grad()
        y, backward = exact.forward(tokens, source._replace(memory=memory), lengths=TARGET_LENGTHS)
        found.append([y, backward(np.ones_like(y)).memory, exact.flat_grad.copy()])
    assert all(np.array_equal(a, b) for a, b in zip(*found, strict=True))


def test_the_coverage_loss():
    decoder = make("feeding", "additive", coverage=True, coverage_loss=0.25)
    source, tokens = sources(decoder)
    with penalties() as found:
        decoder.forward(tokens, source, lengths=TARGET_LENGTHS)
    weights = decoder.run(tokens, source, lengths=TARGET_LENGTHS).weights
    before = np.cumsum(weights, axis=1) - weights
    overlap = np.minimum(weights, before).sum()
    assert overlap > 0.1
    assert found == [pytest.approx(0.25 * overlap / TARGET_LENGTHS.sum(), rel=1e-12)]


def test_the_callers_subnormals_are_as_they_were():
    half = np.float64(np.finfo(np.float64).tiny) / 2
    for rows in (0, 1, B):
        decoder = make()
        source, _ = sources(decoder, rows, lengths=None)
        logits, backward = decoder.forward(np.ones((rows, T), int), source)
        assert half * 1.0 > 0
        backward(np.ones_like(logits))
        assert half * 1.0 > 0


@pytest.mark.parametrize("order", ORDERS)
def test_searches_and_scheduled_sampling(order):
    decoder = make(order, "additive", "gru", coverage=True, copy=True)
    encoder = Encoder(Embedding(V, 3, **F64), GRU(3, 3, bidirectional=True, **F64))
    model = randomise(Seq2Seq(encoder, decoder, "dense"))
    lines = [[3, 4, 1, 5], [2], [5, 5, 0]]
    for line, hypotheses in zip(lines, beam_search(model, lines, beam_size=4, n_best=3, max_length=5), strict=True):
        for each in hypotheses:
            assert abs(model.score([line], [each.tokens])[0] - each.log_probability) < 1e-9
            assert each.tokens.size == 0 or each.alignment.shape == (each.tokens.size, 4)
    first, state = model.start(lines)
    with pytest.raises(ValueError, match=r"must have shape|of each of 2 rows"):
        model.step(first[:2], state)
    x, _, lengths = model.pairs(lines, [[3, 4, 5], [0, 1], [1, 3, 4]])
    plain = model.forward(x, lengths=lengths, rng=1)[0]
    model.scheduled_sampling = 1.0
    first, second = (model.forward(x, lengths=lengths, rng=1)[0] for _ in range(2))
    assert np.array_equal(first, second)
    assert np.array_equal(first[:, 0], plain[:, 0])
    assert not np.array_equal(first, plain)


def test_the_state_goes_on():
    for order in ORDERS:
        decoder = make(order, "additive", "lstm", coverage=True)
        source, tokens = sources(decoder)
        whole = decoder(tokens, source)
        first = decoder(tokens[:, :3], source)
        rest = decoder(tokens[:, 3:], source, first.state)
        assert np.array_equal(np.concatenate([first.logits, rest.logits], axis=1), whole.logits)
        ragged = decoder(tokens, source, lengths=TARGET_LENGTHS).state
        for name in ("fed", "coverage"):
            arrays = getattr(ragged, name), getattr(first.state, name)
            assert arrays[0] is None or np.array_equal(arrays[0][0, 0], arrays[1][0, 0])


def test_refusals_and_files(tmp_path, capsys):
    words = Embedding(V, 4)
    look = Attention(3, 5, "general")
    for layers, how, message in (
        ([GRU(4, 3)], {"input_feeding": True}, "takes 4 features, the embedding gives 4, and what is fed is 3 wide"),
        ([GRU(9, 3)], {"input_feeding": True, "attention_order": "bahdanau"}, "excludes input_feeding"),
        ([GRU(9, 3)], {"attention_order": "Luong"}, "must be 'luong' or 'bahdanau'"),
        ([GRU(7, 3)], {"input_feeding": True, "attention": None}, "this decoder has none"),
        ([GRU(7, 3), LayerNorm(3)], {"input_feeding": True}, "layer 1 is a LayerNorm"),
        ([GRU(7, 3, input_dropout=0.5)], {"input_feeding": True}, "does not run input_dropout=0.5"),
        ([GRU(7, 3)], {"input_feeding": True, "context": "every"}, "what is fed is 3 wide"),
    ):
        with pytest.raises(ValueError, match=message):
            Decoder(words, *layers, **{"attention": look, **how})
    with pytest.raises(ValueError, match="coverage is an argument of kind 'additive' or 'normed'"):
        Attention(3, coverage=True)
    with pytest.raises(ValueError, match="a Decoder runs it"):
        Attention(3, kind="additive", coverage=True)(np.ones((1, 3)), np.ones((1, 2, 3)))
    for how, message in (
        ({"coverage_loss": 1.0}, "coverage=True"),
        ({"copy": True, "attention": None}, "no attention"),
    ):
        with pytest.raises(ValueError, match=message):
            Decoder(words, GRU(4, 3), **{"attention": look, **how})
    decoder = make("luong", copy=True)
    source, tokens = sources(decoder)
    with pytest.raises(ValueError, match=r"integers of shape \(4, 5\), got none"):
        decoder(tokens, source._replace(tokens=None))
    with pytest.raises(ValueError, match="must be 0 to 5"):
        decoder(tokens, source._replace(tokens=source.tokens + 4))
    with pytest.raises(ValueError, match="needs an encoder of token ids"):
        Seq2Seq(Encoder(GRU(3, F, **F64)), decoder, "dense")
    decoder = make("feeding", "location")
    source, tokens = sources(decoder)
    with pytest.raises(ValueError, match="has 7 positions, got 9"):
        decoder(tokens, source._replace(memory=np.ones((B, 9, F)), lengths=None))
    with pytest.raises(ValueError, match="memory must have 4 rows"):
        decoder(tokens, source._replace(memory=np.ones((2, 5, F)), lengths=None))
    with rf.backend("numpy"), pytest.raises(RuntimeError, match="compiled kernels' alone"):
        decoder(tokens, source)
    for order in ORDERS:
        decoder = make(order, "additive", coverage=True, copy=True, coverage_loss=0.5)
        source, tokens = sources(decoder)
        again = rebuilt(decoder, tmp_path)
        assert again.get_config() == decoder.get_config()
        assert repr(again) == repr(decoder)
        assert np.array_equal(again(tokens, source).logits, decoder(tokens, source).logits)
        decoder.summary()
        note = "input feeding" if order == "feeding" else "before the step"
        assert f"Attention, {note}, coverage" in capsys.readouterr().out
    _, backward = decoder.forward(tokens, source)
    decoder.params["output.bias"] = np.ones(V)
    with pytest.raises(RuntimeError, match="parameters have changed"):
        backward(np.ones((B, T, V)))
