"""Training checkpoints: a run written down whole, so that one that was killed goes on to the same last bit."""

import contextlib
import glob
import json
import operator
import os
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from rnnfast.layers import _check
from rnnfast.training._calls import Calls
from rnnfast.training.run import Run

_FORMAT = "rnnfast training checkpoint"
_VERSION = 1
_MANY = 1000  # numbers in a list that are better kept as an array: a header has its limits


class Checkpoint:
    """Where and how often `fit` writes down a run, and goes on with it when it is called again.

    A checkpoint holds the weights, the buffers, the optimizer's state, the random state, the place in the epoch, the
    recurrent state, what metrics and callbacks have gathered, and the History. It is written at the end of each epoch,
    and where a callback stops the run within one. The file is written beside and renamed: a crash leaves the last one
    whole. A run that goes on from it ends as if it had never stopped, to the last bit.

    Parameters
    ----------
    path : str or path
        Folders that are missing are made.
    every_steps : int, optional
        Write after this many updates of the parameters, besides the end of each epoch.
    every_seconds : float, optional
        Write when this long has passed since the last time, besides the end of each epoch.
    resume : bool
        Whether to go on from the file where there is one; False begins anew, and overwrites it.

    Examples
    --------
    >>> import rnnfast, tempfile
    >>> x = np.random.default_rng(0).standard_normal((8, 5, 1))
    >>> def train(epochs, path):
    ...     model = rnnfast.Sequential(rnnfast.GRU(1, 4, seed=0), rnnfast.Linear(4, 1, seed=0))
    ...     model.fit(x, x, loss="mse", epochs=epochs, checkpoint=path, seed=0, verbose=False)
    ...     return model
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     whole = train(4, folder + "/one")
    ...     half = train(2, folder + "/two")
    ...     resumed = train(4, folder + "/two")
    >>> np.array_equal(resumed.flat_data, whole.flat_data), np.array_equal(half.flat_data, whole.flat_data)
    (True, False)
    """

    def __init__(
        self, path: Any, *, every_steps: int | None = None, every_seconds: float | None = None, resume: bool = True
    ):
        self.path = os.fspath(path)
        self.every_steps = None if every_steps is None else _check.size(every_steps, "every_steps")
        self.every_seconds = None if every_seconds is None else _check.not_negative(every_seconds, "every_seconds")
        self.resume = bool(resume)
        self._last = time.monotonic()

    def is_due(self, run: Run) -> bool:
        """Whether to write after this update."""
        if self.every_steps is not None and run.step % self.every_steps == 0:
            return True
        return self.every_seconds is not None and time.monotonic() - self._last >= self.every_seconds

    def write(self, run: Run, calls: Calls, settings: Mapping[str, Any]) -> None:
        """Write a run down.

        Parameters
        ----------
        run : Run
            Without gradients that wait.
        calls : Calls
        settings : mapping
            What a run that goes on must have in common with this one, as JSON can hold it.
        """
        from rnnfast import files

        tensors: dict[str, np.ndarray] = {}
        model = run.model
        for name, array in (*model.params.items(), *model.buffers.items()):
            tensors[f"model.{name}"] = array
        progress = {name: getattr(run, name) for name in ("epoch", "batch", "window", "step", "position", "finished")}
        content = {
            "progress": progress,
            "history": {"epoch": run.history.epoch, "history": run.history.history},
            "optimizer": run.optimizer.state(),
            "means": run.means.state(),
            "callbacks": calls.state(),
            "state": run.state,
            "rng": run.rng.bit_generator.state,
            "epoch_rng": run.epoch_rng,
        }
        header = {
            "format": _FORMAT,
            "format_version": str(_VERSION),
            "architecture": json.dumps(_plan(model)),
            "settings": json.dumps(settings),
            "run": json.dumps(_packed(content, tensors)),
        }
        files.write_tensors(self.path, tensors, header)
        self._last = time.monotonic()

    def read(self, run: Run, calls: Calls, settings: Mapping[str, Any]) -> None:
        """Bring a new run to where a written one was; nothing happens where there is no file, or `resume` is False.

        Raises
        ------
        ValueError
            When the file is not a checkpoint of such a run; the run is as it was.
        OSError
            When the file cannot be read.
        """
        from rnnfast import files

        os.makedirs(os.path.dirname(os.path.abspath(self.path)), exist_ok=True)
        self._sweep()
        if not self.resume or not os.path.exists(self.path):
            return
        tensors, header = files.read_tensors(self.path)
        try:
            content = self._checked(run, tensors, header, settings)
            run.optimizer.load_state(content["optimizer"])
            calls.load_state(content["callbacks"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"{self.path}: it is damaged or incomplete ({error})") from error
        except ValueError as error:
            raise ValueError(f"{self.path}: {error}") from None
        for name, (block, inner) in {**run.model.slots(), **run.model.buffer_slots()}.items():
            block.set(inner, tensors[f"model.{name}"])
        for name, value in content["progress"].items():
            setattr(run, name, value)
        run.history.epoch, run.history.history = content["history"]["epoch"], content["history"]["history"]
        run.means.load_state(content["means"])
        run.state, run.epoch_rng = content["state"], content["epoch_rng"]
        run.rng.bit_generator.state = content["rng"]

    def _checked(self, run: Run, tensors: Any, header: Mapping[str, str], settings: Mapping[str, Any]) -> Any:
        if header.get("format") != _FORMAT:
            raise ValueError("it is not a training checkpoint; choose another name for it")
        if header.get("format_version") != str(_VERSION):
            raise ValueError(f"its format version is {header.get('format_version')!r}, this rnnfast knows {_VERSION}")
        if json.loads(header["architecture"]) != json.loads(json.dumps(_plan(run.model))):
            raise ValueError("it was written by another model; choose another name, or resume=False")
        written = json.loads(header["settings"])
        for name, value in json.loads(json.dumps(settings)).items():
            if written.get(name) != value:
                raise ValueError(f"it was written with {name}={written.get(name)!r}, now it is {value!r}")
        content = _unpacked(json.loads(header["run"]), tensors)
        for name, (block, inner) in {**run.model.slots(), **run.model.buffer_slots()}.items():
            if tensors[f"model.{name}"].shape != block.shapes[inner]:
                raise ValueError(f"its {name!r} has shape {tensors[f'model.{name}'].shape}, not {block.shapes[inner]}")
        if content["rng"]["bit_generator"] != run.rng.bit_generator.state["bit_generator"]:
            raise ValueError(f"it was written with another kind of random generator, {content['rng']['bit_generator']}")
        return content

    def _sweep(self) -> None:
        """Remove what a run that was killed while it wrote has left beside."""
        folder, name = os.path.split(os.path.realpath(self.path))
        for part in glob.glob(os.path.join(glob.escape(folder), f".{glob.escape(name)}.*.part")):
            with contextlib.suppress(OSError):
                os.unlink(part)


def describe_checkpoint(path: Any) -> dict[str, Any]:
    """What a checkpoint says of its run; no array of it is read.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    dict
        `progress` (epoch, batch, step, ... that are done), `history` (epoch, history), `settings` and `architecture`.

    Raises
    ------
    ValueError
        When the file is not a whole checkpoint that this rnnfast reads.
    OSError
        When it cannot be read.
    """
    from rnnfast import files

    header, _ = files.read_header(path)
    if not is_checkpoint(header):
        raise ValueError(f"{path}: it is not a training checkpoint")
    try:
        run = dict(json.loads(header["run"])["mapping"])
        progress, history = (_unpacked(run[name], {}) for name in ("progress", "history"))
        figures = {name: [float(value) for value in values] for name, values in history["history"].items()}
        return {
            "progress": {**progress, **{name: operator.index(progress[name]) for name in ("epoch", "batch", "step")}},
            "history": {**history, "history": figures},
            "settings": json.loads(header["settings"]),
            "architecture": json.loads(header["architecture"]),
        }
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path}: it is damaged or incomplete ({error})") from None


