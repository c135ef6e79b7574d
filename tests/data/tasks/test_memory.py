import numpy as np
import pytest

from rnnfast.data import tasks


def test_adding():
    x, y = tasks.adding(2000, 11, seed=3)
    assert (x.shape, x.dtype, y.shape, y.dtype) == ((2000, 11, 2), np.float32, (2000, 1), np.float32)
    assert (x[:, :5, 1].sum(1) == 1).all()
    assert (x[:, 5:, 1].sum(1) == 1).all()
    assert set(x[..., 1].ravel().tolist()) == {0.0, 1.0}
    np.testing.assert_allclose((x[..., 0] * x[..., 1]).sum(1, keepdims=True), y, rtol=1e-6)
    assert ((x[..., 0] >= 0) & (x[..., 0] < 1)).all()
    # A constant 1 is wrong by the variance of a sum of two uniform numbers.
    assert np.mean((y - 1) ** 2) == pytest.approx(1 / 6, abs=0.015)
    assert (x[..., 1].sum(0) > 200).all()


def test_adding_of_many_lengths():
    x, y, lengths = tasks.adding(300, 9, min_length=2, seed=1)
    assert set(lengths.tolist()) == set(range(2, 10))
    for row, sum_, length in zip(x, y, lengths, strict=True):
        assert not row[length:].any()
        assert row[: length // 2, 1].sum() == row[length // 2 :, 1].sum() == 1
        assert row[:length, 0] @ row[:length, 1] == pytest.approx(sum_[0], rel=1e-6)


def test_copy_memory():
    x, y = tasks.copy_memory(500, 7, num_symbols=5, num_copied=3, seed=0)
    assert x.shape == y.shape == (500, 13)
    assert (x[:, :3] == y[:, -3:]).all()
    assert set(x[:, :3].ravel().tolist()) == {1, 2, 3, 4, 5}
    assert not y[:, :-3].any()
    assert (x[:, 9] == 6).all()
    assert not x[:, 3:9].any()
    assert not x[:, 10:].any()
    assert tasks.copy_memory(2)[0].shape == (2, 120)
    x, y = tasks.copy_memory(1, 1, num_symbols=1, num_copied=1)
    assert (x.tolist(), y.tolist()) == ([[1, 2, 0]], [[0, 0, 1]])


@pytest.mark.parametrize("each_step", [False, True])
def test_parity(each_step):
    x, y, lengths = tasks.parity(400, 8, min_length=0, each_step=each_step, seed=5)
    assert (x.shape, x.dtype, y.dtype) == ((400, 8, 1), np.float32, np.int64)
    assert set(lengths.tolist()) == set(range(9))
    for row, answer, length in zip(x[..., 0].astype(int).tolist(), y.tolist(), lengths.tolist(), strict=True):
        assert not any(row[length:])
        expected = [sum(row[: step + 1]) % 2 for step in range(length)] + [0] * (8 - length)
        assert answer == (expected if each_step else sum(row) % 2)
    x, y = tasks.parity(1000, 8, seed=5)
    assert 0.4 < y.mean() < 0.6


def test_reversal():
    x, y, lengths = tasks.reversal(300, 6, num_symbols=4, min_length=0, seed=2)
    assert set(lengths.tolist()) == set(range(7))
    for source, target, length in zip(x.tolist(), y.tolist(), lengths.tolist(), strict=True):
        assert target == source[:length][::-1] + [0] * (6 - length)
        assert all(1 <= symbol <= 4 for symbol in source[:length])
        assert not any(source[length:])
    x, y = tasks.reversal(50, 7, seed=2)
    assert (x == y[:, ::-1]).all()
    assert x.dtype == y.dtype == np.int64


@pytest.mark.parametrize("task", [tasks.adding, tasks.copy_memory, tasks.parity, tasks.reversal])
def test_the_seed_decides(task):
    first, second, other = task(8, 12, seed=1), task(8, 12, seed=np.random.default_rng(1)), task(8, 12, seed=2)
    for one, same in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, same)
    assert (first[0] != other[0]).any()
    assert all(len(array) == 0 for array in task(0, 5, seed=1))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tasks.adding(1, 1), "length must be at least 2, got 1"),
        (lambda: tasks.adding(1, 5, min_length=1), "min_length must be at least 2, got 1"),
        (lambda: tasks.parity(1, 5, min_length=6), "at most length=5, got 6"),
        (lambda: tasks.reversal(-1), "size must be at least 0, got -1"),
        (lambda: tasks.reversal(1, num_symbols=0), "num_symbols must be at least 1, got 0"),
        (lambda: tasks.copy_memory(1, 0), "delay must be at least 1, got 0"),
        (lambda: tasks.copy_memory(1, num_copied=0), "num_copied must be at least 1"),
    ],
)
def test_kind_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
    with pytest.raises(TypeError, match="size must be a whole number"):
        tasks.adding(2.5)
