"""Word vectors that others trained: files of GloVe, fastText and word2vec, and the matrix for an `Embedding`."""

from __future__ import annotations

import gzip
import mmap
import os
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from rnnfast.data._checks import whole

Vectors = dict[str, npt.NDArray[np.float32]]
_LONGEST_WORD = 10_000  # bytes; more without a space means that this is no such file


def read_vectors(
    path: str | os.PathLike[str],
    words: Container[str] | None = None,
    *,
    binary: bool = False,
    limit: int | None = None,
) -> Vectors:
    """Read word vectors from a file of GloVe, fastText or word2vec.

    The file is read line by line (or mapped, if binary); only the vectors wanted are kept, so that large files need
    little memory.

    Parameters
    ----------
    path : path
        Text: a word and its numbers on each line, with or without a first line that says how many words and numbers
        there are; ".gz" is unpacked. Binary: word2vec's format.
    words : container of str, optional
        The words wanted, in a set or a vocabulary. None: all.
    binary : bool
        Whether the file is word2vec's binary format.
    limit : int, optional
        Read only so many words from the beginning: in these files the most frequent stand first.

    Returns
    -------
    dict of str to float32 array (D,)
        In the file's order. Of a word that stands twice, the first.

    Raises
    ------
    OSError
        When the file cannot be read.
    ValueError
        When it is damaged or another format; the message names the line, or the number of the word.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp(), "glove.txt")
    >>> _ = path.write_text("the 0.5 1.0\\ncat -1 2e-1\\n")
    >>> read_vectors(path, {"cat"})
    {'cat': array([-1. ,  0.2], dtype=float32)}
    """
    limit = None if limit is None else whole(limit, "limit", 0)
    vectors: Vectors = {}
    for word, vector in (_binary if binary else _text)(os.fspath(path), words, limit):
        vectors.setdefault(word, vector)
    return vectors


def embedding_matrix(
    vectors: Mapping[str, npt.ArrayLike],
    tokens: Sequence[str],
    *,
    missing: str = "normal",
    dtype: npt.DTypeLike = "float32",
    seed: Any = None,
) -> tuple[npt.NDArray, npt.NDArray[np.bool_]]:
    """Lay out vectors in a vocabulary's order, as weights of an `Embedding`.

    Parameters
    ----------
    vectors : mapping of str to array (D,)
    tokens : sequence of str (V,)
        What each row is for, `WordVocabulary.tokens`. The row of "<pad>" is zero.
    missing : {"normal", "zero"}
        Rows of tokens without a vector: normal numbers with the mean and deviation of all the vectors found, or zeros.
    dtype : dtype
    seed : int or Generator, optional
        Of the normal numbers.

    Returns
    -------
    matrix : array (V, D)
    found : bool array (V,)
        Which tokens have a vector.

    Raises
    ------
    ValueError
        When there is no vector, or they are of different sizes.

    Examples
    --------
    >>> matrix, found = embedding_matrix({"cat": [1.0, 2.0]}, ["<pad>", "cat"])
    >>> matrix.tolist(), found.tolist()
    ([[0.0, 0.0], [1.0, 2.0]], [False, True])
    """
    if missing not in ("normal", "zero"):
        raise ValueError(f"missing must be 'normal' or 'zero', got {missing!r}")
    if not vectors:
        raise ValueError("there is no vector")
    sizes = {np.shape(vector) for vector in vectors.values()}
    if len(sizes) > 1 or len(shape := sizes.pop()) != 1:
        raise ValueError("vectors must all have the same shape (D,)")
    matrix = np.zeros((len(tokens), *shape), dtype=dtype)
    found = np.array([token in vectors for token in tokens], dtype=bool)
    for row, token in enumerate(tokens):
        if found[row]:
            matrix[row] = vectors[token]
    if missing == "normal":
        known = matrix[found] if found.any() else np.array(list(vectors.values()))
        others = [row for row, token in enumerate(tokens) if not found[row] and token != "<pad>"]
        rng = np.random.default_rng(seed)
        matrix[others] = rng.normal(known.mean(), known.std(), (len(others), *shape))
    return matrix, found


def _text(path: str, words: Container[str] | None, limit: int | None) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    opened = gzip.open if path.endswith(".gz") else open
    size, header, count = 0, False, 0
    try:
        with opened(path, "rb") as file:
            for number, raw in enumerate(file, start=1):
                try:
                    # Only spaces separate: some words hold other white space.
                    fields = raw.decode("utf-8").rstrip("\r\n ").split(" ")
                except UnicodeDecodeError:
                    raise ValueError(f"{path}: line {number} is not UTF-8 text; is the file binary?") from None
                if number == 1:
                    header = len(fields) == 2 and fields[0].isdecimal() and fields[1].isdecimal()
                    size = int(fields[1]) if header else len(fields) - 1
                    if size < 1:
                        raise ValueError(f"{path}: line 1 holds no numbers after a word")
                    if header:
                        continue
                if limit is not None and count >= limit:
                    return
                count += 1
                if len(fields) <= size:
                    raise ValueError(f"{path}: line {number} holds {len(fields) - 1} numbers, {size} were expected")
                # A word may hold spaces itself.
                word = " ".join(fields[:-size])
                if words is None or word in words:
                    yield word, _numbers(fields[-size:], f"{path}: line {number}")
    except (EOFError, gzip.BadGzipFile) as error:
        raise ValueError(f"{path}: {error}") from None
    if not size:
        raise ValueError(f"{path}: the file is empty")


def _numbers(fields: list[str], where: str) -> npt.NDArray[np.float32]:
    try:
        vector = np.array([float(field) for field in fields], dtype=np.float32)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    if not np.isfinite(vector).all():
        raise ValueError(f"{where} holds a number that is not finite")
    return vector


def _binary(
    path: str, words: Container[str] | None, limit: int | None
) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    with open(path, "rb") as file:
        count, size = _header(file, path)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            place = file.tell()
            for number in range(1, 1 + min(count, count if limit is None else limit)):
                end = content.find(b" ", place, place + _LONGEST_WORD)
                after = end + 1 + 4 * size
                if end < 0 or after > len(content):
                    raise ValueError(f"{path}: it breaks off, or is damaged, at word {number} of {count}")
                # Some writers end each vector with a newline.
                word = content[place:end].lstrip(b"\n").decode("utf-8", "replace")
                if words is None or word in words:
                    vector = np.frombuffer(content[end + 1 : after], dtype="<f4").astype(np.float32)
                    if not np.isfinite(vector).all():
                        raise ValueError(f"{path}: word {number}, {word!r}, has a number that is not finite")
                    yield word, vector
                place = after


def _header(file: BinaryIO, path: str) -> tuple[int, int]:
    fields = file.readline(100).split()
    if len(fields) != 2 or not all(field.isdigit() for field in fields):
        raise ValueError(f"{path}: it does not begin as word2vec's binary files do, with two numbers on a line")
    count, size = int(fields[0]), int(fields[1])
    content = os.fstat(file.fileno()).st_size - file.tell()
    # Each word takes at least one byte and a space.
    if size < 1 or count * (4 * size + 2) > content:
        raise ValueError(f"{path}: {count} vectors of {size} numbers do not fit the file: it is truncated or damaged")
    return count, size
