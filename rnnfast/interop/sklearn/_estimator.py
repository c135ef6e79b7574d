"""What classifier and regressor share: one network for sequences, fitted as scikit-learn's estimators are."""

import contextlib
import copy
from collections.abc import Iterator
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from rnnfast.interop.sklearn._sequences import Sequences, check_sequences, flat, scaled, steps_of, take
from rnnfast.kernels._threads import get_num_threads, set_num_threads
from rnnfast.layers import Dropout, Linear
from rnnfast.models.estimators._base import recurrent_layers
from rnnfast.models.estimators.classifier import pooling_layer
from rnnfast.models.sequential import Sequential
from rnnfast.training.callbacks import EarlyStopping
from rnnfast.training.history import History
from rnnfast.training.optimizers import Optimizer, find_optimizer

Array = np.ndarray

NETWORK = """    cell : "lstm", "gru" or "rnn"
    hidden_size : int or list of int
        Of each direction, or of each layer.
    num_layers : int, optional
        None: one, or as many as hidden_size has.
    bidirectional : bool
    pooling : "last", "mean" or "max"
        How the outputs of all steps become one vector.
    dropout : float
        Between recurrent layers, and before the output.
    recurrent_dropout : float
        Of the state, one mask a sequence."""

TRAINING = """    optimizer : str or Optimizer
        "adam", "sgd", ...; of an optimizer a fresh copy is taken, and the next three arguments have no meaning.
    learning_rate : float
    weight_decay : float
    clip_norm : float or None
        Gradients are clipped to this norm.
    epochs : int
    batch_size : int or callable
        Sequences a step; `rnnfast.Buckets` makes batches of similar lengths.
    early_stopping : bool
        Whether to hold out `validation_fraction` of the sequences, to end when the loss on them has not become better
        for `n_iter_no_change` epochs, and to keep the best epoch's weights.
    validation_fraction : float
    n_iter_no_change : int
    warm_start : bool
        Whether `fit` goes on from the network and the optimizer of the fit before.
    n_threads : int, optional
        How many threads compute while this estimator does; it is set for the whole process, and back again. 1 where
        several processes do, as in a search with n_jobs. None leaves it as it is. Results do not depend on it.
    dtype : str
        "float32" or "float64".
    random_state : None, int or numpy.random.RandomState
        Fixes first weights, order, dropout and what is held out.
    verbose : bool"""

FITTED = """    network_ : Sequential
        The network; `network_.save` writes it to a file.
    scaler_ : sklearn.preprocessing.StandardScaler or None
        Of the features of a step.
    history_ : History
        Of the last fit.
    n_iter_ : int
        Epochs of the last fit.
    n_features_in_ : int
        Columns of a table, else the features of a step.
    feature_names_in_ : numpy.ndarray
        Of a frame that is a table."""

SEQUENCES = """        X : array_like (N, T, F) or (N, T), list of array_like (T_i,) or (T_i, F), or frame
            N sequences of T steps with F features; a table (N, T) holds series of one feature. Also an array or frame
            of objects: a sequence in each entry, or in each cell that of one feature."""


