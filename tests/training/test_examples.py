import numpy as np
import pytest

from rnnfast.training import Buckets
from rnnfast.training._examples import Examples


def same(lengths):
    return lengths


def make(lengths=None, steps=None):
    x = np.arange(5 * 4).reshape(5, 4)
    return Examples(x, 10 * x, lengths, target_steps=steps)


def test_batches_in_order():
    found = [(batch.x[:, 0].tolist(), batch.count) for batch in make().epoch(2, None)]
    assert found == [([0, 4], 2), ([8, 12], 2), ([16], 1)]
    assert [batch.count for batch in make().epoch(2, None, skip=2)] == [1]


def test_batches_are_cut_to_their_longest():
    examples = make([1, 3, 0, 0, 4], steps=same)
    shapes = [(x.shape, y.shape, lengths.tolist()) for x, y, lengths, *_ in examples.epoch(2, None)]
    assert shapes == [((2, 3), (2, 3), [1, 3]), ((2, 0), (2, 0), [0, 0]), ((1, 4), (1, 4), [4])]
    untimed = [(x.shape, y.shape) for x, y, *_ in make([1, 3, 0, 0, 4]).epoch(2, None)]
    assert untimed == [((2, 3), (2, 4)), ((2, 0), (2, 4)), ((1, 4), (1, 4))]


def test_batches_in_another_order_keep_rows_together():
    order, rows = [[3, 0, 4], [1, 2]], []
    for x, y, lengths, *_ in make([1, 2, 3, 4, 0], steps=same).epoch(lambda lengths, rng: order, None):
        assert np.array_equal(10 * x, y)
        rows += lengths.tolist()
    assert rows == [4, 1, 0, 2, 3]


def test_a_drawn_order_has_every_sequence_once():
    rng = np.random.default_rng(0)
    rows = [x[:, 0].tolist() for x, *_ in make().epoch(2, rng)]
    assert [len(each) for each in rows] == [2, 2, 1]
    flat = [number for row in rows for number in row]
    assert flat != [0, 4, 8, 12, 16]
    assert sorted(flat) == [0, 4, 8, 12, 16]


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
    assert [x.shape for x, *_ in examples.epoch(4, None)] == [(4, 4), (1, 4)]


def test_several_arrays_keep_their_rows_together():
    x = {"a": np.arange(5), "b": np.arange(20).reshape(5, 4)}
    examples = Examples(x, {"c": np.arange(5) * 10}, {"b": [0, 1, 2, 3, 4]}, target_steps=same)
    assert len(examples) == 5
    assert not examples.is_cut
    order, rows = [3, 0, 4, 1, 2], []
    for found, y, lengths, *_ in examples.epoch(lambda lengths, rng: [order[:2], order[2:4], order[4:]], None):
        assert found["b"].shape[1] == 4
        assert np.array_equal(found["b"][:, 0], 4 * found["a"])
        assert np.array_equal(y["c"], 10 * found["a"])
        assert np.array_equal(lengths["b"], found["a"])
        rows += found["a"].tolist()
    assert rows == order
    kept, held_out = examples.split(0.4)
    assert kept.x["a"].tolist() == [0, 1, 2]
    assert held_out.lengths["b"].tolist() == [3, 4]
    alone = Examples(np.zeros((5, 3)), {"c": np.zeros(5)}, [1, 2, 3, 3, 0])
    assert [x.shape for x, *_ in alone.epoch(3, None)] == [(3, 3), (2, 3)]


def test_lists_of_sequences_are_padded_batch_by_batch():
    x = [np.arange(1, n + 1) for n in (2, 5, 0, 3)]
    examples = Examples(x, [10 * each for each in x], target_steps=same)
    assert examples.lengths.tolist() == [2, 5, 0, 3]
    first, second = examples.epoch(2, None)
    assert first.x.tolist() == [[1, 2, 0, 0, 0], [1, 2, 3, 4, 5]]
    assert np.array_equal(first.y, 10 * first.x)
    assert second.x.tolist() == [[0, 0, 0], [1, 2, 3]]
    assert second.lengths.tolist() == [0, 3]
    kept, tail = examples.split(0.5)
    assert [len(each) for each in kept.x.arrays + tail.x.arrays] == [2, 5, 0, 3]
    vectors = Examples([np.ones((2, 3), np.float32), np.ones((1, 3), np.float32)], np.array([4, 5]))
    [batch] = vectors.epoch(2, None)
    assert (batch.x.dtype, batch.x.shape, batch.y.tolist()) == (np.float32, (2, 2, 3), [4, 5])
    assert batch.x[1, 1].tolist() == [0, 0, 0]


