"""Layers one after another, where the data say which steps count."""

from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np

from rnnfast.layers import (
    Activation,
    ActivityRegularizer,
    BatchNorm,
    Dropout,
    Embedding,
    GaussianNoise,
    LayerNorm,
    Linear,
    MeanPool,
    Reverse,
    SpatialDropout,
)
from rnnfast.layers._base import Backward, BackwardOnce, Layer, StatefulLayer, draw_key
from rnnfast.layers._valid import ValidSteps
from rnnfast.layers.recurrent import Recurrent
from rnnfast.models.sequential import Sequential

Array = np.ndarray

# What hands a mask on; after any other layer, all steps count.
_KEEP = (
    *(Recurrent, Linear, Embedding, Dropout, SpatialDropout, GaussianNoise),
    *(Activation, LayerNorm, BatchNorm, ActivityRegularizer, Reverse),
)


class MaskedSequential(Sequential):
    """A `Sequential` in which padding is told by its value, wherever it stands, as Keras's masks have it.

    Parameters
    ----------
    *layers : Layer
    masks : mapping of int to float
        By the number of a layer, the value of padding in what it takes: of an `Embedding` the symbol, of another layer
        what all features of a step are.

    Notes
    -----
    The meaning is that of Keras's ``Embedding(mask_zero=True)`` and ``Masking``. Recurrent layers pass over padded
    steps (what they put out there is a matter of their `padding`), `MeanPool` leaves them out, and so do the statistics
    of a `BatchNorm` in training and the loss, where the output has time. `Linear`, `Activation`, norms and dropout
    compute them like any step and hand the mask on; after any other layer all steps count. What enters a layer other
    than an `Embedding` at a padded step is set to zero.

    Where lengths can say what is padding, a `Sequential` and lengths are faster and the better choice.

    Examples
    --------
    >>> from rnnfast.layers import GRU, Embedding, Last
    >>> model = MaskedSequential(Embedding(9, 4, seed=0), GRU(4, 3, padding="hold", seed=0), Last(), masks={0: 0})
    >>> y = model(np.array([[0, 0, 5, 7], [5, 7, 0, 0]]))
    >>> bool(np.allclose(y[0], y[1]))
    True
    """

    def __init__(self, *layers: Layer, masks: Mapping[int, float]):
        super().__init__(*layers)
        for i, value in masks.items():
            if not isinstance(i, (int, np.integer)) or not 0 <= i < len(layers):
                raise ValueError(f"masks: there is no layer {i!r}, but 0 to {len(layers) - 1}")
            if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
                raise TypeError(f"masks[{i}] must be a number, got {value!r}")
        self.masks = {int(i): float(value) for i, value in sorted(masks.items())}

    def plan(self, describe: Callable[[Layer], dict[str, Any]]) -> dict[str, Any]:
        """The plans of the layers, and the masks; their values as text, as numbers in a plan are sizes."""
        return {**super().plan(describe), "masks": [[i, repr(value)] for i, value in self.masks.items()]}

    @classmethod
    def from_plan(cls, config: dict[str, Any], rebuild: Callable[[Any], Layer]) -> "MaskedSequential":
        """The model of such a plan."""
        if set(config) != {"layers", "masks"} or not isinstance(config["layers"], list):
            raise ValueError("the config of a MaskedSequential must have layers and masks")
        try:
            masks = {i: float(value) for i, value in config["masks"]}
        except (TypeError, ValueError):
            raise ValueError(
                f"masks must be pairs of a layer's number and a value, got {config['masks']!r:.60}"
            ) from None
        return cls(*map(rebuild, config["layers"]), masks=masks)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.layers))}, masks={self.masks})"

    def _stream_steps(self, rows: int) -> list[Any]:
        raise ValueError("a MaskedSequential cannot run step by step: give its layers to a Sequential")

    def steps_that_count(self, x: Any) -> Array | None:
        """Which steps of the output count, bool (B, T); None where all do."""
        mask = None
        for i, layer in enumerate(self.layers):
            x, mask = self._masked(i, x, mask)
            mask = mask if isinstance(layer, _KEEP) else None
            if i < max(self.masks, default=0):
                x = self._infer(layer, x, None, mask)[0]
        return mask

    def _masked(self, i: int, x: Any, mask: Array | None) -> tuple[Any, Array | None]:
        """What enters layer i, and its mask."""
        if i not in self.masks:
            return x, mask
        x = np.asarray(x)
        valid = np.not_equal(x, self.masks[i])
        if isinstance(self.layers[i], Embedding):
            return x, valid
        valid = valid.any(axis=-1)
        return np.where(valid[..., None], x, np.zeros((), x.dtype)), valid

    @staticmethod
    def _infer(layer: Any, x: Any, state: Any, mask: Array | None) -> tuple[Any, Any]:
        if isinstance(layer, Recurrent):
            return layer(x, state, mask=mask)
        if isinstance(layer, MeanPool) and mask is not None:
            valid = ValidSteps(mask, False)
            return layer(valid.gather(np.asarray(x)), lengths=valid.lengths), ()
        return layer.run(x, state if layer.has_state else ())

    @staticmethod
    def _train(layer: Any, x: Any, state: Any, mask: Array | None, rng: Any) -> tuple[Any, Any, Backward]:
        if isinstance(layer, Recurrent):
            (x, new), backward = layer.forward(x, state, mask=mask, rng=rng)
            return x, new, backward
        if isinstance(layer, (MeanPool, BatchNorm)) and mask is not None:
            return _train_on_valid(layer, np.asarray(x), mask)
        if layer.has_state:
            (x, new), backward = cast(StatefulLayer, layer).forward(x, state, rng=rng)
            return x, new, backward
        x, backward = layer.forward(x, rng=rng)
        return x, (), backward

    def run(self, x: Any, state: Any = None, *, lengths: Any = None) -> tuple[Array, tuple[Any, ...]]:
        """Inference that carries state: `(y, state)`; lengths must be None, as the data tell them."""
        _refuse(lengths)
        states, mask = self._states(state), None
        after: list[Any] = []
        for i, layer in enumerate(self.layers):
            x, mask = self._masked(i, x, mask)
            x, new = self._infer(layer, x, states[len(after)] if layer.has_state else (), mask)
            if layer.has_state:
                after.append(new)
            mask = mask if isinstance(layer, _KEEP) else None
        return x, tuple(after)

    def forward(  # type: ignore[override]
        self, x: Any, state: Any = None, *, lengths: Any = None, rng: Any = None
    ) -> tuple[tuple[Array, tuple[Any, ...]], Backward]:
        """Training, as of `Sequential`; lengths must be None."""
        _refuse(lengths)
        once = BackwardOnce(self.slots())
        key = None if rng is None else draw_key(rng)
        states, mask = self._states(state), None
        backwards: list[Backward] = []
        after: list[Any] = []
        for i, layer in enumerate(self.layers):
            x, mask = self._masked(i, x, mask)
            own = states[len(after)] if layer.has_state else ()
            x, new, backward = self._train(layer, x, own, mask, None if key is None else key.child(i))
            if i in self.masks and not isinstance(layer, Embedding):
                backward = _zero_at_padding(backward, cast(Array, mask))
            if layer.has_state:
                after.append(new)
            backwards.append(backward)
            mask = mask if isinstance(layer, _KEEP) else None
        return (x, tuple(after)), self._backward(once, x.shape, backwards)


def _refuse(lengths: Any) -> None:
    if lengths is not None:
        raise ValueError("lengths must be None: in a MaskedSequential the data say what is padding")


def _train_on_valid(layer: Any, x: Array, mask: Array) -> tuple[Array, Any, Backward]:
    """Training with the valid steps moved to the front, and back where the output has time."""
    valid = ValidSteps(mask, False)
    y, inner = layer.forward(valid.gather(x), lengths=valid.lengths)
    timed = y.ndim == 3
    if timed:
        y = valid.spread(y, 0, np.empty(x.shape[:2] + y.shape[2:], y.dtype))

    def backward(dy: Any, **how: Any) -> Any:
        dx = inner(valid.collect(np.asarray(dy), 0) if timed else dy, **how)
        return None if dx is None else valid.return_gradient(dx)

    return y, (), backward


def _zero_at_padding(inner: Backward, mask: Array) -> Backward:
    def backward(*args: Any, **how: Any) -> Any:
        found = inner(*args, **how)
        dx, *rest = found if isinstance(found, tuple) else (found,)
        dx = None if dx is None else np.where(mask[..., None], dx, np.zeros((), dx.dtype))
        return (dx, *rest) if rest else dx

    return backward
