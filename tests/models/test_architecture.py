import json

import pytest

from rnnfast.layers import LSTM, Dropout, Embedding, Last, Layer, Linear
from rnnfast.models import Sequential
from rnnfast.models._architecture import describe, rebuild


def test_plans_are_json_and_come_back():
    model = Sequential(
        Embedding(7, 3), LSTM(3, 4, bidirectional=True), Sequential(Dropout(0.2), Last()), Linear(8, 2, False, "tanh")
    )
    plan = describe(model)
    assert [layer["class"] for layer in plan["config"]["layers"]] == ["Embedding", "LSTM", "Sequential", "Linear"]
    again = rebuild(json.loads(json.dumps(plan)))
    assert describe(again) == plan
    assert repr(again) == repr(model)
    assert {name: array.shape for name, array in again.params.items()} == {
        name: array.shape for name, array in model.params.items()
    }
    assert model.config() == plan["config"]


def test_shared_layers_stay_shared_at_any_depth():
    shared = Linear(3, 3)
    again = rebuild(describe(Sequential(shared, Sequential(Dropout(0.1), shared), shared)))
    assert again.layers[0] is again.layers[1].layers[1] is again.layers[2]
    assert again.num_params == 12


def test_a_layer_among_the_arguments_is_the_same_layer():
    words = Embedding(7, 3)
    for layers, where in (([words, Linear(3, 7, tied=words)], 1), ([Linear(3, 7, tied=words)], 0)):
        plan = json.loads(json.dumps(describe(Sequential(*layers))))
        tied = plan["config"]["layers"][where]["config"]["tied"]
        assert tied == {"same_as": 1} if where else tied["class"] == "Embedding"
        again = rebuild(plan)
        assert describe(again) == plan
        assert where == 0 or again.layers[1].tied is again.layers[0]


def test_frozen_parameters_stay_frozen():
    words = Embedding(7, 3)
    model = Sequential(words, LSTM(3, 3), Sequential(Dropout(0.1), Linear(3, 7, tied=words)))
    assert "LSTM" in str(plan := describe(model))
    assert plan["config"]["layers"][1]["config"].get("frozen") is None
    model.freeze("0.*", "1.weight_hh*")
    plan = json.loads(json.dumps(describe(model)))
    assert [layer["config"].get("frozen") for layer in plan["config"]["layers"]] == [True, ["weight_hh_l0"], None]
    again = rebuild(plan)
    assert again.frozen_names == model.frozen_names == ["0.weight", "1.weight_hh_l0"]
    assert again.layers[0].frozen
    assert again.layers[2].frozen_names == ["1.weight"]


def test_foreign_layers_cannot_be_described():
    class Linear(Layer):
        pass

    with pytest.raises(TypeError, match="not one of rnnfast's layers"):
        describe(Sequential(Linear()))


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (3, "must be an object"),
        ({"class": "Linear"}, "'Linear' has no config"),
        ({"class": "os.system", "config": {"command": "true"}}, "unknown layer 'os.system'"),
        ({"class": "Block", "config": {}}, "unknown layer 'Block'"),
        ({"class": "Linear", "config": {"in_features": 3}}, "Linear cannot be made.*out_features"),
        ({"class": "Linear", "config": {"in_features": 3, "out_features": 2, "hooks": 1}}, "hooks"),
        ({"class": "Linear", "config": {"in_features": -3, "out_features": 2}}, "in_features must be at least 1"),
        (
            {"class": "Linear", "config": {"in_features": 3, "out_features": 2, "tied": {"same_as": 0}}},
            "no layer 0 comes before",
        ),
        (
            {
                "class": "Linear",
                "config": {
                    "in_features": 3,
                    "out_features": 2,
                    "tied": {"class": "Dropout", "config": {"p": 0.5}},
                },
            },
            "Linear cannot be made: tied must be an Embedding, got Dropout",
        ),
        (
            {"class": "Linear", "config": {"in_features": 3, "out_features": 2, "frozen": ["weigth"]}},
            r"frozen must be .* got \['weigth'\]",
        ),
        ({"class": "Linear", "config": {"in_features": 3, "out_features": 2, "frozen": 1}}, "frozen must be .* got 1"),
        ({"class": "Linear", "config": {"in_features": 3, "out_features": 2, "frozen": [[]]}}, "frozen must be"),
        ({"class": "Sequential", "config": {}}, "must be a list of layers"),
        ({"class": "Sequential", "config": {"layers": []}}, "at least one layer"),
        ({"class": "Sequential", "config": {"layers": [{"same_as": 0}]}}, "no layer 0 comes before"),
        ({"class": "Sequential", "config": {"layers": [{"same_as": 5}]}}, "no layer 5 comes before"),
        ({"same_as": True}, "no layer True"),
        ({"class": "Encoder", "config": {"layers": 3}}, "must be a list of layers"),
        ({"class": "Bridge", "config": {"kind": [], "layers": {}}}, "a bridge must be one of"),
        ({"class": "Bridge", "config": {"kind": "dense", "layers": {}}}, "if, and only if, its kind is 'dense'"),
        ({"class": "Decoder", "config": {"start": 1}}, "must be embedding, recurrent"),
        ({"class": "Seq2Seq", "config": {}}, "must be its encoder, bridge and decoder"),
    ],
)
def test_malformed_plans(plan, message):
    with pytest.raises(ValueError, match=message):
        rebuild(plan)