def test_weights_of_steps_may_be_a_list():
    x = [np.zeros(n) for n in (2, 4, 0)]
    weights = [[1.0, 2.0], [3.0, 4.0, 5.0, 6.0], []]
    batches = Examples(x, x, None, weights, target_steps=same).epoch(lambda lengths, rng: [[2, 0], [1]], None)
    assert [batch.weights.tolist() for batch in batches] == [[[0, 0], [1, 2]], [[3, 4, 5, 6]]]
    for wrong in ([[1.0], [3.0, 4.0, 5.0, 6.0], []], [[[1.0], [2.0]], np.zeros((4, 1)), np.zeros((0, 1))]):
        with pytest.raises(ValueError, match="sample_weight: a list must hold a number for each step"):
            Examples(x, x, None, wrong, target_steps=same)


def test_targets_may_have_other_steps_than_inputs():
    def halved(lengths):
        return (lengths + 1) // 2

    x, y, weights = np.zeros((3, 7)), np.arange(12).reshape(3, 4), np.ones((3, 4))
    batches = list(Examples(x, y, [3, 2, 5], weights, target_steps=halved).epoch(2, None))
    assert [(x.shape, y.tolist(), weights.shape) for x, y, _, weights, _ in batches] == [
        ((2, 3), [[0, 1], [4, 5]], (2, 2)),
        ((1, 5), [[8, 9, 10]], (1, 3)),
    ]
    ragged = [np.zeros(n) for n in (3, 2, 5)], [np.ones(n) for n in (2, 1, 3)]
    assert [batch.y.shape for batch in Examples(*ragged, target_steps=halved).epoch(2, None)] == [(2, 2), (1, 3)]
    for wrong in (x, [np.ones(n) for n in (2, 2, 3)]):
        with pytest.raises(ValueError, match="equally many steps, counted in the model's output"):
            Examples(
                ragged[0] if isinstance(wrong, list) else x,
                wrong,
                None if isinstance(wrong, list) else [3, 2, 5],
                target_steps=halved,
            )


def test_targets_of_their_own_lengths_stay_a_list():
    [batch] = Examples(np.zeros((2, 6, 1)), [[1, 2, 3], [4]]).epoch(2, None)
    assert [each.tolist() for each in batch.y] == [[1, 2, 3], [4]]


def test_weights_are_cut_as_steps_are():
    weights = np.arange(20.0).reshape(5, 4)
    examples = Examples(np.zeros((5, 4, 1)), np.zeros((5, 4)), [1, 3, 0, 0, 4], weights, target_steps=same)
    assert [batch.weights.shape for batch in examples.epoch(2, None)] == [(2, 3), (2, 0), (1, 4)]
    assert next(examples.epoch(2, None)).weights.tolist() == [[0, 1, 2], [4, 5, 6]]
    rows = Examples(np.zeros((5, 4, 1)), np.zeros((5, 4)), [1, 3, 0, 0, 4], np.arange(5.0), target_steps=same)
    assert [batch.weights.tolist() for batch in rows.epoch(3, None)] == [[0, 1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (({"a": np.zeros(5), "b": np.zeros((4, 2))},), r"got shapes x\['a'\] \(5,\), x\['b'\] \(4, 2\)"),
        (({"a": np.zeros(5)}, {"c": np.zeros(4)}), r"y\['c'\] \(4,\)"),
        (({},), "got shapes none"),
        (({"a": 3.0},), r"x\['a'\] must have a first axis"),
        (({"a": np.zeros((5, 2))}, None, {"a": [1, 2]}), r"lengths\['a'\] must have shape \(5,\).*got \(2,\)"),
        (([[1, 2], [3]], [0, 1], [2, 1]), "leave lengths= out"),
        (
            ([np.zeros((2, 3)), np.zeros((1, 4))],),
            r"differ in T_i alone, got \(2, 3\), \(1, 4\)",
        ),
        (([[1, 2], [3]], [0, 1, 2]), r"x \(2, ragged\), y \(3,\)"),
        (
            (np.zeros((2, 3)), np.zeros(2), None, np.zeros((2, 3, 1))),
            r"sample_weight must have shape \(N,\) or \(N, T\)",
        ),
    ],
)
def test_bad_mappings(arguments, message):
    with pytest.raises(ValueError, match=message):
        Examples(*arguments)


@pytest.mark.parametrize(
    ("batching", "message"),
    [
        (lambda lengths, rng: [[0, 1], [2, 4]], "must give numbers from 0 to 3, got 4"),
        (lambda lengths, rng: [np.array([0, -1])], "must give numbers from 0 to 3, got -1"),
        (lambda lengths, rng: [], "leaves no batch of 4 sequences"),
        (Buckets(8, drop_last=True), r"Buckets\(batch_size=8, .*drop_last=True\) leaves no batch of 4 sequences"),
    ],
)
def test_what_a_sampler_must_not_give(batching, message):
    with pytest.raises(ValueError, match=message):
        Examples(np.zeros((4, 2)), np.zeros(4)).places(batching)
