"""Words to integers and back."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast.data._checks import token_ids, whole
from rnnfast.data._saved import Saved

PAD, UNKNOWN, START, END = "<pad>", "<unk>", "<s>", "</s>"
SPECIAL = (PAD, UNKNOWN, START, END)
_WORDS = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")

Tokenizer = str | Callable[[str], Iterable[str]]


class WordVocabulary(Saved):
    """The words a model knows, numbered: special tokens first, then words in their order.

    Parameters
    ----------
    words : iterable of str
        Distinct words; `from_texts` finds and counts them.
    special : sequence of str
        Tokens before the words. Of these "<pad>" (padding, 0), "<unk>" (any other word), "<s>" and "</s>" (start and
        end of a sentence) mean something; others are kept.
    tokenizer : {"words", "space"} or callable str -> iterable of str
        How a text becomes words: "words" separates punctuation marks, "space" splits at white space, and a callable
        does what it likes (subwords of another package, say).
    lower : bool
        Texts are lowercased first.

    Raises
    ------
    TypeError, ValueError
        When words are no strings or occur twice, or another argument is none of those above.

    Examples
    --------
    >>> vocabulary = WordVocabulary.from_texts(["the cat saw the dog", "a dog"], min_count=2)
    >>> vocabulary.tokens
    ['<pad>', '<unk>', '<s>', '</s>', 'dog', 'the']
    >>> vocabulary.encode("the cat", end=True)
    array([5, 1, 3])
    >>> vocabulary.decode([5, 4, 3, 0])
    ['the', 'dog']
    """

    def __init__(
        self,
        words: Iterable[str],
        *,
        special: Sequence[str] = SPECIAL,
        tokenizer: Tokenizer = "words",
        lower: bool = False,
    ) -> None:
        if isinstance(words, str):
            raise TypeError("words must be a list of words, got one str; from_texts takes texts")
        self.special = tuple(special)
        self.tokens = [*self.special, *words]
        if wrong := [token for token in self.tokens if not isinstance(token, str)]:
            raise TypeError(f"words must be strings, got {wrong[0]!r}")
        self._ids = {token: number for number, token in enumerate(self.tokens)}
        if len(self._ids) < len(self.tokens):
            raise ValueError(f"words must be distinct, {Counter(self.tokens).most_common(1)[0][0]!r} occurs twice")
        if PAD in self.special and self.special[0] != PAD:
            raise ValueError(f"{PAD!r} must be the first special token, so that padding is 0")
        self.tokenizer, self.lower = tokenizer, bool(lower)
        if not callable(tokenizer) and tokenizer not in ("words", "space"):
            raise ValueError(f"tokenizer must be 'words', 'space' or a callable, got {tokenizer!r}")

    @classmethod
    def from_texts(
        cls,
        texts: Iterable[str | Iterable[str]],
        *,
        min_count: int = 1,
        max_size: int | None = None,
        special: Sequence[str] = SPECIAL,
        tokenizer: Tokenizer = "words",
        lower: bool = False,
    ) -> WordVocabulary:
        """Find the words of texts, the most frequent first, equally frequent ones in code point order.

        Parameters
        ----------
        texts : iterable of str, or of lists of words
            The training part.
        min_count : int
            Rarer words are left out.
        max_size : int, optional
            Most tokens in all, special ones counted.
        special, tokenizer, lower
            As of the class.

        Raises
        ------
        TypeError, ValueError
            When an argument is none of those above.
        """
        if isinstance(texts, str):
            raise TypeError("texts must be a list of texts, got one str")
        min_count = whole(min_count, "min_count")
        empty = cls([], special=special, tokenizer=tokenizer, lower=lower)
        if max_size is not None:
            whole(max_size, "max_size", len(empty))
        counts = Counter(word for text in texts for word in empty.tokenize(text))
        kept = [word for word, count in counts.items() if count >= min_count and word not in empty._ids]
        kept.sort(key=lambda word: (-counts[word], word))
        kept = kept[: None if max_size is None else max_size - len(empty)]
        return cls(kept, special=special, tokenizer=tokenizer, lower=lower)

    def __len__(self) -> int:
        """Return the number of tokens, special ones counted."""
        return len(self.tokens)

    def __contains__(self, word: object) -> bool:
        return word in self._ids

    def __getitem__(self, word: str) -> int:
        """Return the number of a token; of "<unk>" for words outside."""
        number = self._ids.get(word, self._ids.get(UNKNOWN))
        if number is None:
            raise ValueError(f"unknown word {word!r}, and the vocabulary has no {UNKNOWN!r}")
        return number

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WordVocabulary) and self._state() == other._state()

    def __hash__(self) -> int:
        return hash(tuple(self.tokens))

    def __repr__(self) -> str:
        return f"WordVocabulary({len(self)} tokens)"

    def _state(self) -> tuple[Any, ...]:
        return self.tokens, self.special, self.tokenizer, self.lower

    def tokenize(self, text: str | Iterable[str]) -> list[str]:
        """Cut a text into words; a list of words stays as it is, but for its case."""
        if not isinstance(text, str):
            return [word.lower() for word in text] if self.lower else list(text)
        text = text.lower() if self.lower else text
        if callable(self.tokenizer):
            return list(self.tokenizer(text))
        return text.split() if self.tokenizer == "space" else _WORDS.findall(text)

    def encode(self, text: str | Iterable[str], *, start: bool = False, end: bool = False) -> npt.NDArray[np.int64]:
        """Turn a text into integers.

        Parameters
        ----------
        text : str, or list of words
        start, end : bool
            Put "<s>" before and "</s>" after.

        Returns
        -------
        ids : int64 array (T,)

        Raises
        ------
        ValueError
            When a word is unknown and there is no "<unk>", or there is no "<s>" or "</s>" where one is asked for.
        """
        words = [*[START] * start, *self.tokenize(text), *[END] * end]
        for wanted, token in ((start, START), (end, END)):
            if wanted and token not in self._ids:
                raise ValueError(f"the vocabulary has no {token!r}")
        return np.fromiter((self[word] for word in words), dtype=np.int64, count=len(words))

    def encode_all(
        self, texts: Iterable[str | Iterable[str]], *, start: bool = False, end: bool = False
    ) -> list[npt.NDArray[np.int64]]:
        """Turn each of several texts into integers, ready for `rnnfast.data.pad`; see `encode`."""
        return [self.encode(text, start=start, end=end) for text in texts]

    def decode(self, ids: npt.ArrayLike, *, keep_special: bool = False) -> list[str]:
        """Turn integers back into words.

        Parameters
        ----------
        ids : integers (T,)
        keep_special : bool
            Keep the special tokens too. Else all but "<unk>" are left out.

        Raises
        ------
        ValueError
            When a number is no token of this vocabulary.
        """
        left_out = set() if keep_special else set(self.special) - {UNKNOWN}
        words = [self.tokens[number] for number in token_ids(ids, len(self)).tolist()]
        return [word for word in words if word not in left_out]

    def to_dict(self) -> dict[str, Any]:
        """Return what `from_dict` rebuilds this from, ready for JSON.

        A tokenizer of one's own is no data: it is left out, and to be set as `tokenizer` again after loading.
        """
        words = self.tokens[len(self.special) :]
        return {
            "kind": "words",
            "special": list(self.special),
            "words": words,
            "tokenizer": "own" if callable(self.tokenizer) else self.tokenizer,
            "lower": self.lower,
        }

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> WordVocabulary:
        """Rebuild a vocabulary from the mapping that `to_dict` returned.

        Raises
        ------
        ValueError
            When the mapping is not such a one.
        """
        if not isinstance(saved, Mapping) or saved.get("kind") != "words":
            raise ValueError("this is not a saved vocabulary of words")
        try:
            options = {name: saved[name] for name in ("special", "tokenizer", "lower")}
            if options["tokenizer"] == "own":
                options["tokenizer"] = _missing
            return cls(saved["words"], **options)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"the saved vocabulary is damaged: {error}") from None


def _missing(text: str) -> list[str]:
    raise ValueError("the vocabulary was saved with a tokenizer of one's own: set its `tokenizer` again")
