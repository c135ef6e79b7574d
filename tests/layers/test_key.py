import numpy as np
import pytest

from rnnfast.layers._key import Key, draw_key


def test_seeds_and_generators_fix_the_key():
    assert draw_key(5) == draw_key(5) != draw_key(6)
    assert draw_key(np.random.default_rng(5)) == draw_key(5)
    rng = np.random.default_rng(5)
    assert draw_key(rng) != draw_key(rng)
    assert draw_key(None) != draw_key(None)
    assert all(0 <= draw_key(seed) < 1 << 64 for seed in range(50))


def test_a_key_passes_through():
    key = Key(7)
    assert draw_key(key) is key


def test_children_differ_by_position_and_key():
    children = {Key(k).child(i) for k in (0, 1, 2**64 - 1) for i in range(100)}
    assert len(children) == 300
    assert all(isinstance(child, Key) and 0 <= child < 1 << 64 for child in children)
    # Every bit of a child is set about half the time.
    bits = np.array([[child >> b & 1 for b in range(64)] for child in children])
    assert np.abs(bits.mean(axis=0) - 0.5).max() < 0.15


def test_splitmix64_first_outputs():
    # The published generator seeded with 1234567.
    assert [Key(1234567).child(i) for i in range(2)] == [6457827717110365317, 3203168211198807973]


def test_bad_rng():
    with pytest.raises((TypeError, ValueError)):
        draw_key("seed")
