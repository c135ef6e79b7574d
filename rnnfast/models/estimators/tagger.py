"""One label for each step of a sequence."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from rnnfast.data.padding import pad
from rnnfast.data.words import WordVocabulary
from rnnfast.decoding import marginals, viterbi
from rnnfast.layers import CRF
from rnnfast.layers._base import Layer
from rnnfast.models.estimators._inputs import as_sequences
from rnnfast.models.estimators._labels import Labels, as_array
from rnnfast.models.estimators._sequences import PARAMETERS, SequenceEstimator, softmax
from rnnfast.training.metrics import EntityF1

Array = np.ndarray

_OUTPUTS = ("softmax", "crf")
_BATCH = 128


class Tagger(SequenceEstimator):
    __doc__ = f"""Tell a tag for each step of a sequence: recurrent layers, then softmax or a conditional random field.

    The softmax takes each tag by itself; the field learns which tag follows which, and its best sequence of tags is
    found by Viterbi's algorithm (Lample et al. 2016).

    Parameters
    ----------
{PARAMETERS}
    output : "softmax" or "crf"

    Attributes
    ----------
    classes_ : numpy.ndarray (C,)
        The tags, sorted where they can be.
    network : Sequential
    history_ : History
        Of the last fit.

    Examples
    --------
    >>> sentences = [["the", "dog", "barks"], ["a", "cat", "sees", "the", "dog"]] * 10
    >>> tags = [["DET", "NOUN", "VERB"], ["DET", "NOUN", "VERB", "DET", "NOUN"]] * 10
    >>> model = Tagger(output="crf", hidden_size=8, embedding_dim=8, seed=0)
    >>> model = model.fit(sentences, tags, epochs=20, batch_size=4)
    >>> model.predict([["a", "dog", "sees"]])[0].tolist()
    ['DET', 'NOUN', 'VERB']
    """

    _timed = True

    def __init__(
        self,
        *,
        cell: str = "lstm",
        hidden_size: Any = 64,
        num_layers: int | None = None,
        bidirectional: bool = True,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        output: str = "softmax",
        embedding_dim: int = 32,
        num_embeddings: int | None = None,
        vocabulary: WordVocabulary | None = None,
        scale: bool = True,
        dtype: str = "float32",
        seed: Any = None,
    ):
        self.cell, self.hidden_size, self.num_layers, self.bidirectional = cell, hidden_size, num_layers, bidirectional
        self.dropout, self.recurrent_dropout, self.output = dropout, recurrent_dropout, output
        self.embedding_dim, self.num_embeddings, self.vocabulary = embedding_dim, num_embeddings, vocabulary
        self.scale, self.dtype, self.seed = scale, dtype, seed

    def _tail(self, features: int, rng: np.random.Generator) -> list[Layer]:
        if self.output not in _OUTPUTS:
            raise ValueError(f"output must be 'softmax' or 'crf', got {self.output!r}")
        scores = self._output(features, rng)
        return [*scores, CRF(len(self._labels), dtype=self.dtype, seed=rng)] if self.output == "crf" else scores

    def _learn_labels(self, y: Sequence[Any]) -> Labels:
        labels = Labels(tag for row in y for tag in row)
        if not len(labels):
            raise ValueError("y must hold at least one tag")
        return labels

    def _targets(self, y: Sequence[Any], x: list[Array]) -> list[Array]:
        if len(x) != len(y):
            raise ValueError(f"x and y must have equally many sequences, got {len(x)} and {len(y)}")
        for number, (steps, tags) in enumerate(zip(x, y, strict=True)):
            if isinstance(tags, str) or len(steps) != len(tags):
                got = "one str" if isinstance(tags, str) else str(len(tags))
                raise ValueError(f"y[{number}] must have one tag for each of the {len(steps)} steps, got {got}")
        return [self._labels.numbers(tags) for tags in y]

    def _train(self, layers: Any, rng: Any, x: Any, y: Any, how: dict[str, Any]) -> Any:
        loss = "crf" if self.output == "crf" else "cross_entropy"
        return super()._train(layers, rng, x, y, {"loss": loss, "metrics": ["accuracy"], **how})

    def _outputs(self, x: Any, lengths: Any) -> Iterator[tuple[Array, Array]]:
        """What the network gives, and the lengths, batch by batch: a field's potentials are large."""
        sequences = self._encoded(x, lengths)
        for start in range(0, len(sequences), _BATCH):
            batch, steps = pad(sequences[start : start + _BATCH])
            if batch.shape[1]:
                yield self.network(batch, lengths=steps), steps
            else:
                yield np.zeros((*batch.shape[:2], *[len(self._labels)] * (2 if self._is_crf else 1))), steps

    @property
    def _is_crf(self) -> bool:
        return isinstance(self.network.layers[-1], CRF)

    def predict(self, x: Any, *, lengths: Any = None) -> list[Array]:
        """The tags of each sequence.

        Parameters
        ----------
        x, lengths
            As of `fit`.

        Returns
        -------
        list of numpy.ndarray (T_i,)
        """
        found: list[Array] = []
        for output, steps in self._outputs(x, lengths):
            tags = viterbi(output, steps)[0] if self._is_crf else output.argmax(axis=-1)
            found.extend(self.classes_[row[:end]] for row, end in zip(tags, steps, strict=True))
        return found

    def predict_proba(self, x: Any, *, lengths: Any = None) -> list[Array]:
        """The probability of each tag at each step, (T_i, C) in the order of `classes_`; of a field, its marginals."""
        found: list[Array] = []
        for output, steps in self._outputs(x, lengths):
            shares = marginals(output, steps)[0] if self._is_crf else softmax(output)
            found.extend(row[:end] for row, end in zip(shares, steps, strict=True))
        return found

    def score(self, x: Any, y: Any, *, lengths: Any = None, metric: str = "accuracy") -> float:
        """How well the tags are told.

        Parameters
        ----------
        x, y, lengths
            As of `fit`.
        metric : "accuracy" or "entity_f1"
            The share of steps that are right; or F1 of whole entities, of tags such as "B-PER", "I-PER" and "O" (see
            `rnnfast.training.EntityF1`).
        """
        if metric not in ("accuracy", "entity_f1"):
            raise ValueError(f"metric must be 'accuracy' or 'entity_f1', got {metric!r}")
        told, wanted = self.predict(x, lengths=lengths), as_sequences(y, lengths, "y")
        if [len(row) for row in told] != [len(row) for row in wanted]:
            raise ValueError("y must have one tag for each step of x")
        if metric == "accuracy":
            right = [
                a == b for ours, theirs in zip(told, wanted, strict=True) for a, b in zip(ours, theirs, strict=True)
            ]
            if not right:
                raise ValueError("x must have at least one step")
            return float(np.mean(right))
        # Tags that training never saw count as well.
        tags = Labels([*self.classes_.tolist(), *(tag for row in wanted for tag in row)])
        measure = EntityF1(as_array(tags.classes.tolist()).tolist())
        for ours, theirs in zip(told, wanted, strict=True):
            measure.update(tags.numbers(ours)[None], tags.numbers(theirs)[None])
        return measure.result()
