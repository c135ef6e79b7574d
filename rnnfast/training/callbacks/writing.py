"""Callbacks that write down what happens."""

import csv
import io
import os
import string
import sys
from collections.abc import Mapping
from typing import Any

from rnnfast.layers import _check
from rnnfast.training.callbacks._base import Callback
from rnnfast.training.callbacks._monitor import Monitor


class ModelCheckpoint(Monitor):
    """Save the model at the end of each epoch, or of those that are the best so far.

    The files are models, as `rnnfast.load` reads them; what a fit needs to go on exactly is `fit`'s `checkpoint`. Each
    is written beside and renamed: a crash leaves the older file of its name whole.

    Parameters
    ----------
    path : str or path
        May have fields, for the logs by name and for `{epoch}`, here counted from 1: "model-{epoch:03}-{val_loss:.3f}".
        Without fields, the newest overwrites the one before. Folders that are missing are made.
    monitor : str
        The figure by which epochs are the best.
    save_best_only : bool
    mode : "auto", "min" or "max"
        As of `EarlyStopping`.
    min_delta : float
        By how much the figure must be better than the best so far.

    Attributes
    ----------
    last_path : str or None
        The file written last.

    Notes
    -----
    The epoch and the logs are in the file as its `extra`, which `rnnfast.files.load_with_extra` gives.
    """

    def __init__(
        self,
        path: Any,
        monitor: str = "val_loss",
        save_best_only: bool = False,
        mode: str = "auto",
        min_delta: float = 0.0,
    ):
        super().__init__(monitor, mode if save_best_only or mode != "auto" else "min", min_delta)
        self.path = os.fspath(path)
        try:
            fields = [name for _, name, _, _ in string.Formatter().parse(self.path) if name is not None]
        except ValueError as error:
            raise ValueError(f"path: {error}, in {self.path!r}") from None
        if wrong := [name for name in fields if not name.isidentifier()]:
            raise ValueError(f"path: a field must be 'epoch' or the name of a figure, got {wrong[0]!r}")
        self.save_best_only = bool(save_best_only)
        self.last_path: str | None = None

    def on_train_begin(self, run: Any) -> None:
        super().on_train_begin(run)
        if self.save_best_only:
            self.expect(run)
        self.best = self.last_path = None

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        if self.save_best_only:
            value = self.watched(logs)
            if not self.is_better(value, self.best):
                return
            self.best = value
        try:
            path = self.path.format(**{**logs, "epoch": epoch + 1})
        except KeyError as error:
            names = ", ".join(map(repr, ("epoch", *logs)))
            raise ValueError(f"ModelCheckpoint: there is no {error} for {self.path!r}, but {names}") from None
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        self.write(path, epoch + 1, logs)
        self.last_path = path

    def write(self, path: str, epoch: int, logs: Mapping[str, float]) -> None:
        """Write the model as it is after an epoch, counted from 1; a subclass may write another kind of file."""
        # Models are made with fit, so that what saves them cannot be imported before.
        from rnnfast import files

        files.save(self.run.model, path, extra={"epoch": epoch, "logs": dict(logs)})

    def state(self) -> dict[str, Any]:
        return self.kept("last_path")


