"""What classifier and tagger share: sequences of any kind in, labels out."""

import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from rnnfast.data.words import WordVocabulary
from rnnfast.layers import Dropout, Linear, _check
from rnnfast.layers._base import Layer
from rnnfast.layers._key import generator
from rnnfast.models.estimators._base import Estimator
from rnnfast.models.estimators._inputs import Inputs, as_sequences
from rnnfast.models.estimators._labels import Labels
from rnnfast.training.optimizers import Adam

Array = np.ndarray

PARAMETERS = """    cell : "lstm", "gru" or "rnn"
    hidden_size : int or list of int
        Of each direction, or of each layer.
    num_layers : int, optional
        None: one, or as many as hidden_size has.
    bidirectional : bool
    dropout : float
        Between recurrent layers, and before the output.
    recurrent_dropout : float
        Of the state, one mask a sequence (Gal and Ghahramani 2016).
    embedding_dim : int
        Of token ids and words.
    num_embeddings : int, optional
        How many token ids there are; None: up to the highest in the training data.
    vocabulary : WordVocabulary, optional
        Of words, where x is texts or lists of words; None: all words of the training part.
    scale : bool
        Whether numbers are brought to mean 0 and deviation 1, as in the training part, feature by feature.
    dtype : str
        "float32" or "float64".
    seed : None, int or numpy.random.Generator
        Fixes first weights, order and dropout: equal seeds give equal models to the last bit."""


class SequenceEstimator(Estimator):
    """An estimator of labels; a subclass says what the labels of a sequence are, and the layers at the end.

    Attributes
    ----------
    classes_ : numpy.ndarray (C,)
        The labels, sorted where they can be.
    """

    bidirectional: bool
    embedding_dim: int
    num_embeddings: int | None
    vocabulary: WordVocabulary | None
    scale: bool

    _inputs: Inputs
    _labels: Labels

    @property
    def classes_(self) -> Array:
        self._fitted()
        return self._labels.classes

    @property
    def vocabulary_(self) -> WordVocabulary | None:
        """The words, where x is words."""
        self._fitted()
        return self._inputs.vocabulary

    def _tail(self, features: int, rng: np.random.Generator) -> list[Layer]:
        """The layers after the recurrent ones."""
        raise NotImplementedError

    def _learn_labels(self, y: Sequence[Any]) -> Labels:
        """All labels."""
        raise NotImplementedError

    def _targets(self, y: Sequence[Any], x: list[Array]) -> Any:
        """The numbers of the labels of every sequence."""
        raise NotImplementedError

    def fit(
        self,
        x: Any,
        y: Any,
        *,
        lengths: Any = None,
        epochs: int = 20,
        optimizer: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        class_weight: Any = None,
        verbose: bool = False,
        **how: Any,
    ) -> Self:
        """Train a new network.

        Parameters
        ----------
        x : list of str, list of lists of words, or list of array_like (T_i,) or (T_i, F), or array (N, T) or (N, T, F)
            One-dimensional integers are token ids, one-dimensional floats a series, two-dimensional numbers vectors.
        y : sequence
            Labels of any hashable kind: one a sequence, or for a tagger one a step.
        lengths : integers (N,), optional
            Valid steps of each sequence, where x is padded.
        epochs : int
        optimizer : str or Optimizer, optional
            None is Adam with a rate of 0.003 and gradients clipped to a norm of 1.
        validation_split, validation_data, class_weight
            As of `Sequential.fit`, in the words of x and y.
        verbose : bool
        **how
            Goes on to `Sequential.fit`: batch_size, callbacks, metrics, sample_weight, checkpoint ...

        Returns
        -------
        The estimator itself.

        Raises
        ------
        TypeError, ValueError
            When x and y do not fit each other, or an argument is out of range.
        """
        x = as_sequences(x, lengths)
        y = as_sequences(y, lengths, "y") if self._timed else _listed(y)
        if len(x) != len(y) or not len(x):
            raise ValueError(f"x and y must have equally many sequences, at least one, got {len(x)} and {len(y)}")
        share = _check.probability(validation_split, "validation_split")
        inputs = Inputs.learn(
            x,
            math.floor(len(x) * (1 - share)),
            vocabulary=self.vocabulary,
            num_embeddings=self.num_embeddings,
            scale=_check.flag(self.scale, "scale"),
        )
        labels = self._learn_labels(y)
        rng = generator(self.seed)
        before, width = inputs.layers(self.embedding_dim, self.dtype, rng)
        recurrent = self._recurrent(width, rng, bidirectional=self.bidirectional)
        how |= {"epochs": epochs, "verbose": verbose, "validation_split": share}
        how["optimizer"] = Adam(3e-3, clip_norm=1.0) if optimizer is None else optimizer
        if class_weight is not None:
            how["class_weight"] = {labels.number(label): weight for label, weight in class_weight.items()}
        with self._all_or_nothing():
            self._inputs, self._labels = inputs, labels
            layers = [*before, recurrent, *self._tail(recurrent.output_size, rng)]
            sequences = inputs.encode(x)
            how["validation_data"] = self._validation(validation_data)
            return self._train(layers, rng, sequences, self._targets(y, sequences), how)

    _timed = False

    def _validation(self, data: Any) -> Any:
        if data is None:
            return None
        if not isinstance(data, tuple) or len(data) not in (2, 3):
            raise ValueError("validation_data must be a tuple (x, y) or (x, y, lengths)")
        x, y, lengths = (*data, None)[:3]
        sequences = self._inputs.encode(as_sequences(x, lengths))
        return sequences, self._targets(as_sequences(y, lengths, "y") if self._timed else _listed(y), sequences)

    def _encoded(self, x: Any, lengths: Any) -> list[Array]:
        self._fitted()
        return self._inputs.encode(as_sequences(x, lengths))

    def _output(self, features: int, rng: np.random.Generator) -> list[Layer]:
        """Dropout where there is any, and a score for each label."""
        scores = Linear(features, len(self._labels), dtype=self.dtype, seed=rng)
        return [Dropout(self.dropout), scores] if self.dropout else [scores]

    def _state(self) -> dict[str, Any]:
        return {"inputs": self._inputs.to_json(self.vocabulary), "labels": self._labels.to_json()}

    def _restore(self, state: dict[str, Any]) -> None:
        self._inputs = Inputs.from_json(state["inputs"], self.vocabulary)
        self._labels = Labels.from_json(state["labels"])
        first = self.network.layers[0]
        size = first.num_embeddings if self._inputs.kind in ("words", "ids") else first.input_size  # type: ignore
        width = self.network.output_shape(("B", "T", size))[-1]
        if size != self._inputs.size or width != len(self._labels):
            raise ValueError("its layers and its labels or inputs differ in size")


def softmax(scores: Array) -> Array:
    """Probabilities of scores (..., C)."""
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def _listed(y: Any) -> list[Any]:
    if isinstance(y, str) or not hasattr(y, "__len__"):
        raise TypeError(f"y must be a list of labels, got {type(y).__name__}")
    if getattr(y, "ndim", 1) != 1:
        raise ValueError(f"y must hold one label for each sequence, shape (N,), got {y.shape}")
    return list(y)
