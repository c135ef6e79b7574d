"""Sequences as users have them - words, token ids, numbers, vectors - as networks take them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rnnfast.data.scalers import StandardScaler
from rnnfast.data.words import WordVocabulary
from rnnfast.layers import Embedding, _check
from rnnfast.layers._base import Layer
from rnnfast.ops import sequence_lengths

Array = np.ndarray


class Inputs:
    """What the sequences are, learnt from the training part.

    Attributes
    ----------
    kind : "words", "ids", "series" or "vectors"
    size : int
        How many different tokens there may be, or how many features a step has.
    vocabulary : WordVocabulary or None
        Of words.
    scaler : StandardScaler or None
        Of series and vectors.
    """

    def __init__(
        self, kind: str, size: int, vocabulary: WordVocabulary | None = None, scaler: StandardScaler | None = None
    ):
        self.kind, self.size, self.vocabulary, self.scaler = kind, size, vocabulary, scaler

    @classmethod
    def learn(
        cls,
        x: Sequence[Any],
        count: int,
        *,
        vocabulary: WordVocabulary | None = None,
        num_embeddings: int | None = None,
        scale: bool = True,
    ) -> "Inputs":
        """What sequences are; words and the scale of numbers are learnt from the first `count` alone.

        Raises
        ------
        TypeError, ValueError
            When they are not all of one kind, or differ in their features.
        """
        kind = _kind(x)
        if kind == "words":
            vocabulary = WordVocabulary.from_texts(x[:count]) if vocabulary is None else vocabulary
            return cls(kind, len(vocabulary), vocabulary)
        arrays = [np.asarray(each) for each in x if len(each)]
        if kind == "ids":
            highest = max(int(each.max()) for each in arrays)
            return cls(kind, highest + 1 if num_embeddings is None else _check.size(num_embeddings, "num_embeddings"))
        widths = sorted({each.shape[1] for each in arrays}) if kind == "vectors" else [1]
        if len(widths) > 1:
            raise ValueError(f"x must hold sequences of equally many features, got {widths}")
        found = cls(kind, widths[0])
        if scale and (steps := [each for each in found.encode(x[:count]) if len(each)]):
            found.scaler = StandardScaler().fit(np.concatenate(steps))
        return found

    def encode(self, x: Sequence[Any]) -> list[Array]:
        """A list of arrays (T_i,) of ids, or (T_i, F) of numbers.

        Raises
        ------
        TypeError, ValueError
            When they are not what was fitted, or hold what no number is.
        """
        return [self._encode(each, f"x[{number}]") for number, each in enumerate(x)]

    def _encode(self, sequence: Any, name: str) -> Array:
        if self.kind == "words":
            if not isinstance(sequence, str) and not all(isinstance(word, str) for word in sequence):
                raise TypeError(f"{name} must be a text or a list of words, as those that were fitted")
            return self.vocabulary.encode(sequence)  # type: ignore[union-attr]
        array = np.asarray(sequence)
        if self.kind == "ids":
            if array.size and (array.ndim != 1 or array.dtype.kind not in "iu"):
                raise ValueError(f"{name} must be token ids (T,), got shape {array.shape}, dtype {array.dtype}")
            if array.size and not 0 <= array.min() <= array.max() < self.size:
                wanted = f"from 0 to {self.size - 1}, as those that were fitted"
                raise ValueError(f"{name} must have token ids {wanted}, got {array.min()} to {array.max()}")
            return array.astype(np.int64).reshape(-1)
        if array.size and array.dtype.kind not in "biuf":
            raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}")
        vectors = self.kind == "vectors"
        if array.size and (array.ndim != 1 + vectors or (vectors and array.shape[1] != self.size)):
            shape = f"(T, {self.size})" if vectors else "(T,)"
            raise ValueError(f"{name} must have shape {shape}, as those that were fitted, got {array.shape}")
        if not np.isfinite(array).all():
            raise ValueError(f"{name} must hold finite numbers, and has nan or infinity")
        array = array.reshape(-1, self.size)
        return array if self.scaler is None or not array.size else self.scaler.transform(array)

    def layers(self, embedding_dim: int, dtype: str, rng: np.random.Generator) -> tuple[list[Layer], int]:
        """What comes before the recurrent layers, and how many features they are given."""
        if self.kind in ("series", "vectors"):
            return [], self.size
        return [Embedding(self.size, embedding_dim, dtype=dtype, seed=rng)], embedding_dim

    def to_json(self, given: WordVocabulary | None) -> dict[str, Any]:
        """What `from_json` rebuilds this from; a vocabulary that was given is left to who gave it."""
        vocabulary = None if self.vocabulary is given else self.vocabulary
        return {
            "kind": self.kind,
            "size": self.size,
            "vocabulary": None if vocabulary is None else vocabulary.to_dict(),
            "scaler": None if self.scaler is None else self.scaler.to_dict(),
        }

    @classmethod
    def from_json(cls, saved: dict[str, Any], given: WordVocabulary | None) -> "Inputs":
        """What `to_json` gave."""
        vocabulary, scaler = saved["vocabulary"], saved["scaler"]
        own = given if saved["kind"] == "words" else None
        found = cls(
            saved["kind"],
            saved["size"],
            own if vocabulary is None else WordVocabulary.from_dict(vocabulary),
            None if scaler is None else StandardScaler.from_dict(scaler),
        )
        if found.kind not in ("words", "ids", "series", "vectors") or (found.kind == "words") != bool(found.vocabulary):
            raise ValueError(f"its inputs are of the unknown kind {found.kind!r:.40}")
        if found.vocabulary is not None and len(found.vocabulary) != found.size:
            raise ValueError("its vocabulary and its embedding differ in size")
        return found


def as_sequences(x: Any, lengths: Any = None, name: str = "x") -> Sequence[Any]:
    """A list of sequences; of a padded array (N, T, ...) and its lengths, the sequences without the padding."""
    if isinstance(x, str) or not hasattr(x, "__len__"):
        raise TypeError(f"{name} must be a list of sequences or an array (N, T, ...), got {type(x).__name__}")
    if not isinstance(x, (list, tuple)):
        x = np.asarray(x)
        if x.ndim == 1 and x.dtype.kind in "OU":
            x = x.tolist()
        elif x.ndim < 2:
            raise ValueError(f"{name} must be an array (N, T) or (N, T, F), got shape {x.shape}")
    if lengths is None:
        return x
    steps = max((len(each) for each in x), default=0)
    ends = sequence_lengths(lengths, (len(x), steps))
    return [each[:end] for each, end in zip(x, ends.tolist(), strict=True)]


def _kind(sequences: Sequence[Any]) -> str:
    """What kind all sequences with steps are."""
    kinds = set()
    for number, each in enumerate(sequences):
        if isinstance(each, str):
            kinds.add("words")
            continue
        if not hasattr(each, "__len__"):
            raise TypeError(f"x must be a list of sequences, x[{number}] is {each!r:.40}")
        if not len(each):
            continue
        if isinstance(each[0], str):
            kinds.add("words")
            continue
        try:
            array = np.asarray(each)
        except ValueError:
            raise ValueError(f"x[{number}] must have shape (T,) or (T, F): its steps differ in length") from None
        if array.dtype.kind not in "biuf" or array.ndim not in (1, 2):
            raise ValueError(
                f"x[{number}] must be words, or numbers (T,) or (T, F), got shape {array.shape}, dtype {array.dtype}"
            )
        kinds.add("vectors" if array.ndim == 2 else "ids" if array.dtype.kind in "iu" else "series")
    if kinds == {"ids", "series"}:
        return "series"
    if len(kinds) != 1:
        raise ValueError(
            f"x must hold sequences of one kind, got {' and '.join(sorted(kinds))}"
            if kinds
            else "x must hold at least one sequence that is not empty"
        )
    return kinds.pop()