class CSVLogger(Callback):
    """Write a line of figures to a file at the end of each epoch: the epoch, from 0, the learning rate, and the logs.

    Each line is in the file before the next epoch begins: a crash loses none, and at most tears the last. Of a fit that
    goes on from a checkpoint, the lines that were written after it are replaced.

    Parameters
    ----------
    path : str or path
    separator : str
    append : bool
        Whether to add lines to a file that is there; a last line that is torn is cut off. False overwrites it.

    Raises
    ------
    ValueError
        At the end of the first epoch, when the file has other columns.
    """

    def __init__(self, path: Any, separator: str = ",", append: bool = False):
        self.path, self.separator, self.append = os.fspath(path), separator, bool(append)
        self._size: int | None = None
        self._columns: list[str] | None = None

    def on_train_begin(self, run: Any) -> None:
        super().on_train_begin(run)
        self._size = self._columns = None

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        row: dict[str, Any] = {"epoch": epoch, "learning_rate": rate_of(self.run.optimizer), **logs}
        if self._columns is None:
            self._open(list(row))
        assert self._columns is not None
        self._add(self._line([row.get(name, "") for name in self._columns]))

    def _open(self, columns: list[str]) -> None:
        """Find or write the columns, and cut off what is not to stay."""
        kept = b""
        if (self._size is not None or self.append) and os.path.exists(self.path):
            with open(self.path, "rb") as file:
                kept = file.read()[: self._size]
        kept = kept[: kept.rfind(b"\n") + 1]
        if kept:
            [found] = csv.reader([kept.decode().splitlines()[0]], delimiter=self.separator)
            if set(found) != set(columns):
                wanted = ", ".join(columns)
                raise ValueError(f"CSVLogger: {self.path} has the columns {', '.join(found)}, the logs are {wanted}")
            columns = found
        if not kept or os.path.getsize(self.path) != len(kept):
            from rnnfast import files

            files.write_whole(self.path, kept or self._line(columns))
        self._columns = columns

    def _add(self, line: bytes) -> None:
        with open(self.path, "ab") as file:
            file.write(line)
        self._size = os.path.getsize(self.path)

    def _line(self, values: list[Any]) -> bytes:
        text = io.StringIO()
        csv.writer(text, delimiter=self.separator, lineterminator="\n").writerow(values)
        return text.getvalue().encode()

    def state(self) -> dict[str, Any]:
        return {"size": self._size}

    def load_state(self, state: Mapping[str, Any]) -> None:
        # Before the first line, the file is begun anew.
        self._size = 0 if state["size"] is None and not self.append else state["size"]


class ScalarWriter(Callback):
    """Hand figures to a writer of TensorBoard's kind.

    Parameters
    ----------
    writer
        Has `add_scalar(tag, value, step)`, and perhaps `flush()`.
    every : int, optional
        Also hand on "batch/loss", the epoch's mean so far, after every so many updates.

    Notes
    -----
    At the end of each epoch the logs go by their names, and "learning_rate", with the epoch from 0 as the step. Closing
    the writer is up to whoever opened it.
    """

    def __init__(self, writer: Any, every: int | None = None):
        if not callable(getattr(writer, "add_scalar", None)):
            raise TypeError(f"writer must have add_scalar(tag, value, step), got {writer!r}")
        self.writer = writer
        self.every = None if every is None else _check.size(every, "every")

    def on_batch_end(self, run: Any, logs: Mapping[str, float]) -> None:
        if self.every is not None and run.step % self.every == 0:
            self.writer.add_scalar("batch/loss", logs["loss"], run.step)

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        for tag, value in {**logs, "learning_rate": rate_of(self.run.optimizer)}.items():
            self.writer.add_scalar(tag, value, epoch)
        if callable(getattr(self.writer, "flush", None)):
            self.writer.flush()


class PrintEpoch(Callback):
    """Print a line of figures at the end of epochs, where no bar is wanted.

    Parameters
    ----------
    every : int
        Only of each so many epochs.
    file : optional
        Where to, instead of the standard output.

    Examples
    --------
    >>> PrintEpoch().on_epoch_end(2, {"loss": 0.25, "accuracy": 0.875})
    epoch 3: loss 0.25, accuracy 0.875
    """

    def __init__(self, every: int = 1, file: Any = None):
        self.every, self.file = _check.size(every, "every"), file

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        if (epoch + 1) % self.every == 0:
            figures = ", ".join(f"{name} {value:.4g}" for name, value in logs.items())
            print(f"epoch {epoch + 1}: {figures}", file=self.file or sys.stdout, flush=True)


def rate_of(optimizer: Any) -> float:
    """The learning rate of the optimizer's next step."""
    return float(optimizer.current_rate() if hasattr(optimizer, "current_rate") else optimizer.learning_rate)
