"""Negative log-likelihoods of a number under a distribution whose parameters the model gives along the last axis.

Scales come as raw numbers r of any size and are softplus(r) + min_scale, with softplus(r) = log(1 + exp(r)). Everything
is computed in float64; the count is of places, (B,) or (B, T).
"""

import math
from typing import Any

import numpy as np

from rnnfast.layers import _check
from rnnfast.training.losses._places import PlaceLoss

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


class _Likelihood(PlaceLoss):
    inner = 1
    _wanted = ""

    def _fits(self, numbers: int) -> bool:
        raise NotImplementedError

    def _check_parameters(self, predictions: np.ndarray) -> None:
        if not predictions.ndim or not self._fits(predictions.shape[-1]):
            raise ValueError(f"{self.name}: predictions must have shape {self._wanted}, got {predictions.shape}")

    def _targets(self, targets: Any, predictions: np.ndarray) -> np.ndarray:
        self._check_parameters(predictions)
        targets = _check.real(targets, predictions.dtype, f"{self.name}: targets")
        if targets.shape == (*predictions.shape[:-1], 1):
            targets = targets[..., 0]
        if targets.shape != predictions.shape[:-1]:
            raise ValueError(
                f"{self.name}: targets must have shape {predictions.shape[:-1]} for predictions of shape "
                f"{predictions.shape}, got {targets.shape}"
            )
        return targets


