"""`rnnfast bench` and what it times. No time is asserted."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import rnnfast
from rnnfast import reference
from rnnfast.cli import _parser, bench, main
from rnnfast.cli._cases import Case, Contestant, make_data
from rnnfast.cli._contestants import check, enter
from rnnfast.cli._rivals import RIVALS, Rival, missing, numpy
from rnnfast.cli._sections import CELLS, MODES, SECTIONS, full
from rnnfast.cli._timing import duration, interleaved, medians
from rnnfast.cli._worker import Worker, WorkerError, environment

KINDS = {
    "plain": {},
    "stack": {"layers": 2, "bidirectional": True},
    "ragged": {"ragged": True},
    "float64": {"dtype": "float64"},
}
CASES = [
    *(Case(cell, mode, 3, 4, 5, 7, **more) for cell in CELLS for mode in MODES[:2] for more in KINDS.values()),
    *(Case(cell, "forward", 1, 4, 5, 7) for cell in CELLS),
    *(Case(cell, "step", B, 1, 5, 7) for cell in CELLS for B in (1, 3)),
]


@pytest.mark.parametrize("system", RIVALS)
def test_every_system_computes_the_same(system):
    if lacking := missing(system):
        assert system not in ("rnnfast", "numpy")
        pytest.skip(lacking)
    has = 0
    with Worker(RIVALS[system].module, 1) as worker:
        for case in CASES:
            result = worker.ask("make", case)
            if result is not None:
                check(system, case, result, numpy.expected(case, make_data(case)))
                assert worker.seconds() > 0
                has += 1
    assert has == len(CASES) if system in ("rnnfast", "numpy") else has > 0


def test_the_reference_of_a_stack_is_one_layer_after_the_other():
    case = Case("gru", "training", 2, 5, 3, 4, "float64", layers=2, bidirectional=True, ragged=True)
    data = make_data(case)
    assert 3 <= data.lengths.min() <= data.lengths.max() <= 5
    y = data.x
    for layer in (0, 1):
        sides = [
            reference.forward("gru", data.direction(f"_l{layer}{end}"), y, lengths=data.lengths, reverse=bool(end))[0]
            for end in ("", "_reverse")
        ]
        y = np.concatenate(sides, axis=2)
    found = numpy.expected(case, data)
    np.testing.assert_array_equal(found["y"], y)
    assert found.keys() == {"y", "dx", *data.params}
    shift = 1e-6 * np.random.default_rng(1).normal(size=data.x.shape) * (data.x != 0)
    ahead, behind = (numpy.expected(case, data._replace(x=data.x + sign * shift))["y"] for sign in (1, -1))
    np.testing.assert_allclose(((ahead - behind) * data.dy).sum() / 2, (found["dx"] * shift).sum(), rtol=1e-6)


def test_a_system_that_is_wrong_is_found(monkeypatch):
    case = Case("lstm", "forward", 2, 3, 4, 5)
    data = make_data(case)
    y = numpy.expected(case, data)["y"]
    for bad, message in (
        ({"y": y + 1e-3}, r"numpy computes y of forward-lstm.*error of 1"),
        ({"y": y[:1]}, r"shape \(1, 3, 5\), wanted \(2, 3, 5\)"),
    ):
        monkeypatch.setattr(numpy, "contestant", lambda *_, bad=bad: Contestant(dict, lambda: bad))
        with pytest.raises(ArithmeticError, match=message):
            check("numpy", case, numpy.contestant(case, data).result(), {"y": y})


@pytest.mark.parametrize("name", ["dx", "weight_ih_l0", "weight_hh_l0", "bias_l0", "bias_hn_l0"])
def test_a_gradient_that_is_wrong_or_missing_is_found(name):
    case = Case("gru", "training", 2, 3, 4, 5)
    data = make_data(case)
    good, wanted = enter("rnnfast", case, data).result(), numpy.expected(case, data)
    assert good.keys() == {"y", "dx", "weight_ih_l0", "weight_hh_l0", "bias_l0", "bias_hn_l0"}
    check("rnnfast", case, good, wanted)
    for bad in (good[name] * 1.01 + 0.01, good[name] * np.nan):
        with pytest.raises(ArithmeticError, match=f"rnnfast computes {name} of training-gru"):
            check("rnnfast", case, good | {name: bad}, wanted)
    without = {key: value for key, value in good.items() if key != name}
    with pytest.raises(ArithmeticError, match="wanted y, "):
        check("rnnfast", case, without, wanted)


def test_a_stream_that_loses_its_state_is_found():
    case = Case("lstm", "step", 2, 1, 4, 5)
    data = make_data(case)
    first = reference.forward("lstm", data.direction("_l0"), data.x)[0]
    with pytest.raises(ArithmeticError, match="computes y of step-lstm"):
        check("numpy", case, {"y": first}, numpy.expected(case, data))


def test_the_acceptance_cases_are_in_the_short_table():
    cases = {
        *((mode, cell, 32, 100, H, H) for mode in MODES[:2] for cell in ("lstm", "gru") for H in (128, 256)),
        *(("forward", cell, 1, 100, 64, 64) for cell in ("lstm", "gru")),
        *(("step", cell, 1, 1, H, H) for cell in ("lstm", "gru") for H in (32, 64, 128, 256, 512)),
    }
    found = [Case(**row) for row in bench._rows(_arguments())]
    assert cases == {(c.mode, c.cell, c.B, c.T, c.I, c.H) for c in found}


def test_sections_and_choices():
    everything = [Case(**row) for row in full()]
    assert len(set(everything)) == len(everything)
    assert {case.cell for case in everything} == set(CELLS)
    assert {case.mode for case in everything} == set(MODES)
    names = {case.name for case in everything}
    assert len(names) == len(everything)
    assert {
        "training-rnn-B64-T50-I512-H512",
        "training-gru-B1-T200-I128-H128",
        "forward-lstm-B32-T100-I64-H128-L2-bidirectional",
        "training-lstm-B32-T100-I64-H64-ragged",
        "training-lstm-B32-T100-I64-H64",
        "forward-gru-B32-T100-I64-H64-float64",
        "training-rnn-B7-T100-I128-H128",
        "forward-gru-B32-T100-I300-H300",
    } <= names
    assert bench._rows(_arguments("--section", "stack", "single", "--modes", "training", "--cells", "gru")) == [
        row
        for name in ("stack", "single")
        for row in SECTIONS[name]
        if (row["mode"], row["cell"]) == ("training", "gru")
    ]
    assert bench._rows(_arguments("--cells", "rnn", "--modes", "step", "--shapes", "2,9,5")) == [
        {"mode": "step", "cell": "rnn", "B": 2, "T": 1, "I": 5, "H": 5}
    ]


def _arguments(*words):
    return _parser().parse_args(["bench", *words])


def test_numpy_is_not_loaded_to_read_the_arguments():
    code = "import sys; from rnnfast.cli import _parser; _parser(); assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_operations_are_counted():
    assert Case("lstm", "forward", 2, 3, 5, 7).operations == 2 * 2 * 3 * 4 * 7 * 12
    assert Case("gru", "training", 2, 3, 5, 7).operations == 3 * 2 * 2 * 3 * 3 * 7 * 12
    stack = Case("rnn", "forward", 2, 3, 5, 7, layers=2, bidirectional=True)
    assert stack.operations == 2 * 2 * 2 * 3 * 7 * (12 + 21)
    ragged = Case("rnn", "forward", 6, 9, 5, 7, ragged=True)
    assert ragged.operations == 2 * ragged.lengths.sum() * 7 * 12
    assert 6 * 5 <= ragged.lengths.sum() < 6 * 9


def test_the_limit_is_a_roofline():
    def endless(size):
        return 1e30

    for case in CASES:
        assert case.limit(10.0, endless) == pytest.approx(case.operations / 10.0)
    # Where reading takes longer, each step reads the recurrent weights, and a single step all weights.
    asked = []

    def slow(size):
        asked.append(size)
        return 2.0

    assert Case("lstm", "forward", 1, 4, 5, 7).limit(1e9, slow) == pytest.approx(4 * 4 * 7 * 7 * 4 / 2)
    assert Case("gru", "training", 1, 4, 5, 7, "float64").limit(1e9, slow) == pytest.approx(2 * 4 * 3 * 7 * 7 * 8 / 2)
    assert Case("rnn", "step", 1, 1, 5, 7).limit(1e9, slow) == pytest.approx(7 * (5 + 7) * 4 / 2)
    assert asked == [4 * 7 * 7 * 4, 3 * 7 * 7 * 8, 7 * (5 + 7) * 4]
    # What is the longer of both counts, step by step.
    assert Case("rnn", "forward", 10, 3, 5, 7).limit(1.0, lambda size: 0.2) == 2 * 3 * 10 * 7 * (5 + 7)
    two = Case("rnn", "forward", 2, 3, 5, 7).limit(1.0, lambda size: 0.2)
    assert two == pytest.approx(2 * 3 * 2 * 7 * 5 + 3 * 7 * 7 * 4 / 0.2)


def test_interleaved_rounds_and_medians():
    calls = []
    rounds = interleaved([lambda: calls.append("a"), lambda: calls.append("b")], 3)
    assert np.shape(rounds) == (3, 2)
    assert {"a", "b"} == set(calls)
    assert medians([[1.0, 2.0], [2.0, 8.0], [4.0, 12.0]]) == ([2.0, 8.0], [1.0, 3.0])
    assert duration(0.0123) == "12.30 ms"
    assert duration(4.56e-6) == "4.6 µs"


def test_threads_of_one_system_wait_for_nobody():
    one, two = environment(1), environment(2)
    assert {one["OMP_NUM_THREADS"], one["OPENBLAS_NUM_THREADS"], one["MKL_NUM_THREADS"]} == {"1"}
    assert one["OMP_WAIT_POLICY"] == "PASSIVE"
    assert two["OMP_NUM_THREADS"] == "2"
    assert "OMP_WAIT_POLICY" not in two


# rnn: right; gru: wrong; gru_before: raises when called again; lstm: takes its process with it.
FAKE = """
import os
from rnnfast.cli._cases import Contestant
from rnnfast.cli._rivals import numpy
print("noise on standard output")
def contestant(case, data):
    if case.cell == "lstm":
        os._exit(3)
    if case.mode == "training":
        return None
    made, calls = numpy.contestant(case, data), []
    def call():
        calls.append(1)
        if case.cell == "gru_before" and len(calls) > 1:
            raise OSError("out of paper")
        return made.call()
    return Contestant(call, (lambda: {"y": 1 + made.result()["y"]}) if case.cell == "gru" else made.result)
