"""Sequences as scikit-learn's users have them: tables, arrays of three axes, lists of arrays, nested frames."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from sklearn.utils import assert_all_finite, check_array
from sklearn.utils.validation import validate_data

Array = np.ndarray
Sequences = Array | list[Array]
"""(N, T, F), or N arrays (T_i, F)."""

_FLOATS = (np.float64, np.float32)  # what else is given becomes the first


def check_sequences(estimator: Any, x: Any, *, reset: bool) -> Sequences:
    """The sequences in x as floats, all finite.

    Where `reset`, what they are is noted in the estimator: `n_features_in_`, `feature_names_in_`, and whether they came
    as a table; else it is compared with that.

    Raises
    ------
    TypeError, ValueError
        When they are not what was fitted, or no sequences of finite numbers.
    """
    found, is_table = _as_sequences(estimator, x, reset)
    width = found.shape[2] if isinstance(found, np.ndarray) else found[0].shape[1]
    if reset:
        estimator._is_table, estimator._width = is_table, width
        if not is_table:
            estimator.n_features_in_ = width
            vars(estimator).pop("feature_names_in_", None)
    elif width != estimator._width:
        name = type(estimator).__name__
        raise ValueError(f"X has {width} features, but {name} is expecting {estimator._width} features as input")
    return found


def _as_sequences(estimator: Any, x: Any, reset: bool) -> tuple[Sequences, bool]:
    listed = _listed(x)
    if listed is not None:
        return _ragged(listed), False
    if not hasattr(x, "ndim") and not hasattr(x, "columns"):
        x = np.asarray(x)
    if getattr(x, "ndim", 2) >= 3:
        array = check_array(x, dtype=_FLOATS, allow_nd=True, estimator=estimator, input_name="X")
        if array.ndim != 3:
            raise ValueError(f"X must have shape (N, T) or (N, T, F), or be a list of sequences, got {array.shape}")
        return array, False
    if reset or estimator._is_table:
        table = validate_data(estimator, x, reset=reset, dtype=_FLOATS)
    else:
        table = check_array(x, dtype=_FLOATS, estimator=estimator, input_name="X")
    return table[..., None], True


def _listed(x: Any) -> list[Any] | None:
    """The sequences of a list or an array of objects, one entry each; None where x is numbers."""
    if isinstance(x, (list, tuple)):
        if x and isinstance(x[0], str):
            raise ValueError("X must hold sequences of numbers, and has text: rnnfast.Classifier takes words and texts")
        arrays = any(hasattr(each, "__array__") and np.ndim(each) for each in x)
        return list(x) if arrays or _differ(x) else None
    if hasattr(x, "dtype") or hasattr(x, "columns"):
        array = np.asarray(x) if not hasattr(x, "tocsr") else np.zeros(0)
        if array.dtype == object and array.size and array.ndim in (1, 2) and _is_sequence(array.flat[0]):
            if array.ndim == 1:
                return list(array)
            return [_side_by_side(row, number) for number, row in enumerate(array)]
    return None


def _is_sequence(value: Any) -> bool:
    return isinstance(value, (list, tuple)) or (hasattr(value, "__array__") and np.ndim(value) > 0)


def _differ(x: Iterable[Any]) -> bool:
    """Whether all are sequences, of different lengths."""
    lengths = {len(each) if isinstance(each, (list, tuple)) else -1 for each in x}
    return len(lengths) > 1 and -1 not in lengths


def _side_by_side(row: Array, number: int) -> Array:
    """The cells of a row, each the series of one feature, as (T, F)."""
    columns = [np.asarray(cell) for cell in row]
    if columns[0].ndim != 1 or len({each.shape for each in columns}) > 1:
        raise ValueError(f"X: row {number} must hold series of equal length, got {[each.shape for each in columns]}")
    return np.stack(columns, axis=1)


def _ragged(listed: list[Any]) -> list[Array]:
    arrays = [np.asarray(each) for each in listed]
    for number, array in enumerate(arrays):
        if array.dtype.kind not in "biuf" or array.ndim not in (1, 2):
            wanted = f"X[{number}] must be numbers (T,) or (T, F)"
            raise ValueError(f"{wanted}, got shape {array.shape}, dtype {array.dtype}")
    widths = sorted({1 if array.ndim == 1 else array.shape[1] for array in arrays if len(array)})
    if len(widths) != 1:
        got = f"got {widths}" if widths else "all are empty"
        raise ValueError(f"X must hold sequences of equally many features: {got}")
    found = [array.astype(np.float64).reshape(-1, widths[0]) for array in arrays]
    assert_all_finite(np.concatenate(found), input_name="X")
    return found


def flat(x: Sequences) -> Array:
    """All steps (N·T, F)."""
    return x.reshape(-1, x.shape[2]) if isinstance(x, np.ndarray) else np.concatenate(x)


def take(x: Sequences, rows: Array) -> Sequences:
    """Some of the sequences."""
    return x[rows] if isinstance(x, np.ndarray) else [x[row] for row in rows]


def steps_of(x: Sequences) -> Array:
    """How many steps each has, (N,)."""
    return np.full(len(x), x.shape[1]) if isinstance(x, np.ndarray) else np.array([len(each) for each in x])


def scaled(x: Sequences, scaler: Any, dtype: str) -> Sequences:
    """Brought to the scale that the scaler has learnt, where there is one."""
    if isinstance(x, list):
        return [scaled(each, scaler, dtype) for each in x]  # type: ignore[misc]
    if scaler is None:
        return x.astype(dtype)
    centred = x - scaler.mean_
    centred /= scaler.scale_
    return centred.astype(dtype, copy=False)
