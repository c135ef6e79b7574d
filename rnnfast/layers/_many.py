"""Layers of several inputs, as a `Graph` runs them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rnnfast.layers._base import Axis, Backward, Layer

Array = np.ndarray
Shape = tuple[Axis, ...]


class ManyInputs(Layer):
    """A layer whose inputs are several arrays. Every argument and result below has one entry an input or output."""

    works_on_steps = False
    side_outputs: tuple[str, ...] = ()
    """What there is beside the main output: a graph calls it `"<node>.<name>"`."""

    def run_many(self, inputs: Sequence[Array], lengths: Sequence[Any]) -> tuple[Array, ...]:
        """Inference: the main output, then the side outputs."""
        raise NotImplementedError

    def forward_many(
        self, inputs: Sequence[Array], lengths: Sequence[Any], rng: Any = None
    ) -> tuple[tuple[Array, ...], Backward]:
        """Training: as `run_many`, and `backward(doutputs, grads=None) -> dinputs`; None stands for zeros."""
        raise NotImplementedError

    def shapes_of_many(self, shapes: Sequence[Shape]) -> tuple[Shape, ...]:
        """The shapes of main and side outputs.

        Raises
        ------
        ValueError
            When there are too many or too few inputs, or they do not fit one another.
        """
        raise NotImplementedError

    def lengths_of_many(self, lengths: Sequence[Any]) -> tuple[Any, ...]:
        """The lengths of main and side outputs."""
        raise NotImplementedError

    def directions_of_many(self, directions: Sequence[int | None]) -> int | None:
        """How many directions the main output's last axis holds side by side, as `Layer.num_directions` says it.

        0 stands for a mixture, of which nothing can take the last steps.
        """
        return 1