"""


@pytest.fixture
def fake(tmp_path, monkeypatch):
    (tmp_path / "fake_rival.py").write_text(FAKE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setitem(RIVALS, "fake", Rival("fake_rival"))


def test_table_and_file(fake, tmp_path, capsys):
    path = tmp_path / "figures.json"
    words = (
        "--rivals numpy fake --shapes 2,3,8 --rounds 2 --modes forward training step --cells rnn gru lstm gru_before"
    )
    assert main(["bench", *words.split(), "--json", str(path)]) == 0
    captured = capsys.readouterr()
    assert "forward-gru-B2-T3-I8-H8" in captured.out
    assert "threads 1;" in captured.out
    whole = json.loads(path.read_text())
    assert whole["config"]["peak"].endswith("GFLOP/s")
    rows = {row["name"]: row for row in whole["results"]}
    assert [row["mode"] for row in rows.values()] == ["forward"] * 4 + ["training"] * 4 + ["step"] * 4
    for row in rows.values():
        assert row["ratio"]["rnnfast"] == 1.0
        assert row["seconds"]["numpy"] > 0
        assert len(row["rounds"]) == 2
        assert row["peak"] > 0
        assert row["peak_fraction"] > 0
        assert row["limit_fraction"] > 0
    good = rows["forward-rnn-B2-T3-I8-H8"]
    assert good["best_library"] == good["best_rival"] == "fake"
    assert good["absent"] == {}
    assert rows["training-rnn-B2-T3-I8-H8"]["seconds"].keys() == {"rnnfast", "numpy"}
    assert rows["training-rnn-B2-T3-I8-H8"]["best_rival"] is None
    for name, reason in (
        ("forward-gru", "fake computes y of forward-gru-B2-T3-I8-H8 with an error of"),
        ("forward-gru_before", "OSError: out of paper"),
        ("forward-lstm", "its process ended with code 3"),
        ("training-lstm", "its process ended with code 3"),
    ):
        row = rows[f"{name}-B2-T3-I8-H8"]
        assert "fake" not in row["seconds"]
        assert reason in row["absent"]["fake"]
        assert f"{row['name']}: fake left out, " in captured.err
    assert "fake" in rows["step-rnn-B2-T1-I8-H8"]["seconds"]


def test_a_worker_tells_what_is_wrong_and_starts_again(fake):
    with Worker("fake_rival", 1) as worker:
        with pytest.raises(WorkerError, match="code 3"):
            worker.ask("make", Case("lstm", "forward", 2, 3, 4, 5))
        assert worker.ask("make", Case("rnn", "forward", 2, 3, 4, 5)).keys() == {"y"}
        assert worker.ask("make", Case("rnn", "training", 2, 3, 4, 5)) is None
    with Worker("rnnfast.cli._rivals.rnnfast", 1) as worker:
        assert worker.ask("peak", "float32") > 0
        with pytest.raises(WorkerError, match="ValueError: dtype"):
            worker.ask("peak", "float16")


def test_the_picture(fake, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    path = tmp_path / "picture.png"
    assert main(["bench", "--rivals", "numpy", "fake", "--shapes", "2,3,8", "--rounds", "1", "--plot", str(path)]) == 0
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_picture_without_matplotlib_says_what_to_install(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["bench", "--plot", str(tmp_path / "picture.png")]) == 2
    assert "pip install 'rnnfast[plot]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--shapes", "1,2"], "B,T,H"),
        (["--shapes", "0,2,3"], "B,T,H"),
        (["--cells", "lstn"], "lstn"),
        (["--section", "all"], "all"),
        (["--section", "single", "--modes", "step"], "no row"),
        (["--rivals", "nobody"], "no rival 'nobody'; there are rnnfast, numpy, torch"),
        (["--rounds", "0"], "at least 1"),
        (["--threads", "0"], "at least 1"),
        (["--json", "/no/such/folder/x.json"], "no directory"),
        (["--plot", "/no/such/folder/x.png"], "no directory"),
    ],
)
def test_bad_arguments_are_one_line(arguments, message, capsys):
    assert main(["bench", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("kind", ["steps", "ids", "sequence"])
def test_latency(tmp_path, capsys, kind):
    layers = {
        "steps": [rnnfast.GRU(3, 4), rnnfast.Linear(4, 2)],
        "ids": [rnnfast.Embedding(5, 3), rnnfast.LSTM(3, 4)],
        "sequence": [rnnfast.GRU(3, 4, bidirectional=True), rnnfast.Last()],
    }[kind]
    path, figures = tmp_path / "model.safetensors", tmp_path / "figures.json"
    rnnfast.Sequential(*layers).save(path)
    ask = ["bench", "--latency", str(path), "--calls", "40", "--length", "7", "--rate", "1e-3", "--json", str(figures)]
    assert main(ask) == 0
    shown, found = capsys.readouterr().out, json.loads(figures.read_text())
    assert 0 < found["p50"] <= found["p99"] <= found["worst"]
    assert found["steps_a_call"] == (7 if kind == "sequence" else 1)
    assert found["real_time_factor"] == pytest.approx(found["mean"] * 1e-3 / found["steps_a_call"])
    assert found["late"] == 0
    assert "real-time factor" in shown
    assert ("cannot run step by step" in shown) == (kind == "sequence")


def test_latency_of_what_cannot_be_timed(tmp_path, capsys):
    path = tmp_path / "model.safetensors"
    rnnfast.Sequential(rnnfast.Activation("relu")).save(path)
    assert main(["bench", "--latency", str(path)]) == 2
    assert "number of inputs is known" in capsys.readouterr().err
    assert main(["bench", "--latency", str(tmp_path / "none")]) == 2
