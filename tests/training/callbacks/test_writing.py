import csv
import io

import numpy as np
import pytest
from callback_checks import data, drive, small

import rnnfast
from rnnfast import files
from rnnfast.training import SGD, Checkpoint, CSVLogger, LambdaCallback, ModelCheckpoint, PrintEpoch, ScalarWriter

LOGS = [{"loss": 3.0, "val_loss": 0.5}, {"loss": 2.0, "val_loss": 0.75}, {"loss": 1.0, "val_loss": 0.25}]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_each_epoch(tmp_path):
    callback = ModelCheckpoint(tmp_path / "deep" / "model-{epoch:02}-{val_loss:.2f}.safetensors")
    drive(callback, LOGS, small())
    assert names(tmp_path / "deep") == [f"model-{each}.safetensors" for each in ("01-0.50", "02-0.75", "03-0.25")]
    model, extra = files.load_with_extra(callback.last_path)
    assert extra == {"epoch": 3, "logs": LOGS[2]}
    np.testing.assert_array_equal(model.flat_data, small().flat_data)


@pytest.mark.parametrize("through", [False, True])
def test_the_best_alone(tmp_path, through):
    callback = ModelCheckpoint(tmp_path / "{epoch}", save_best_only=True)
    drive(callback, LOGS, small(), through=through)
    assert names(tmp_path) == ["1", "3"]
    drive(ModelCheckpoint(tmp_path / "loss {epoch}", "loss", save_best_only=True, mode="max"), LOGS, small())
    assert names(tmp_path) == ["1", "3", "loss 1"]
    drive(ModelCheckpoint(tmp_path / "far {epoch}", save_best_only=True, min_delta=0.25), LOGS, small())
    assert names(tmp_path) == ["1", "3", "far 1", "loss 1"]


def fit(*callbacks, model=None, **how):
    x, y = data()
    how = {"loss": "mse", "optimizer": SGD(0.1), "validation_split": 0.4, "seed": 0, "verbose": False, **how}
    return (model or small()).fit(x, y, batch_size=6, callbacks=callbacks, **how)


def test_fit_saves_its_best(tmp_path):
    callback = ModelCheckpoint(tmp_path / "best.safetensors", "val_rmse", save_best_only=True)
    history = fit(callback, epochs=4, metrics=["rmse"]).history["val_rmse"]
    x, y = data()
    best = rnnfast.load(tmp_path / "best.safetensors")
    assert best.evaluate(x[12:], y[12:], loss="mse", metrics=["rmse"])["rmse"] == pytest.approx(min(history), rel=1e-6)


def test_the_older_file_outlives_a_write_that_fails(tmp_path, monkeypatch):
    callback = ModelCheckpoint(tmp_path / "model")
    drive(callback, LOGS[:1], small())
    before = (tmp_path / "model").read_bytes()

    def fail(*what):
        raise OSError("the disk is full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="the disk is full"):
        drive(callback, LOGS, small())
    assert (tmp_path / "model").read_bytes() == before
    assert names(tmp_path) == ["model"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("{epoch", "path: expected '}' before end of string"),
        ("{}", "a field must be 'epoch' or the name of a figure, got ''"),
        ("{logs.loss}", "a field must be"),
        ("{0}", "a field must be"),
    ],
)
def test_paths_that_are_none(path, message):
    with pytest.raises(ValueError, match=message):
        ModelCheckpoint(path)


def test_figures_that_are_not_there(tmp_path):
    with pytest.raises(ValueError, match=r"there is no 'val_f1' for .*, but 'epoch', 'loss', 'val_loss'"):
        drive(ModelCheckpoint(tmp_path / "{val_f1}"), LOGS, small())
    with pytest.raises(ValueError, match="ModelCheckpoint: there is no 'val_f1' in the logs"):
        drive(ModelCheckpoint(tmp_path / "x", "val_f1", save_best_only=True), LOGS, small())
    drive(ModelCheckpoint(tmp_path / "x", "shine"), LOGS, small())
    assert names(tmp_path) == ["x"]


def rows(path, separator=","):
    with open(path, newline="") as file:
        return list(csv.DictReader(file, delimiter=separator))


