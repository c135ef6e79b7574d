"""Penalties on parameters, added to the loss."""

from collections.abc import Callable, Mapping

import numpy as np

from rnnfast.layers import _check
from rnnfast.layers._base import Layer
from rnnfast.training._rules import chosen

Array = np.ndarray
Penalties = Mapping[str, Callable[[Array], tuple[float, Array]]]


class L1L2:
    """l1 Σ |w| + l2 Σ w², Keras's meaning: sums, not halved.

    Called with a parameter, a regularizer gives `(penalty, gradient)`, and so may any function that takes its place in
    `fit(regularizers={"*weight_hh*": L2(1e-4)})`.

    Parameters
    ----------
    l1, l2 : float
        At least 0.

    Examples
    --------
    >>> penalty, gradient = L1L2(0.5, 0.25)(np.array([2.0, -4.0, 0.0]))
    >>> penalty, gradient.tolist()
    (8.0, [1.5, -2.5, 0.0])
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0):
        self.l1, self.l2 = _check.not_negative(l1, "l1"), _check.not_negative(l2, "l2")

    def __call__(self, weight: Array) -> tuple[float, Array]:
        """The penalty of a parameter of any shape, and its gradient."""
        penalty, gradient = 0.0, np.zeros_like(weight)
        if self.l1:
            penalty += self.l1 * float(np.abs(weight).sum(dtype=np.float64))
            gradient += self.l1 * np.sign(weight)
        if self.l2:
            penalty += self.l2 * _sum_of_squares(weight)
            gradient += 2 * self.l2 * weight
        return penalty, gradient

    def __repr__(self) -> str:
        return f"L1L2(l1={self.l1}, l2={self.l2})"


class L1(L1L2):
    """amount Σ |w|; see `L1L2`."""

    def __init__(self, amount: float = 0.01):
        super().__init__(l1=_check.not_negative(amount, "amount"))

    def __repr__(self) -> str:
        return f"L1(amount={self.l1})"


class L2(L1L2):
    """amount Σ w²; see `L1L2`. Its gradient is 2 amount w, so an optimizer's weight_decay is twice the amount."""

    def __init__(self, amount: float = 0.01):
        super().__init__(l2=_check.not_negative(amount, "amount"))

    def __repr__(self) -> str:
        return f"L2(amount={self.l2})"


class Orthogonal:
    """amount |W W^T - I|², the sum of squares: draws a matrix to one that keeps lengths (Vorontsov et al. 2017).

    Of a matrix with more rows than columns it is |W^T W - I|², which differs from the other by a constant and is 0
    where all columns are orthogonal.

    Parameters
    ----------
    amount : float
        At least 0.
    gates : int
        How many matrices of equal size stand on each other in the parameter, each to be orthogonal by itself: of the
        recurrent weights 4 of an LSTM, 3 of a GRU.

    Notes
    -----
    E. Vorontsov et al. 2017, "On orthogonality and learning recurrent networks with long term dependencies"
    (arXiv:1702.00071).

    Examples
    --------
    >>> penalty, gradient = Orthogonal(0.5)(np.array([[1.0, 0.0], [0.0, 2.0]]))
    >>> penalty, gradient.tolist()
    (4.5, [[0.0, 0.0], [0.0, 12.0]])
    """

    def __init__(self, amount: float = 0.01, gates: int = 1):
        self.amount, self.gates = _check.not_negative(amount, "amount"), _check.size(gates, "gates")

    def __call__(self, weight: Array) -> tuple[float, Array]:
        """The penalty of a parameter (gates rows, columns), and its gradient."""
        if weight.ndim != 2 or weight.shape[0] % self.gates:
            what = f"a matrix of {self.gates} equal parts" if self.gates > 1 else "a matrix"
            raise ValueError(f"Orthogonal: the parameter must be {what}, got shape {weight.shape}")
        W = weight.reshape(self.gates, -1, weight.shape[1])
        tall = W.shape[1] > W.shape[2]
        W_T = W.swapaxes(1, 2)
        off = (W_T @ W if tall else W @ W_T) - np.eye(min(W.shape[1:]), dtype=W.dtype)
        gradient = W @ off if tall else off @ W
        return self.amount * _sum_of_squares(off), (4 * self.amount * gradient).reshape(weight.shape)

    def __repr__(self) -> str:
        return f"Orthogonal(amount={self.amount}, gates={self.gates})"


def add_penalties(model: Layer, regularizers: Penalties | None) -> float:
    """Add the penalties' gradients to the model's, and give the penalties' sum."""
    total = 0.0
    for block, inner, regularizer in chosen(model, regularizers, "regularizers"):
        penalty, gradient = regularizer(block.array(inner))
        with block.lock:
            into = block.grad_array(inner)
            into += gradient
        total += float(penalty)
    return total


def _sum_of_squares(array: Array) -> float:
    return float(np.square(array, dtype=np.float64).sum())
