"""Characters to integers and back."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast.data._checks import token_ids
from rnnfast.data._saved import Saved

UNKNOWN = "\N{REPLACEMENT CHARACTER}"


class Vocabulary(Saved):
    """The characters a model knows, numbered from 1 in code point order; 0 stands for every other.

    Parameters
    ----------
    characters : str or iterable of str
        Any text; its distinct characters make the vocabulary.

    Raises
    ------
    ValueError
        When there is no character, or when an element is not a single character.

    Examples
    --------
    >>> vocabulary = Vocabulary("hello")
    >>> len(vocabulary), vocabulary.encode("hole")
    (5, array([2, 4, 3, 1]))
    >>> vocabulary.decode([2, 1, 3, 3, 4])
    'hello'
    """

    def __init__(self, characters: Iterable[str]) -> None:
        distinct = sorted(set(characters))
        if not distinct:
            raise ValueError("a vocabulary needs at least one character")
        for character in distinct:
            if not isinstance(character, str) or len(character) != 1:
                raise ValueError(f"a vocabulary holds single characters, got {character!r}")
        self.characters = "".join(distinct)
        self._codes = np.array([ord(character) for character in distinct], dtype=np.uint32)

    @property
    def tokens(self) -> list[str]:
        """What each number stands for; U+FFFD, the replacement character, for 0."""
        return [UNKNOWN, *self.characters]

    def __len__(self) -> int:
        """Return the number of tokens, the unknown one (0) included."""
        return len(self.characters) + 1

    def __contains__(self, character: object) -> bool:
        return isinstance(character, str) and len(character) == 1 and character in self.characters

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self.characters == other.characters

    def __hash__(self) -> int:
        return hash(self.characters)

    def __repr__(self) -> str:
        return f"Vocabulary({self.characters!r})"

    def encode(self, text: str, *, unknown: str = "error") -> npt.NDArray[np.int64]:
        """Turn text into integers.

        Parameters
        ----------
        text : str
        unknown : {"error", "zero"}
            What happens to characters outside the vocabulary: an error that names them, or the number 0.

        Returns
        -------
        ids : int64 array, shape (len(text),)

        Raises
        ------
        ValueError
            When `unknown="error"` and the text has characters outside the vocabulary.
        """
        if unknown not in ("error", "zero"):
            raise ValueError(f"unknown must be 'error' or 'zero', got {unknown!r}")
        # Lone surrogates are legal in a str, and simply unknown here.
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
        places = np.minimum(np.searchsorted(self._codes, codes), len(self._codes) - 1)
        ids = np.where(self._codes[places] == codes, places + 1, 0).astype(np.int64)
        if unknown == "error" and not ids.all():
            strange = dict.fromkeys(text[position] for position in np.flatnonzero(ids == 0))
            raise ValueError(_describe(list(strange)))
        return ids

    def decode(self, ids: npt.ArrayLike) -> str:
        """Turn integers back into text; 0 becomes U+FFFD, the replacement character.

        Raises
        ------
        ValueError
            When a number is no token of this vocabulary.
        """
        tokens = self.tokens
        return "".join(tokens[number] for number in token_ids(ids, len(self)).tolist())

    def to_dict(self) -> dict[str, Any]:
        """Return what `from_dict` rebuilds this from, ready for JSON."""
        return {"kind": "characters", "characters": self.characters}

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Vocabulary:
        """Rebuild a vocabulary from the mapping that `to_dict` returned.

        Raises
        ------
        ValueError
            When the mapping is not such a one.
        """
        if not isinstance(saved, Mapping) or saved.get("kind") != "characters":
            raise ValueError("this is not a saved vocabulary of characters")
        characters = saved.get("characters")
        if not isinstance(characters, str) or list(characters) != sorted(set(characters)):
            raise ValueError("the saved vocabulary is damaged: its characters must be distinct and in order")
        return cls(characters)


def _describe(strange: list[str]) -> str:
    shown = ", ".join(f"{character!r} ({unicodedata.name(character, 'no name')})" for character in strange[:5])
    more = f" and {len(strange) - 5} more" if len(strange) > 5 else ""
    plural = "characters" if len(strange) > 1 else "character"
    return f"unknown {plural}, never seen in training: {shown}{more}"
