import numpy as np
import pytest

from rnnfast.layers._block import Block, lay_end_to_end
from rnnfast.training.optimizers._parts import trained_parts


def four_blocks():
    blocks = [
        Block(shapes, "float64") for shapes in ({"weight": (2, 3), "bias": (3,)}, {}, {"weight": (2, 3), "bias": (3,)})
    ]
    return [*blocks, Block({"weight": (2,), "nothing": (0,)}, "float64")]


def places(parts):
    return [(part.place.start, part.place.stop) for part in parts]


@pytest.mark.parametrize(
    ("frozen", "wanted"),
    [
        ([], [(0, 20)]),
        ([(0, "weight")], [(6, 20)]),
        ([(0, "bias")], [(0, 6), (9, 20)]),
        ([(0, "bias"), (2, "weight")], [(0, 6), (15, 20)]),
        ([(2, "bias")], [(0, 15), (18, 20)]),
        ([(0, "weight"), (0, "bias"), (2, "weight"), (2, "bias"), (3, "weight")], []),
        ([(3, "weight")], [(0, 18)]),
    ],
)
@pytest.mark.parametrize("joined", [True, False])
def test_what_is_frozen_is_left_out(frozen, wanted, joined):
    blocks = four_blocks()
    if joined:
        lay_end_to_end(blocks)
    for i, name in frozen:
        blocks[i].freeze(name)
    parts = trained_parts(blocks)
    if joined:
        assert places(parts) == wanted
    assert [i for part in parts for i in range(20)[part.place]] == [i for pair in wanted for i in range(*pair)]


def test_neighbours_are_joined_where_they_have_the_same_in_common():
    blocks = four_blocks()
    lay_end_to_end(blocks)
    for value, block in enumerate(blocks):
        block.data[...], block.grad[...] = value, -value
    parts = trained_parts(blocks, lambda block, name: name == "bias")
    assert places(parts) == [(0, 6), (6, 9), (9, 15), (15, 18), (18, 20)]
    assert [part.common for part in parts] == [False, True, False, True, False]
    blocks[2].freeze("bias")
    parts = trained_parts(blocks, lambda block, name: name == "bias")
    assert places(parts) == [(0, 6), (6, 9), (9, 15), (18, 20)]
    assert [np.unique(part.data).tolist() for part in parts] == [[0], [0], [2], [3]]
    assert [np.unique(part.grad).tolist() for part in parts] == [[0], [0], [-2], [-3]]
