import copy
import json
import pickle

import numpy as np
import pytest
from checks import central_differences, max_error, relative_error, same_bits
from layer_checks import parameters_and_gradients, randomise, rebuilt

from rnnfast.layers import (
    GRU,
    LSTM,
    Add,
    Attention,
    Concatenate,
    Dropout,
    Embedding,
    Last,
    Linear,
    Multiply,
)
from rnnfast.models import Graph, Sequential
from rnnfast.models._architecture import describe, rebuild
from rnnfast.training import SGD, Adam, JointLoss

LENGTHS = [5, 0, 2]


def two_in_two_out(dtype="float64"):
    """Words and speeds to a class a sequence and a number a step; the steps are used twice."""
    graph = Graph({"words": ("B", "T"), "speed": ("B", "T", 2)})
    both = graph.add(Concatenate(), [graph.add(Embedding(7, 3, dtype=dtype), "words"), "speed"])
    steps = graph.add(GRU(5, 4, bidirectional=True, dtype=dtype), both, name="steps")
    last = graph.add(Last(), steps)
    topic = graph.add(Linear(8, 3, dtype=dtype), last)
    price = graph.add(Linear(8, 1, dtype=dtype), steps)
    graph.outputs(topic=topic, price=price)
    return randomise(graph)


def translator(dtype="float64", cell=LSTM):
    """An encoder whose state starts a decoder that looks back; one embedding for both and for the scores."""
    graph = Graph({"source": ("B", "S"), "target": ("B", "T")})
    words = Embedding(6, 4, dtype=dtype)
    source, target = graph.add(words, "source", name="read"), graph.add(words, "target", name="said")
    encoder = graph.add(cell(4, 3, dtype=dtype), source, name="encoder")
    decoder = graph.add(cell(4, 3, dtype=dtype), target, name="decoder", state=encoder)
    context = graph.add(Attention(3, kind="general", dtype=dtype), [decoder, encoder], name="look")
    mixed = graph.add(Linear(6, 4, activation="tanh", dtype=dtype), graph.add(Concatenate(), [decoder, context]))
    scores = graph.add(Linear(4, 6, tied=words, dtype=dtype), mixed, name="scores")
    graph.outputs(scores=scores, weights="look.weights")
    return randomise(graph)


def data(B=3, T=5):
    rng = np.random.default_rng(5)
    return {"words": rng.integers(0, 7, (B, T)), "speed": rng.standard_normal((B, T, 2))}


def sentences(B=3, S=5, T=4):
    rng = np.random.default_rng(6)
    return {"source": rng.integers(0, 6, (B, S)), "target": rng.integers(0, 6, (B, T))}


def check_graph_gradients(graph, x, without=(), **how):
    """Every gradient against central differences, through all that comes out."""
    rng = np.random.default_rng(9)
    y, backward = graph.forward(x, **how)
    several = isinstance(y, dict)
    dy = {name: rng.standard_normal(array.shape) for name, array in (y if several else {"": y}).items()}

    def loss():
        for block in graph.blocks():
            block.changed()
        y = graph.forward(x, **how)[0]
        return sum(float((array * dy[name]).sum()) for name, array in (y if several else {"": y}).items())

    graph.zero_grad()
    dx = backward(dy if several else dy[""])
    pairs = list(parameters_and_gradients(graph))
    pairs += [(name, dx[name], x[name]) for name in x if dx[name] is not None]
    for name, gradient, array in pairs:
        if name not in without:
            assert gradient.any(), f"gradient of {name} is all zero"
            error = relative_error(gradient, central_differences(loss, array))
            assert error < 1e-6, f"gradient of {name} is off by {error:.1e}"
    return dx


@pytest.mark.parametrize("lengths", [None, LENGTHS])
def test_calls_its_layers(lengths):
    graph, x = two_in_two_out(), data()
    embedding, _, steps, last, topic, price = (node.layer for node in graph.nodes)
    inside = np.concatenate([embedding(x["words"], lengths=lengths), x["speed"]], axis=-1)
    y, _ = steps(inside, lengths=lengths)
    for found in (graph(x, lengths=lengths), graph.forward(x, lengths=lengths)[0]):
        assert list(found) == ["topic", "price"]
        assert np.array_equal(found["topic"], topic(last(y, lengths=lengths)))
        assert np.array_equal(found["price"], price(y, lengths=lengths))
    assert last.directions == 2


@pytest.mark.parametrize("lengths", [None, LENGTHS, {"words": LENGTHS}])
def test_gradients(lengths):
    dx = check_graph_gradients(two_in_two_out(), data(), lengths=lengths)
    assert dx["words"] is None
    assert dx["speed"].shape == (3, 5, 2)


@pytest.mark.parametrize("cell", [LSTM, GRU])
@pytest.mark.parametrize("lengths", [None, {"source": LENGTHS, "target": [4, 3, 1]}, {"source": LENGTHS}])
def test_states_attention_and_shared_layers(cell, lengths):
    graph, x = translator(cell=cell), sentences()
    assert check_graph_gradients(graph, x, lengths=lengths) == {"source": None, "target": None}
    layers = {node.name: node.layer for node in graph.nodes}
    ends = {} if lengths is None else lengths
    S, T = ({"lengths": ends.get(name)} for name in ("source", "target"))
    held, state = layers["encoder"](layers["read"](x["source"], **S), **S)
    said, _ = layers["decoder"](layers["said"](x["target"], **T), state, **T)
    context, weights = layers["look"](said, held, **S)
    if lengths and "target" in lengths:
        beyond = np.arange(4) >= np.array(lengths["target"])[:, None]
        context[beyond] = weights[beyond] = 0
    scores = layers["scores"](layers["linear"](np.concatenate([said, context], -1), **T), **T)
    y = graph(x, lengths=lengths)
    assert max_error(y["scores"], scores) < 1e-14
    assert max_error(y["weights"], weights) < 1e-15


def test_a_state_that_starts_two_layers_and_is_not_read():
    graph = Graph({"a": ("B", "T", 2), "b": ("B", "T", 2)})
    encoder = graph.add(Sequential(LSTM(2, 3, dtype="float64")), "a")
    first = graph.add(Sequential(LSTM(2, 3, dtype="float64")), "b", state=encoder)
    second = graph.add(Sequential(LSTM(2, 3, dtype="float64")), "b", state=encoder)
    graph.outputs(graph.add(Multiply(), [first, second]))
    rng = np.random.default_rng(2)
    x = {name: rng.standard_normal((2, 3, 2)) for name in "ab"}
    check_graph_gradients(randomise(graph), x)


def test_a_value_used_three_times():
    graph = Graph({"x": ("B", 3)})
    h = graph.add(Linear(3, 3, dtype="float64", activation="tanh"), "x")
    graph.outputs(a=graph.add(Multiply(), [h, h]), b=h, c=graph.add(Add(), [h, "x"]), d=h)
    x = np.random.default_rng(1).standard_normal((4, 3))
    check_graph_gradients(randomise(graph), {"x": x})
    h = graph.nodes[0].layer(x)
    y, backward = graph.forward(x)
    assert np.array_equal(y["a"], h * h)
    assert np.array_equal(y["d"], h)
    whole = backward({name: np.ones((4, 3)) for name in "abcd"})
    some = [graph.forward(x)[1]({**dict.fromkeys("abcd"), name: np.ones((4, 3))}) for name in "abcd"]
    assert max_error(sum(some), whole) < 1e-14
    graph.zero_grad()
    assert not graph.forward(x)[1](dict.fromkeys("abcd")).any()
    assert not graph.flat_grad.any()


