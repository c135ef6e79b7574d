"""Means of a model's weights over training: what evaluates better than the last ones."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from rnnfast import ops
from rnnfast.layers._base import Layer
from rnnfast.layers._block import Block, contiguous_runs
from rnnfast.training._shapes import check_shapes, shapes_of


def gathered(blocks: Sequence[Block]) -> np.ndarray:
    """A copy of all parameters, end to end."""
    runs = [data for _, data, _ in contiguous_runs(blocks)]
    return np.concatenate(runs) if runs else np.zeros(0, np.float32)


def spread(blocks: Sequence[Block], values: np.ndarray) -> None:
    """Set all parameters to what `gathered` gave."""
    start = 0
    for _, data, _ in contiguous_runs(blocks):
        data[...] = values[start : start + data.size]
        start += data.size
    for block in blocks:
        block.changed()


@contextmanager
def swapped(blocks: Sequence[Block], values: np.ndarray) -> Iterator[None]:
    """Inside, the parameters are these values; afterwards, what they were."""
    before = gathered(blocks)
    try:
        spread(blocks, values)
        yield
    finally:
        spread(blocks, before)


class EMA:
    """The exponential moving average of a model's weights: a' = decay a + (1 - decay) p, in one fused pass.

    Parameters
    ----------
    model : Layer
        A layer or model, whose weights now are the average's first.
    decay : float
        In [0, 1).
    bias_correction : bool
        The first weights do not count and all updates weigh as they do in a mean of that decay without a beginning: the
        share of the new weights is (1 - decay) / (1 - decay ** t) at the t-th update, 1 at the first one.

    Attributes
    ----------
    updates : int
        Updates made.

    Notes
    -----
    Buffers that are not learnt (running statistics) stay those of training.

    Examples
    --------
    >>> from rnnfast.layers import Linear
    >>> model = Linear(2, 1)
    >>> ema = EMA(model, decay=0.9)
    >>> model.params["bias"] = [10.0]
    >>> ema.update()
    >>> with ema.weights():
    ...     print(model.params["bias"])
    [1.]
    >>> print(model.params["bias"])
    [10.]
    """

    def __init__(self, model: Layer, decay: float = 0.999, *, bias_correction: bool = False):
        if not 0 <= decay < 1:
            raise ValueError(f"decay must be at least 0 and less than 1, got {decay!r}")
        self.model, self.decay, self.bias_correction = model, float(decay), bool(bias_correction)
        self.updates = 0
        self._average = gathered(model.blocks())
        self._inside = False

    def update(self) -> None:
        """Take the weights in, after a step of the optimizer.

        Raises
        ------
        RuntimeError
            Inside `weights()`, where the model has the average itself.
        """
        if self._inside:
            raise RuntimeError("inside weights() the model has the average; update it outside")
        self._fits(self.model)
        self.updates += 1
        share = 1 - self.decay
        if self.bias_correction:
            share /= 1 - self.decay**self.updates
        start = 0
        for _, data, _ in contiguous_runs(self.model.blocks()):
            ops.update("average", self._average[start : start + data.size], data, numbers=(share,))
            start += data.size

    @contextmanager
    def weights(self) -> Iterator[Layer]:
        """Inside, the model has the average; afterwards, the weights that it had. For evaluating and saving."""
        self._fits(self.model)
        if self._inside:
            raise RuntimeError("weights() is open already")
        self._inside = True
        try:
            with swapped(self.model.blocks(), self._average):
                yield self.model
        finally:
            self._inside = False

    def copy_to(self, model: Layer) -> None:
        """Give the average to a model with the same parameters; it may be the one that is averaged.

        Raises
        ------
        ValueError
            When it has other parameters.
        """
        if shapes_of(model) != shapes_of(self.model):
            raise ValueError("the model must have the parameters of the one that is averaged, names and shapes alike")
        self._fits(model)
        spread(model.blocks(), self._average)

    def _fits(self, model: Layer) -> None:
        size = model.num_params
        if size != self._average.size:
            raise ValueError(f"the average is of {self._average.size} parameters, the model has {size}")

    def state(self) -> dict[str, Any]:
        """A copy of what going on exactly takes: "updates", "parameters" (shapes by name) and the array "average"."""
        return {"updates": self.updates, "parameters": shapes_of(self.model), "average": self._average.copy()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state()` gave.

        Raises
        ------
        ValueError
            When it is the state of another model; the average is left as it was.
        """
        average = np.array(state["average"])
        check_shapes(self.model, state["parameters"])
        if average.shape != self._average.shape or average.dtype != self._average.dtype:
            raise ValueError(
                f"average must be {self._average.dtype} {self._average.shape}, got {average.dtype} {average.shape}"
            )
        self.updates, self._average = int(state["updates"]), average
