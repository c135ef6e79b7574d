import numpy as np
import pytest

from rnnfast.training._examples import Examples


def make(lengths=None, timed=False):
    x = np.arange(5 * 4).reshape(5, 4)
    return Examples(x, 10 * x, lengths, timed=timed)


def test_batches_in_order():
    places = [(x[:, 0].tolist(), place) for x, _, _, place in make().batches(2)]
    assert places == [([0, 4], slice(0, 2)), ([8, 12], slice(2, 4)), ([16], slice(4, 6))]


def test_batches_are_cut_to_their_longest():
    examples = make([1, 3, 0, 0, 4], timed=True)
    shapes = [(x.shape, y.shape, lengths.tolist()) for x, y, lengths, _ in examples.batches(2)]
    assert shapes == [((2, 3), (2, 3), [1, 3]), ((2, 0), (2, 0), [0, 0]), ((1, 4), (1, 4), [4])]
    untimed = [(x.shape, y.shape) for x, y, _, _ in make([1, 3, 0, 0, 4]).batches(2)]
    assert untimed == [((2, 3), (2, 4)), ((2, 0), (2, 4)), ((1, 4), (1, 4))]


def test_batches_in_another_order_keep_rows_together():
    order = np.array([3, 0, 4, 1, 2])
    rows = []
    for x, y, lengths, _ in make([1, 2, 3, 4, 0], timed=True).batches(3, order):
        assert np.array_equal(10 * x, y)
        rows += list(zip(lengths.tolist(), strict=True))
    assert rows == [(4,), (1,), (0,), (2,), (3,)]


def test_the_tail_is_held_out():
    kept, held_out = make([0, 1, 2, 3, 4]).split(0.4)
    assert kept.x[:, 0].tolist() == [0, 4, 8]
    assert held_out.x[:, 0].tolist() == [12, 16]
    assert held_out.lengths.tolist() == [3, 4]
    assert len(make().split(0.01)[1]) == 1
    with pytest.raises(ValueError, match="leaves one side empty"):
        make().split(0.99)
    with pytest.raises(ValueError, match="validation_split must be"):
        make().split(1.0)


def test_memory_maps_are_read_by_the_batch(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(20).reshape(5, 4))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    examples = Examples(mapped)
    assert isinstance(examples.x, np.memmap)
    assert [x.shape for x, *_ in examples.batches(4)] == [(4, 4), (1, 4)]


def test_several_arrays_keep_their_rows_together():
    x = {"a": np.arange(5), "b": np.arange(20).reshape(5, 4)}
    examples = Examples(x, {"c": np.arange(5) * 10}, {"b": [0, 1, 2, 3, 4]}, timed=True)
    assert len(examples) == 5
    assert not examples.is_cut
    order = np.array([3, 0, 4, 1, 2])
    rows = []
    for found, y, lengths, _ in examples.batches(2, order):
        assert found["b"].shape[1] == 4
        assert np.array_equal(found["b"][:, 0], 4 * found["a"])
        assert np.array_equal(y["c"], 10 * found["a"])
        assert np.array_equal(lengths["b"], found["a"])
        rows += found["a"].tolist()
    assert rows == order.tolist()
    kept, held_out = examples.split(0.4)
    assert kept.x["a"].tolist() == [0, 1, 2]
    assert held_out.lengths["b"].tolist() == [3, 4]
    alone = Examples(np.zeros((5, 3)), {"c": np.zeros(5)}, [1, 2, 3, 3, 0])
    assert [x.shape for x, *_ in alone.batches(3)] == [(3, 3), (2, 3)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (({"a": np.zeros(5), "b": np.zeros((4, 2))},), r"got shapes x\['a'\] \(5,\), x\['b'\] \(4, 2\)"),
        (({"a": np.zeros(5)}, {"c": np.zeros(4)}), r"y\['c'\] \(4,\)"),
        (({},), "got shapes none"),
        (({"a": 3.0},), r"x\['a'\] must have a first axis"),
        (({"a": np.zeros((5, 2))}, None, {"a": [1, 2]}), r"lengths\['a'\] must have shape \(5,\).*got \(2,\)"),
    ],
)
def test_bad_mappings(arguments, message):
    with pytest.raises(ValueError, match=message):
        Examples(*arguments)
