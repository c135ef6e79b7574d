"""Pools: each stream has the bits that it has alone, whoever else is in the batch."""

import threading

import numpy as np
import pytest
from checks import same_bits
from layer_checks import flatten, randomise

import rnnfast as rf

MODELS = {
    "rnn": lambda: rf.RNN(3, 5),
    "lstm": lambda: rf.LSTM(3, 37, 2, dtype="float64", bias="double"),
    "gru": lambda: rf.GRU(3, 17, 3),
    "gru_before": lambda: rf.GRU(3, 33, reset="before", update="new"),
    "model": lambda: rf.Sequential(
        rf.Linear(3, 4, activation="tanh"), rf.LSTM(4, 9), rf.Dropout(0.5), rf.GRU(9, 5), rf.Linear(5, 2)
    ),
    "ids": lambda: rf.Sequential(rf.Embedding(11, 4), rf.LSTM(4, 9), rf.Linear(9, 11, activation="sigmoid")),
}


def inputs(layer, *shape, seed=0):
    rng = np.random.default_rng(seed)
    ids = layer.input_shape == ("B", "T")
    return rng.integers(0, 11, shape) if ids else rng.normal(size=(*shape, 3)).astype(layer.dtype)


@pytest.mark.parametrize("name", MODELS)
def test_streams_that_come_and_go_have_the_bits_they_have_alone(name):
    """Forty rounds in which streams join (some with a state), leave and step, in random order and company."""
    layer, rng, capacity = randomise(MODELS[name]()), np.random.default_rng(5), 7
    pool, alone, steps = layer.pool(capacity), {}, 0
    start = layer.run(inputs(layer, 1, 4, seed=1))[1]
    for turn in range(40):
        for slot in list(alone):
            if rng.random() < 0.15:
                pool.leave(slot)
                del alone[slot]
        while len(alone) < capacity and rng.random() < 0.6:
            state = start if rng.random() < 0.5 else None
            slot = pool.join(state)
            assert slot not in alone
            alone[slot] = layer.stream()
            if state is not None:
                alone[slot].restore(state)
        assert pool.live_slots == tuple(sorted(alone))
        assert len(pool) == len(alone)
        slots = rng.permutation(list(alone))[: rng.integers(0, capacity + 1)].astype(int)
        x = inputs(layer, len(slots), seed=turn)
        y = pool(x, slots if turn % 2 else slots.tolist())
        assert y.shape[0] == len(slots)
        for r, slot in enumerate(slots):
            assert same_bits(y[r : r + 1].copy(), alone[slot](x[r : r + 1]).copy())
            steps += 1
        for slot, stream in alone.items():
            pairs = zip(flatten(pool.snapshot(slot)), flatten(stream.snapshot()), strict=True)
            assert all(same_bits(a, b) for a, b in pairs)
    assert steps > 60


def test_a_slot_used_again_starts_from_zeros():
    layer = randomise(rf.LSTM(3, 5, 2))
    x, pool = inputs(layer, 1, 3), layer.pool(2)
    fresh = layer.stream()(x[:, 0]).copy()
    for _ in range(5):
        slot = pool.join()
        assert same_bits(pool(x[:, 0], [slot]).copy(), fresh)
        pool(x[:, 1], [slot])
        pool.leave(slot)


def test_a_stream_moves_between_pools_and_streams():
    layer = randomise(rf.GRU(3, 5, 2))
    x = inputs(layer, 1, 6)
    y, _ = layer(x)
    pool, other, stream = layer.pool(3), layer.pool(2), layer.stream()
    pool.join()
    slot = pool.join(layer(x[:, :2])[1])
    pool(x[:, 2], [slot])
    other.join()
    moved = other.join(pool.snapshot(slot))
    assert same_bits(other(x[:, 3], [moved]).copy(), y[:, 3])
    stream.restore(other.snapshot(moved))
    assert same_bits(stream(x[:, 4]).copy(), y[:, 4])
    slot = pool.join(layer(x[0, :5])[1])  # without a batch axis
    assert same_bits(pool(x[0, 5], [slot]).copy(), y[:, 5])


def test_arguments_of_any_kind():
    layer = randomise(rf.LSTM(3, 5))
    x = inputs(layer, 3)
    wanted = layer(x[:, None])[0][:, 0].copy()
    for slots in ([2, 0, 1], (2, 0, 1), np.array([2, 0, 1]), np.array([2, 0, 1], "u1"), np.array([2, 7, 0, 7, 1])[::2]):
        pool = layer.pool(3)
        for _ in range(3):
            pool.join()
        assert same_bits(pool(x.tolist(), slots).copy(), wanted)
        assert same_bits(pool.snapshot(2).h[0], wanted[:1])
    for slots in (range(3), [np.int8(0), np.int64(1), 2]):
        pool = layer.pool(3)
        for _ in range(3):
            pool.join()
        out = np.zeros((3, 5))
        assert pool(x, slots, out=out) is out
        assert np.array_equal(out, wanted)
    assert pool(np.zeros((0, 3), "f"), []).shape == (0, 5)


