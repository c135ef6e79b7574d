import numpy as np
import pytest
from layer_checks import randomise
from seq2seq_checks import SOURCE_LENGTHS, TARGET_LENGTHS, batch, check_model_gradients

from rnnfast.layers import GRU, LSTM, MGU, RNN, CustomRNN, Embedding, Linear
from rnnfast.layers.python_cell import Cell
from rnnfast.models import Bridge, Decoder, Encoder, Seq2Seq

CELLS = [RNN, LSTM, GRU, MGU]


def join(kind, source, target, inside=(1, False), outside=1, width=3, out=3, **options):
    """A small model of one cell each; `inside` is the encoder's depth and whether it goes both ways."""
    depth, both = inside
    encoder = Encoder(
        Embedding(6, 2, dtype="float64"),
        source(2, width, depth, bidirectional=both, dtype="float64", seed=1),
    )
    decoder = Decoder(Embedding(6, 2, dtype="float64"), target(2, out, outside, dtype="float64", seed=2, **options))
    return randomise(Seq2Seq(encoder, decoder, bridge=kind, seed=3))


def parts(state):
    return list(state) if isinstance(state, tuple) else [state]


ALLOWED = [
    *(("copy", cell, cell, {"inside": (2, False), "outside": 2}) for cell in CELLS),
    ("copy", GRU, RNN, {}),
    *(("last", cell, cell, {"inside": (3, False), "outside": 2}) for cell in (LSTM, GRU)),
    ("last", LSTM, LSTM, {"inside": (2, True), "outside": 2}),
    *(("sum", cell, cell, {"inside": (2, True), "outside": 2}) for cell in (RNN, LSTM, GRU)),
    *(("concat", cell, cell, {"inside": (1, True), "out": 6}) for cell in (RNN, LSTM, GRU)),
    *(("dense", a, b, {"inside": (2, True), "out": 4}) for a in (RNN, LSTM, GRU) for b in (RNN, LSTM, GRU)),
    ("dense", LSTM, LSTM, {"outside": 2, "out": [4, 3]}),
    ("dense", LSTM, LSTM, {"out": 4, "proj_size": 3}),
    *(("zeros", a, b, {"inside": (2, True), "out": 4, "learned_state": True}) for a, b in ((LSTM, GRU), (GRU, LSTM))),
]


@pytest.mark.parametrize(("kind", "source", "target", "sizes"), ALLOWED)
def test_gradients(kind, source, target, sizes):
    model, without = join(kind, source, target, **sizes), []
    if kind == "last" and sizes["inside"][1]:
        # Its forward direction leads nowhere.
        without = [name for name in model.params if "encoder" in name and name.endswith("_l1")]
    if kind == "zeros":
        without = [name for name in model.params if "encoder" in name]
    check_model_gradients(model, batch(), without, lengths=(SOURCE_LENGTHS, TARGET_LENGTHS))


@pytest.mark.parametrize("kind", ["copy", "last", "sum", "concat", "dense"])
def test_what_each_does(kind):
    both = kind in ("sum", "concat", "last", "dense")
    model = join(kind, LSTM, LSTM, inside=(1, both), out=6 if kind == "concat" else 3)
    source = batch()["source"]
    _, ((h, c),) = model.encoder.run(source, lengths=SOURCE_LENGTHS)
    found = model.read(source, SOURCE_LENGTHS).state[0]
    for name, part, each in zip("hc", (h, c), found, strict=True):
        wanted = {
            "copy": lambda part=part: part[0],
            "last": lambda part=part: part[1],
            "sum": lambda part=part: part[0] + part[1],
            "concat": lambda part=part: np.concatenate([part[0], part[1]], axis=-1),
            "dense": lambda part=part, name=name: np.tanh(
                np.concatenate([part[0], part[1]], axis=-1) @ model.params[f"bridge.{name}_l0.weight"].T
                + model.params[f"bridge.{name}_l0.bias"]
            ),
        }[kind]()
        assert each.shape == (1, *wanted.shape)
        assert np.allclose(each[0], wanted, rtol=0, atol=1e-12)
        assert np.any(wanted)


def test_the_last_levels_of_a_deeper_encoder():
    model = join("last", GRU, GRU, inside=(3, False), outside=2)
    source = batch()["source"]
    _, (h,) = model.encoder.run(source)
    assert np.array_equal(model.read(source).state[0], h[1:])


@pytest.mark.parametrize(
    ("kind", "source", "target", "sizes", "message"),
    [
        ("copy", GRU, GRU, {"inside": (2, False)}, "equal depths, got 2 levels in the encoder and 1 in the decoder"),
        ("copy", GRU, GRU, {"inside": (1, True)}, "level 0 of the encoder has two .'sum', 'concat' and 'last'"),
        ("copy", LSTM, GRU, {}, "equal cells, and in level 0 the encoder has a c, the decoder none; bridge='dense'"),
        ("copy", GRU, LSTM, {}, "the decoder has a c, the encoder none"),
        ("copy", GRU, GRU, {"out": 5}, r"states of widths \(3,\) to level 0 of the decoder, which holds \(5,\)"),
        ("last", GRU, GRU, {"outside": 2}, "as deep as the decoder: it has 1 levels, not 2"),
        ("sum", GRU, GRU, {}, "level 0 of the encoder has one .'copy' takes one"),
        ("concat", GRU, GRU, {"inside": (1, True)}, r"widths \(6,\) to level 0 of the decoder, which holds \(3,\)"),
        ("magic", GRU, GRU, {}, "must be one of 'copy', 'last', 'sum', 'concat', 'dense', 'zeros', got 'magic'"),
    ],
)
def test_refusals_say_why(kind, source, target, sizes, message):
    with pytest.raises(ValueError, match=message):
        join(kind, source, target, **sizes)


class Plain(Cell):
    def shapes(self):
        return {"weight": (self.hidden_size, self.input_size + self.hidden_size)}

    def step(self, params, x, state):
        h = np.tanh(np.concatenate([x, state], axis=-1) @ params["weight"].T)
        return h, h, None


def test_states_of_other_forms_are_bridged_by_zeros_alone():
    encoder = Encoder(Embedding(6, 2), CustomRNN(Plain(2, 3)))
    decoder = Decoder(Embedding(6, 2), GRU(2, 3))
    with pytest.raises(ValueError, match="CustomRNN cannot be led from an encoder to a decoder; use bridge='zeros'"):
        Seq2Seq(encoder, decoder)
    x = batch()
    assert Seq2Seq(encoder, decoder, bridge="zeros")(x).shape == (3, 4, 6)
    with pytest.raises(ValueError, match="must be RNN, LSTM, GRU or a layer without state"):
        Decoder(Embedding(6, 2), CustomRNN(Plain(2, 3)))


def test_a_bridge_is_a_part_too():
    encoder, decoder = Encoder(Embedding(6, 2), GRU(2, 3)), Decoder(Embedding(6, 2), GRU(2, 4))
    bridge = Bridge.between("dense", encoder, decoder, seed=1)
    model = Seq2Seq(encoder, decoder, bridge)
    assert model.bridge is bridge
    assert "bridge.h_l0.weight" in model.params
    wider = Decoder(Embedding(6, 2), GRU(2, 5))
    with pytest.raises(ValueError, match=r"must have layers of sizes .* 5.* it has .* 4"):
        Seq2Seq(encoder, wider, bridge)
    with pytest.raises(ValueError, match="if, and only if, its kind is 'dense'"):
        Bridge("copy", {"h_l0": Linear(2, 3)})
    with pytest.raises(ValueError, match="its kind and its layers"):
        Bridge.from_config({"kind": "copy"})
