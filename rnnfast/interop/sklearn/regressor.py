"""One number or several for each sequence, in scikit-learn's manner."""

from typing import Any, Self

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_array

from rnnfast.interop.sklearn._estimator import FITTED, NETWORK, SEQUENCES, TRAINING, SequenceEstimator
from rnnfast.interop.sklearn._sequences import Sequences

Array = np.ndarray


class RNNRegressor(RegressorMixin, SequenceEstimator):
    __doc__ = f"""Tell numbers of a sequence: recurrent layers, one vector of all their steps, a linear output.

    Parameters
    ----------
{NETWORK}
    scale : bool
        Whether features and targets are brought to mean 0 and deviation 1, as in the training data; predictions are
        brought back. Losses of counts ("poisson") want False.
    loss : str or Loss
        "mse", "mae", "huber", "log_cosh", ...
{TRAINING}

    Attributes
    ----------
    n_outputs_ : int
    target_scaler_ : sklearn.preprocessing.StandardScaler or None
{FITTED}

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(200, 8, 3))
    >>> y = 100 + 10 * x[:, :, 0].mean(axis=1)
    >>> model = RNNRegressor(cell="gru", hidden_size=16, epochs=30, random_state=0).fit(x[:150], y[:150])
    >>> bool(model.score(x[150:], y[150:]) > 0.9)
    True
    """

    def __init__(
        self,
        *,
        cell: str = "lstm",
        hidden_size: Any = 64,
        num_layers: int | None = None,
        bidirectional: bool = False,
        pooling: str = "last",
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        scale: bool = True,
        loss: Any = "mse",
        optimizer: Any = "adam",
        learning_rate: float = 3e-3,
        weight_decay: float = 0.0,
        clip_norm: float | None = 1.0,
        epochs: int = 50,
        batch_size: Any = 32,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        warm_start: bool = False,
        n_threads: int | None = None,
        dtype: str = "float32",
        random_state: Any = None,
        verbose: bool = False,
    ):
        self.cell, self.hidden_size, self.num_layers, self.bidirectional = cell, hidden_size, num_layers, bidirectional
        self.pooling, self.dropout, self.recurrent_dropout, self.scale = pooling, dropout, recurrent_dropout, scale
        self.loss, self.optimizer, self.learning_rate, self.weight_decay = loss, optimizer, learning_rate, weight_decay
        self.clip_norm, self.epochs, self.batch_size = clip_norm, epochs, batch_size
        self.early_stopping, self.validation_fraction = early_stopping, validation_fraction
        self.n_iter_no_change, self.warm_start, self.n_threads = n_iter_no_change, warm_start, n_threads
        self.dtype, self.random_state, self.verbose = dtype, random_state, verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        return self._train(X, y, sample_weight)

    fit.__doc__ = f"""Train a network, a new one unless `warm_start`.

        Parameters
        ----------
{SEQUENCES}
        y : array_like (N,) or (N, K)
            A number for each sequence, or K of them.
        sample_weight : array_like (N,), optional
            Divided by its mean.

        Returns
        -------
        The estimator itself.

        Raises
        ------
        TypeError, ValueError
            When X and y do not fit each other, or an argument is out of range.
        """

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Go once through new data.

        The first call makes the network, and learns the scale of features and targets from its data.

        Parameters
        ----------
        X, y, sample_weight
            As of `fit`; weights are taken as they are.

        Returns
        -------
        The estimator itself.
        """
        return self._train(X, y, sample_weight, once=True)

    def predict(self, X: Any) -> Array:
        """A number for each sequence, (N,), or K of them, (N, K), as y had."""
        found = self._raw(X)
        if self.target_scaler_ is not None:
            found = found * self.target_scaler_.scale_ + self.target_scaler_.mean_
        return found[:, 0] if self._is_single else found

    @property
    def _loss(self) -> Any:  # type: ignore[override]
        return self.loss

    def _check_targets(self, y: Any) -> Array:
        return check_array(y, ensure_2d=False, dtype=np.float64, input_name="y", estimator=self)

    def _learn_targets(self, y: Array, weights: Array | None, classes: Any) -> None:
        self._is_single = y.ndim == 1
        columns = y.reshape(len(y), -1)
        self.n_outputs_ = columns.shape[1]
        self.target_scaler_ = StandardScaler().fit(columns, sample_weight=weights) if self.scale else None

    def _targets(self, y: Array) -> Array:
        columns = y.reshape(len(y), -1)
        if columns.shape[1] != self.n_outputs_:
            raise ValueError(f"y must have {self.n_outputs_} columns, as that fitted before, got {columns.shape[1]}")
        if self.target_scaler_ is not None:
            columns = (columns - self.target_scaler_.mean_) / self.target_scaler_.scale_
        return columns.astype(self.dtype)

    def _outputs(self) -> int:
        return self.n_outputs_

    def _weights(self, x: Sequences, y: Any, given: Any, whole: bool) -> Array | None:
        weights = super()._weights(x, y, given, whole)
        return weights if weights is None or not whole else weights / weights.mean()
