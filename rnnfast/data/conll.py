"""Labelled sentences in columns: the files of the CoNLL shared tasks, and what their tags mean."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

import numpy as np

from rnnfast.data.corpora import read_text
from rnnfast.training.metrics.entities import Scheme

Sentences = list[list[str]]


def read_conll(
    path: str | os.PathLike[str],
    columns: Sequence[int] = (0, -1),
    *,
    separator: str | None = None,
    conllu: bool = False,
) -> tuple[Sentences, ...]:
    """Read sentences of one word a line, with an empty line after each sentence.

    Parameters
    ----------
    path : path
        UTF-8 text. Lines that begin with "-DOCSTART-" are left out.
    columns : sequence of int
        Which columns to return, from 0, or negative from the last. For words and names in CoNLL-2003: (0, -1); for
        words and parts of speech in CoNLL-U: (1, 3).
    separator : str, optional
        What stands between columns. None: any white space.
    conllu : bool
        Read CoNLL-U: columns are separated by tabs, lines that begin with "#" are comments, and the lines of
        multiword tokens and empty nodes ("1-2", "1.1") are left out.

    Returns
    -------
    tuple of list of list of str
        For each of `columns` the sentences.

    Raises
    ------
    OSError
        When the file cannot be read.
    ValueError
        When it is no text, or a line has fewer or more columns than the first; the message names the line.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp(), "names.txt")
    >>> _ = path.write_text("Ann B-PER\\nsleeps O\\n\\nRome B-LOC\\n")
    >>> read_conll(path)
    ([['Ann', 'sleeps'], ['Rome']], [['B-PER', 'O'], ['B-LOC']])
    """
    separator = "\t" if conllu else separator
    sentences: list[list[list[str]]] = [[]]
    width = 0
    for number, line in enumerate(read_text([path]).split("\n"), start=1):
        if not line.strip():
            sentences.append([])
            continue
        if line.startswith("-DOCSTART-") or (conllu and line.startswith("#")):
            continue
        fields = line.split(separator)
        width = width or len(fields)
        if len(fields) != width:
            raise ValueError(f"{path}: line {number} has {len(fields)} columns, the lines before have {width}")
        if not all(-width <= column < width for column in columns):
            raise ValueError(f"{path}: it has {width} columns, columns {tuple(columns)} were asked for")
        if not (conllu and ("-" in fields[0] or "." in fields[0])):
            sentences[-1].append(fields)
    found = [sentence for sentence in sentences if sentence]
    return tuple([[fields[column] for fields in sentence] for sentence in found] for column in columns)


def entities(tags: Iterable[str]) -> list[tuple[str, int, int]]:
    """Find the spans that tags mark, in any of the schemes IOB1, IOB2 (BIO), IOE and IOBES (BILOU).

    Tags are read as `conlleval`, the script of the shared tasks, reads them, wrong ones included: see
    `rnnfast.training.metrics.entities.Scheme`.

    Parameters
    ----------
    tags : iterable of str
        Of one sentence: "O", or a letter, a hyphen and a kind ("B-PER").

    Returns
    -------
    list of (kind, start, end)
        Words start to end - 1.

    Raises
    ------
    ValueError
        When a tag is none of those.

    Examples
    --------
    >>> entities(["B-PER", "I-PER", "O", "I-LOC", "B-LOC"])
    [('PER', 0, 2), ('LOC', 3, 4), ('LOC', 4, 5)]
    """
    tags = list(tags)
    names = list(dict.fromkeys(tags))
    scheme, ids = Scheme(names), np.array([names.index(tag) for tag in tags], np.int64)
    begins, ends = scheme.spans(ids, np.arange(len(tags)) == 0)
    kinds = [scheme.kinds[kind] for kind in scheme.kind[ids[begins]]]
    return list(zip(kinds, begins.tolist(), (ends + 1).tolist(), strict=True))


def to_iob2(tags: Sequence[str]) -> list[str]:
    """Rewrite tags of any scheme that `entities` reads so that every span begins with B and goes on with I.

    Examples
    --------
    >>> to_iob2(["I-PER", "I-PER", "O", "S-LOC"])
    ['B-PER', 'I-PER', 'O', 'B-LOC']
    """
    rewritten = ["O"] * len(tags)
    for kind, start, end in entities(tags):
        suffix = f"-{kind}" if kind else ""
        rewritten[start:end] = [f"B{suffix}", *[f"I{suffix}"] * (end - start - 1)]
    return rewritten