def test_what_is_wrong_changes_nothing():
    layer = randomise(rf.LSTM(3, 5, 2))
    pool = layer.pool(4)
    for _ in range(3):
        pool.join()
    pool.leave(1)
    x = inputs(layer, 2)
    pool(x, [0, 2])
    kept = [pool.snapshot(slot) for slot in (0, 2)]
    for wrong, slots, error, match in (
        (x, [0, 0], ValueError, "once, got 0 twice"),
        (x, np.array([2, 2]), ValueError, "once, got 2 twice"),
        (x, [0, 1], ValueError, "slot 1 has no stream; 2 of 4"),
        (x, [0, 3], ValueError, "slot 3 has no stream"),
        (x, [0, 4], ValueError, "slot 4 has no stream"),
        (x, [-1, 0], ValueError, "slot -1 has no stream"),
        (x, [0, 2.0], TypeError, "float64"),
        (x, [True, False], TypeError, "bool"),
        (x, None, TypeError, "object"),
        (x, 0, ValueError, r"shape \(\)"),
        (x, [[0, 2]], ValueError, r"shape \(1, 2\)"),
        (x, [0], ValueError, r"\(1, 3\).*\(2, 3\)"),
        (x, [], ValueError, r"\(0, 3\).*\(2, 3\)"),
        (x[:, :2], [0, 2], ValueError, r"\(2, 3\).*\(2, 2\)"),
        (x[0], [0, 2], ValueError, r"\(2, 3\).*\(3,\)"),
        (x + 1j, [0, 2], TypeError, "complex"),
    ):
        with pytest.raises(error, match=match):
            pool(wrong, slots)
    with pytest.raises(ValueError, match=r"\(2, 5\).*\(3, 5\)"):
        pool(x, [0, 2], out=np.zeros((3, 5), "f"))
    for use in (pool.leave, pool.snapshot):
        for slot in (1, 4, -1):
            with pytest.raises(ValueError, match=f"slot {slot} has no stream"):
                use(slot)
    for state in (layer.stream(2).snapshot(), kept[0].h, rf.GRU(3, 5, 2).stream().snapshot()):
        with pytest.raises((ValueError, TypeError), match="state"):
            pool.join(state)
    for before, slot in zip(kept, (0, 2), strict=True):
        assert all(same_bits(a, b) for a, b in zip(pool.snapshot(slot), before, strict=True))
    assert pool.live_slots == (0, 2)


def test_a_full_pool_says_so():
    pool = rf.GRU(3, 4).pool(2)
    assert bool(pool)
    slots = [pool.join(), pool.join()]
    with pytest.raises(RuntimeError, match="full: 2 streams"):
        pool.join()
    pool.leave(slots[0])
    assert pool.join() == slots[0]
    assert len(pool) == 2


def test_what_cannot_pool_says_so():
    with pytest.raises(ValueError, match="bidirectional GRU cannot run step by step"):
        rf.GRU(3, 4, bidirectional=True).pool(2)
    with pytest.raises(ValueError, match="capacity"):
        rf.GRU(3, 4).pool(0)
    for exponent in range(50, 63):
        with pytest.raises(MemoryError, match="cannot allocate"):
            rf.Sequential(rf.Linear(3, 4)).pool(2**exponent)


def test_a_pool_keeps_the_parameters_it_was_made_with():
    layer = randomise(MODELS["ids"]())
    ids, pool = np.array([3, 1]), layer.pool(2)
    wanted = layer(ids[:, None])[:, 0].copy()
    for name in layer.params:
        layer.params[name] = layer.params[name] + 1
    assert same_bits(pool(ids, [pool.join(), pool.join()]).copy(), wanted)


def test_one_pool_in_many_threads():
    """Whoever comes while another is inside gets an error; every step that was taken is one of its stream's."""
    layer = randomise(rf.LSTM(3, 64))
    x = inputs(layer, 4, 50)
    wanted, _ = layer(x)
    pool = layer.pool(4)
    slots = [pool.join() for _ in range(4)]

    def work(row):
        out, t = np.empty((1, 64), "f"), 0
        while t < 50:
            try:
                pool(x[row : row + 1, t], [slots[row]], out=out)
            except RuntimeError as error:
                if "another thread" not in str(error):
                    raise
                continue
            assert same_bits(out, wanted[row : row + 1, t].copy())
            t += 1

    errors = []

    def body(row):
        try:
            work(row)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=body, args=(row,)) for row in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors
