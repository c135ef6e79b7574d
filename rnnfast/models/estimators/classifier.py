"""One label for each sequence."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rnnfast.data.words import WordVocabulary
from rnnfast.layers import Last, MaxPool, MeanPool
from rnnfast.layers._base import Layer
from rnnfast.models.estimators._labels import Labels
from rnnfast.models.estimators._sequences import PARAMETERS, SequenceEstimator, softmax

Array = np.ndarray

_POOLING: dict[str, type[Layer]] = {"last": Last, "mean": MeanPool, "max": MaxPool}


class Classifier(SequenceEstimator):
    __doc__ = f"""Tell the class of a sequence: recurrent layers, one vector of all their steps, softmax.

    Parameters
    ----------
{PARAMETERS}
    pooling : "last", "mean" or "max"
        What the vector is: the last valid output (of the reverse direction the first), or the mean or greatest of each
        feature over the valid steps.

    Attributes
    ----------
    classes_ : numpy.ndarray (C,)
        The labels, sorted where they can be.
    network : Sequential
    history_ : History
        Of the last fit.

    Examples
    --------
    >>> texts = ["good film", "bad film", "a good one", "a bad one"] * 10
    >>> model = Classifier(hidden_size=8, embedding_dim=8, seed=0).fit(texts, ["+", "-"] * 20, epochs=10)
    >>> model.predict(["bad", "so good"]).tolist()
    ['-', '+']
    >>> model.score(texts, ["+", "-"] * 20)
    1.0
    """

    _sklearn_type = "classifier"

    def __init__(
        self,
        *,
        cell: str = "lstm",
        hidden_size: Any = 64,
        num_layers: int | None = None,
        bidirectional: bool = False,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        pooling: str = "last",
        embedding_dim: int = 32,
        num_embeddings: int | None = None,
        vocabulary: WordVocabulary | None = None,
        scale: bool = True,
        dtype: str = "float32",
        seed: Any = None,
    ):
        self.cell, self.hidden_size, self.num_layers, self.bidirectional = cell, hidden_size, num_layers, bidirectional
        self.dropout, self.recurrent_dropout, self.pooling = dropout, recurrent_dropout, pooling
        self.embedding_dim, self.num_embeddings, self.vocabulary = embedding_dim, num_embeddings, vocabulary
        self.scale, self.dtype, self.seed = scale, dtype, seed

    def _tail(self, features: int, rng: np.random.Generator) -> list[Layer]:
        return [pooling_layer(self.pooling), *self._output(features, rng)]

    def _learn_labels(self, y: Sequence[Any]) -> Labels:
        return Labels(y)

    def _targets(self, y: Sequence[Any], x: list[Array]) -> Array:
        return self._labels.numbers(y)

    def _train(self, layers: Any, rng: Any, x: Any, y: Any, how: dict[str, Any]) -> Any:
        return super()._train(layers, rng, x, y, {"loss": "cross_entropy", "metrics": ["accuracy"], **how})

    def predict_proba(self, x: Any, *, lengths: Any = None) -> Array:
        """The probability of each class.

        Parameters
        ----------
        x, lengths
            As of `fit`.

        Returns
        -------
        numpy.ndarray (N, C)
            In the order of `classes_`.
        """
        sequences = self._encoded(x, lengths)
        if not sequences:
            return np.zeros((0, len(self.classes_)), self.dtype)
        return softmax(self.network.predict(sequences, batch_size=256))

    def predict(self, x: Any, *, lengths: Any = None) -> Array:
        """The likeliest class of each sequence, (N,); arguments as of `predict_proba`."""
        return self.classes_[self.predict_proba(x, lengths=lengths).argmax(axis=1)]

    def score(self, x: Any, y: Any, *, lengths: Any = None) -> float:
        """The share of sequences whose class is told right."""
        told = self.predict(x, lengths=lengths)
        if len(told) != len(y) or not len(y):
            raise ValueError(f"x and y must have equally many sequences, at least one, got {len(told)} and {len(y)}")
        return float(np.mean([a == b for a, b in zip(told.tolist(), y, strict=True)]))


def pooling_layer(pooling: str) -> Layer:
    """What makes one vector of all steps, by its name."""
    if pooling not in _POOLING:
        raise ValueError(f"pooling must be one of {', '.join(map(repr, _POOLING))}, got {pooling!r}")
    return _POOLING[pooling]()
