"""Scores of whole texts, as plain functions."""

import math
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from rnnfast.training.metrics._distance import edit_distances, numbered


def edit_distance(reference: Sequence[Hashable], hypothesis: Sequence[Hashable]) -> int:
    """The fewest insertions, deletions and replacements that turn one sequence into the other (Levenshtein 1966).

    Parameters
    ----------
    reference, hypothesis : sequence of hashable
        Strings, or lists of words or ids.

    Examples
    --------
    >>> edit_distance("kitten", "sitting")
    3
    """
    return int(edit_distances(*numbered([reference], [hypothesis]))[0])


def wer(reference: str | Sequence[str], hypothesis: str | Sequence[str]) -> float:
    """The word error rate: edits of words that turn references into hypotheses, by the number of words in references.

    Parameters
    ----------
    reference, hypothesis : str, or sequences of equally many str
        Sentences; words stand between white space. Of several sentences, edits and words are summed before dividing.

    Returns
    -------
    float
        0 for equal texts; may be more than 1; nan where there is no word in either.

    Examples
    --------
    >>> wer("the cat sat on the mat", "the cat sat mat")
    0.3333333333333333
    """
    return _rate("wer", reference, hypothesis, str.split)


def cer(reference: str | Sequence[str], hypothesis: str | Sequence[str]) -> float:
    """The character error rate: as `wer`, of characters, white space included.

    Examples
    --------
    >>> cer(["kitten", "cat"], ["sitting", "cat"])
    0.3333333333333333
    """
    return _rate("cer", reference, hypothesis, list)


def bleu(references: Sequence[Any], hypotheses: Sequence[Sequence[Hashable]], *, order: int = 4) -> float:
    """BLEU of a corpus, from 0 to 100 (Papineni et al. 2002).

    The geometric mean of the shares of n-grams of the hypotheses, n = 1 to `order`, that are in the references, no more
    often than there; times exp(1 - r / h) where the hypotheses, of h tokens, are shorter than the references, of r.

    Parameters
    ----------
    references : sequence of B sequences of tokens, or of B sequences of these
        One reference for each hypothesis, or several; of several, n-grams count in the one that has most of them, and
        the length is that which is nearest, the shorter of two.
    hypotheses : sequence of B sequences of tokens
        Tokens are strings or ids. Scores that others can compare want the same tokens.
    order : int

    Returns
    -------
    float

    Notes
    -----
    As sacreBLEU (Post 2018) computes a corpus from tokens by default: where no n-gram of a size is right, the share
    is that of half a right one, of a quarter the next time, and so on (its smoothing "exp"); 0 where nothing is right
    at all, and where no hypothesis is as long as `order`.

    Examples
    --------
    >>> round(bleu([["the", "cat", "is", "on", "the", "mat"]], [["the", "cat", "is", "on", "a", "mat"]]), 2)
    53.73
    """
    if len(references) != len(hypotheses):
        raise ValueError(f"bleu: there are {len(references)} references and {len(hypotheses)} hypotheses")
    right, told = [0] * order, [0] * order
    reference_length = hypothesis_length = 0
    for of_one, hypothesis in zip(references, hypotheses, strict=True):
        several = [of_one] if not len(of_one) or _is_token(of_one[0]) else list(of_one)
        if any(isinstance(tokens, str) for tokens in (*several, hypothesis)):
            raise TypeError("bleu: texts must be sequences of tokens, not strings; split() makes words of a string")
        hypothesis_length += len(hypothesis)
        reference_length += min(map(len, several), key=lambda length: (abs(length - len(hypothesis)), length))
        for n in range(1, order + 1):
            most: Counter[Any] = Counter()
            for tokens in several:
                most |= _ngrams(tokens, n)
            found = _ngrams(hypothesis, n)
            right[n - 1] += (found & most).total()
            told[n - 1] += found.total()
    if not any(right) or not all(told):
        return 0.0
    logs, missed = 0.0, 0
    for hits, total in zip(right, told, strict=True):
        missed += not hits
        logs += math.log(hits / total if hits else 0.5**missed / total)
    return 100 * math.exp(logs / order + min(0.0, 1 - reference_length / hypothesis_length))


def _rate(name: str, reference: Any, hypothesis: Any, units: Callable[[str], list[str]]) -> float:
    references, hypotheses = ([side] if isinstance(side, str) else list(side) for side in (reference, hypothesis))
    if len(references) != len(hypotheses):
        raise ValueError(f"{name}: there are {len(references)} references and {len(hypotheses)} hypotheses")
    if wrong := [each for each in (*references, *hypotheses) if not isinstance(each, str)]:
        raise TypeError(f"{name}: texts must be strings, got {type(wrong[0]).__name__}")
    wanted, told = ([units(text) for text in side] for side in (references, hypotheses))
    edits, length = int(edit_distances(*numbered(wanted, told)).sum()), sum(map(len, wanted))
    return edits / length if length else math.inf if edits else math.nan


def _ngrams(tokens: Sequence[Any], n: int) -> Counter[Any]:
    return Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))


def _is_token(value: Any) -> bool:
    return isinstance(value, str) or (not isinstance(value, Sequence) and getattr(value, "ndim", 0) == 0)
