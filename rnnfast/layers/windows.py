"""From a sequence to a shorter one, window by window, and to a longer one with padding around."""

from collections.abc import Callable
from typing import Any

import numpy as np

from rnnfast import ops
from rnnfast.layers import _check
from rnnfast.layers._base import Axis
from rnnfast.layers._without_parameters import WithoutParameters

Array = np.ndarray


class _Steps(WithoutParameters):
    """What these layers share: y is (B, T', F) or (T', F), zero beyond `output_lengths(lengths)`.

    A subclass says how many steps come of so many, and what is in them.
    """

    num_directions = None

    def _steps_of(self, steps: Any) -> Any:
        """How many steps come of so many, a number or an array."""
        raise NotImplementedError

    def _compute(self, x: Array, lengths: Array) -> tuple[Array, Callable[[Array], Array]]:
        """y of x (B, T, F), whatever lies beyond the sequences' ends; and dx of dy."""
        raise NotImplementedError

    def output_shape(self, shape: tuple[Axis, ...]) -> tuple[Axis, ...]:
        """The shape that comes of an input shape."""
        steps = shape[-2]
        return (*shape[:-2], int(self._steps_of(steps)) if isinstance(steps, int) else f"{steps}'", shape[-1])

    def output_lengths(self, lengths: Any) -> Any:
        """The lengths that hold after this layer."""
        return None if lengths is None else self._steps_of(np.asarray(lengths))

    def _apply(self, x: Array, lengths: Any) -> tuple[Array, Callable[[Array], Array]]:
        shape, batch = x.shape, x if x.ndim == 3 else x[None]
        ends = None if lengths is None else ops.sequence_lengths(lengths, batch.shape[:2])
        y, back = self._compute(batch, np.full(len(batch), batch.shape[1]) if ends is None else ends)
        beyond = None if ends is None else (np.arange(y.shape[1]) >= self._steps_of(ends)[:, None])[..., None]
        outer = (*shape[:-2], *y.shape[1:])

        def backward(dy: Array) -> Array:
            dy = dy.reshape(y.shape)
            return back(dy if beyond is None else np.where(beyond, 0, dy)).reshape(shape)

        return (y if beyond is None else np.where(beyond, np.zeros((), y.dtype), y)).reshape(outer), backward


class _Windows(_Steps):
    def __init__(self, size: int, stride: int | None = None):
        self.size = _check.size(size, "size")
        self.stride = self.size if stride is None else _check.size(stride, "stride")

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"size": self.size, "stride": self.stride}

    def _steps_of(self, steps: Any) -> Any:
        return np.maximum(0, (steps - self.size) // self.stride + 1)

    def _windows(self, x: Array) -> Array:
        """(B, T', F, size), a view."""
        if x.shape[1] < self.size:
            return np.zeros((x.shape[0], 0, x.shape[2], self.size), x.dtype)
        return np.lib.stride_tricks.sliding_window_view(x, self.size, axis=1)[:, :: self.stride]

    def _scattered(self, parts: Callable[[int], Array], shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """dx, of what the k-th step of every window gets."""
        dx = np.zeros(shape, dtype)
        outputs = int(self._steps_of(shape[1]))
        for k in range(self.size if outputs else 0):
            dx[:, k : k + (outputs - 1) * self.stride + 1 : self.stride] += parts(k)
        return dx


class MaxPool1D(_Windows):
    """The greatest of each feature over windows of steps: (B, T, F) becomes (B, T', F).

    Parameters
    ----------
    size : int
        Steps in a window.
    stride : int, optional
        Steps from one window to the next; `size` where it is not given.

    Notes
    -----
    Only whole windows count: T' = (T - size) // stride + 1. The gradient goes to the step that was greatest, to the
    first of them where there are several. `MaxPool` takes the whole sequence.

    Examples
    --------
    >>> MaxPool1D(2)([[[1.0], [5.0], [3.0], [2.0], [9.0]]]).ravel().tolist()
    [5.0, 3.0]
    """

    def _compute(self, x: Array, lengths: Array) -> tuple[Array, Callable[[Array], Array]]:
        windows = self._windows(x)
        steps = windows.argmax(axis=-1)
        y = np.take_along_axis(windows, steps[..., None], axis=-1)[..., 0]
        shape, dtype = x.shape, x.dtype
        return y, lambda dy: self._scattered(lambda k: np.where(steps == k, dy, 0), shape, dtype)


class MeanPool1D(_Windows):
    """The mean of each feature over windows of steps: (B, T, F) becomes (B, T', F).

    Parameters
    ----------
    size : int
        Steps in a window.
    stride : int, optional
        Steps from one window to the next; `size` where it is not given.

    Notes
    -----
    Only whole windows count: T' = (T - size) // stride + 1. `MeanPool` takes the whole sequence.

    Examples
    --------
    >>> MeanPool1D(2, stride=1)([[[1.0], [5.0], [3.0]]]).ravel().tolist()
    [3.0, 4.0]
    """

    def _compute(self, x: Array, lengths: Array) -> tuple[Array, Callable[[Array], Array]]:
        y = self._windows(x).mean(axis=-1, dtype=np.float64).astype(x.dtype)
        shape, dtype = x.shape, x.dtype
        return y, lambda dy: self._scattered(lambda k: dy / np.asarray(self.size, dtype), shape, dtype)


class Pad(_Steps):
    """Steps of one value before and after a sequence: (B, T, F) becomes (B, before + T + after, F).

    Parameters
    ----------
    before, after : int
        How many steps.
    value : float or "least"
        What is in them; "least" is the least number that is not infinite, which no `MaxPool1D` chooses before another.

    Notes
    -----
    Given `lengths`, what comes after follows each sequence's own end, and counts.

    Examples
    --------
    >>> Pad(1, 2)([[[3.0], [4.0]]]).ravel().tolist()
    [0.0, 3.0, 4.0, 0.0, 0.0]
    """

    def __init__(self, before: int = 0, after: int = 0, value: float | str = 0.0):
        self.before, self.after = _check.size(before, "before", 0), _check.size(after, "after", 0)
        if value != "least" and (isinstance(value, str) or not np.isfinite(value)):
            raise ValueError(f"value must be a finite number or 'least', got {value!r:.60}")
        self.value = value if isinstance(value, str) else float(value)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"before": self.before, "after": self.after, "value": self.value}

    def _steps_of(self, steps: Any) -> Any:
        return steps + (self.before + self.after)

    def _compute(self, x: Array, lengths: Array) -> tuple[Array, Callable[[Array], Array]]:
        rows, T, F = x.shape
        inside = (np.arange(T) < lengths[:, None])[..., None]
        value = np.finfo(x.dtype).min if self.value == "least" else self.value
        y = np.full((rows, T + self.before + self.after, F), value, x.dtype)
        place = slice(self.before, self.before + T)
        y[:, place] = np.where(inside, x, y[:, place])
        return y, lambda dy: np.where(inside, dy[:, place], 0)
