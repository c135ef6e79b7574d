"""Whether a system computes what it should, before anybody looks at its speed."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

import numpy as np

from rnnfast.cli._cases import Array, Case, Contestant, Data
from rnnfast.cli._rivals import RIVALS, missing
from rnnfast.cli._rivals.numpy import expected

_TOLERANCE = {"float32": 1e-4, "float64": 1e-9}


def check(name: str, case: Case, found: Mapping[str, Array], wanted: Mapping[str, Array]) -> None:
    """Compare what a system computes with the float64 reference.

    Parameters
    ----------
    name : str
        The system.
    case : Case
    found, wanted : mapping of str to ndarray
        y, for training dx and the gradients.

    Raises
    ------
    ArithmeticError
        When arrays are missing, or the largest error of one is more than 1e-4 (float32) or 1e-9 (float64) of its
        largest element, or of 1.
    """
    if found.keys() != wanted.keys():
        raise ArithmeticError(f"{name} computes {', '.join(found)} of {case.name}, wanted {', '.join(wanted)}")
    for array, exact in wanted.items():
        shape = np.shape(found[array])
        if shape != exact.shape:
            raise ArithmeticError(f"{name} computes {array} of {case.name} with shape {shape}, wanted {exact.shape}")
        error = float(np.abs(found[array] - exact).max() / max(1.0, np.abs(exact).max()))
        if not error < _TOLERANCE[case.dtype]:  # NaN fails too
            raise ArithmeticError(f"{name} computes {array} of {case.name} with an error of {error:.1e}")


def enter(name: str, case: Case, data: Data) -> Contestant | None:
    """Make a contestant in this process and check it.

    Parameters
    ----------
    name : str
        One of `rnnfast.cli._rivals.RIVALS`.
    case : Case
    data : Data
        Of this case.

    Returns
    -------
    Contestant or None
        None where it is not installed or has no such case.

    Raises
    ------
    ArithmeticError
        When it computes something else than the reference.
    """
    if missing(name):
        return None
    made = importlib.import_module(RIVALS[name].module).contestant(case, data)
    if made is not None:
        check(name, case, made.result(), expected(case, data))
    return made
