"""The layer of a linear-chain conditional random field: how well each tag follows another."""

from typing import Any

import numpy as np

from rnnfast import ops
from rnnfast.layers import _check
from rnnfast.layers._base import Axis, Backward, BackwardOnce, Block, Layer, float_dtype
from rnnfast.layers._key import generator


class CRF(Layer):
    """Potentials of pairs of neighbouring tags, of each tag's own score (Lafferty et al. 2001; Lample et al. 2016).

    With emissions x (B, T, C), y[t, i, j] is the score of tag j at step t after tag i at step t - 1:

    - y[t, i, j] = x[t, j] + transition[i, j] for t >= 1;
    - y[0, i, j] = x[0, j] + start[j], the same for every i, as no tag comes before;
    - at a sequence's last step, end[j] is added.

    A sequence of tags then scores y[0, 0, tag_0] plus the sum of y[t, tag_{t-1}, tag_t]. Train it with
    `rnnfast.training.CRFLoss`, and read the best tags with `rnnfast.decoding.viterbi`.

    Parameters
    ----------
    num_tags : int
        C, the size of the last axis of x.
    boundaries : bool
        Whether there are `start` and `end`.
    dtype : str
        "float32" or "float64".
    seed : None, int or numpy.random.Generator
        For the first scores, uniform from -0.1 to 0.1.

    Notes
    -----
    Parameters: `transition` (C, C), from row to column, `start` (C,), `end` (C,). Given `lengths`, steps beyond a
    sequence's end are zero in y and take no part in the gradients.

    Examples
    --------
    >>> layer = CRF(3)
    >>> potentials = layer(np.zeros((2, 5, 3)), lengths=[5, 4])
    >>> potentials.shape, layer.num_params
    ((2, 5, 3, 3), 15)
    >>> from rnnfast.decoding import viterbi
    >>> viterbi(potentials, lengths=[5, 4])[0].shape
    (2, 5)
    """

    block: Block
    # A potential needs its neighbour, and the last step is known at the end alone.
    works_on_steps = False

    def __init__(self, num_tags: int, *, boundaries: bool = True, dtype: Any = "float32", seed: Any = None):
        self.num_tags = _check.size(num_tags, "num_tags")
        self.boundaries = _check.flag(boundaries, "boundaries")
        shapes: dict[str, tuple[int, ...]] = {"transition": (self.num_tags, self.num_tags)}
        if self.boundaries:
            shapes |= {"start": (self.num_tags,), "end": (self.num_tags,)}
        self.block = Block(shapes, float_dtype(dtype))
        rng = generator(seed)
        for name, shape in shapes.items():
            self.block.set(name, rng.uniform(-0.1, 0.1, shape))

    @property
    def input_shape(self) -> tuple[Axis, ...]:  # type: ignore[override]
        """What the layer takes, for the summary."""
        return ("B", "T", self.num_tags)

    def output_shape(self, shape: tuple[Axis, ...]) -> tuple[Axis, ...]:
        """The shape that comes of an input shape."""
        return (*shape, shape[-1])

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"num_tags": self.num_tags, "boundaries": self.boundaries, "dtype": str(self.block.dtype)}

    def _checked(self, x: Any, lengths: Any) -> tuple[np.ndarray, np.ndarray]:
        x = _check.real(x, self.block.dtype)
        if x.ndim not in (2, 3) or x.shape[-1] != self.num_tags:
            C = self.num_tags
            raise ValueError(f"CRF: x must have shape (B, T, {C}) or (T, {C}), one score a tag, got {x.shape}")
        if lengths is None:
            return x, np.full(1 if x.ndim == 2 else len(x), x.shape[-2])
        return x, ops.sequence_lengths(lengths, x.shape[:-1])

    def _apply(self, x: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        array, C = self.block.array, self.num_tags
        y = np.empty((*x.shape, C), x.dtype)
        batch, emissions = (y, x) if x.ndim == 3 else (y[None], x[None])
        np.add(emissions[:, :, None], array("transition"), out=batch)
        batch[:, :1] = (emissions[:, :1] + array("start") if self.boundaries else emissions[:, :1])[:, :, None]
        if self.boundaries:
            rows = np.flatnonzero(lengths)
            batch[rows, lengths[rows] - 1] += array("end")
        batch[np.arange(batch.shape[1]) >= lengths[:, None]] = 0
        return y

    def __call__(self, x: Any, *, lengths: Any = None) -> np.ndarray:
        """Inference.

        Parameters
        ----------
        x : array_like (B, T, num_tags) or (T, num_tags)
        lengths : array_like of int (B,), optional

        Returns
        -------
        numpy.ndarray
            (B, T, num_tags, num_tags) or (T, num_tags, num_tags).
        """
        return self._apply(*self._checked(x, lengths))

    def forward(self, x: Any, *, lengths: Any = None, rng: Any = None) -> tuple[np.ndarray, Backward]:
        """Training: y and `backward(dy, grads=None, need_dx=True) -> dx`."""
        once = BackwardOnce(self.slots())
        x, ends = self._checked(x, lengths)
        y = self._apply(x, ends)
        shape, x_shape = y.shape, x.shape

        def backward(dy: Any, grads: Any = None, need_dx: bool = True) -> np.ndarray | None:
            dy = _check.output_gradient(dy, shape, self.block.dtype)
            once.start()
            beyond = np.arange(x_shape[-2]) >= ends[:, None]
            batch = dy if len(x_shape) == 3 else dy[None]
            if beyond.any():
                batch = np.where(beyond[..., None, None], 0, batch)
            dx = batch.sum(axis=2)
            # Over all steps but the first, in float64: there may be many.
            found = {"transition": batch[:, 1:].sum(axis=(0, 1), dtype=np.float64)}
            if self.boundaries:
                rows = np.flatnonzero(ends)
                found["start"] = dx[:, :1].sum(axis=(0, 1), dtype=np.float64)
                found["end"] = dx[rows, ends[rows] - 1].sum(axis=0, dtype=np.float64)
            once.add({name: gradient.astype(self.block.dtype) for name, gradient in found.items()}, grads)
            return dx.reshape(x_shape) if need_dx else None

        return y, backward
