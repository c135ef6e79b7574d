"""The loss of a linear-chain conditional random field."""

from typing import Any

import numpy as np

from rnnfast import ops
from rnnfast.training.losses._base import Loss
from rnnfast.training.losses._places import check_predictions
from rnnfast.training.losses._sequences import Sequences


class CRFLoss(Loss):
    """-log p(tags | potentials) of whole sequences of tags (Lafferty et al. 2001; Lample et al. 2016, equation 2).

    log p = s(tags) - log of the sum of exp(s(y)) over all sequences of tags y, with the score
    s(y) = potentials[0, 0, y_0] + sum over t >= 1 of potentials[t, y_{t-1}, y_t].

    Notes
    -----
    Predictions are the potentials (B, T, C, C) that `rnnfast.layers.CRF` gives, targets are integers (B, T); those
    beyond a sequence's end are not read. A mask (B, T) gives the lengths. The count is the number of sequences, those
    of length 0, whose loss is 0, with them; a mask (B,) or a weight of 0 leaves sequences out. Weights are (B,).
    Where a target's potential is -inf, the loss is infinite and the sequence's gradient zero.

    Examples
    --------
    >>> total, count, gradient = CRFLoss()(np.zeros((1, 3, 2, 2)), [[0, 1, 1]])
    >>> round(float(np.exp(-total)), 6), count  # one of eight sequences of tags
    (0.125, 1)
    >>> gradient[0, 2].round(6).tolist()
    [[0.25, 0.25], [0.25, -0.75]]
    """

    name = "crf"

    def __call__(
        self, predictions: np.ndarray, targets: Any, mask: np.ndarray | None = None, weights: Any = None
    ) -> tuple[float, int, np.ndarray]:
        """See `Loss`; the count is of sequences.

        Raises
        ------
        TypeError, ValueError
            When a shape or dtype does not fit, a target that counts is out of range, or the mask has True after False.
        """
        predictions = check_predictions(predictions, self.name)
        shape = predictions.shape
        if predictions.ndim != 4 or shape[2] != shape[3]:
            raise ValueError(f"crf: predictions must be potentials (B, T, C, C), as the layer CRF gives, got {shape}")
        targets = np.asarray(targets)
        if targets.dtype.kind not in "iu" and targets.size:
            raise TypeError(f"crf: targets must be integers, got dtype {targets.dtype}")
        if targets.shape != shape[:2]:
            raise ValueError(f"crf: targets must have shape {shape[:2]} for predictions {shape}, got {targets.shape}")
        sequences = Sequences((shape[0], shape[1]), mask, weights, self.name)
        read = (np.arange(shape[1]) < sequences.lengths[:, None]) & (sequences.weights != 0)[:, None]
        losses, gradient = ops.crf(predictions, np.where(read, targets, 0), sequences.lengths, sequences.weights)
        return sequences.total(losses), sequences.count, gradient
