import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnfast.data import stream_batches


@given(st.integers(1, 60), st.integers(1, 9), st.integers(1, 12))
def test_every_token_is_a_target_once_and_streams_run_on(targets, batch_size, chunk):
    if targets < batch_size:
        return
    ids = np.random.default_rng(targets).permutation(1000)[: targets + 1]
    streams = [[] for _ in range(batch_size)]
    batches = list(stream_batches(ids, batch_size, chunk))
    for number, (x, y, lengths) in enumerate(batches):
        assert x.shape == y.shape
        assert x.shape[0] == batch_size
        assert x.shape[1] == chunk or number == len(batches) - 1
        assert lengths is None or (number == len(batches) - 1 and lengths.shape == (batch_size,))
        for row in range(batch_size):
            counted = x.shape[1] if lengths is None else lengths[row]
            streams[row].extend(zip(x[row, :counted], y[row, :counted], strict=True))
    assert [target for stream in streams for _, target in stream] == ids[1:].tolist()
    assert [token for stream in streams for token, _ in stream] == ids[:-1].tolist()
    sizes = [len(stream) for stream in streams]
    assert max(sizes) - min(sizes) <= 1


def test_known_layout():
    batches = [(x.tolist(), y.tolist(), lengths) for x, y, lengths in stream_batches(np.arange(13), 3, 3)]
    assert batches == [
        ([[0, 1, 2], [4, 5, 6], [8, 9, 10]], [[1, 2, 3], [5, 6, 7], [9, 10, 11]], None),
        ([[3], [7], [11]], [[4], [8], [12]], None),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1, 2, 3], 3, 4), "has 3 tokens; 3 streams need at least 4"),
        (([], 1, 1), "integers, got shape"),
        (([[1, 2]], 1, 1), r"shape \(1, 2\)"),
        (([0.5, 1.5], 1, 1), "float64"),
        (([1, 2, 3], 0, 1), "at least 1, got 0 and 1"),
        (([1, 2, 3], 1, 0), "at least 1, got 1 and 0"),
    ],
)
def test_kind_errors_come_before_the_first_batch(arguments, message):
    with pytest.raises(ValueError, match=message):
        stream_batches(*arguments)
