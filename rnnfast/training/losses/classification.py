"""Losses of classes: from scores of classes, of yes-or-no questions, and between distributions."""

from typing import Any

import numpy as np

from rnnfast import ops
from rnnfast.layers import _check
from rnnfast.training.losses._base import Loss
from rnnfast.training.losses._places import PlaceLoss, Places, check_predictions, like_predictions, signs


class CrossEntropy(Loss):
    """-log softmax(logits)[target]: logits (..., C), integer targets (...).

    Parameters
    ----------
    ignore_index : int, optional
        Places with this target do not count, as if the mask said so. It need not be a class.
    label_smoothing : float
        s of 0 to 1: the target's probability is 1 - s + s / C, that of each other class s / C.
    class_weights : array_like (C,), optional
        What the loss of each class is multiplied by. The count is then the sum of the targets' weights, so that the
        mean is the weighted mean.

    Notes
    -----
    With p = softmax(logits), class weights w (1 where none are given) and the target y, a place's loss is

        -(1 - s) w[y] log p[y] - s / C sum_c w[c] log p[c]

    and the mean divides the sum by the sum of w[y]: what `torch.nn.functional.cross_entropy` gives. Label smoothing:
    Szegedy et al. 2016, section 7. Where a logit is -inf, smoothing makes the loss infinite.

    Examples
    --------
    >>> total, count, _ = CrossEntropy()(np.zeros((2, 4), np.float32), [1, 3])
    >>> round(total / count, 4), round(float(np.log(4)), 4)
    (1.3863, 1.3863)
    >>> CrossEntropy(class_weights=[1.0, 0.5])(np.zeros((3, 2)), [0, 1, 1])[1]
    2.0
    """

    name = "cross_entropy"

    def __init__(
        self, ignore_index: int | None = None, label_smoothing: float = 0.0, class_weights: Any = None
    ) -> None:
        if ignore_index is not None and not isinstance(ignore_index, (int, np.integer)):
            raise TypeError(f"ignore_index must be a whole number or None, got {ignore_index!r}")
        self.ignore_index = ignore_index
        self.label_smoothing = _check.not_negative(label_smoothing, "label_smoothing", 1.0)
        self.class_weights = None if class_weights is None else _not_negative(class_weights, "class_weights")
        if self.class_weights is not None and self.class_weights.ndim != 1:
            raise ValueError(f"class_weights must have shape (C,), got {self.class_weights.shape}")

    def __call__(
        self, predictions: np.ndarray, targets: Any, mask: np.ndarray | None = None, weights: Any = None
    ) -> tuple[float, Any, np.ndarray]:
        """See `Loss`; the count is of places, (B,) or (B, T), or of their class weights."""
        predictions = check_predictions(predictions, self.name)
        targets = np.asarray(targets)
        if targets.dtype.kind not in "iu":
            if targets.size:
                raise TypeError(f"cross_entropy: targets must be integers, got dtype {targets.dtype}")
            targets = targets.astype(np.int64)
        if targets.shape != predictions.shape[:-1] or not predictions.ndim:
            raise ValueError(
                f"cross_entropy: targets must have shape {predictions.shape[:-1]} for predictions of shape "
                f"{predictions.shape}, got {targets.shape}"
            )
        classes = self.class_weights
        if classes is not None and len(classes) != predictions.shape[-1]:
            raise ValueError(
                f"cross_entropy: there are {len(classes)} class_weights for predictions of shape {predictions.shape}"
            )
        if self.ignore_index is not None:
            counts = targets != self.ignore_index
            mask = counts if mask is None else counts & Places(targets.shape, mask, None, None).mask
        places = Places(targets.shape, mask, weights, np.float64)
        return ops.cross_entropy(
            predictions,
            targets,
            places.mask,
            places.weights,
            class_weights=classes,
            label_smoothing=self.label_smoothing,
        )


