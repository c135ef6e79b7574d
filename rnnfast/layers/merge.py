"""Several arrays to one: side by side, or number by number."""

from collections.abc import Sequence
from functools import reduce
from itertools import accumulate
from typing import Any

import numpy as np

from rnnfast.layers import _check
from rnnfast.layers._base import Backward, BackwardOnce
from rnnfast.layers._many import Array, ManyInputs, Shape


class Merge(ManyInputs):
    """What the layers share that make one array of several; see `Concatenate`, `Add`, `Multiply` and `Average`.

    Given `lengths`, steps beyond a sequence's end are zero in y and in every dx.
    """

    @property
    def input_shape(self) -> tuple[Any, ...]:  # type: ignore[override]
        """What the layer takes, for the summary: two of the inputs' shapes."""
        return ("B", "T", "F"), ("B", "T", "F")

    def config(self) -> dict[str, Any]:
        """The constructor's arguments: there are none."""
        return {}

    def output_shape(self, shape: tuple[Any, ...]) -> Shape:
        """The shape that comes of the inputs' shapes."""
        return self.shapes_of_many(shape)[0]

    def __call__(self, inputs: Sequence[Any], *, lengths: Any = None) -> Array:  # type: ignore[override]
        """Inference.

        Parameters
        ----------
        inputs : sequence of array_like (B, T, F) or (..., F)
            At least one.
        lengths : array_like of int (B,), optional

        Returns
        -------
        numpy.ndarray
            float64 where an input is, else float32.

        Raises
        ------
        ValueError, TypeError
            When the shapes do not fit one another, or a dtype is wrong.
        """
        return self._apply(inputs, lengths)[1]

    def forward(  # type: ignore[override]
        self, inputs: Sequence[Any], *, lengths: Any = None, rng: Any = None
    ) -> tuple[Array, Backward]:
        """Training: y and `backward(dy, grads=None, need_dx=True)`, which gives a tuple, dx of each input.

        The inputs must not change in between.
        """
        arrays, y, beyond = self._apply(inputs, lengths)
        once, shape, dtype = BackwardOnce(self.slots()), y.shape, y.dtype

        def backward(dy: Any, grads: Any = None, need_dx: bool = True) -> tuple[Array, ...]:
            dy = _check.output_gradient(dy, shape, dtype)
            once.start()
            return self._split(_without(dy, beyond), arrays)

        return y, backward

    def _apply(self, inputs: Sequence[Any], lengths: Any) -> tuple[list[Array], Array, Array | None]:
        if isinstance(inputs, np.ndarray) or not isinstance(inputs, Sequence) or not inputs:
            raise TypeError(f"{type(self).__name__} takes a list of arrays, got {type(inputs).__name__}")
        arrays = [_check.real(x, None, f"inputs[{i}]") for i, x in enumerate(inputs)]
        dtype = np.result_type(*arrays)
        arrays = [array.astype(dtype, copy=False) for array in arrays]
        self.shapes_of_many([array.shape for array in arrays])
        beyond = _check.padding(lengths, arrays[0].shape[:-1])
        arrays = [_without(array, beyond) for array in arrays]
        return arrays, self._join(arrays), beyond

    def _join(self, arrays: list[Array]) -> Array:
        """One array of several, in memory of its own."""
        raise NotImplementedError

    def _split(self, dy: Array, arrays: list[Array]) -> tuple[Array, ...]:
        """The gradients of `_join`, each in memory of its own."""
        raise NotImplementedError

    def run_many(self, inputs: Sequence[Array], lengths: Sequence[Any]) -> tuple[Array, ...]:
        """Inference in a graph."""
        return (self(inputs, lengths=self.lengths_of_many(lengths)[0]),)

    def forward_many(
        self, inputs: Sequence[Array], lengths: Sequence[Any], rng: Any = None
    ) -> tuple[tuple[Array, ...], Backward]:
        """Training in a graph."""
        y, backward = self.forward(inputs, lengths=self.lengths_of_many(lengths)[0])
        return (y,), lambda doutputs, grads=None: backward(doutputs[0], grads)

    def shapes_of_many(self, shapes: Sequence[Shape]) -> tuple[Shape, ...]:
        """The shape of the output, of shapes that must agree."""
        shape = shapes[0]
        for i, other in enumerate(shapes):
            if not _agree(shape, other):
                raise ValueError(f"{type(self).__name__}: the inputs must have one shape, {shape}, got {other} at {i}")
            shape = tuple(b if isinstance(b, int) else a for a, b in zip(shape, other, strict=True))
        return (shape,)

    def lengths_of_many(self, lengths: Sequence[Any]) -> tuple[Any, ...]:
        """The lengths of those inputs that have any, which must be equal."""
        known = [each for each in lengths if each is not None]
        if any(not np.array_equal(known[0], each) for each in known[1:]):
            raise ValueError(f"{type(self).__name__}: the inputs have different lengths")
        return (known[0] if known else None,)

    def directions_of_many(self, directions: Sequence[int | None]) -> int | None:
        """Those of the inputs, where they agree; else 0."""
        known = {each for each in directions if each is not None}
        return None if not known else known.pop() if len(known) == 1 else 0


