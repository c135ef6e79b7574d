"""Features into texts."""

from typing import Any

import numpy as np

from rnnfast.data.scalers import StandardScaler
from rnnfast.layers import Dropout, Linear
from rnnfast.layers._base import Layer
from rnnfast.models.estimators._words import Tokens
from rnnfast.models.estimators._writer import Writer
from rnnfast.models.seq2seq import Encoder

Array = np.ndarray

CONTEXTS = ("state", "first", "every")


class Captioner(Writer):
    """Write a text for what another network has seen: features of images, of their regions, or of a video's frames.

    One vector is handed over as the decoder's first state, as its first input (Vinyals et al. 2015), or at every step
    (Cho et al. 2014). At several, regions or frames, the decoder looks by attention (Xu et al. 2015).

    Parameters
    ----------
    cell : "lstm", "gru" or "rnn"
    hidden_size : int
        Of the decoder, and of what is made of the features.
    num_layers : int, optional
        Of the decoder, and of the encoder of frames; None is one.
    frames : bool
        Whether the order of several vectors means something, as of a video's frames: they are read by recurrent layers
        of both directions. Regions of an image each go through one `Linear`.
    context : "state", "first" or "every"
        Where one vector goes, which of several is their mean, or of frames the last: through the bridge to the first
        state, and with "first" or "every" into the decoder as well.
    attention : str or None
        The kind of `Attention`, of several vectors; one vector has none.
    dropout : float
        Before and after the decoder's layers.
    recurrent_dropout : float
    embedding_dim : int
        Of tokens.
    tokens : "words", "characters", "space" or callable str -> iterable of str
        How a text becomes tokens; texts may be lists of tokens as well.
    min_count : int
        Rarer tokens are unknown ones, and never written.
    label_smoothing : float
    dtype : str
    seed : None, int or numpy.random.Generator

    Attributes
    ----------
    network : Seq2Seq
    history_ : History
        Of the last fit.

    Examples
    --------
    >>> features = np.eye(3).repeat(20, axis=0)
    >>> captions = [text for text in ("a red cat", "two dogs", "no cat") for _ in range(20)]
    >>> model = Captioner(hidden_size=16, embedding_dim=8, seed=0).fit(features, captions, epochs=20, batch_size=10)
    >>> model.predict(np.eye(3))
    ['a red cat', 'two dogs', 'no cat']
    """

    def __init__(
        self,
        *,
        cell: str = "lstm",
        hidden_size: Any = 128,
        num_layers: int | None = None,
        frames: bool = False,
        context: str = "state",
        attention: str | None = "additive",
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        embedding_dim: int = 64,
        tokens: Tokens = "words",
        min_count: int = 1,
        label_smoothing: float = 0.0,
        dtype: str = "float32",
        seed: Any = None,
    ):
        self.cell, self.hidden_size, self.num_layers, self.frames = cell, hidden_size, num_layers, frames
        self.context, self.attention, self.dropout = context, attention, dropout
        self.recurrent_dropout, self.embedding_dim, self.tokens = recurrent_dropout, embedding_dim, tokens
        self.min_count, self.label_smoothing, self.dtype, self.seed = min_count, label_smoothing, dtype, seed

    _scaler: StandardScaler
    _several: bool

    def _sources(self, x: Any) -> list[Array]:
        if isinstance(x, str) or not hasattr(x, "__len__"):
            raise TypeError(f"x must be an array (N, F) or (N, S, F), or a list of such, got {type(x).__name__}")
        found = [np.asarray(each) for each in x]
        for number, each in enumerate(found):
            if each.dtype.kind not in "biuf" or each.ndim not in (1, 2):
                got = f"shape {each.shape}, dtype {each.dtype}"
                raise ValueError(f"x[{number}] must be numbers (F,) or (S, F), got {got}")
            if not np.isfinite(each).all():
                raise ValueError(f"x[{number}] must hold finite numbers, and has nan or infinity")
        shapes = sorted({(each.ndim, each.shape[-1]) for each in found})
        if len(shapes) > 1:
            raise ValueError(f"x must hold vectors (F,), or arrays (S, F), of one F, got {shapes} as (ndim, F)")
        return found

    def _learn_sources(self, x: list[Array]) -> None:
        self._several = x[0].ndim == 2
        self._scaler = StandardScaler().fit(np.concatenate([each.reshape(-1, each.shape[-1]) for each in x]))

    def _encode(self, x: list[Array]) -> list[Array]:
        size = self._size
        if x and (x[0].ndim, x[0].shape[-1]) != (1 + self._several, size):
            wanted = f"(S, {size})" if self._several else f"({size},)"
            raise ValueError(f"x must hold {wanted}, as what was fitted, got {x[0].shape}")
        scaled = [self._scaler.transform(each.reshape(-1, size)).reshape(each.shape) for each in x]
        return [each.astype(self.dtype) for each in scaled]

    @property
    def _size(self) -> int:
        return int(self._scaler.offset.size)

    def _target_tokens(self) -> Tokens:
        return self.tokens

    def _reader(self, rng: np.random.Generator) -> tuple[Encoder, dict[str, Any]]:
        if self.context not in CONTEXTS:
            raise ValueError(f"context must be one of {', '.join(map(repr, CONTEXTS))}, got {self.context!r:.60}")
        if self.frames and not self._several:
            raise ValueError("frames=True reads several vectors (S, F) for each text, got one (F,)")
        context = None if self.context == "state" else self.context
        size = self.embedding_dim if context == "first" else self.hidden_size
        layers: list[Layer] = [Linear(self._size, size, activation="tanh", dtype=self.dtype, seed=rng)]
        if self.frames:
            recurrent = self._recurrent(self._size, rng, bidirectional=True)
            layers = [recurrent]
            if context == "first":
                raise ValueError(
                    "context='first' is an input as wide as the embedding; of frames use 'every' or 'state'"
                )
        layers += [Dropout(self.dropout)] if self.dropout else []
        return Encoder(*layers), {"context": context}

    def _build(self, rng: np.random.Generator) -> Any:
        if self._several:
            return super()._build(rng)
        kind, self.attention = self.attention, None
        try:
            return super()._build(rng)
        finally:
            self.attention = kind

    def _state(self) -> dict[str, Any]:
        return {**super()._state(), "scaler": self._scaler.to_dict(), "several": self._several}

    def _restore(self, state: dict[str, Any]) -> None:
        super()._restore(state)
        self._scaler, self._several = StandardScaler.from_dict(state["scaler"]), bool(state["several"])
        if self.network.encoder.input_shape[-1] != self._size:
            raise ValueError("its layers and its features differ in size")
