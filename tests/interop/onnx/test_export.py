import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx_model_checks import largest_difference, randomized, run_theirs

import rnnfast as rf

onnx = pytest.importorskip("onnx")

from rnnfast.interop.onnx import layers_of, prepare, to_onnx  # noqa: E402

X = np.random.default_rng(1).normal(size=(4, 6, 3)).astype(np.float32)
IDS = np.random.default_rng(2).integers(0, 7, (4, 6))
LENGTHS = [6, 0, 3, 1]


def outputs_of(proto, **feed):
    """What ONNX Runtime and our own backend make of the model: equal to rounding."""
    pytest.importorskip("onnxruntime")
    feed = {name: np.asarray(value) for name, value in feed.items()}
    theirs, ours = run_theirs(proto, feed), prepare(proto).run(feed)
    assert largest_difference(named(proto, ours), theirs) < 1e-5
    return theirs


def named(proto, results):
    return dict(zip([each.name for each in proto.graph.output], results, strict=True))


def check(model, x=X, tolerance=1e-5):
    """Without lengths and with them."""
    randomized(model)
    for lengths in (None, LENGTHS):
        feed = {} if lengths is None else {"lengths": np.array(lengths)}
        y = model(x, lengths=lengths)
        y = y[0] if isinstance(y, tuple) else y
        found = outputs_of(to_onnx(model, lengths=lengths is not None), x=x, **feed)["y"]
        assert found.shape == y.shape
        assert np.abs(found - y).max() < tolerance
        assert np.abs(y).max() > 0.05


MODELS = {
    "words": (
        lambda: rf.Sequential(
            rf.Embedding(7, 3), rf.LSTM(3, 5, 2, bidirectional=True), rf.Dropout(0.5), rf.Last(), rf.Linear(10, 2)
        ),
        IDS,
    ),
    "steps": (lambda: rf.Sequential(rf.Linear(3, 4, activation="tanh"), rf.GRU(4, 5), rf.Linear(5, 2, bias=False)), X),
    "norms": (
        lambda: rf.Sequential(rf.BatchNorm(3), rf.RNN(3, 5, reverse=True), rf.LayerNorm(5), rf.Last()),
        X,
    ),
    "conv": (
        lambda: rf.Sequential(rf.Conv1D(3, 4, 3, stride=2, activation="relu"), rf.GRU(4, 5), rf.Last()),
        X,
    ),
    "conv valid": (
        lambda: rf.Sequential(rf.Conv1D(3, 4, 2, causal=False, stride=2, dilation=2, bias=False), rf.MeanPool()),
        X,
    ),
    "conv dilated": (
        lambda: rf.Sequential(rf.Conv1D(3, 4, 2, dilation=2), rf.GRU(4, 5, reverse=True), rf.Last()),
        X,
    ),
    "pools": (
        lambda: rf.Sequential(rf.GRU(3, 5), rf.SpatialDropout(0.2), rf.MaxPool(), rf.Repeat(3), rf.GRU(5, 2)),
        X,
    ),
    "flat": (lambda: rf.Sequential(rf.LSTM(3, 4), rf.Flatten(), rf.Linear(24, 2)), X),
    "last merged": (
        lambda: rf.Sequential(rf.GRU(3, 4, bidirectional=True), rf.Last(merge="mul"), rf.Activation("softmax")),
        X,
    ),
    "nested": (
        lambda: rf.Sequential(rf.Sequential(rf.GRU(3, 4), rf.GaussianNoise(0.1)), rf.Sequential(rf.MeanPool())),
        X,
    ),
}
MODELS |= {
    f"activation {name}": (lambda name=name: rf.Sequential(rf.GRU(3, 4), rf.Activation(name)), X)
    for name in ("softplus", "softsign", "gelu", "swish", ("elu", 0.7), ("leaky_relu", 0.2), "hard_sigmoid", "sigmoid")
}


@pytest.mark.parametrize("name", MODELS)
def test_models_equal_onnx_runtime(name):
    make, x = MODELS[name]
    check(make(), x)


