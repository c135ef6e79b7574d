"""Texts as translators and captioners take them: words, characters, or whatever a function makes of them."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from rnnfast.data.words import START, UNKNOWN, WordVocabulary

Array = np.ndarray
Tokens = str | Callable[[str], Iterable[str]]


class Words:
    """One side's tokens, learnt from the training part.

    Parameters
    ----------
    vocabulary : WordVocabulary
    tokens : "words", "characters", "space" or callable
        How a text becomes tokens; a callable is asked for the tokens of a text.
    """

    def __init__(self, vocabulary: WordVocabulary, tokens: Tokens):
        self.vocabulary, self.tokens = vocabulary, tokens

    @classmethod
    def learn(cls, texts: Sequence[Any], tokens: Tokens, min_count: int, name: str) -> "Words":
        """All tokens that are frequent enough.

        Raises
        ------
        TypeError, ValueError
            When the texts are none, or `tokens` is none of those above.
        """
        vocabulary = WordVocabulary.from_texts(texts, min_count=min_count, tokenizer=_tokenizer(tokens))
        if len(vocabulary) == len(vocabulary.special):
            raise ValueError(f"{name} must hold at least one word that is there {min_count} times (min_count)")
        return cls(vocabulary, tokens)

    def cut(self, text: Any) -> list[str]:
        """The tokens of a text; a list of tokens stays as it is."""
        return self.vocabulary.tokenize(text)

    def encode(self, texts: Sequence[Any]) -> list[Array]:
        """Ids (T,) of each text."""
        return self.vocabulary.encode_all(texts)

    def words(self, ids: Array) -> list[str]:
        """Tokens of ids, the one for unknown words among them."""
        return [self.vocabulary.tokens[number] for number in ids.tolist()]

    def join(self, words: Sequence[str]) -> str:
        """A text of tokens: characters side by side, words with spaces between."""
        return ("" if self.tokens == "characters" else " ").join(words)

    @property
    def unwritten(self) -> list[int]:
        """Ids that no text holds: padding and the start."""
        return [0, self.vocabulary[START]]

    @property
    def unknown(self) -> str:
        """The token of unknown words."""
        return UNKNOWN

    def to_json(self) -> dict[str, Any]:
        """What `from_json` rebuilds this from; a callable is not kept."""
        return {
            "vocabulary": self.vocabulary.to_dict(),
            "tokens": self.tokens if isinstance(self.tokens, str) else "own",
        }

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> "Words":
        """What `to_json` gave."""
        vocabulary, tokens = WordVocabulary.from_dict(saved["vocabulary"]), saved["tokens"]
        if tokens == "characters":
            vocabulary.tokenizer = list
        elif tokens not in ("words", "space", "own"):
            raise ValueError(f"its texts are of the unknown tokens {tokens!r:.40}")
        return cls(vocabulary, vocabulary.tokenizer if tokens == "own" else tokens)


def _tokenizer(tokens: Tokens) -> Tokens:
    if tokens == "characters":
        return list
    if not callable(tokens) and tokens not in ("words", "space"):
        raise ValueError(f"tokens must be 'words', 'characters', 'space' or a callable, got {tokens!r:.60}")
    return tokens


def listed(texts: Any, name: str) -> list[Any]:
    """Texts, or lists of tokens, as a list.

    Raises
    ------
    TypeError
        With what is wrong.
    """
    if isinstance(texts, str) or not hasattr(texts, "__len__"):
        raise TypeError(f"{name} must be a list of texts, got {type(texts).__name__}")
    found = list(texts)
    for number, each in enumerate(found):
        if not isinstance(each, str) and not (
            isinstance(each, (list, tuple)) and all(isinstance(word, str) for word in each)
        ):
            raise TypeError(f"{name}[{number}] must be a text or a list of tokens, got {each!r:.40}")
    return found
