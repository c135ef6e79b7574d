import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnfast.data import pad, pad_sequences, unpad

RAGGED = [[7], [], [1, 2, 3, 4, 5], [8, 9, 10]]
LONGEST_FIRST = [[-1, -1, -1, -1, 7], [-1, -1, -1, -1, -1], [1, 2, 3, 4, 5], [-1, -1, 8, 9, 10]]
LONGEST_LAST = [[7, -1, -1, -1, -1], [-1, -1, -1, -1, -1], [1, 2, 3, 4, 5], [8, 9, 10, -1, -1]]


# Computed with keras.utils.pad_sequences of Keras 3.15.1.
@pytest.mark.parametrize(
    ("maxlen", "padding", "truncating", "expected"),
    [
        (None, "pre", "pre", LONGEST_FIRST),
        (None, "pre", "post", LONGEST_FIRST),
        (None, "post", "pre", LONGEST_LAST),
        (None, "post", "post", LONGEST_LAST),
        (3, "pre", "pre", [[-1, -1, 7], [-1, -1, -1], [3, 4, 5], [8, 9, 10]]),
        (3, "pre", "post", [[-1, -1, 7], [-1, -1, -1], [1, 2, 3], [8, 9, 10]]),
        (3, "post", "pre", [[7, -1, -1], [-1, -1, -1], [3, 4, 5], [8, 9, 10]]),
        (3, "post", "post", [[7, -1, -1], [-1, -1, -1], [1, 2, 3], [8, 9, 10]]),
        (6, "pre", "pre", [[-1, *row] for row in LONGEST_FIRST]),
        (6, "post", "post", [[*row, -1] for row in LONGEST_LAST]),
    ],
)
def test_keras_numbers(maxlen, padding, truncating, expected):
    padded = pad_sequences(RAGGED, maxlen=maxlen, padding=padding, truncating=truncating, value=-1)
    assert padded.tolist() == expected
    assert padded.dtype == np.int32
    assert (
        pad_sequences([np.array(row) for row in RAGGED], maxlen, "int32", padding, truncating, -1).tolist() == expected
    )


# Computed with Keras 3.15.1 as well.
def test_keras_numbers_of_vectors_and_fractions():
    vectors = pad_sequences([np.arange(6).reshape(3, 2) / 4, np.ones((1, 2))], maxlen=2, dtype="float32")
    assert vectors.dtype == np.float32
    assert vectors.tolist() == [[[0.5, 0.75], [1.0, 1.25]], [[0.0, 0.0], [1.0, 1.0]]]
    assert pad_sequences([[0.9, -1.7], [2.5]]).tolist() == [[0, -1], [0, 2]]
    lists = pad_sequences([[[1, 2]], [], [[3, 4], [5, 6]]], padding="post", value=0.5, dtype="float64")
    assert lists.tolist() == [[[1.0, 2.0], [0.5, 0.5]], [[0.5, 0.5], [0.5, 0.5]], [[3.0, 4.0], [5.0, 6.0]]]
    assert pad_sequences([[], []], maxlen=2).tolist() == [[0, 0], [0, 0]]


def test_nothing_to_pad():
    assert pad_sequences([]).shape == (0, 0)
    assert pad_sequences([], maxlen=4).shape == (0, 4)
    assert pad_sequences([[], []]).shape == (2, 0)
    assert pad_sequences([[1, 2], [3]], maxlen=0).shape == (2, 0)
    assert pad([])[0].shape == (0, 0)
    assert pad([])[1].shape == (0,)


numbers = st.lists(st.lists(st.integers(-1000, 1000), max_size=7), max_size=6)


@given(numbers)
def test_unpad_undoes_pad(sequences):
    x, lengths = pad(sequences, value=77)
    assert lengths.tolist() == [len(sequence) for sequence in sequences]
    assert x.shape == (len(sequences), max(map(len, sequences), default=0))
    if sequences:
        assert [row.tolist() for row in unpad(x, lengths)] == sequences
        padded = pad_sequences(sequences)
        assert [row.tolist() for row in unpad(padded, lengths, padding="pre")] == sequences
    assert (x == 77).sum() >= x.size - lengths.sum()


def test_pad_keeps_dtypes_and_cuts():
    x, lengths = pad([[1], [], [2, 3]])
    assert x.dtype == np.int64
    x, lengths = pad([np.ones((2, 3), dtype=np.float32), np.zeros((0, 3)), np.ones((4, 3), dtype=np.float32)], 3)
    assert x.dtype == np.float32
    assert x.shape == (3, 3, 3)
    assert lengths.tolist() == [2, 0, 3]
    assert lengths.dtype == np.int64
    assert x.sum() == 15
    assert pad([[1, 2, 3]], 2)[0].tolist() == [[1, 2]]
    assert pad([[1, 2, 3]], 2, truncating="pre")[0].tolist() == [[2, 3]]
    assert pad([[1], [0.5, 2]])[0].tolist() == [[1, 0], [0.5, 2]]
    assert pad([[1], [2, 3]], dtype="float64", value=-9)[0].tolist() == [[1, -9], [2, 3]]


def test_unpad_gives_views():
    x = np.arange(12).reshape(2, 3, 2)
    first, second = unpad(x, [0, 2])
    assert first.shape == (0, 2)
    assert second.tolist() == [[6, 7], [8, 9]]
    assert np.shares_memory(x, second)


@pytest.mark.parametrize(
    ("error", "call", "message"),
    [
        (TypeError, lambda: pad_sequences(iter([[1]])), "list of sequences, got list_iterator"),
        (ValueError, lambda: pad_sequences([[1], 2]), "entry 1 is 2"),
        (ValueError, lambda: pad_sequences([[1]], padding="left"), "padding must be 'pre' or 'post', got 'left'"),
        (ValueError, lambda: pad_sequences([[1]], truncating="no"), "truncating must be 'pre' or 'post', got 'no'"),
        (ValueError, lambda: pad_sequences([[1]], -1), "maxlen must not be negative, got -1"),
        (ValueError, lambda: pad_sequences([[[1, 2]], [[1]]]), r"sequence 1 has shape \(1, 1\), others have \(..., 2"),
        (ValueError, lambda: pad([[[1, 2]], [1]]), r"sequence 1 has shape \(1,\)"),
        (ValueError, lambda: unpad([[1, 2]], [3]), r"lengths must lie in 0\.\.2, got 3\.\.3"),
        (ValueError, lambda: unpad([[1, 2]], [1, 1]), r"shape \(1,\), got shape \(2,\)"),
        (ValueError, lambda: unpad([[1, 2]], [1.0]), "dtype float64"),
        (ValueError, lambda: unpad([1, 2], [1, 1]), r"x must have shape \(N, T, ...\), got \(2,\)"),
    ],
)
def test_kind_errors(error, call, message):
    with pytest.raises(error, match=message):
        call()