class SequenceEstimator(BaseEstimator):
    """A network for sequences; a subclass says what the targets are, and what comes of the network's outputs."""

    _loss: Any
    _metrics: tuple[str, ...] = ()

    # What every subclass's constructor takes.
    cell: str
    hidden_size: Any
    num_layers: int | None
    bidirectional: bool
    pooling: str
    dropout: float
    recurrent_dropout: float
    scale: bool
    optimizer: Any
    learning_rate: float
    weight_decay: float
    clip_norm: float | None
    epochs: int
    batch_size: Any
    early_stopping: bool
    validation_fraction: float
    n_iter_no_change: int
    warm_start: bool
    n_threads: int | None
    dtype: str
    random_state: Any
    verbose: bool

    network_: Sequential
    history_: History
    n_iter_: int

    def _learn_targets(self, y: Any, weights: Array | None, classes: Any) -> None:
        """Learn what the targets are."""
        raise NotImplementedError

    def _targets(self, y: Any) -> Array:
        """What the loss takes."""
        raise NotImplementedError

    def _check_targets(self, y: Any) -> Array:
        """The targets as an array."""
        raise NotImplementedError

    def _outputs(self) -> int:
        """How many numbers the network gives."""
        raise NotImplementedError

    def _weights(self, x: Sequences, y: Any, given: Any, whole: bool) -> Array | None:
        """The weight of each sequence, as asked for."""
        return None if given is None else _check_sample_weight(given, x, dtype=np.float64)

    def _strata(self, y: Array) -> Array | None:
        """What the part to validate on shall have the shares of."""
        return None

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    def _train(self, x: Any, y: Any, sample_weight: Any, classes: Any = None, *, once: bool = False) -> Self:
        """Fit, or go on; `once` goes through the data one time."""
        begins = not (hasattr(self, "network_") and (once or self.warm_start))
        x = check_sequences(self, x, reset=begins)
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        y = self._check_targets(y)
        check_consistent_length(x, y)
        weights = self._weights(x, y, sample_weight, whole=not once)
        if begins:
            self._rng = np.random.default_rng(check_random_state(self.random_state).randint(2**31 - 1, size=4))
            self._learn_targets(y, weights, classes)
            self._learn_scale(x, weights)
        targets = self._targets(y)
        if begins:
            self.network_, self._optimizer = self._make_network(), make_optimizer(self)
        how: dict[str, Any] = {"epochs": 1 if once else self.epochs}
        data = x, targets, weights
        if self.early_stopping and not once:
            data, held_out = self._split(x, y, targets, weights)
            how["validation_data"] = held_out
            how["callbacks"] = [EarlyStopping("val_loss", patience=self.n_iter_no_change)]
        with threads(self.n_threads):
            self.history_ = self.network_.fit(
                scaled(data[0], self.scaler_, self.dtype),
                data[1],
                sample_weight=data[2],
                loss=self._loss,
                metrics=self._metrics,
                optimizer=self._optimizer,
                batch_size=self.batch_size,
                seed=self._rng,
                verbose=self.verbose,
                **how,
            )
        self.n_iter_ = len(self.history_.epoch)
        return self

    def _learn_scale(self, x: Sequences, weights: Array | None) -> None:
        self.scaler_ = None
        if self.scale:
            each = None if weights is None else np.repeat(weights, steps_of(x))
            self.scaler_ = StandardScaler().fit(flat(x), sample_weight=each)

    def _make_network(self) -> Sequential:
        recurrent = recurrent_layers(self, self._width, self._rng, bidirectional=self.bidirectional)
        dropout = [Dropout(self.dropout)] if self.dropout else []
        output = Linear(recurrent.output_size, self._outputs(), dtype=self.dtype, seed=self._rng)
        return Sequential(recurrent, pooling_layer(self.pooling), *dropout, output)

    def _split(self, x: Sequences, y: Array, targets: Array, weights: Array | None) -> tuple[Any, Any]:
        """What to train on, and what to validate on."""
        kept, held = train_test_split(
            np.arange(len(x)),
            test_size=self.validation_fraction,
            stratify=self._strata(y),
            random_state=int(self._rng.integers(2**31 - 1)),
        )
        parts = [(take(x, rows), targets[rows], None if weights is None else weights[rows]) for rows in (kept, held)]
        x_held, y_held, w_held = parts[1]
        held_out = (scaled(x_held, self.scaler_, self.dtype), y_held)
        return parts[0], held_out if w_held is None else (*held_out, None, w_held)

    def _raw(self, x: Any) -> Array:
        """What the network gives, float64 (N, outputs)."""
        check_is_fitted(self, "network_")
        x = scaled(check_sequences(self, x, reset=False), self.scaler_, self.dtype)
        with threads(self.n_threads):
            return self.network_.predict(x, batch_size=256).astype(np.float64)


def make_optimizer(estimator: Any) -> Optimizer:
    """A fresh optimizer, as an estimator's parameters ask for."""
    if isinstance(estimator.optimizer, Optimizer):
        return copy.deepcopy(estimator.optimizer)
    names = ("learning_rate", "weight_decay", "clip_norm")
    return type(find_optimizer(estimator.optimizer))(**{name: getattr(estimator, name) for name in names})


@contextlib.contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Compute with so many threads; None leaves the number as it is."""
    before = get_num_threads()
    if count is not None:
        set_num_threads(count)
    try:
        yield
    finally:
        if count is not None:
            set_num_threads(before)
