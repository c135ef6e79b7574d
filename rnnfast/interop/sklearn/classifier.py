"""One label for each sequence, in scikit-learn's manner."""

from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils import column_or_1d, compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array

from rnnfast.decoding._steps import log_softmax
from rnnfast.interop.sklearn._estimator import FITTED, NETWORK, SEQUENCES, TRAINING, SequenceEstimator
from rnnfast.interop.sklearn._sequences import Sequences

Array = np.ndarray


class RNNClassifier(ClassifierMixin, SequenceEstimator):
    __doc__ = f"""Tell the class of a sequence: recurrent layers, one vector of all their steps, softmax.

    Parameters
    ----------
{NETWORK}
    scale : bool
        Whether features are brought to mean 0 and deviation 1, as in the training data.
{TRAINING}
    class_weight : mapping, "balanced" or None
        What the loss of each class is multiplied by; "balanced" makes all classes weigh the same.

    Attributes
    ----------
    classes_ : numpy.ndarray (C,)
        The labels, sorted.
{FITTED}

    Notes
    -----
    Weights of sequences and classes are divided by their mean. Where a batch holds all sequences, a weight of 2 is
    therefore the same as a sequence given twice; with smaller batches it is so on average.

    Examples
    --------
    >>> from sklearn.model_selection import cross_val_score
    >>> rng = np.random.default_rng(0)
    >>> up = np.arange(60) % 2
    >>> x = [rng.normal(0.3 * sign, size=rng.integers(10, 20)).cumsum() for sign in 2 * up - 1]
    >>> model = RNNClassifier(hidden_size=8, epochs=20, random_state=0)
    >>> bool(cross_val_score(model, x, np.where(up, "up", "down"), cv=3).mean() > 0.8)
    True
    """

    _loss = "cross_entropy"
    _metrics = ("accuracy",)

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
        optimizer: Any = "adam",
        learning_rate: float = 3e-3,
        weight_decay: float = 0.0,
        clip_norm: float | None = 1.0,
        epochs: int = 50,
        batch_size: Any = 32,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        class_weight: Any = None,
        warm_start: bool = False,
        n_threads: int | None = None,
        dtype: str = "float32",
        random_state: Any = None,
        verbose: bool = False,
    ):
        self.cell, self.hidden_size, self.num_layers, self.bidirectional = cell, hidden_size, num_layers, bidirectional
        self.pooling, self.dropout, self.recurrent_dropout, self.scale = pooling, dropout, recurrent_dropout, scale
        self.optimizer, self.learning_rate, self.weight_decay = optimizer, learning_rate, weight_decay
        self.clip_norm, self.epochs, self.batch_size = clip_norm, epochs, batch_size
        self.early_stopping, self.validation_fraction = early_stopping, validation_fraction
        self.n_iter_no_change, self.class_weight, self.warm_start = n_iter_no_change, class_weight, warm_start
        self.n_threads, self.dtype, self.random_state, self.verbose = n_threads, dtype, random_state, verbose

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        return self._train(X, y, sample_weight)

    fit.__doc__ = f"""Train a network, a new one unless `warm_start`.

        Parameters
        ----------
{SEQUENCES}
        y : array_like (N,)
            Labels: numbers or strings.
        sample_weight : array_like (N,), optional

        Returns
        -------
        The estimator itself.

        Raises
        ------
        TypeError, ValueError
            When X and y do not fit each other, or an argument is out of range.
        """

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Go once through new data.

        The first call makes the network, and learns the features' scale from its data.

        Parameters
        ----------
        X, y, sample_weight
            As of `fit`; weights are taken as they are.
        classes : array_like (C,), optional
            All labels that there will be; the first call needs them.

        Returns
        -------
        The estimator itself.
        """
        if classes is None and not hasattr(self, "network_"):
            raise ValueError("classes must be passed on the first call to partial_fit")
        if classes is not None and hasattr(self, "network_") and not np.array_equal(np.unique(classes), self.classes_):
            raise ValueError(f"classes={classes!r} is not the same as on the first call: {self.classes_!r}")
        return self._train(X, y, sample_weight, classes, once=True)

    def decision_function(self, X: Any) -> Array:
        """The scores that softmax is taken of, (N, C); of two classes by how much the second's is greater, (N,)."""
        scores = self._raw(X)
        return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores

    def predict_log_proba(self, X: Any) -> Array:
        """The logarithms of `predict_proba`, (N, C)."""
        return log_softmax(self._raw(X))

    def predict_proba(self, X: Any) -> Array:
        """The probability of each class, (N, C), in the order of `classes_`."""
        return np.exp(self.predict_log_proba(X))

    def predict(self, X: Any) -> Array:
        """The likeliest class of each sequence, (N,)."""
        scores = self._raw(X)
        return self.classes_[scores.argmax(axis=1)]

    def _check_targets(self, y: Any) -> Array:
        y = check_array(y, ensure_2d=False, dtype=None, input_name="y", estimator=self)
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        return y

    def _learn_targets(self, y: Array, weights: Array | None, classes: Any) -> None:
        self.classes_ = np.unique(y if classes is None else classes)

    def _targets(self, y: Array) -> Array:
        places = np.searchsorted(self.classes_, y).clip(max=len(self.classes_) - 1)
        if (wrong := self.classes_[places] != y).any():
            raise ValueError(f"y has labels that are not in classes_: {np.unique(y[wrong])}")
        return places.astype(np.int64)

    def _outputs(self) -> int:
        return len(self.classes_)

    def _weights(self, x: Sequences, y: Any, given: Any, whole: bool) -> Array | None:
        weights = super()._weights(x, y, given, whole)
        if self.class_weight is not None:
            if isinstance(self.class_weight, str) and not whole:
                raise ValueError("class_weight='balanced' needs all data at once; give partial_fit a mapping")
            more = compute_sample_weight(self.class_weight, y)
            weights = more if weights is None else weights * more
        return weights if weights is None or not whole else weights / weights.mean()

    def _strata(self, y: Array) -> Array:
        return y