class GaussianNLL(_Likelihood):
    """-log N(target; mean, scale²): predictions (..., 2) hold a mean and a raw scale, targets are (...) or (..., 1).

    Parameters
    ----------
    min_scale : float
        The least standard deviation: that of softplus(raw) + min_scale where raw is far below 0.

    Notes
    -----
    (t - m)² / (2 s²) + log s + log(2 pi) / 2, with the mean m and s = softplus(raw) + min_scale (Nix and Weigend
    1994).

    Examples
    --------
    >>> loss = GaussianNLL()
    >>> predictions = np.array([[1.0, 0.5413248546129181]])
    >>> total, count, _ = loss(predictions, [3.0])
    >>> round(total, 4), count
    (2.9189, 1)
    >>> mean, scale = loss.parameters(predictions)
    >>> mean.tolist(), scale.round(4).tolist()
    ([1.0], [1.0])
    """

    name = "gaussian_nll"
    _wanted = "(..., 2), a mean and a raw scale"

    def __init__(self, min_scale: float = 1e-6) -> None:
        self.min_scale = _check.not_negative(min_scale, "min_scale")

    def _fits(self, numbers: int) -> bool:
        return numbers == 2

    def parameters(self, predictions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation, both (...), of predictions (..., 2)."""
        self._check_parameters(predictions)
        return predictions[..., 0], _softplus(predictions[..., 1]) + self.min_scale

    def _each(self, predictions: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        predictions = predictions.astype(np.float64)
        mean, scale = self.parameters(predictions)
        z = (targets - mean) / scale
        losses = 0.5 * z * z + np.log(scale) + _HALF_LOG_2PI
        return losses, np.stack([-z / scale, (1 - z * z) / scale * _sigmoid(predictions[..., 1])], axis=-1)


class StudentNLL(_Likelihood):
    """-log of Student's t density: predictions (..., 3) hold a mean, a raw scale and raw degrees of freedom.

    Its tails are heavy: a target far off costs the logarithm of its distance. Targets are (...) or (..., 1).

    Parameters
    ----------
    min_scale : float
        The scale is softplus(raw) + min_scale.
    min_degrees : float
        The degrees of freedom are softplus(raw) + min_degrees. From 2 on there is a variance.

    Notes
    -----
    log s + log(pi v) / 2 + log Gamma(v / 2) - log Gamma((v + 1) / 2) + (v + 1) / 2 log(1 + z² / v), with the mean m,
    the scale s, the degrees of freedom v and z = (t - m) / s (Lange, Little and Taylor 1989).

    Examples
    --------
    >>> loss = StudentNLL()
    >>> predictions = np.array([[0.0, 0.0, 0.0]])
    >>> [round(float(each[0]), 4) for each in loss.parameters(predictions)]
    [0.0, 0.6931, 2.6931]
    >>> round(loss(predictions, [0.0])[0], 4)
    0.6434
    """

    name = "student_nll"
    _wanted = "(..., 3), a mean, a raw scale and raw degrees of freedom"

    def __init__(self, min_scale: float = 1e-6, min_degrees: float = 2.0) -> None:
        self.min_scale = _check.not_negative(min_scale, "min_scale")
        self.min_degrees = _check.not_negative(min_degrees, "min_degrees")

    def _fits(self, numbers: int) -> bool:
        return numbers == 3

    def parameters(self, predictions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean, scale and degrees of freedom, each (...), of predictions (..., 3)."""
        self._check_parameters(predictions)
        mean, scale, degrees = np.moveaxis(predictions, -1, 0)
        return mean, _softplus(scale) + self.min_scale, _softplus(degrees) + self.min_degrees

    def _each(self, predictions: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        predictions = predictions.astype(np.float64)
        mean, scale, v = self.parameters(predictions)
        z = (targets - mean) / scale
        # z² / (v + z²), which is 1 where z² overflows.
        far = 1 / (1 + v / (z * z))
        tail = np.log1p(z * z / v)
        gamma, gamma_slope = _log_gamma_half_step(v / 2)
        losses = np.log(scale) + 0.5 * np.log(math.pi * v) - gamma + 0.5 * (v + 1) * tail
        to_mean = -(v + 1) * z / (v + z * z) / scale
        to_scale = (1 - (v + 1) * far) / scale
        to_degrees = 0.5 * (1 / v - gamma_slope + tail - (v + 1) / v * far)
        slopes = [to_mean, to_scale * _sigmoid(predictions[..., 1]), to_degrees * _sigmoid(predictions[..., 2])]
        return losses, np.stack(slopes, axis=-1)


class MixtureNLL(_Likelihood):
    """-log of a mixture of K normal densities: predictions (..., 3K) hold K logits, then K means, then K raw scales.

    Targets are (...) or (..., 1).

    Parameters
    ----------
    min_scale : float
        The least standard deviation: each is softplus(raw) + min_scale. Greater ones keep a component from
        collapsing onto a single example, where the likelihood knows no bound.

    Notes
    -----
    -log sum_k p_k N(t; m_k, s_k²), p = softmax(logits): the mixture density network (Bishop 1994; for sequences Graves
    2013, section 4). The gradients are those of the components' losses, each times its responsibility.

    Examples
    --------
    >>> loss = MixtureNLL()
    >>> predictions = np.array([[0.0, 0.0, -1.0, 1.0, 0.0, 0.0]])
    >>> [each.round(4).tolist() for each in loss.parameters(predictions)]
    [[[0.5, 0.5]], [[-1.0, 1.0]], [[0.6931, 0.6931]]]
    >>> round(loss(predictions, [1.0])[0], 4)
    1.2301
    """

    name = "mixture_nll"
    _wanted = "(..., 3 K), K logits, K means and K raw scales"

    def __init__(self, min_scale: float = 1e-6) -> None:
        self.min_scale = _check.not_negative(min_scale, "min_scale")

    def _fits(self, numbers: int) -> bool:
        return numbers > 0 and numbers % 3 == 0

    def parameters(self, predictions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Shares, means and standard deviations, each (..., K), of predictions (..., 3K)."""
        self._check_parameters(predictions)
        logits, means, scales = np.split(predictions, 3, axis=-1)
        return np.exp(_log_softmax(logits)), means, _softplus(scales) + self.min_scale

    def _each(self, predictions: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        predictions = predictions.astype(np.float64)
        logits, _, raw = np.split(predictions, 3, axis=-1)
        shares, means, scales = self.parameters(predictions)
        z = (targets[..., None] - means) / scales
        logs = _log_softmax(logits) - 0.5 * z * z - np.log(scales) - _HALF_LOG_2PI
        highest = logs.max(axis=-1, keepdims=True)
        powers = np.exp(logs - highest)
        sums = powers.sum(axis=-1, keepdims=True)
        responsibilities = powers / sums
        slopes = [
            shares - responsibilities,
            -responsibilities * z / scales,
            responsibilities * (1 - z * z) / scales * _sigmoid(raw),
        ]
        return -(highest + np.log(sums))[..., 0], np.concatenate(slopes, axis=-1)


def _softplus(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0) + np.log1p(np.exp(-abs(x)))


def _sigmoid(x: np.ndarray) -> np.ndarray:
    power = np.exp(-abs(x))
    return np.where(x >= 0, 1, power) / (1 + power)


def _log_softmax(x: np.ndarray) -> np.ndarray:
    x = x - x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


# B_k (2^(1 - k) - 2) / (k (k - 1)) for k = 2, 4, ...: what divides x^(k - 1) below. B_k are the Bernoulli numbers.
_SERIES = [
    (k, bernoulli * (2.0 ** (1 - k) - 2) / (k * (k - 1)))
    for k, bernoulli in ((2, 1 / 6), (4, -1 / 30), (6, 1 / 42), (8, -1 / 30), (10, 5 / 66), (12, -691 / 2730))
]
_SHIFT = 12


def _log_gamma_half_step(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """log Gamma(x + 1/2) - log Gamma(x) for x > 0, and its derivative.

    The asymptotic series of DLMF 5.11.8 at x + 12, and from there down by Gamma(x + 1) = x Gamma(x). The difference is
    taken term by term: that of two logarithms of great Gammas would cancel.
    """
    y = x + _SHIFT
    value, slope = 0.5 * np.log(y), 0.5 / y
    for k, factor in _SERIES:
        value = value + factor / y ** (k - 1)
        slope = slope - (k - 1) * factor / y**k
    for step in range(_SHIFT):
        below = x + step
        value = value - np.log1p(0.5 / below)
        slope = slope + 0.5 / (below * (below + 0.5))
    return value, slope