class Concatenate(Merge):
    """y = [x_1, x_2, ...]: the features of all inputs side by side on the last axis.

    Examples
    --------
    >>> Concatenate()([np.ones((2, 5, 3)), np.zeros((2, 5, 4))]).shape
    (2, 5, 7)
    """

    def _join(self, arrays: list[Array]) -> Array:
        return np.concatenate(arrays, axis=-1)

    def _split(self, dy: Array, arrays: list[Array]) -> tuple[Array, ...]:
        places = list(accumulate(array.shape[-1] for array in arrays))
        return tuple(np.ascontiguousarray(part) for part in np.split(dy, places[:-1], axis=-1))

    def shapes_of_many(self, shapes: Sequence[Shape]) -> tuple[Shape, ...]:
        """The shape of the output, of shapes that must agree but for the last axis."""
        for i, shape in enumerate(shapes):
            if not shape or not _agree(shapes[0][:-1], shape[:-1]):
                wanted = f"({', '.join(map(str, (*shapes[0][:-1], '...')))})"
                raise ValueError(
                    f"Concatenate: the inputs must have one shape but for the last axis, {wanted}, got {shape} at {i}"
                )
        sizes = [shape[-1] for shape in shapes]
        total = sum(size for size in sizes if isinstance(size, int))
        letters = [size for size in sizes if isinstance(size, str)]
        return ((*shapes[0][:-1], letters[0] if letters else total),)

    def directions_of_many(self, directions: Sequence[int | None]) -> int | None:
        """Forward halves lie among reverse halves where an input has both: 0."""
        if len(directions) == 1:
            return directions[0]
        return 0 if any(each not in (None, 1) for each in directions) else 1


class Add(Merge):
    """y = x_1 + x_2 + ...

    Examples
    --------
    >>> Add()([[1.0, 2.0], [10.0, 20.0], [100.0, 200.0]]).tolist()
    [111.0, 222.0]
    """

    def _join(self, arrays: list[Array]) -> Array:
        return _sum(arrays)

    def _split(self, dy: Array, arrays: list[Array]) -> tuple[Array, ...]:
        return tuple(dy.copy() for _ in arrays)


class Average(Merge):
    """y = (x_1 + x_2 + ... + x_n) / n.

    Examples
    --------
    >>> Average()([[1.0, 2.0], [3.0, 6.0]]).tolist()
    [2.0, 4.0]
    """

    def _join(self, arrays: list[Array]) -> Array:
        return _sum(arrays) / len(arrays)

    def _split(self, dy: Array, arrays: list[Array]) -> tuple[Array, ...]:
        return tuple(dy / len(arrays) for _ in arrays)


class Multiply(Merge):
    """y = x_1 x_2 ..., number by number.

    Examples
    --------
    >>> Multiply()([[1.0, 2.0], [3.0, 6.0]]).tolist()
    [3.0, 12.0]
    """

    def _join(self, arrays: list[Array]) -> Array:
        return reduce(np.multiply, arrays, np.ones_like(arrays[0]))

    def _split(self, dy: Array, arrays: list[Array]) -> tuple[Array, ...]:
        # dy times all before, times all after: no division, which zeros would not survive.
        before = accumulate(arrays[:-1], np.multiply, initial=dy)
        after = [*accumulate(reversed(arrays[1:]), np.multiply, initial=np.ones_like(dy))][::-1]
        return tuple(a * b for a, b in zip(before, after, strict=True))


def _agree(a: Shape, b: Shape) -> bool:
    """Whether shapes may be equal: a letter is any number."""
    numbers = [(m, n) for m, n in zip(a, b, strict=False) if isinstance(m, int) and isinstance(n, int)]
    return len(a) == len(b) and all(m == n for m, n in numbers)


def _without(array: Array, beyond: Array | None) -> Array:
    return array if beyond is None else np.where(beyond[..., None], 0, array)


def _sum(arrays: list[Array]) -> Array:
    total = arrays[0].copy()
    for array in arrays[1:]:
        total += array
    return total