class BinaryCrossEntropy(Loss):
    """-t log y - (1 - t) log(1 - y): logits or probabilities (..., F), targets t of 0 to 1 of the same shape.

    A last axis of 1 may be missing from the targets.

    Parameters
    ----------
    from_logits : bool
        Whether predictions x are logits, y = sigmoid(x), as a last `Linear` layer gives them: exact for x of any size.
        False takes probabilities, as a sigmoid gives them.
    pos_weight : float or array_like (F,), optional
        What t log y is multiplied by, for all or for each number along the last axis: more than 1 finds more of the
        rare ones.
    label_smoothing : float
        s of 0 to 1: targets become t (1 - s) + s / 2.

    Notes
    -----
    That of `torch.nn.functional.binary_cross_entropy_with_logits`. Without logits it is that of
    `torch.nn.functional.binary_cross_entropy`: logarithms are at least -100, and what the gradient
    (y - t) / (y (1 - y)) is divided by is at least 1e-12, so that both are finite at 0 and 1. Label smoothing is
    Keras's.

    Examples
    --------
    >>> total, count, gradient = BinaryCrossEntropy()(np.array([[0.0], [800.0]]), [1, 1])
    >>> round(total, 4), count, gradient.tolist()
    (0.6931, 2, [[-0.5], [0.0]])
    """

    name = "binary_cross_entropy"

    def __init__(self, from_logits: bool = True, pos_weight: Any = None, label_smoothing: float = 0.0) -> None:
        self.from_logits = bool(from_logits)
        self.pos_weight = None if pos_weight is None else _not_negative(pos_weight, "pos_weight")
        self.label_smoothing = _check.not_negative(label_smoothing, "label_smoothing", 1.0)
        if self.pos_weight is not None and self.pos_weight.ndim > 1:
            raise ValueError(f"pos_weight must be a number or of shape (F,), got {self.pos_weight.shape}")

    def __call__(
        self, predictions: np.ndarray, targets: Any, mask: np.ndarray | None = None, weights: Any = None
    ) -> tuple[float, int, np.ndarray]:
        """See `Loss`; the count is of numbers."""
        predictions = check_predictions(predictions, self.name)
        shape = predictions.shape
        targets = like_predictions(targets, predictions, self.name)
        positive = self.pos_weight
        if positive is not None:
            if positive.ndim and positive.shape != shape[-1:]:
                raise ValueError(f"{self.name}: pos_weight has shape {positive.shape}, predictions {shape}")
            positive = np.broadcast_to(positive, shape[-1:] or (1,))
        places = Places(shape, mask, weights, np.float64)
        return ops.binary_cross_entropy(
            predictions,
            targets,
            places.mask,
            places.weights,
            positive_weights=positive,
            label_smoothing=self.label_smoothing,
            from_logits=self.from_logits,
        )


class Hinge(PlaceLoss):
    """max(0, 1 - t x): scores x, targets t of 1 and -1 (or 0) of the same shape.

    A last axis of 1 may be missing from the targets. The count is of numbers.

    Parameters
    ----------
    squared : bool
        Whether to take the square of that.

    Notes
    -----
    Keras's `Hinge` and `SquaredHinge`; the support vector machine's (Cortes and Vapnik 1995).

    Examples
    --------
    >>> Hinge()(np.array([0.5, 2.0, 0.5]), [1, 1, -1])
    (2.0, 3, array([-1.,  0.,  1.]))
    """

    name = "hinge"

    def __init__(self, squared: bool = False) -> None:
        self.squared = bool(squared)

    def _each(self, predictions: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        t = signs(targets, self.name)
        short = np.maximum(1 - t * predictions, 0)
        if self.squared:
            return short * short, -2 * t * short
        return short, np.where(short > 0, -t, 0 * short)


class KLDivergence(PlaceLoss):
    """sum_c t[c] (log t[c] - x[c]): log-probabilities x (..., C), probabilities t of the same shape.

    Notes
    -----
    Kullback and Leibler 1951, with the arguments of `torch.nn.functional.kl_div`: predictions are logarithms, as
    logits minus their logsumexp give them; targets are not. Where t is 0 the term is 0. The count is of places, (B,)
    or (B, T), so that the mean is torch's "batchmean". Keras's loss of a similar name takes probabilities twice.

    Examples
    --------
    >>> total, count, gradient = KLDivergence()(np.log([[0.5, 0.5]]), [[1.0, 0.0]])
    >>> round(total, 4), count, gradient
    (0.6931, 1, array([[-1.,  0.]]))
    """

    name = "kl_div"
    inner = 1

    def _each(self, predictions: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if (targets < 0).any():
            raise ValueError(f"{self.name}: targets must be probabilities, got {targets[targets < 0][0]}")
        held = targets != 0
        terms = targets * (np.log(np.where(held, targets, 1)) - predictions)
        return np.where(held, terms, 0).sum(axis=-1), 0 - targets


def _not_negative(value: Any, name: str) -> np.ndarray:
    """Finite numbers of at least 0, as float64."""
    array = _check.real(value, np.dtype(np.float64), name)
    if not (np.isfinite(array) & (array >= 0)).all():
        raise ValueError(f"{name} must be finite and at least 0, got {value!r:.80}")
    return array