def test_a_layer_added_twice_is_one_layer():
    shared = Linear(2, 3, dtype="float64")
    graph = Graph({"a": ("B", 2), "b": ("B", 2)})
    left, right = graph.add(shared, "a", name="left"), graph.add(shared, "b", name="right")
    graph.outputs(graph.add(Multiply(), [left, right]))
    assert list(graph.params) == ["left.weight", "left.bias"]
    assert graph.num_params == graph.flat_data.size == 9
    rng = np.random.default_rng(2)
    check_graph_gradients(randomise(graph), {"a": rng.standard_normal((4, 2)), "b": rng.standard_normal((4, 2))})


def test_dropout_draws_a_mask_a_layer():
    graph = Graph({"x": ("B", "F")})
    graph.outputs(a=graph.add(Dropout(0.5), "x"), b=graph.add(Dropout(0.5), "x"))
    x = np.ones((30, 40))
    y, backward = graph.forward(x, rng=3)
    again = graph.forward(x, rng=np.random.default_rng(3))[0]
    assert np.array_equal(y["a"], again["a"])
    assert abs((y["a"] == y["b"]).mean() - 0.5) < 0.05
    assert np.array_equal(backward({"a": x, "b": x}), y["a"] + y["b"])
    assert graph(x)["b"].all()


def test_the_caller_may_write_to_what_comes_out():
    graph = Graph({"x": ("B", 3)})
    h = graph.add(Linear(3, 3, dtype="float64"), "x")
    same = graph.add(Dropout(0.0), graph.add(Dropout(0.0), h))
    graph.outputs(h=h, same=same, y=graph.add(Multiply(), [h, graph.add(Linear(3, 3, dtype="float64"), h)]))
    randomise(graph)
    x = np.random.default_rng(1).standard_normal((4, 3))
    dy = dict.fromkeys(["h", "same", "y"], np.ones((4, 3)))
    wanted = graph.forward(x)[1](dy)
    gradients = graph.flat_grad.copy()
    graph.zero_grad()
    y, backward = graph.forward(x)
    for array in y.values():
        array[...] = 7
    assert np.array_equal(backward(dy), wanted)
    assert np.array_equal(graph.flat_grad, gradients)


def test_parameters_lie_in_one_flat_buffer():
    graph = translator("float32")
    names = ["read.weight", *(f"{node}.{name}" for node in ("encoder", "decoder") for name in GRU_LIKE)]
    assert list(graph.params) == [*names, "look.weight", "linear.weight", "linear.bias", "scores.bias"]
    assert graph.flat_data.size == graph.num_params == sum(array.size for array in graph.params.values())
    assert np.array_equal(graph.flat_data, np.concatenate([array.ravel() for array in graph.params.values()]))
    y, backward = graph.forward(sentences())
    backward({name: np.ones_like(array) for name, array in y.items()}, need_dx=False)
    kept = graph.flat_data.copy()
    SGD(0.1).step(graph)
    assert (graph.flat_data != kept).mean() > 0.9


GRU_LIKE = ["weight_ih_l0", "weight_hh_l0", "bias_l0"]


@pytest.mark.parametrize("make", [two_in_two_out, translator])
def test_copies_and_files(make, tmp_path):
    graph = make("float32")
    x = data() if make is two_in_two_out else sentences()
    wanted = graph(x)
    for again in (copy.deepcopy(graph), pickle.loads(pickle.dumps(graph)), rebuilt(graph, tmp_path)):
        assert repr(again) == repr(graph)
        assert again.config() == graph.config()
        assert list(again.params) == list(graph.params)
        for name, array in again(x).items():
            assert same_bits(array, wanted[name])
        assert again.flat_data.size == graph.num_params
        again.flat_data[...] = 0
        assert same_bits(graph(x)["scores" if make is translator else "topic"], next(iter(wanted.values())))
    plan = json.loads(json.dumps(describe(graph)))
    assert describe(rebuild(plan)) == plan


