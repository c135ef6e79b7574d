"""`rnnfast bench` and what it times. No time is asserted."""

import json

import numpy as np
import pytest

from rnnfast import reference
from rnnfast.cli import main
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
        return Contestant(lambda: y, lambda: y + 1e-3)

    monkeypatch.setitem(CONTESTANTS, "numpy", wrong)
    case = Case("lstm", "forward", 2, 3, 4, 5)
    with pytest.raises(AssertionError, match="numpy computes forward-lstm"):
        enter("numpy", case, make_data(case))


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
    assert all(row["ratio"]["rnnfast"] == 1.0 and row["seconds"]["numpy"] > 0 for row in results)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--shapes", "1,2"], "B,T,H"),
        (["--shapes", "0,2,3"], "B,T,H"),
        (["--cells", "lstn"], "lstn"),
        (["--rounds", "0"], "at least 1"),
        (["--json", "/no/such/folder/x.json"], "no directory"),
    ],
)
def test_bad_arguments_are_one_line(arguments, message, capsys):
    assert main(["bench", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