LAYERS = {
    "stack of widths": lambda: rf.GRU(3, [5, 4], bidirectional=True, bias="double"),
    "residual": lambda: rf.RNN(3, 5, 3, residual=True, activation="relu"),
    "highway, product": lambda: rf.RNN(3, 5, 3, residual="highway", bidirectional=True, merge="mul"),
    "average": lambda: rf.LSTM(3, 5, 2, bidirectional=True, merge="average", zoneout=0.0, recurrent_dropout=0.3),
    "learned state": lambda: rf.LSTM(3, 5, 2, learned_state=True, bidirectional=True, merge="sum"),
    "learned state of a GRU": lambda: rf.GRU(3, 5, learned_state=True, reverse=True),
    "independent units": lambda: rf.IndRNN(3, 5, 2),
    "minimal gates": lambda: rf.MGU(3, 5, 2, bias="double", clip=0.5),
    "minimal gates without bias": lambda: rf.MGU(3, 5, bias=False),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_equal_onnx_runtime(name):
    check(LAYERS[name]())


ACTIVATIONS = [
    *("tanh", "relu", "identity", "sigmoid", "softsign", "hard_sigmoid", "hard_sigmoid_onnx", "elu"),
    *(("leaky_relu", 0.3), ("elu", 0.6), ("hard_sigmoid", 0.25, 0.4)),
]
GATES = st.sampled_from(["sigmoid", "sigmoid", "hard_sigmoid", "hard_sigmoid_onnx", ("hard_sigmoid", 0.3, 0.5)])


@st.composite
def layers(draw):
    """A recurrent layer with random options, its parameters drawn."""
    cell = draw(st.sampled_from([rf.RNN, rf.GRU, rf.LSTM]))
    options = {
        "bias": draw(st.sampled_from([True, False, "double"])),
        "activation": draw(st.sampled_from(ACTIVATIONS)),
        "clip": draw(st.sampled_from([None, 0.4, 1.5])),
        **draw(st.sampled_from([{}, {"reverse": True}, {"bidirectional": True}])),
    }
    if options.get("bidirectional"):
        options["merge"] = draw(st.sampled_from(["concat", "sum", "mul", "average"]))
    if cell is not rf.RNN:
        options["recurrent_activation"] = draw(GATES)
    if cell is rf.GRU:
        options |= {
            "reset": draw(st.sampled_from(["before", "after"])),
            "update": draw(st.sampled_from(["keep", "new"])),
        }
    if cell is rf.LSTM:
        options |= {"peephole": draw(st.booleans()), "coupled": draw(st.booleans())}
        options["output_activation"] = draw(st.sampled_from([None, *ACTIVATIONS]))
    sizes = draw(st.integers(1, 4)), draw(st.integers(1, 6))
    layer = cell(*sizes, dtype=draw(st.sampled_from(["float32", "float64"])), **options)
    return randomized(layer, draw(st.integers(0, 1000)))


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(layer=layers(), B=st.integers(1, 3), T=st.integers(1, 5), data=st.data())
def test_any_layer_out_in_and_under_onnx_runtime(layer, B, T, data):
    x = np.random.default_rng(T).normal(size=(B, T, layer.input_size)).astype(np.float32)
    lengths = data.draw(st.none() | st.lists(st.integers(0, T), min_size=B, max_size=B))
    proto = to_onnx(layer, lengths=lengths is not None)
    feed = {"x": x} | ({} if lengths is None else {"lengths": np.array(lengths)})
    wanted = layer(x, lengths=lengths)[0]
    assert np.abs(outputs_of(proto, **feed)["y"] - wanted).max() < 1e-5
    (back,) = layers_of(proto, dtype=layer.dtype).values()
    update = layer.options.get("update")
    assert back.options.get("update") == (update and "keep")  # the other form, by the sign of its weights
    if update != "new":
        assert rf.ops.kind(back.cell, **back.options) == rf.ops.kind(layer.cell, **layer.options)
        if not (layer.bias == "double" and back.bias is True):
            assert layer.bias == back.bias
            for name, array in layer.params.items():
                np.testing.assert_allclose(back.params[name], array, rtol=1e-6, atol=1e-7)
    if getattr(layer, "merge", None) == "concat":
        assert np.abs(back(x, lengths=lengths)[0] - wanted).max() < (1e-6 if layer.dtype == np.float32 else 1e-5)
        again = layers_of(to_onnx(back), dtype=layer.dtype).popitem()[1]
        for name, array in back.params.items():
            np.testing.assert_array_equal(again.params[name], array)


@pytest.mark.parametrize("lengths", [None, LENGTHS])
def test_states_in_and_out(lengths):
    model = randomized(
        rf.Sequential(rf.Embedding(7, 3), rf.LSTM(3, 5, 2, bidirectional=True), rf.GRU(10, [4, 6]), rf.Linear(6, 2))
    )
    proto = to_onnx(model, stateful=True, lengths=lengths is not None)
    assert [each.name for each in proto.graph.output] == ["y", "1.h_out", "1.c_out", "2.h_l0_out", "2.h_l1_out"]
    rng = np.random.default_rng(0)
    state = (
        tuple(rng.normal(size=(4, 4, 5)).astype("f") for _ in "hc"),
        tuple(rng.normal(size=(1, 4, H)).astype("f") for H in (4, 6)),
    )
    y, (lstm, gru) = model.run(IDS, state, lengths=lengths)
    feed = {"1.h": state[0][0], "1.c": state[0][1], "2.h_l0": state[1][0], "2.h_l1": state[1][1]}
    if lengths is not None:
        feed["lengths"] = np.array(lengths)
    found = outputs_of(proto, x=IDS, **feed)
    for a, b in zip(found.values(), (y, lstm.h, lstm.c, *gru), strict=True):
        assert a.shape == b.shape
        assert np.abs(a - b).max() < 1e-5


@pytest.mark.parametrize("lengths", [None, LENGTHS])
def test_graphs(lengths):
    graph = rf.Graph({"words": ("B", "T"), "speed": ("B", "T", 3)})
    both = graph.add(rf.Concatenate(), [graph.add(rf.Embedding(7, 3), "words"), "speed"])
    steps = graph.add(rf.GRU(6, 5, bidirectional=True), both)
    other = graph.add(rf.Linear(6, 10, activation="tanh"), both)
    joined = [graph.add(layer, [steps, other]) for layer in (rf.Add(), rf.Average(), rf.Multiply())]
    last = graph.add(rf.MeanPool(), graph.add(rf.Concatenate(), joined))
    graph.outputs(topic=graph.add(rf.Linear(30, 2), last), price=graph.add(rf.Linear(10, 1), steps))
    randomized(graph)
    feed = {"words": IDS, "speed": X}
    wanted = graph(feed, lengths=lengths)
    proto = to_onnx(graph, lengths=lengths is not None)
    found = outputs_of(proto, **feed, **({} if lengths is None else {"lengths": lengths}))
    assert largest_difference(found, wanted) < 1e-5


@pytest.mark.parametrize("cell", [rf.LSTM, rf.GRU])
def test_a_graph_whose_decoder_starts_from_its_encoder(cell):
    graph = rf.Graph({"source": ("B", "S"), "target": ("B", "T")})
    words = rf.Embedding(7, 3)
    encoder = graph.add(cell(3, 5, 2), graph.add(words, "source"), name="encoder")
    decoder = graph.add(cell(3, 5, 2), graph.add(words, "target"), name="decoder", state=encoder)
    graph.outputs(graph.add(rf.Linear(5, 7), decoder))
    randomized(graph)
    feed = {"source": IDS, "target": IDS[:, :4]}
    ends = {"source": LENGTHS, "target": [4, 2, 0, 1]}
    found = outputs_of(to_onnx(graph), **feed)["y"]
    assert np.abs(found - graph(feed)).max() < 1e-5
    given = {f"lengths_{letter}": ends[name] for name, letter in (("source", "S"), ("target", "T"))}
    found = outputs_of(to_onnx(graph, lengths=True, output="sigmoid"), **feed, **given)["y"]
    assert np.abs(found - 1 / (1 + np.exp(-graph(feed, lengths=ends)))).max() < 1e-5
    with pytest.raises(ValueError, match="a Graph takes no state from outside"):
        to_onnx(graph, stateful=True)


def test_a_graph_inside_a_model():
    graph = rf.Graph({"x": ("B", "T", 3)})
    graph.outputs(graph.add(rf.Add(), [graph.add(rf.Linear(3, 4), "x"), graph.add(rf.GRU(3, 4), "x")]))
    check(rf.Sequential(rf.Linear(3, 3), graph, rf.Last()))
    attention = rf.Graph({"x": ("B", "T", 3)})
    attention.outputs(attention.add(rf.Attention(3), ["x", "x"]))
    with pytest.raises(ValueError, match="Attention cannot be written as ONNX"):
        to_onnx(attention)


def test_step_by_step_equals_the_whole():
    model = randomized(rf.Sequential(rf.Conv1D(3, 4, 3, dilation=2), rf.GRU(4, 5), rf.Linear(5, 2)))
    prepared = prepare(to_onnx(model, stateful=True))
    assert prepared.input_names == ["x", "0.state", "1.h"]
    states = {"0.state": np.zeros((4, 4, 3), "f"), "1.h": np.zeros((1, 4, 5), "f")}
    steps = []
    for t in range(6):
        found = prepared.run({"x": X[:, t : t + 1], **states})
        states = {name: found[f"{name}_out"] for name in states}
        steps.append(found["y"])
    wanted, last = model.run(X)
    assert np.abs(np.concatenate(steps, axis=1) - wanted).max() < 1e-6
    assert np.abs(states["1.h"] - last[1]).max() < 1e-6


def test_one_node_a_level_with_free_axes(tmp_path):
    model = rf.Sequential(rf.GRU(3, 4, 3, bidirectional=True, merge="sum"), rf.RNN(4, 5))
    path = tmp_path / "model.onnx"
    proto = to_onnx(randomized(model), path)
    assert path.read_bytes() == proto.SerializeToString()
    kinds = [node.op_type for node in proto.graph.node]
    assert (kinds.count("GRU"), kinds.count("RNN")) == (3, 1)
    shape = [each.dim_param or each.dim_value for each in proto.graph.input[0].type.tensor_type.shape.dim]
    assert shape == ["B", "T", 3]
    for B, T in ((1, 1), (2, 9), (5, 4)):
        x = np.full((B, T, 3), 0.5, np.float32)
        assert np.abs(outputs_of(proto, x=x)["y"] - model(x)).max() < 1e-5


def test_double_precision_is_rounded_and_says_so():
    model = randomized(rf.Sequential(rf.LSTM(3, 4, dtype="float64"), rf.Linear(4, 2, dtype="float64")))
    proto = to_onnx(model)
    assert proto.doc_string == "Parameters rounded from float64 to float32."
    assert to_onnx(rf.GRU(3, 2)).doc_string == ""
    found = outputs_of(proto, x=X)["y"]
    assert found.dtype == np.float32
    assert np.abs(found - model(X)).max() < 1e-5


def test_task_models_and_what_their_loss_does():
    texts, labels = ["good", "bad", "very good", "so bad"] * 4, [1, 0, 1, 0] * 4
    model = rf.Classifier(hidden_size=6, seed=0).fit(texts, labels, epochs=1, verbose=False)
    proto = to_onnx(model, lengths=True, output="softmax")
    ids = np.array([[1, 2], [2, 0]])
    found = outputs_of(proto, x=ids, lengths=[2, 1])["y"]
    logits = model.network(ids, lengths=[2, 1])
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert np.abs(found - shares).max() < 1e-6
    gate = outputs_of(to_onnx(model, output="sigmoid"), x=ids)["y"]
    assert np.abs(gate - 1 / (1 + np.exp(-model.network(ids)))).max() < 1e-6


REFUSED = {
    "proj_size": lambda: rf.LSTM(3, 4, proj_size=2),
    "layer_norm": lambda: rf.GRU(3, 4, layer_norm=True),
    "cell_clip": lambda: rf.LSTM(3, 4, cell_clip=1.0),
    "zoneout": lambda: rf.GRU(3, 4, zoneout=0.1),
    "merge=None": lambda: rf.GRU(3, 4, bidirectional=True, merge=None),
}


def test_what_onnx_has_no_operator_for_is_named():
    for name, make in REFUSED.items():
        with pytest.raises(ValueError, match=f"ONNX has no operator for {type(make()).__name__} with {name}"):
            to_onnx(make())
    with pytest.raises(ValueError, match=r"layer '1\.': ONNX has no operator for GRU with zoneout"):
        to_onnx(rf.Sequential(rf.Linear(3, 3), rf.GRU(3, 4, zoneout=0.1)))
    with pytest.raises(ValueError, match='padding="hold", with lengths'):
        to_onnx(rf.GRU(3, 4, padding="hold"), lengths=True)
    with pytest.raises(ValueError, match="with sigmoid gates alone"):
        to_onnx(rf.MGU(3, 4, recurrent_activation="hard_sigmoid"))
    with pytest.raises(ValueError, match="Conv1D with a state cannot take lengths"):
        to_onnx(rf.Sequential(rf.Conv1D(3, 4, 3), rf.GRU(4, 2)), lengths=True, stateful=True)
    with pytest.raises(ValueError, match="CRF cannot be written as ONNX"):
        to_onnx(rf.Sequential(rf.GRU(3, 4), rf.CRF(4)))
    with pytest.raises(ValueError, match=r"this one takes \('B', 3\)"):
        to_onnx(rf.Linear(3, 2), lengths=True)
    with pytest.raises(ValueError, match="nothing of this model is left"):
        to_onnx(rf.Sequential(rf.Dropout(0.5)))
    with pytest.raises(ValueError, match="output must be None, 'softmax' or 'sigmoid', got 'max'"):
        to_onnx(rf.GRU(3, 2), output="max")
    with pytest.raises(TypeError, match="model must be a layer or a model of layers, got str"):
        to_onnx("model")


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match="zoneout"):
        to_onnx(rf.GRU(3, 4, zoneout=0.1), path)
    assert path.read_bytes() == b"old"
