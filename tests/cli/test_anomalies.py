"""`rnnfast train anomalies`, and `predict` and `evaluate` with what it writes."""

import csv
import io
import json

import numpy as np
import pytest
from cli_checks import one_line_error, output_of

import rnnfast as rf
from rnnfast import files

TINY = ["--hidden", 12, "--epochs", 12, "--window", 10, "--learning-rate", 0.02]
STEPS, BROKEN = 300, (70, 71, 250, 290)


def write_table(path, values, names=("load", "wind", "broken")):
    lines = [",".join(["day", *names])]
    lines += [",".join([f"d{day}", *map(repr, row)]) for day, row in enumerate(values.tolist())]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def waves():
    """Two waves, and where the first of them jumps."""
    time = np.arange(STEPS)
    values = np.stack([20 + 5 * np.sin(time / 3), np.cos(time / 3), np.zeros(STEPS)], axis=1)
    values[list(BROKEN), 0] += 9
    values[list(BROKEN), 2] = 1
    return values


@pytest.fixture
def table(tmp_path):
    return write_table(tmp_path / "waves.csv", waves())


def trained(table, capsys, *options):
    output = table.with_name("model.safetensors")
    return output, output_of(["train", "anomalies", table, "--output", output, *TINY, *options], capsys)


@pytest.mark.parametrize("method", ["forecast", "autoencoder"])
def test_labelled_rows_are_not_trained_on_and_measure_the_detector(table, capsys, method):
    output, text = trained(table, capsys, "--column", "load", "--label", "broken", "--method", method)
    assert text.startswith("300 rows of load; the last 60 are held out\n")
    assert f"saved {output}, held-out rows: " in text
    model, series = rf.AnomalyDetector.load(output), waves()[:, :1]
    scores = model.score_samples(series)
    rows = list(csv.DictReader(io.StringIO(output_of(["predict", output, table], capsys))))
    assert [int(row["row"]) for row in rows] == list(range(1, STEPS + 1))
    assert [row["score"] == "" for row in rows] == np.isnan(scores).tolist()
    assert [float(row["score"] or "nan") for row in rows] == pytest.approx(scores.tolist(), rel=1e-5, nan_ok=True)
    told = [row["strange"] == "1" for row in rows]
    assert told == model.predict(series).tolist()
    assert all(told[place] for place in BROKEN)
    figures = json.loads(output_of(["evaluate", output, table, "--json"], capsys))
    there, wanted = ~np.isnan(scores), waves()[:, 2] == 1
    assert (figures["rows"], figures["told"], figures["strange"]) == (there.sum(), sum(told), len(BROKEN))
    assert figures["auc"] == pytest.approx(model.score(series[:, 0], wanted))
    assert figures["recall"] == 1.0
    assert figures["precision"] == pytest.approx(len(BROKEN) / sum(told))
    assert "4 are: precision " in output_of(["evaluate", output, table], capsys)


def test_what_is_held_out_is_the_last_windows(table, capsys, monkeypatch):
    seen = {}
    monkeypatch.setattr(
        rf.AnomalyDetector, "fit", lambda self, series, **how: seen.update(series=series, **how) or self
    )
    with pytest.raises(AttributeError):
        trained(table, capsys, "--column", "load", "--label", "broken")
    assert [len(run) for run in seen["series"]] == [70, 168, 39]
    counts = [len(run) - 10 for run in seen["series"]]
    assert int(sum(counts) * (1 - seen["validation_split"])) == sum(counts[:2])


def test_without_labels(tmp_path, capsys):
    table = write_table(tmp_path / "two.csv", waves()[:, :2], ["load", "wind"])
    output, text = trained(table, capsys, "--column", "wind", "--column", "load", "--quantile", 0.95)
    assert "are told to be strange\n" in text
    figures = json.loads(output_of(["evaluate", output, table, "--json"], capsys))
    assert set(figures) == {"rows", "told", "threshold"}
    assert rf.AnomalyDetector.load(output).quantile == 0.95
    assert files.load_with_extra(output)[1]["columns"] == {"columns": ["wind", "load"]}
    values = json.loads(output_of(["predict", output, table, "--json"], capsys))
    assert values[0] == {"row": 1, "score": None, "strange": False}
    assert sum(value["strange"] for value in values) == figures["told"]


def test_refusals(tmp_path, table, capsys):
    train = ["train", "anomalies", table, *TINY]
    assert "columns 'load', 'wind', 'broken' hold numbers; choose" in one_line_error(train, capsys)
    assert "columns 'load', 'wind' hold numbers; choose" in one_line_error([*train, "--label", "broken"], capsys)
    load = [*train, "--column", "load"]
    assert "no column 'odd'" in one_line_error([*load, "--label", "odd"], capsys)
    assert "'wind' must hold 0 and 1, 1 at rows" in one_line_error([*load, "--label", "wind"], capsys)
    line = one_line_error([*load, "--window", 60], capsys)
    assert "the rows held out are too few: 61 in a row, none strange, are needed" in line
    line = one_line_error([*load, "--window", 300, "--held-out", 0], capsys)
    assert "the rows to train on are too few: 301 in a row" in line
    output, _ = trained(table, capsys, "--column", "load", "--label", "broken", "--epochs", 1)
    other = write_table(tmp_path / "other.csv", waves()[:, :2], ["load", "wind"])
    assert "no column 'broken'" in one_line_error(["evaluate", output, other], capsys)
    assert output_of(["predict", output, other], capsys).startswith("row,score,strange\n1,,0\n")