@pytest.mark.parametrize("separator", [",", ";"])
def test_csv_of_a_fit(tmp_path, separator):
    seen = []
    path = tmp_path / "log.csv"
    callback = CSVLogger(path, separator)
    history = fit(callback, lambda epoch, logs: seen.append(len(rows(path, separator))), epochs=3, metrics=["mae"])
    found = rows(path, separator)
    assert seen == [1, 2, 3]  # each line is there when its epoch is over
    assert list(found[0]) == ["epoch", "learning_rate", "loss", "mae", "val_loss", "val_mae"]
    assert [row["epoch"] for row in found] == ["0", "1", "2"]
    assert {float(row["learning_rate"]) for row in found} == {0.1}
    for name, values in history.history.items():
        assert [float(row[name]) for row in found] == values


def test_csv_is_overwritten_or_appended_to(tmp_path):
    path = tmp_path / "log.csv"
    for append, count in ((False, 3), (False, 3), (True, 6), (True, 9), (False, 3)):
        drive(CSVLogger(path, append=append), LOGS, through=False)
        assert [row["loss"] for row in rows(path)] == ["3.0", "2.0", "1.0"] * (count // 3)


@pytest.mark.parametrize("torn", [b"", b"epoch,learn", b"epoch,loss,learning_rate,val_loss\n7,0.5,0.1,0.5\n8,0."])
def test_a_torn_line_is_cut_off(tmp_path, torn):
    path = tmp_path / "log.csv"
    path.write_bytes(torn)
    drive(CSVLogger(path, append=True), LOGS, through=False)
    older = ["0.5"] if b"7" in torn else []
    assert [row["loss"] for row in rows(path)] == [*older, "3.0", "2.0", "1.0"]
    assert [row["val_loss"] for row in rows(path)] == [*older, "0.5", "0.75", "0.25"]


def test_other_columns_are_refused_and_kept(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("epoch,shine\n1,2\n")
    with pytest.raises(
        ValueError, match=r"log.csv has the columns epoch, shine, the logs are epoch, learning_rate, loss"
    ):
        drive(CSVLogger(path, append=True), LOGS)
    assert path.read_text() == "epoch,shine\n1,2\n"


@pytest.mark.parametrize("append", [False, True])
def test_csv_of_a_fit_that_goes_on(tmp_path, append):
    """Lines that were written after the checkpoint are written once more, not twice."""
    path, whole = tmp_path / "log.csv", tmp_path / "whole.csv"
    fit(CSVLogger(whole, append=append), epochs=4)

    def crash(epoch, logs):
        if epoch == 2:
            raise MemoryError("a crash")

    with pytest.raises(MemoryError):
        fit(CSVLogger(path, append=append), crash, epochs=4, checkpoint=Checkpoint(tmp_path / "run"))
    assert len(rows(path)) == 3  # and the checkpoint is that of the epoch before
    fit(CSVLogger(path, append=append), lambda *_: None, epochs=4, checkpoint=Checkpoint(tmp_path / "run"))
    assert path.read_bytes() == whole.read_bytes()
    assert len(rows(path)) == 4


class Writer:
    def __init__(self):
        self.scalars, self.flushed = [], 0

    def add_scalar(self, tag, value, step):
        self.scalars.append((tag, value, step))

    def flush(self):
        self.flushed += 1


def test_scalars():
    writer, losses = Writer(), []
    note = LambdaCallback(on_batch_end=lambda run, logs: losses.append((run.step, logs["loss"])))
    history = fit(ScalarWriter(writer, every=3), note, epochs=4)
    assert writer.flushed == 4
    batches = [("batch/loss", loss, step) for step, loss in losses if step % 3 == 0]
    assert [each for each in writer.scalars if each[0] == "batch/loss"] == batches
    assert len(batches) == len(losses) // 3 == 2
    for name, values in history.history.items():
        assert [each[1:] for each in writer.scalars if each[0] == name] == list(zip(values, range(4), strict=True))
    assert [each[2] for each in writer.scalars if each == ("learning_rate", 0.1, each[2])] == [0, 1, 2, 3]
    with pytest.raises(TypeError, match="writer must have add_scalar"):
        ScalarWriter(3)
    with pytest.raises(ValueError, match="every must be at least 1"):
        ScalarWriter(writer, every=0)


def test_printed_lines(capsys):
    drive(PrintEpoch(2), [{"loss": 0.123456, "val_mae": 12345.6}] * 4)
    assert (
        capsys.readouterr().out == "epoch 2: loss 0.1235, val_mae 1.235e+04\nepoch 4: loss 0.1235, val_mae 1.235e+04\n"
    )
    file = io.StringIO()
    fit(PrintEpoch(file=file), epochs=2)
    assert [line.partition(":")[0] for line in file.getvalue().splitlines()] == ["epoch 1", "epoch 2"]
