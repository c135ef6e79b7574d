"""What computes: the compiled kernels, or the same equations in plain NumPy, to be read and stepped through."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

NAMES = ("compiled", "numpy")

_everywhere = "compiled"
_here: ContextVar[str | None] = ContextVar("rnnfast_backend", default=None)


def in_numpy() -> bool:
    """Whether a call shall be computed in NumPy."""
    return (_here.get() or _everywhere) == "numpy"


def get_backend() -> str:
    """ "compiled" or "numpy": what computes here and now."""
    return _here.get() or _everywhere


def set_backend(name: str) -> None:
    """Choose what computes recurrent layers, `Linear`, and what is built of them, in all threads.

    Parameters
    ----------
    name : "compiled" or "numpy"
        The kernels, or :mod:`rnnfast.equations` in plain NumPy: the same numbers but for rounding, for reading, for
        stepping through with a debugger, and for telling whether a surprising number is the kernels' doing. Masks of
        dropout and zoneout are the same. It is tens of times slower.

    Notes
    -----
    A recurrent layer's backward pass is computed as its forward pass was. Streams, pools, `trace` and `explain` are the
    kernels' alone. `Activation`, normalisation layers, losses and optimizers, which are single passes over arrays, stay
    compiled.

    Raises
    ------
    ValueError
        For another name.
    """
    global _everywhere
    _everywhere = _checked(name)


@contextmanager
def backend(name: str) -> Iterator[None]:
    """`set_backend` inside a `with` block, and there alone: for this thread, or this asynchronous task.

    Examples
    --------
    >>> import numpy as np, rnnfast as rf
    >>> layer, x = rf.GRU(3, 4, seed=0), np.ones((1, 2, 3))
    >>> with rf.backend("numpy"):
    ...     y, state = layer(x)
    >>> bool(np.allclose(y, layer(x)[0], atol=1e-6))
    True
    """
    token = _here.set(_checked(name))
    try:
        yield
    finally:
        _here.reset(token)


def require_compiled(what: str) -> None:
    """Raise a RuntimeError where a call shall be computed in NumPy and cannot be."""
    if in_numpy():
        raise RuntimeError(f"{what} is the compiled kernels' alone: choose set_backend('compiled')")


def _checked(name: Any) -> str:
    if name not in NAMES:
        raise ValueError(f"backend must be 'compiled' or 'numpy', got {name!r}")
    return name
