import gzip

import numpy as np
import pytest

from rnnfast.data import WordVocabulary, embedding_matrix, read_vectors

WORDS = ["the", "gato", "niño", "\U0001f600"]
NUMBERS = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
LINES = [f"{word} {' '.join(map(repr, map(float, row)))}" for word, row in zip(WORDS, NUMBERS, strict=True)]


def glove(path, lines=LINES):
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def word2vec(path, newline=b"\n", count=4):
    records = [w.encode() + b" " + row.astype("<f4").tobytes() + newline for w, row in zip(WORDS, NUMBERS, strict=True)]
    path.write_bytes(f"{count} 3\n".encode() + b"".join(records))
    return path


def check(vectors, words=tuple(WORDS)):
    assert list(vectors) == list(words)
    for word, vector in vectors.items():
        np.testing.assert_array_equal(vector, NUMBERS[WORDS.index(word)])
        assert vector.dtype == np.float32


def test_every_format_gives_the_same(tmp_path):
    path = tmp_path / "vectors"
    check(read_vectors(glove(path)))
    check(read_vectors(glove(path, ["4 3", *(line + " " for line in LINES)])))
    check(read_vectors(glove(path, [line + "\r" for line in LINES])))
    check(read_vectors(word2vec(path), binary=True))
    check(read_vectors(word2vec(path, newline=b""), binary=True))
    packed = tmp_path / "vectors.gz"
    packed.write_bytes(gzip.compress("\n".join(LINES).encode()))
    check(read_vectors(packed))


@pytest.mark.parametrize("binary", [False, True])
def test_only_what_is_wanted(tmp_path, binary):
    path = (word2vec if binary else glove)(tmp_path / "vectors")
    check(read_vectors(path, {"niño", "the", "absent"}, binary=binary), ["the", "niño"])
    check(read_vectors(path, WordVocabulary(["gato"]), binary=binary), ["gato"])
    check(read_vectors(path, limit=2, binary=binary), ["the", "gato"])
    check(read_vectors(path, limit=0, binary=binary), [])
    check(read_vectors(path, limit=9, binary=binary))


def test_words_with_spaces_and_twice(tmp_path):
    path = glove(tmp_path / "vectors", ["a 1 2", ". . 3 4", "b\u00a0c 5 6", "a 7 8"])
    vectors = read_vectors(path)
    assert {word: vector.tolist() for word, vector in vectors.items()} == {
        "a": [1, 2],
        ". .": [3, 4],
        "b\u00a0c": [5, 6],
    }
    assert list(read_vectors(path, {".", "a"})) == ["a"]


def test_lines_after_the_limit_are_not_read(tmp_path):
    path = glove(tmp_path / "vectors", [*LINES, "damaged"])
    check(read_vectors(path, limit=4))
    with pytest.raises(ValueError, match="line 5 holds 0 numbers, 3 were expected"):
        read_vectors(path)


def test_matrix():
    vectors = {"cat": np.array([1.0, 2.0]), "dog": np.array([3.0, 5.0]), "rare": np.array([9.0, 9.0])}
    vocabulary = WordVocabulary(["dog", "fish", "cat"])
    matrix, found = embedding_matrix(vectors, vocabulary.tokens, missing="zero")
    assert matrix.dtype == np.float32
    assert found.tolist() == [False, False, False, False, True, False, True]
    assert matrix[found].tolist() == [[3, 5], [1, 2]]
    assert not matrix[~found].any()
    drawn, _ = embedding_matrix(vectors, vocabulary.tokens, seed=1, dtype="float64")
    np.testing.assert_array_equal(drawn, embedding_matrix(vectors, vocabulary.tokens, seed=1, dtype="float64")[0])
    np.testing.assert_array_equal(drawn[found], matrix[found])
    assert not drawn[0].any()
    assert (drawn[1:4] != 0).all()
    many, _ = embedding_matrix(vectors, ["dog", "cat", *map(str, range(3000))], seed=0)
    assert many[2:].mean() == pytest.approx(2.75, abs=0.1)
    assert many[2:].std() == pytest.approx(np.std([1, 2, 3, 5]), rel=0.05)


@pytest.mark.parametrize(
    ("content", "binary", "message"),
    [
        (b"", False, "the file is empty"),
        (b"word\n", False, "line 1 holds no numbers"),
        (b"a 1 2\nb 1\n", False, "line 2 holds 1 numbers, 2 were expected"),
        (b"a 1 2\nb 1 x\n", False, "line 2: could not convert string to float: 'x'"),
        (b"a 1 2\nb 1 nan\n", False, "line 2 holds a number that is not finite"),
        (b"2 3\na 1 2 3\nb\xff 1 2 3\n", False, "line 3 is not UTF-8 text; is the file binary"),
        (b"", True, "does not begin as word2vec's binary files do"),
        (b"a 1 2\nb 1 2\n", True, "does not begin as word2vec's binary files do"),
        (b"2 2\na " + bytes(8), True, "2 vectors of 2 numbers do not fit the file"),
        (b"1 0\na ", True, "1 vectors of 0 numbers"),
        (b"2 1\na " + bytes(4) + b"bcdefgh", True, "breaks off, or is damaged, at word 2 of 2"),
        (b"1 1\na \x00\x00\xc0\x7f", True, "word 1, 'a', has a number that is not finite"),
    ],
)
def test_damaged_files(tmp_path, content, binary, message):
    path = tmp_path / "vectors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_vectors(path, binary=binary)
    assert str(caught.value).startswith(str(path))


def test_truncated_archive(tmp_path):
    path = tmp_path / "vectors.gz"
    path.write_bytes(gzip.compress("\n".join(LINES).encode())[:-20])
    with pytest.raises(ValueError, match=r"vectors\.gz: Compressed file ended"):
        read_vectors(path)
    path.write_bytes(b"no archive")
    with pytest.raises(ValueError, match=r"vectors\.gz: Not a gzipped file"):
        read_vectors(path)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: embedding_matrix({}, ["a"]), "there is no vector"),
        (lambda: embedding_matrix({"a": [1], "b": [1, 2]}, ["a"]), "same shape"),
        (lambda: embedding_matrix({"a": [1]}, ["a"], missing="mean"), "'normal' or 'zero', got 'mean'"),
        (lambda: read_vectors("absent", limit=-1), "limit must be at least 0, got -1"),
    ],
)
def test_kind_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
    with pytest.raises(FileNotFoundError):
        read_vectors("absent")
