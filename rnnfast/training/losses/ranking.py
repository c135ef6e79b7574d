"""Losses of pairs and triples: what belongs together is to be nearer, or to score higher, than what does not.

Predictions are one array with an axis of 2 or 3, or the outputs of a graph by name, as where one encoder reads each.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rnnfast.layers import _check
from rnnfast.training.losses._places import PlaceLoss, check_predictions, signs
from rnnfast.training.losses.regression import cosine


class TupleLoss(PlaceLoss):
    """What the losses of pairs and triples share.

    Parameters
    ----------
    outputs : sequence of str, optional
        The names of the outputs to compare, in order, where predictions are a mapping of outputs by name.

    Notes
    -----
    Of vectors, one array is (..., 2, F) or (..., 3, F), and each output (..., F). Of scores, one array is (..., 2),
    and each output (...). The gradient has the predictions' form; other outputs have the gradient None. Mask and
    weights are of the places, (B,) or (B, T); masks by the output's name must agree for a place to count.
    """

    members = 2
    vectors = True
    has_targets = True

    def __init__(self, outputs: Sequence[str] | None = None) -> None:
        self.outputs: tuple[str, ...] | None = None
        if outputs is not None:
            names = () if isinstance(outputs, str) else tuple(outputs)
            if len(names) != self.members or not all(isinstance(name, str) for name in names):
                raise ValueError(f"{self.name}: outputs must be {self.members} names, got {outputs!r}")
            self.outputs = names

    @property
    def inner(self) -> int:  # type: ignore[override]
        """The axis of the members, and that of their vectors."""
        return 2 if self.vectors else 1

    def __call__(self, predictions: Any, targets: Any = None, mask: Any = None, weights: Any = None) -> Any:
        """See `Loss`; predictions, mask and gradient may be by the output's name. The count is of pairs or triples."""
        if not isinstance(predictions, Mapping):
            return super().__call__(predictions, targets, mask, weights)
        names = self._names(predictions)
        parts = [check_predictions(predictions[name], f"{self.name}: {name}") for name in names]
        for name, part in zip(names, parts, strict=True):
            if part.shape != parts[0].shape or part.dtype != parts[0].dtype or part.ndim < self.vectors:
                raise ValueError(
                    f"{self.name}: outputs must have one dtype and one shape, {'(..., F)' if self.vectors else '(...)'}"
                    f"; {names[0]} is {parts[0].dtype} of {parts[0].shape}, {name} {part.dtype} of {part.shape}"
                )
        if isinstance(mask, Mapping):
            given = [np.asarray(mask[name]) for name in names if mask.get(name) is not None]
            mask = np.logical_and.reduce(given) if given else None
        targets, weights = (
            next((each[name] for name in names if each.get(name) is not None), None)
            if isinstance(each, Mapping)
            else each
            for each in (targets, weights)
        )
        axis = parts[0].ndim - self.vectors
        total, count, gradient = super().__call__(np.stack(parts, axis=axis), targets, mask, weights)
        gradients: dict[str, Any] = dict.fromkeys(predictions)
        for place, name in enumerate(names):
            gradients[name] = np.ascontiguousarray(gradient.take(place, axis))
        return total, count, gradients

    def _names(self, predictions: Mapping[str, Any]) -> tuple[str, ...]:
        there = ", ".join(map(str, predictions))
        if self.outputs is None:
            raise ValueError(
                f"{self.name}: say with outputs= which {self.members} of the outputs to compare; there are {there}"
            )
        for name in self.outputs:
            if name not in predictions:
                raise ValueError(f"{self.name}: there is no output {name!r}; there are {there}")
        return self.outputs

    def _targets(self, targets: Any, predictions: np.ndarray) -> np.ndarray:
        shape = predictions.shape
        if len(shape) < self.inner or shape[len(shape) - self.inner] != self.members:
            wanted = f"(..., {self.members}, F)" if self.vectors else f"(..., {self.members})"
            raise ValueError(f"{self.name}: predictions must have shape {wanted}, got {shape}")
        places = shape[: len(shape) - self.inner]
        if not self.has_targets:
            return np.zeros(places, predictions.dtype)
        targets = _check.real(targets, predictions.dtype, f"{self.name}: targets")
        for longer in (targets[..., None], targets[..., 0] if targets.shape[-1:] == (1,) else targets):
            if longer.shape == places:
                return longer
        if targets.shape != places:
            raise ValueError(f"{self.name}: targets must have shape {places}, got {targets.shape}")
        return targets

    def _each(self, predictions: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        parts = np.moveaxis(predictions.astype(np.float64), 1, 0)
        losses, slopes = self._compare(targets.astype(np.float64), *parts)
        return losses, np.stack(slopes, axis=1)

    def _compare(self, targets: np.ndarray, *parts: np.ndarray) -> tuple[np.ndarray, Sequence[np.ndarray]]:
        """Losses (N,), and their gradient by each part, (N, F) or (N,)."""
        raise NotImplementedError


class MarginRanking(TupleLoss):
    """max(0, margin - t (a - b)): scores a, b, as an array (..., 2) or two outputs; targets t of 1 and -1 (or 0).

    Where t is 1, a is to be greater than b by the margin; else b than a.

    Parameters
    ----------
    margin : float
    outputs : sequence of str, optional
        The names of a and b where predictions are a mapping of outputs by name.

    Notes
    -----
    `torch.nn.functional.margin_ranking_loss` (Herbrich et al. 1999).

    Examples
    --------
    >>> MarginRanking(margin=1.0)(np.array([[2.0, 1.5]]), [1])
    (0.5, 1, array([[-1.,  1.]]))
    """

    name = "margin_ranking"
    vectors = False

    def __init__(self, margin: float = 0.0, outputs: Sequence[str] | None = None) -> None:
        super().__init__(outputs)
        self.margin = _check.not_negative(margin, "margin")

    def _compare(self, targets: np.ndarray, *parts: np.ndarray) -> tuple[np.ndarray, Sequence[np.ndarray]]:
        t = signs(targets, self.name)
        losses, slope = _above_zero(self.margin - t * (parts[0] - parts[1]))
        return losses, (0 - t * slope, t * slope)


class BPR(TupleLoss):
    """-log sigmoid(a - b): scores a of what was chosen and b of what was not, as an array (..., 2) or two outputs.

    Parameters
    ----------
    outputs : sequence of str, optional
        The names of a and b where predictions are a mapping of outputs by name.

    Notes
    -----
    Bayesian personalised ranking (Rendle et al. 2009, section 4). There are no targets: what is given is not read.

    Examples
    --------
    >>> total, count, gradient = BPR(outputs=("bought", "seen"))({"bought": np.zeros(1), "seen": np.zeros(1)})
    >>> round(total, 4), count, gradient
    (0.6931, 1, {'bought': array([-0.5]), 'seen': array([0.5])})
    """

    name = "bpr"
    vectors = False
    has_targets = False

    def _compare(self, targets: np.ndarray, *parts: np.ndarray) -> tuple[np.ndarray, Sequence[np.ndarray]]:
        difference = parts[0] - parts[1]
        power = np.exp(-abs(difference))
        slope = np.where(difference >= 0, power, 1) / (1 + power)
        return np.log1p(power) + np.maximum(-difference, 0), (-slope, slope)


class Triplet(TupleLoss):
    """max(0, |a - p| - |a - n| + margin): an anchor a, a positive p like it, a negative n unlike it.

    Parameters
    ----------
    margin : float
    epsilon : float
        Added to each number of the differences, as torch does; it keeps a norm of 0 away.
    outputs : sequence of str, optional
        The names of anchor, positive and negative where predictions are a mapping of outputs by name.

    Notes
    -----
    `torch.nn.functional.triplet_margin_loss` with p=2 (Schroff et al. 2015 with distances not squared). There are no
    targets: what is given is not read.

    Examples
    --------
    >>> total, count, _ = Triplet()(np.array([[[0.0, 0.0], [0.0, 1.0], [1.5, 0.0]]]))
    >>> round(total, 4), count
    (0.5, 1)
    """

    name = "triplet"
    members = 3
    has_targets = False

    def __init__(self, margin: float = 1.0, epsilon: float = 1e-6, outputs: Sequence[str] | None = None) -> None:
        super().__init__(outputs)
        self.margin = _check.not_negative(margin, "margin")
        self.epsilon = _check.not_negative(epsilon, "epsilon")

    def _compare(self, targets: np.ndarray, *parts: np.ndarray) -> tuple[np.ndarray, Sequence[np.ndarray]]:
        anchor, positive, negative = parts
        near, to_near = _norm(anchor - positive + self.epsilon)
        far, to_far = _norm(anchor - negative + self.epsilon)
        losses, slope = _above_zero(near - far + self.margin)
        to_near, to_far = slope[:, None] * to_near, slope[:, None] * to_far
        return losses, (to_near - to_far, 0 - to_near, to_far)


class Contrastive(TupleLoss):
    """Half of d² for pairs that are alike (target 1), of max(0, margin - d)² for those that are not (0 or -1).

    Parameters
    ----------
    margin : float
    outputs : sequence of str, optional
        The names of the two where predictions are a mapping of outputs by name.

    Notes
    -----
    d is the Euclidean distance (Hadsell, Chopra and LeCun 2006, equation 4, where the labels are the other way round).
    The gradient where unlike ones are the same vector is 0.

    Examples
    --------
    >>> Contrastive(margin=2.0)(np.array([[[0.0], [1.0]], [[0.0], [1.0]]]), [1, 0])[:2]
    (1.0, 2)
    """

    name = "contrastive"

    def __init__(self, margin: float = 1.0, outputs: Sequence[str] | None = None) -> None:
        super().__init__(outputs)
        self.margin = _check.not_negative(margin, "margin")

    def _compare(self, targets: np.ndarray, *parts: np.ndarray) -> tuple[np.ndarray, Sequence[np.ndarray]]:
        alike = signs(targets, self.name) > 0
        difference = parts[0] - parts[1]
        distance, unit = _norm(difference)
        short, _ = _above_zero(self.margin - distance)
        losses = 0.5 * np.where(alike, distance, short) ** 2
        slope = np.where(alike[:, None], difference, -short[:, None] * unit)
        return losses, (slope, -slope)


class CosineEmbedding(TupleLoss):
    """1 - cos of the angle of pairs that are alike (target 1), max(0, cos - margin) of those that are not (-1 or 0).

    Parameters
    ----------
    margin : float
        Of -1 to 1: unlike pairs of no greater cosine cost nothing.
    epsilon : float
        Norms are taken to be at least this.
    outputs : sequence of str, optional
        The names of the two where predictions are a mapping of outputs by name.

    Notes
    -----
    `torch.nn.functional.cosine_embedding_loss`.

    Examples
    --------
    >>> CosineEmbedding()(np.array([[[0.0, 1.0], [1.0, 0.0]]]), [1])[:2]
    (1.0, 1)
    """

    name = "cosine_embedding"

    def __init__(self, margin: float = 0.0, epsilon: float = 1e-8, outputs: Sequence[str] | None = None) -> None:
        super().__init__(outputs)
        if not -1 <= margin <= 1:
            raise ValueError(f"margin must be -1 to 1, got {margin!r}")
        self.margin = float(margin)
        self.epsilon = _check.not_negative(epsilon, "epsilon")

    def _compare(self, targets: np.ndarray, *parts: np.ndarray) -> tuple[np.ndarray, Sequence[np.ndarray]]:
        alike = signs(targets, self.name) > 0
        similarity, first, second = cosine(parts[0], parts[1], self.epsilon)
        losses, slope = _above_zero(np.where(alike, 1 - similarity, similarity - self.margin))
        slope = np.where(alike, -1, slope)[:, None]
        return losses, (slope * first, slope * second)


def _above_zero(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """max(0, x) and its slope, 1 or 0, nan where x is."""
    return np.maximum(x, 0), np.where(x > 0, 1, 0 * x)


def _norm(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The length of rows, and the unit vectors along them: 0 where there is no length."""
    norm = np.sqrt((x * x).sum(axis=-1, keepdims=True))
    return norm[:, 0], x / np.where(norm == 0, 1, norm)