def is_checkpoint(header: Mapping[str, str]) -> bool:
    """Whether a safetensors file's metadata says that it is a training checkpoint."""
    return header.get("format") == _FORMAT


def _plan(model: Any) -> Any:
    # Models are made with fit, so that what describes them cannot be imported before.
    from rnnfast.models._architecture import describe

    return describe(model)


def as_checkpoint(checkpoint: Any) -> Checkpoint | None:
    """A checkpoint by its path, itself, or None."""
    return checkpoint if checkpoint is None or isinstance(checkpoint, Checkpoint) else Checkpoint(checkpoint)


def _packed(value: Any, tensors: dict[str, np.ndarray]) -> Any:
    """A value as JSON can hold it: arrays go to the tensors, and what JSON has no form of gets a marked one."""
    if isinstance(value, np.ndarray):
        name = f"run.{len(tensors)}"
        tensors[name] = value
        return {"array": name}
    if isinstance(value, tuple):
        return {"tuple": [_packed(each, tensors) for each in value]}
    if isinstance(value, Mapping):
        return {"mapping": [[_packed(key, tensors), _packed(each, tensors)] for key, each in value.items()]}
    if isinstance(value, list):
        if len(value) > _MANY and all(type(each) is float for each in value):
            name = f"run.{len(tensors)}"
            tensors[name] = np.array(value)
            return {"numbers": name}
        return [_packed(each, tensors) for each in value]
    return value.item() if isinstance(value, np.generic) else value


def _unpacked(value: Any, tensors: Mapping[str, np.ndarray]) -> Any:
    if isinstance(value, list):
        return [_unpacked(each, tensors) for each in value]
    if not isinstance(value, dict):
        return value
    [(kind, inner)] = value.items()
    if kind == "array":
        return tensors[inner]
    if kind == "numbers":
        return tensors[inner].tolist()
    if kind == "tuple":
        return tuple(_unpacked(each, tensors) for each in inner)
    return {_unpacked(key, tensors): _unpacked(each, tensors) for key, each in inner}
