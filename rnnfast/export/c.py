"""A model as one C99 file."""

import copy
import re
from typing import Any

import numpy as np

from rnnfast.export._file import write_file
from rnnfast.export._plan import Plan, make_plan
from rnnfast.export._text import Text, quantised
from rnnfast.layers._base import Layer

_TEST_STEPS = 6


def c_source(model: Layer, *, name: str = "model", max_steps: int | None = None, int8: bool = False) -> str:
    """A model as C99 source: one file without dependencies but `libm`, without `malloc`, in float32.

    What the file declares, for the name "model":

    - ``model_state``: all that the model remembers and needs as it works. Its size is the RAM that is taken.
    - ``void model_reset(model_state *)``: to the initial state.
    - ``int model_step(model_state *, const float *x, float *y)``: one step of a stream; x ``(MODEL_INPUTS,)``, y
      ``(MODEL_OUTPUTS,)``. With `Last` in the model, y is what the sequence up to here gives. Not for models with a
      reverse direction.
    - ``int model_sequence(model_state *, const float *x, int32_t steps, float *y)``: x ``(steps, MODEL_INPUTS)``, y
      ``(steps, MODEL_OUTPUTS)``, or with `Last` ``(MODEL_OUTPUTS,)``. It goes on from the state, as steps do; with a
      reverse direction it starts anew each time, and takes at most ``MODEL_MAX_STEPS`` steps.

    Both give 0, or -1 for what they cannot take: too many steps, or ids that the `Embedding` does not have. In the
    place of x such a model has ``const int32_t *ids``. Several threads may run one model, each with a state of its own.

    Compiled with ``-DMODEL_SELF_TEST`` the file is a program that compares the model with numbers which rnnfast has
    computed. Included after ``#define MODEL_DECLARATIONS_ONLY`` it is its own header.

    Parameters
    ----------
    model : Layer
        A recurrent layer, or a `Sequential` of Embedding (first), RNN, LSTM, GRU, IndRNN and MGU with all options of
        the cells, Linear, LayerNorm, BatchNorm (folded into a Linear before it), Activation and Last. Dropout and
        its kin are left out. Weights are written as float32.
    name : str
        What all names in the file start with: letters, digits and underscores.
    max_steps : int, optional
        The longest sequence of a model with a reverse direction, whose buffers it sizes: such a model needs it.
    int8 : bool
        Whether matrices are rounded to bytes, with a factor for each row: a quarter of the flash, and results that
        differ in the third digit or so. The arithmetic stays float32. The test in the file is against the rounded
        model, then.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        For layers and options that are not written in C, which the message names; for a name that C does not take.

    Examples
    --------
    >>> import rnnfast as rf
    >>> source = c_source(rf.Sequential(rf.GRU(3, 8, seed=0), rf.Last(), rf.Linear(8, 2, seed=0)), name="sign")
    >>> print(source.splitlines()[0])
    /* sign: a model of rnnfast in C99. Weights 1256 bytes (flash), sign_state 256 bytes (RAM).
    """
    if not isinstance(model, Layer):
        raise TypeError(f"model must be a layer or a Sequential, got {type(model).__name__}")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        raise ValueError(f"name must be letters, digits and underscores, and begin with a letter, got {name!r}")
    if max_steps is not None and (not isinstance(max_steps, int) or max_steps < 1):
        raise ValueError(f"max_steps must be a whole number of at least 1, got {max_steps!r}")
    text = Text(int8)
    if int8:
        model = _rounded(model)
    plan = make_plan(model, text)
    if plan.reads_backwards and max_steps is None:
        raise ValueError(
            "the model has a reverse direction, which needs the whole sequence in memory: give max_steps, the longest "
            "there will be"
        )
    written = write_file(plan, text, max_steps, *_examples(model, plan, max_steps))
    return written.replace("@@", name.upper()).replace("@", name)


def save_c(model: Layer, path: Any, *, name: str = "model", max_steps: int | None = None, int8: bool = False) -> None:
    """Write `c_source` to a file, whole or not at all.

    Parameters
    ----------
    model, name, max_steps, int8
        As of `c_source`.
    path : str or path

    Raises
    ------
    ValueError
        As of `c_source`.
    OSError
        When the file cannot be written.
    """
    from rnnfast.files import write_whole

    write_whole(path, c_source(model, name=name, max_steps=max_steps, int8=int8).encode("ascii"))


def _rounded(model: Layer) -> Layer:
    """A copy whose matrices have the values that bytes can hold."""
    model = copy.deepcopy(model)
    for name, value in model.params.items():
        if value.ndim == 2:
            whole, scale = quantised(value)
            model.params[name] = whole * scale[:, None]
    return model


def _examples(model: Layer, plan: Plan, max_steps: int | None) -> tuple[np.ndarray, np.ndarray]:
    """A sequence x (T, I) and what the model makes of it."""
    rng = np.random.default_rng(0)
    first = (plan.body or plan.head)[0]
    T = min(_TEST_STEPS, max_steps or _TEST_STEPS)
    if num_ids := first.stages[0].num_ids:
        x = rng.integers(0, num_ids, T)
    else:
        x = rng.normal(size=(T, first.inputs)).astype(np.float32)
    return x, np.asarray(model.run(x[None])[0], np.float32)[0]
