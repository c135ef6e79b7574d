"""`rnnfast train forecast`, and `predict` and `evaluate` with what it writes."""

import csv
import io
import json

import numpy as np
import pytest
from cli_checks import one_line_error, output_of

import rnnfast as rf

TINY = ["--hidden", 12, "--epochs", 15, "--window", 10, "--learning-rate", 0.02]
STEPS = 180


def write_table(path, series, names=("load", "wind")):
    lines = [",".join(["day", *names])]
    lines += [",".join([f"d{day}", *map(repr, row)]) for day, row in enumerate(series.tolist())]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def waves(steps=STEPS):
    time = np.arange(steps)
    return np.stack([20 + 5 * np.sin(time / 3), np.cos(time / 3)], axis=1)


@pytest.fixture
def table(tmp_path):
    return write_table(tmp_path / "waves.csv", waves())


def trained(table, capsys, *options):
    output = table.with_name("model.safetensors")
    return output, output_of(["train", "forecast", table, "--output", output, *TINY, *options], capsys)


def test_one_column(table, capsys):
    output, text = trained(table, capsys, "--column", "load", "--horizon", 4)
    assert text.startswith("180 rows of load; the last 36 are held out\n")
    assert f"saved {output}, held-out errors of 33 forecasts of 4 steps:\n  load: MAE " in text
    rows = list(csv.DictReader(io.StringIO(output_of(["predict", output, table], capsys))))
    expected = rf.Forecaster.load(output).predict(waves()[:, :1])[:, 0]
    assert [int(row["step"]) for row in rows] == [1, 2, 3, 4]
    assert [float(row["load"]) for row in rows] == pytest.approx(expected.tolist(), rel=1e-7)
    np.testing.assert_allclose(expected, waves(STEPS + 4)[STEPS:, 0], atol=1.5)


def test_several_columns_and_their_errors(table, capsys):
    output, _ = trained(table, capsys, "--column", "wind", "--column", "load", "--horizon", 2, "--season", 19)
    figures = json.loads(output_of(["evaluate", output, table, "--json"], capsys))
    starts, series = np.arange(19, STEPS - 1), waves()[:, ::-1]
    actual = series[starts[:, None] + np.arange(2)]
    error = rf.Forecaster.load(output).forecasts(series, starts) - actual
    naive = series[starts[:, None] + np.arange(2) - 19] - actual
    assert (figures["forecasts"], figures["horizon"], figures["season"]) == (160, 2, 19)
    for place, name in enumerate(["wind", "load"]):
        each = figures["columns"][name]
        assert each["mae"] == pytest.approx(np.abs(error[..., place]).mean(), rel=1e-6)
        assert each["rmse"] == pytest.approx(np.sqrt((error[..., place] ** 2).mean()), rel=1e-6)
        assert each["naive_mae"] == pytest.approx(np.abs(naive[..., place]).mean(), rel=1e-9)
        assert each["naive_rmse"] == pytest.approx(np.sqrt((naive[..., place] ** 2).mean()), rel=1e-9)
    assert "wind: MAE " in output_of(["evaluate", output, table], capsys)
    values = json.loads(output_of(["predict", output, table, "--json"], capsys))
    assert [list(value) for value in values] == [["step", "wind", "load"]] * 2


def test_quantiles(table, capsys):
    output, text = trained(table, capsys, "--column", "load", "--quantiles", 0.1, 0.5, 0.9, "--horizon", 2)
    assert "of the values lie within the band of 80%" in text
    (first, *_) = json.loads(output_of(["predict", output, table, "--json"], capsys))
    assert first["load_q0.1"] <= first["load_q0.5"] <= first["load_q0.9"]


def test_the_only_column_of_numbers(tmp_path, capsys):
    table = write_table(tmp_path / "one.csv", waves()[:, :1], ["load"])
    output, text = trained(table, capsys, "--held-out", 0, "--difference")
    assert text == f"180 rows of load; the last 0 are held out\nsaved {output}\n"


def test_a_model_that_python_saved(tmp_path, table, capsys):
    output = tmp_path / "model.safetensors"
    model = rf.Forecaster(8, 3, hidden_size=4, seed=0).fit(waves(), epochs=1)
    model.save(output)
    rows = json.loads(output_of(["predict", output, table, "--json"], capsys))
    told = [[row["load"], row["wind"]] for row in rows]
    assert told == pytest.approx(model.predict(waves()), rel=1e-7)
    one = write_table(tmp_path / "one.csv", waves()[:, :1], ["load"])
    assert "series must have 2 features" in one_line_error(["predict", output, one], capsys)


def test_refusals(tmp_path, table, capsys):
    train = ["train", "forecast", table, *TINY]
    assert "columns 'load', 'wind' hold numbers; choose with --column" in one_line_error(train, capsys)
    line = one_line_error([*train, "--column", "rain"], capsys)
    assert "no column 'rain'; its first line names 'day', 'load', 'wind' (choose with --column)" in line
    assert "column 'day' does not hold numbers" in one_line_error([*train, "--column", "day"], capsys)
    load = [*train, "--column", "load"]
    assert "36 rows are held out, too few for a horizon" in one_line_error([*load, "--horizon", 50], capsys)
    assert "quantiles" in one_line_error([*load, "--quantiles", 0.9, 0.1], capsys)
    line = one_line_error([*load, "--window", 140, "--horizon", 5], capsys)
    assert "144 rows to train on are too few, window and horizon take 145" in line
    gap = waves()
    gap[6, 0] = np.nan
    line = one_line_error(["train", "forecast", write_table(tmp_path / "gap.csv", gap), "--column", "load"], capsys)
    assert "row 7 has no number in column 'load'" in line
    absent = tmp_path / "absent.csv"
    assert f"{absent}: no such file" in one_line_error(["train", "forecast", absent], capsys)


def test_refusals_of_a_trained_model(tmp_path, table, capsys):
    output, _ = trained(table, capsys, "--column", "load", "--epochs", 1)
    short = write_table(tmp_path / "short.csv", waves(5))
    assert "at least 10 steps" in one_line_error(["predict", output, short], capsys)
    assert "5 rows are too few: at least 11 are needed" in one_line_error(["evaluate", output, short], capsys)
    other = write_table(tmp_path / "other.csv", waves(), ["power", "wind"])
    line = one_line_error(["predict", output, other], capsys)
    assert "no column 'load'; its first line names 'day', 'power', 'wind' (the model was trained on it)" in line
