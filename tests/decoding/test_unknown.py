import numpy as np
import pytest

from rnnfast.decoding import replace_unknown

LOOKED = np.array([[0.1, 0.2, 0.3, 0.4], [0.7, 0.1, 0.2, 0], [0, 0.3, 0.7, 0]])


def test_unknown_words_become_those_looked_at():
    words = ["<unk>", "b", "<unk>"]
    # The fourth place is padding of a longer neighbour.
    assert replace_unknown(words, LOOKED, ["x", "y", "z"]) == ["z", "b", "z"]
    assert replace_unknown(words, LOOKED, ["x", "y", "z"], dictionary={"z": "Z"}) == ["Z", "b", "Z"]
    assert replace_unknown(words, LOOKED, ["w", "x", "y", "z"], unknown="b") == ["<unk>", "w", "<unk>"]
    assert words == ["<unk>", "b", "<unk>"]
    assert replace_unknown(words, None, []) == words
    assert replace_unknown(["a"], None, ["x"]) == ["a"]


def test_an_alignment_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"alignment must have shape \(2, 2\), got \(3, 4\)"):
        replace_unknown(["<unk>", "b"], LOOKED, ["x", "y"])
