"""`rnnfast bench` and what it times. No time is asserted."""

import json
import subprocess
import sys

import numpy as np
import pytest

from rnnfast import reference
from rnnfast.cli import _parser, bench, main
from rnnfast.cli._contestants import CELLS, CONTESTANTS, MODES, Case, Contestant, Data, enter, make_data
from rnnfast.cli._timing import duration, interleaved, medians


@pytest.mark.parametrize("system", CONTESTANTS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("cell", CELLS)
def test_every_contestant_computes_the_same(cell, mode, system):
    case = Case(cell, mode, 3, 1 if mode == "step" else 4, 5, 7)
    contestant = enter(system, case, make_data(case))
    if contestant is None:
        assert system not in ("rnnfast", "numpy")
        pytest.skip(f"{system} is not installed or has no such case")
    contestant.call()


def test_a_contestant_that_is_wrong_is_found(monkeypatch):
    def wrong(case: Case, data: Data) -> Contestant:
        y = reference.forward(case.kind, data.params, data.x)[0]
        return Contestant(lambda: y, lambda: {"y": y + 1e-3})

    monkeypatch.setitem(CONTESTANTS, "numpy", wrong)
    case = Case("lstm", "forward", 2, 3, 4, 5)
    with pytest.raises(ArithmeticError, match=r"numpy computes y of forward-lstm.*error of 1"):
        enter("numpy", case, make_data(case))


@pytest.mark.parametrize("name", ["dx", "weight_ih", "weight_hh", "bias", "bias_hn"])
def test_a_gradient_that_is_wrong_or_missing_is_found(monkeypatch, name):
    case = Case("gru", "training", 2, 3, 4, 5)
    data = make_data(case)
    good = enter("rnnfast", case, data).result()
    assert good.keys() == {"y", "dx", "weight_ih", "weight_hh", "bias", "bias_hn"}
    for bad in (good[name] * 1.01 + 0.01, good[name] * np.nan):
        monkeypatch.setitem(CONTESTANTS, "rnnfast", lambda *_, bad=bad: Contestant(dict, lambda: good | {name: bad}))
        with pytest.raises(ArithmeticError, match=f"rnnfast computes {name} of training-gru"):
            enter("rnnfast", case, data)
    without = {key: value for key, value in good.items() if key != name}
    monkeypatch.setitem(CONTESTANTS, "rnnfast", lambda *_: Contestant(dict, lambda: without))
    with pytest.raises(ArithmeticError, match="wanted y, dx"):
        enter("rnnfast", case, data)


def test_the_acceptance_cases_are_in_the_short_table():
    cases = {
        *((mode, cell, 32, 100, H, H) for mode in MODES[:2] for cell in ("lstm", "gru") for H in (128, 256)),
        *(("forward", cell, 1, 100, 64, 64) for cell in ("lstm", "gru")),
        *(("step", cell, 1, 1, H, H) for cell in ("lstm", "gru") for H in (32, 64, 128, 256, 512)),
    }
    assert cases <= set(bench._cases(_arguments()))
    assert {cell for _, cell, *_ in bench._cases(_arguments("--full"))} == set(CELLS)
    assert bench._cases(_arguments("--cells", "rnn", "--modes", "step", "--shapes", "2,9,5")) == [
        ("step", "rnn", 2, 1, 5, 5)
    ]


def _arguments(*words):
    return _parser().parse_args(["bench", *words])


def test_numpy_is_not_loaded_before_the_threads_of_its_blas_are_set():
    code = "import sys; from rnnfast.cli import _parser; _parser(); assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_operations_are_counted():
    assert Case("lstm", "forward", 2, 3, 5, 7).operations == 2 * 2 * 3 * 4 * 7 * 12
    assert Case("gru", "training", 2, 3, 5, 7).operations == 3 * 2 * 2 * 3 * 3 * 7 * 12


def test_interleaved_rounds_and_medians():
    calls = []
    rounds = interleaved([lambda: calls.append("a"), lambda: calls.append("b")], 3)
    assert np.shape(rounds) == (3, 2)
    assert {"a", "b"} == set(calls)
    assert medians([[1.0, 2.0], [2.0, 8.0], [4.0, 12.0]]) == ([2.0, 8.0], [1.0, 3.0])
    assert duration(0.0123) == "12.30 ms"
    assert duration(4.56e-6) == "4.6 µs"


def test_table_and_file(tmp_path, capsys, monkeypatch):
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    path = tmp_path / "figures.json"
    code = main(
        [
            "bench",
            "--shapes",
            "2,3,8",
            "--cells",
            "gru",
            "--modes",
            "forward",
            "step",
            "--rounds",
            "1",
            "--json",
            str(path),
        ]
    )
    assert code == 0
    printed = capsys.readouterr().out
    assert "forward-gru-B2-T3-I8-H8" in printed
    assert "step-gru-B2-T1-I8-H8" in printed
    results = json.loads(path.read_text())["results"]
    assert [row["mode"] for row in results] == ["forward", "step"]
    assert "threads 1;" in printed
    assert all(row["ratio"]["rnnfast"] == 1.0 and row["seconds"]["numpy"] > 0 for row in results)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--shapes", "1,2"], "B,T,H"),
        (["--shapes", "0,2,3"], "B,T,H"),
        (["--cells", "lstn"], "lstn"),
        (["--rounds", "0"], "at least 1"),
        (["--threads", "0"], "at least 1"),
        (["--json", "/no/such/folder/x.json"], "no directory"),
    ],
)
def test_bad_arguments_are_one_line(arguments, message, capsys):
    assert main(["bench", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
