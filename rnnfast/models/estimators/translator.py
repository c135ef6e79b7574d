"""Texts into texts."""

from typing import Any

import numpy as np

from rnnfast.layers import Dropout, Embedding
from rnnfast.layers._base import Layer
from rnnfast.models.estimators._words import Tokens, Words, listed
from rnnfast.models.estimators._writer import Writer
from rnnfast.models.seq2seq import Encoder

Array = np.ndarray


class Translator(Writer):
    """Write one text for another: translation, spelling to sounds, dates to another form, questions to answers.

    A recurrent encoder reads, of two directions at first; a decoder with attention writes (Bahdanau et al. 2015; Luong
    et al. 2015).

    Parameters
    ----------
    cell : "lstm", "gru" or "rnn"
    hidden_size : int
        Of the decoder, and of each direction of the encoder.
    num_layers : int, optional
        Of each of both; None is one.
    bidirectional : bool
        Whether the encoder reads in both directions.
    attention : str or None
        The kind of `Attention`: "general", "additive", "scaled_dot", ...; None hands over the last state alone.
    dropout : float
        Of embeddings, between layers, after them and before the output.
    recurrent_dropout : float
        Of the state, one mask a sequence (Gal and Ghahramani 2016).
    embedding_dim : int
        Of tokens, on both sides.
    tokens : "words", "characters", "space" or callable str -> iterable of str
        How a text becomes tokens; texts may be lists of tokens as well. "words" separates punctuation marks, "space"
        splits at white space.
    target_tokens : as `tokens`, optional
        Of the targets, where they differ.
    min_count : int
        Rarer tokens are unknown ones.
    label_smoothing : float
        See `rnnfast.training.CrossEntropy`.
    dtype : str
        "float32" or "float64".
    seed : None, int or numpy.random.Generator
        Fixes first weights, order and dropout.

    Attributes
    ----------
    network : Seq2Seq
    history_ : History
        Of the last fit.

    Examples
    --------
    >>> words = ["ab", "ba", "abc", "cab", "bca", "cc", "a", "b"]
    >>> model = Translator(tokens="characters", hidden_size=24, embedding_dim=8, seed=0)
    >>> model = model.fit(words * 20, [word.upper() for word in words] * 20, epochs=10, batch_size=16)
    >>> model.predict(["ab", "bca"])
    ['AB', 'BCA']
    """

    def __init__(
        self,
        *,
        cell: str = "lstm",
        hidden_size: Any = 128,
        num_layers: int | None = None,
        bidirectional: bool = True,
        attention: str | None = "general",
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        embedding_dim: int = 64,
        tokens: Tokens = "words",
        target_tokens: Tokens | None = None,
        min_count: int = 1,
        label_smoothing: float = 0.0,
        dtype: str = "float32",
        seed: Any = None,
    ):
        self.cell, self.hidden_size, self.num_layers, self.bidirectional = cell, hidden_size, num_layers, bidirectional
        self.attention, self.dropout, self.recurrent_dropout = attention, dropout, recurrent_dropout
        self.embedding_dim, self.tokens, self.target_tokens = embedding_dim, tokens, target_tokens
        self.min_count, self.label_smoothing, self.dtype, self.seed = min_count, label_smoothing, dtype, seed

    _source: Words

    @property
    def source_vocabulary_(self) -> Any:
        """The tokens that it reads."""
        self._fitted()
        return self._source.vocabulary

    def _sources(self, x: Any) -> list[Any]:
        return listed(x, "x")

    def _learn_sources(self, x: list[Any]) -> None:
        self._source = Words.learn(x, self.tokens, self.min_count, "x")

    def _encode(self, x: list[Any]) -> list[Array]:
        return self._source.encode(x)

    def _source_words(self, source: Any) -> list[str]:
        return self._source.cut(source)

    def _target_tokens(self) -> Tokens:
        return self.tokens if self.target_tokens is None else self.target_tokens

    def _reader(self, rng: np.random.Generator) -> tuple[Encoder, dict[str, Any]]:
        size = len(self._source.vocabulary)
        layers: list[Layer] = [Embedding(size, self.embedding_dim, dtype=self.dtype, seed=rng)]
        layers += [Dropout(self.dropout)] if self.dropout else []
        layers += [self._recurrent(self.embedding_dim, rng, bidirectional=self.bidirectional)]
        return Encoder(*layers, *([Dropout(self.dropout)] if self.dropout else [])), {}

    def _state(self) -> dict[str, Any]:
        return {**super()._state(), "source": self._source.to_json()}

    def _restore(self, state: dict[str, Any]) -> None:
        super()._restore(state)
        self._source = Words.from_json(state["source"])
        if self.network.encoder.layers[0].num_embeddings != len(self._source.vocabulary):  # type: ignore[attr-defined]
            raise ValueError("its layers and its vocabulary differ")