def test_one_input_and_one_output_make_a_layer(tmp_path):
    inner = Graph({"x": ("B", "T", 3)})
    h = inner.add(Linear(3, 4, activation="tanh", dtype="float64"), "x")
    inner.outputs(inner.add(Add(), [h, inner.add(Linear(4, 4, dtype="float64"), h)]))
    x = np.random.default_rng(0).standard_normal((2, 5, 3))
    assert np.array_equal(inner(x), inner({"x": x}))
    y, backward = inner.forward(x)
    assert backward(np.ones_like(y)).shape == x.shape
    assert inner.forward({"x": x})[1](y).keys() == {"x"}
    assert inner.forward(x)[1](y, need_dx=False) is None
    model = Sequential(inner, GRU(4, 2, dtype="float64"))
    assert "0.linear.weight" in model.params
    assert model.output_shape(model.input_shape) == ("B", "T", 2)
    outer = Graph({"x": ("B", "T", 3)})
    outer.outputs(outer.add(model, "x", name="model"))
    check_graph_gradients(randomise(outer), {"x": x}, lengths=[5, 2])
    assert np.array_equal(outer(x), model(x))
    assert same_bits(rebuilt(outer, tmp_path)(x), outer(x))
    assert outer.output_shape(("B", "T", 3)) == ("B", "T", 2)
    assert np.array_equal(outer.output_lengths([3, 1]), [3, 1])


def test_summary_and_shapes(capsys):
    graph = two_in_two_out()
    graph.summary()
    lines = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    rows = [[cell.strip() for cell in line if cell.strip()] for line in lines[2:-2]]
    assert rows[:4] == [
        ["words (input)", "(B, T)", "0"],
        ["speed (input)", "(B, T, 2)", "0"],
        ["embedding = Embedding(words)", "(B, T, 3)", "21"],
        ["concatenate = Concatenate(embedding, speed)", "(B, T, 5)", "0"],
    ]
    assert rows[-1] == ["linear_2 = Linear(steps)", "(B, T, 1)", "9"]
    assert lines[-1] == [f"{graph.num_params} parameters"]
    assert graph.output_shape((("B", "T"), ("B", "T", 2))) == {"topic": ("B", 3), "price": ("B", "T", 1)}
    assert graph.output_lengths([3]) == {"topic": None, "price": [3]}
    assert repr(graph) == "Graph(words, speed -> linear, linear_2; 6 layers)"
    translator().summary()
    assert "decoder = LSTM(said, state of encoder)" in capsys.readouterr().out
    with pytest.raises(ValueError, match="step by step"):
        graph.stream()


@pytest.mark.parametrize(("B", "T"), [(1, 1), (0, 3), (2, 0)])
def test_small_and_empty_batches(B, T):
    graph, x = two_in_two_out(), data(B, T)
    y, backward = graph.forward(x)
    assert y["topic"].shape == (B, 3)
    assert y["price"].shape == (B, T, 1)
    assert backward({name: np.ones_like(array) for name, array in y.items()})["speed"].shape == (B, T, 2)


def test_floats_take_the_dtype_of_the_graph():
    graph, x = two_in_two_out("float32"), data()
    y, backward = graph.forward(x)
    assert {array.dtype for array in y.values()} == {np.dtype(np.float32)}
    assert backward({name: array.astype(np.float64) for name, array in y.items()})["speed"].dtype == np.float32


def test_backward_works_once_and_all_or_nothing():
    graph, x = two_in_two_out(), data()
    y, backward = graph.forward(x)
    for wrong, message in (
        (y["topic"], "dy must be a mapping with the outputs topic, price"),
        ({"topic": y["topic"]}, "dy must be a mapping"),
        ({**y, "topic": y["price"]}, r"dy\['topic'\] must have the shape of y, \(3, 3\), got \(3, 5, 1\)"),
    ):
        with pytest.raises(ValueError, match=message):
            backward(wrong)
    assert not graph.flat_grad.any()
    mine = {}
    backward(y, mine)
    assert set(mine) == set(graph.params)
    assert not graph.flat_grad.any()
    with pytest.raises(RuntimeError, match="works once"):
        backward(y)
    _, backward = graph.forward(x)
    graph.params["linear.bias"] = [1, 2, 3]
    with pytest.raises(RuntimeError, match="changed"):
        backward(y)


