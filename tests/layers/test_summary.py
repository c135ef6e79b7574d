import numpy as np

import rnnfast as rf
from rnnfast.layers._summary import table


def printed(layer, capsys):
    layer.summary()
    return capsys.readouterr().out.splitlines()


def test_a_table_is_as_wide_as_its_widest_cell():
    lines = table([("A long name", ("B", 5), 1_234_567), ("B", ("B", "T", 5), None)], 1_234_567).splitlines()
    assert lines[2] == "A long name  (B, 5)         1,234,567"
    assert lines[3] == "B            (B, T, 5)"
    assert lines[1] == lines[4] == "-" * len(lines[0])
    assert lines[-1] == "1,234,567 parameters"


def test_totals():
    assert table([], 9).endswith("\n9 parameters")
    assert table([], 9, frozen=2).endswith("\n9 parameters: 7 trained, 2 frozen")
    assert table([], 9, kept=3).endswith("\n9 parameters: 6 trained, 3 not trained")
    assert table([], 1009, 2, 3).endswith("\n1,009 parameters: 1,004 trained, 2 frozen, 3 not trained")


def test_nested_models(capsys):
    words = rf.Embedding(100, 8)
    model = rf.Sequential(
        words,
        rf.Sequential(rf.LSTM(8, 16, bidirectional=True), rf.Sequential(rf.BatchNorm(32), rf.Dropout(0.5))),
        rf.Last(),
        rf.Linear(32, 8),
        rf.Linear(8, 100, tied=words),
    )
    model.freeze("0.*", "1.0.weight_hh*", "1.1.*")
    assert printed(model, capsys) == [
        "Layer                             Output shape  Parameters",
        "----------------------------------------------------------",
        "0 Embedding (frozen)              (B, T, 8)            800",
        "1 Sequential (partly frozen)      (B, T, 32)",
        "  1.0 LSTM (partly frozen)        (B, T, 32)         3,200",
        "  1.1 Sequential (frozen)         (B, T, 32)",
        "    1.1.0 BatchNorm (frozen)      (B, T, 32)           128",
        "    1.1.1 Dropout                 (B, T, 32)             0",
        "2 Last                            (B, 32)                0",
        "3 Linear                          (B, 8)               264",
        "4 Linear (partly frozen, shared)  (B, 100)             100",
        "----------------------------------------------------------",
        "4,492 parameters: 1,516 trained, 2,912 frozen, 64 not trained",
    ]


def test_a_layer_used_twice_counts_once(capsys):
    layer = rf.Linear(3, 3)
    lines = printed(rf.Sequential(layer, rf.Activation("tanh"), rf.Sequential(layer)), capsys)
    assert [line.split("  ")[0] for line in lines[2:5]] == ["0 Linear", "1 Activation", "2 Sequential"]
    assert lines[2].endswith(" 12")
    assert lines[5].split() == ["2.0", "Linear", "(shared)", "(B,", "3)", "0"]
    assert lines[-1] == "12 parameters"


def test_a_graph_inside(capsys):
    graph = rf.Graph({"x": ("B", "T", 3)})
    states = graph.add(rf.GRU(3, 4), "x", name="states")
    both = graph.add(rf.Concatenate(), [states, "x"], name="both")
    graph.outputs(graph.add(rf.Sequential(rf.Linear(7, 5), rf.Dropout(0.1)), both, name="head"))
    assert printed(rf.Sequential(rf.RNN(2, 3), graph), capsys) == [
        "Layer                              Output shape  Parameters",
        "-----------------------------------------------------------",
        "0 RNN                              (B, T, 3)             18",
        "1 Graph                            (B, T, 5)",
        "  1.x (input)                      (B, T, 3)              0",
        "  1.states = GRU(x)                (B, T, 4)            100",
        "  1.both = Concatenate(states, x)  (B, T, 7)              0",
        "  1.head = Sequential(both)        (B, T, 5)",
        "    1.head.0 Linear                (B, T, 5)             40",
        "    1.head.1 Dropout               (B, T, 5)              0",
        "-----------------------------------------------------------",
        "158 parameters",
    ]


def test_counts_add_up():
    shared = rf.Linear(4, 4)
    model = rf.Sequential(rf.Linear(3, 4), shared, rf.Sequential(shared, rf.BatchNorm(4)), rf.Linear(4, 2))
    model.freeze("1.bias")
    arrays = model.get_weights()
    assert model.num_params == 16 + 20 + 8 + 10
    assert sum(array.size for array in arrays) == model.num_params + 8
    assert np.prod(model.params["1.bias"].shape) == 4