def started(**inputs):
    return Graph(inputs or {"x": ("B", "T", 3), "y": ("B", "T", 4), "z": ("B", 2)})


def mixed():
    graph = started()
    both = graph.add(Concatenate(), ["x", graph.add(GRU(3, 2, bidirectional=True), "x")])
    graph.add(Last(), both)


def unused():
    graph = started(x=("B", 3))
    graph.add(Linear(3, 2), "x", name="forgotten")
    graph.outputs(graph.add(Linear(3, 2), "x"))


def two_dtypes(second):
    graph = started(x=("B", 3))
    graph.outputs(graph.add(second, graph.add(Linear(3, 3, dtype="float64"), "x")))


def complete():
    graph = started(x=("B", 3))
    graph.outputs(graph.add(Linear(3, 2), "x"))
    return graph


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Graph({}), TypeError, "inputs must be a mapping"),
        (lambda: Graph(["x"]), TypeError, "inputs must be a mapping"),
        (lambda: Graph({"a.b": ("B",)}), ValueError, "without dots, got 'a.b'"),
        (lambda: Graph({"x": ("B", 1.5)}), ValueError, "shape of input 'x' must hold numbers and letters"),
        (lambda: Graph({"x": ()}), ValueError, "at least one axis"),
        (lambda: started().add("tanh", "x"), TypeError, "layer must be a Layer, got str"),
        (lambda: started().add(Linear(3, 2), "w"), ValueError, "no value 'w'; there are x, y, z"),
        (lambda: started().add(Linear(5, 2), "x"), ValueError, "'linear': Linear takes 5 features, 'x' has 3"),
        (lambda: started().add(Linear(3, 2), ["x", "y"]), ValueError, "takes one input, got 2; Concatenate"),
        (lambda: started().add(Linear(3, 2), "x", name="y"), ValueError, "there is a 'y' already"),
        (lambda: started().add(Add(), ["x", "y"]), ValueError, "Add: the inputs must have one shape"),
        (lambda: started().add(Concatenate(), ["x", "z"]), ValueError, "but for the last axis"),
        (lambda: started().add(Concatenate(), []), ValueError, "takes nothing"),
        (lambda: started().add(Attention(3), "x"), ValueError, "got 1 inputs"),
        (lambda: started().add(LSTM(3, 2), "x", state="y"), ValueError, "no recurrent layer 'y'"),
        (lambda: started().add(Linear(3, 2), "x", state="x"), ValueError, "Linear has no state"),
        (lambda: started().add(two_in_two_out(), "x"), ValueError, "must have one input and one output"),
        (lambda: started().outputs(), TypeError, "either one name, or several"),
        (lambda: started().outputs("x"), ValueError, "no layer 'x'"),
        (lambda: started()(np.ones(3)), RuntimeError, "not complete"),
        (lambda: complete().add(Linear(2, 2), "linear"), RuntimeError, "no more layers"),
        (lambda: complete().outputs("linear"), RuntimeError, "outputs already"),
        (mixed, ValueError, "directions are mixed"),
        (unused, ValueError, "'forgotten' leads to no output"),
        (lambda: two_dtypes(Linear(3, 2)), ValueError, "one dtype, got linear Linear float64, linear_2 Linear float32"),
    ],
)
def test_bad_graphs(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_refused_layer_leaves_the_graph_as_it_was():
    graph = started(x=("B", "T", 3))
    with pytest.raises(ValueError, match="takes 5 features"):
        graph.add(Linear(5, 2), "x", name="h")
    graph.outputs(graph.add(Linear(3, 2), "x", name="h"))
    assert graph(np.ones((1, 2, 3))).shape == (1, 2, 2)


@pytest.mark.parametrize(
    ("change", "lengths", "message"),
    [
        ({"speed": None}, None, r"input 'speed' must have shape \(B, T, 2\) with B = 3, T = 5, got \(\)"),
        ({"speed": np.ones((3, 4, 2))}, None, r"with B = 3, T = 5, got \(3, 4, 2\)"),
        ({"speed": np.ones((3, 5, 3))}, None, r"\(B, T, 2\)"),
        ({"more": 1}, None, "with the inputs words, speed, got words, speed, more"),
        ({}, [1, 2], r"shape \(3,\)"),
        ({}, [1, 2, 6], "from 0 to 5"),
        ({}, {"pace": [1, 2, 3]}, "no input with a time axis 'pace'; there are words, speed"),
        ({}, {"words": [1, 2, 3], "speed": [1, 2, 2]}, "the time axis T must have equal lengths"),
    ],
)
def test_bad_input(change, lengths, message):
    graph, x = two_in_two_out(), {**data(), **change}
    for call in (graph, graph.forward):
        with pytest.raises(ValueError, match=message):
            call(x, lengths=lengths)


def test_bad_calls():
    with pytest.raises(ValueError, match="a mapping with the inputs words, speed, got ndarray"):
        two_in_two_out()(np.ones((1, 2)))
    with pytest.raises(ValueError, match="different time axes: S, T"):
        translator()(sentences(), lengths=[5, 0, 2])
    with pytest.raises(ValueError, match="no time axis"):
        complete()(np.ones((1, 3)), lengths=[1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": None}, "its inputs, nodes and outputs"),
        ({"inputs": {"x": 3}}, "must have shapes"),
        ({"nodes": [3]}, "must have a name, a layer"),
        ({"nodes": [{"name": "h", "inputs": ["x"], "state": None, "layer": {"same_as": 0}}]}, "no layer 0"),
        ({"outputs": "none"}, "no layer 'none'"),
        ({"hooks": 1}, "its inputs, nodes and outputs"),
    ],
)
def test_malformed_plans(change, message):
    plan = describe(complete())
    plan["config"].update(change)
    with pytest.raises(ValueError, match=message):
        rebuild(plan)


def test_fit_is_that_of_a_sequential():
    def layers():
        return Embedding(7, 4, seed=1), LSTM(4, 5, seed=2), Dropout(0.3), Linear(5, 3, seed=3)

    plain, graph, name = Sequential(*layers()), Graph({"words": ("B", "T")}), "words"
    for layer in layers():
        name = graph.add(layer, name)
    graph.outputs(name)
    rng = np.random.default_rng(4)
    x, y, lengths = rng.integers(0, 7, (20, 6)), rng.integers(0, 3, (20, 6)), rng.integers(0, 7, 20)
    how = {"loss": "cross_entropy", "epochs": 2, "batch_size": 8, "validation_split": 0.2, "metrics": ["accuracy"]}
    fits = [
        model.fit(given, y, lengths=ends, seed=0, verbose=False, **how)
        for model, given, ends in ((plain, x, lengths), (graph, x, lengths))
    ]
    assert fits[0].history == fits[1].history
    assert np.array_equal(plain.flat_data, graph.flat_data)
    assert plain.evaluate(x, y, lengths=lengths) == graph.evaluate(x, y, lengths=lengths)
    by_name = graph.evaluate({"words": x}, y, lengths={"words": lengths})
    assert by_name == pytest.approx(graph.evaluate(x, y, lengths=lengths), rel=1e-6)
    wanted = plain.predict(x, lengths=lengths, batch_size=6)
    assert np.array_equal(graph.predict(x, lengths=lengths, batch_size=6), wanted)
    assert np.array_equal(graph.predict({"words": x}, lengths={"words": lengths}, batch_size=6), wanted)


def test_fit_learns_several_outputs_from_several_inputs(tmp_path):
    rng = np.random.default_rng(4)
    lengths = rng.integers(1, 7, 60)
    x = {"words": rng.integers(0, 7, (60, 6)), "speed": rng.standard_normal((60, 6, 2))}
    y = {"topic": (x["words"][:, 0] + (x["speed"][:, 0, 0] > 0)) % 3, "price": x["speed"].sum(axis=-1)}
    graph = two_in_two_out("float32")
    history = graph.fit(
        x,
        y,
        loss=JointLoss({"topic": "cross_entropy", "price": "mse"}, weights={"price": 0.5}),
        optimizer=Adam(0.02),
        lengths=lengths,
        epochs=60,
        batch_size=16,
        metrics={"topic": "accuracy"},
        validation_split=0.2,
        seed=0,
        verbose=False,
    )
    assert set(history.history) == {"loss", "topic_accuracy", "val_loss", "val_topic_accuracy"}
    for verb in (graph.fit, graph.evaluate):
        with pytest.raises(ValueError, match="metrics: 'accuracy' is of one output of 'topic', 'price': give"):
            verb(x, y, lengths=lengths, metrics=["accuracy"])
    assert history.history["topic_accuracy"][-1] > 0.95
    found = graph.evaluate(x, y, lengths=lengths)
    assert found["topic_accuracy"] > 0.8
    y_found = graph.predict(x, lengths=lengths, batch_size=7)
    assert max_error(y_found["topic"], graph(x, lengths=lengths)["topic"]) < 1e-6
    valid = np.arange(6) < lengths[:, None]
    assert not y_found["price"][~valid].any()
    price = float(((y_found["price"][..., 0] - y["price"])[valid] ** 2).mean())
    assert price < 0.3
    logits = y_found["topic"].astype(np.float64)
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    topic = -logs[np.arange(60), y["topic"]].mean()
    whole = graph.evaluate(x, y, lengths=lengths, batch_size=60)
    assert whole["loss"] == pytest.approx(topic + 0.5 * price, rel=1e-5)
    again = pickle.loads(pickle.dumps(graph))
    assert again.evaluate(x, y, lengths=lengths) == found


def test_predict_of_several_outputs_from_one_input():
    graph = Graph({"words": ("B", "T")})
    steps = graph.add(GRU(3, 4, seed=1), graph.add(Embedding(7, 3, seed=0), "words"))
    graph.outputs(steps=steps, last=graph.add(Last(), steps))
    x, lengths = np.random.default_rng(3).integers(0, 7, (5, 6)), [2, 6, 0, 1, 3]
    wanted, found = graph(x, lengths=lengths), graph.predict(x, lengths=lengths, batch_size=2)
    assert all(max_error(found[name], wanted[name]) < 1e-6 for name in ("steps", "last"))


def test_fit_without_time_or_with_two_times():
    graph = complete()
    x, y = np.random.default_rng(0).standard_normal((30, 3)), np.ones((30, 2))
    history = graph.fit(x, y, loss="mse", optimizer=SGD(0.1), epochs=9, verbose=False, seed=0).history["loss"]
    assert history[-1] < 0.5 * history[0]
    graph, x = translator("float32"), sentences(B=12)
    lengths = {"source": [5, 1, 3] * 4, "target": [4, 2, 0] * 4}
    how = {"loss": {"scores": "cross_entropy"}, "optimizer": Adam(0.05), "lengths": lengths, "epochs": 60}
    history = graph.fit(x, {"scores": x["target"]}, **how, verbose=False, seed=0).history["loss"]
    assert history[-1] < 0.5 * history[0]
    with pytest.raises(ValueError, match="targets must be a mapping with scores"):
        graph.evaluate(x, x["target"], lengths=lengths)
