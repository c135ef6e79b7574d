import copy
import pickle
import threading

import numpy as np
import pytest

from rnnfast.layers._block import BackwardOnce, Block, contiguous_runs, lay_end_to_end, planned

SHAPES = {"weight": (3, 2), "bias": (3,)}


def slots_of(**blocks):
    return {f"{key}.{name}": (block, name) for key, block in blocks.items() for name in block.names}


def numbered(shapes=SHAPES, dtype="float64", start=1.0):
    block = Block(shapes, dtype)
    block.data[...] = np.arange(start, start + block.size)
    return block


def test_parameters_lie_end_to_end():
    block = numbered()
    assert block.size == 9
    assert block.array("weight").tolist() == [[1, 2], [3, 4], [5, 6]]
    assert block.array("bias").tolist() == [7, 8, 9]
    block.grad_array("bias")[...] = 5
    assert block.grad.tolist() == [0] * 6 + [5] * 3


def test_reading_gives_no_way_to_write():
    view = numbered().array("weight")
    with pytest.raises(ValueError, match="read-only"):
        view[0, 0] = 1


def test_set_copies_in_and_advances_the_version():
    block, value = numbered(), np.full((3, 2), 4, np.int8)
    block.set("weight", value)
    value[...] = 9
    assert block.version == 1
    assert block.data.tolist() == [4] * 6 + [7, 8, 9]
    block.changed()
    assert block.version == 2


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("weight", np.zeros((2, 3)), ValueError, r"\(3, 2\).*\(2, 3\)"),
        ("weight", 0.0, ValueError, r"\(3, 2\)"),
        ("bias", np.zeros(3, complex), TypeError, "real numbers.*complex"),
        ("bias", [None] * 3, TypeError, "object"),
        ("wait", np.zeros(3), KeyError, "weight, bias"),
    ],
)
def test_set_refuses(name, value, error, message):
    block = numbered()
    with pytest.raises(error, match=message):
        block.set(name, value)
    assert block.version == 0
    assert block.data.tolist() == list(range(1, 10))


@pytest.mark.parametrize("dtype", ["float16", "int32", complex, "nonsense", None])
def test_dtype_is_float32_or_float64(dtype):
    if dtype is None:
        assert Block(SHAPES, None).dtype == np.float64  # NumPy's own reading of None
        return
    with pytest.raises(ValueError, match="'float32' or 'float64'"):
        Block(SHAPES, dtype)


def test_laying_end_to_end_joins_blocks_and_keeps_values():
    blocks = [numbered(start=1.0), Block({}, "float64"), numbered({"weight": (2,)}, start=10.0)]
    blocks[2].grad[...] = [5, 6]
    assert len(list(contiguous_runs(blocks))) == 2
    lay_end_to_end(blocks)
    [(run, data, grad)] = contiguous_runs(blocks)
    assert run == [blocks[0], blocks[2]]
    assert data.tolist() == list(range(1, 12))
    assert grad.tolist() == [0] * 9 + [5, 6]
    data[9] = 77
    assert blocks[2].array("weight").tolist() == [77, 11]
    assert [block.version for block in blocks] == [0, 0, 0]
    lay_end_to_end(blocks)
    assert next(contiguous_runs(blocks))[1].base is data.base


def test_a_part_of_a_buffer_is_a_run_and_a_gap_breaks_it():
    blocks = [numbered(start=s) for s in (1, 11, 21)]
    lay_end_to_end(blocks)
    [(_, data, _)] = contiguous_runs(blocks[1:])
    assert data.tolist() == [*range(11, 20), *range(21, 30)]
    runs = list(contiguous_runs([blocks[0], blocks[2]]))
    assert [data[0] for _, data, _ in runs] == [1, 21]
    assert [run for run, _, _ in contiguous_runs([blocks[2], blocks[1]])] == [[blocks[2]], [blocks[1]]]


def test_freezing_one_by_one_and_all_at_once():
    block, empty = numbered(), Block({}, "float64")
    assert not block.frozen
    block.freeze("weight")
    assert (block.frozen, block.frozen_names, block.frozen_size) == (False, {"weight"}, 6)
    block.freeze("bias")
    assert block.frozen
    block.freeze("weight", False)
    assert block.frozen_names == {"bias"}
    block.frozen = True
    assert (block.frozen_names, block.frozen_size) == ({"weight", "bias"}, 9)
    block.frozen = False
    assert block.frozen_size == 0
    empty.frozen = True
    assert not empty.frozen


@pytest.mark.parametrize("copier", [copy.deepcopy, lambda block: pickle.loads(pickle.dumps(block))])
def test_copies_are_independent(copier):
    block = numbered(dtype="float32")
    block.changed()
    block.freeze("bias")
    block.grad[...] = 1
    other = copier(block)
    assert (other.version, other.frozen_names, other.dtype) == (1, {"bias"}, np.float32)
    assert other.data.tolist() == block.data.tolist()
    assert not other.grad.any()
    other.set("bias", [0, 0, 0])
    assert block.array("bias").tolist() == [7, 8, 9]


def test_planned_blocks_hold_no_memory_until_laid_out():
    with planned():
        block, huge = Block(SHAPES, "float32"), Block({"weight": (10**9, 10**9)}, "float32")
        block.set("bias", [1, 2, 3])
        lay_end_to_end([block, huge])
    assert huge.size == 10**18
    assert not hasattr(block, "data")
    lay_end_to_end([block])
    assert block.data.tolist() == [0] * 9


def test_backward_works_once():
    once = BackwardOnce(slots_of(a=numbered()))
    once.start()
    with pytest.raises(RuntimeError, match="works once"):
        once.start()


def test_backward_refuses_changed_parameters():
    block = numbered()
    once = BackwardOnce(slots_of(a=block))
    block.set("bias", [1, 1, 1])
    with pytest.raises(RuntimeError, match="changed"):
        once.start()


def test_gradients_add_up():
    a, b = numbered(), numbered()
    once = BackwardOnce(slots_of(a=a, b=b))
    for _ in range(2):
        once.add({"a.bias": np.array([1.0, 2, 3]), "b.weight": np.ones((3, 2))})
    assert a.grad.tolist() == [0] * 6 + [2, 4, 6]
    assert b.grad.tolist() == [2] * 6 + [0] * 3


def test_gradients_add_to_a_mapping_instead():
    block = numbered()
    once, mine = BackwardOnce(slots_of(a=block)), {"a.bias": np.ones(3), "other": np.zeros(1)}
    for _ in range(2):
        once.add({"a.bias": np.array([1.0, 2, 3]), "a.weight": np.full((3, 2), 0.5)}, mine)
    assert mine["a.bias"].tolist() == [3, 5, 7]
    assert mine["a.weight"].tolist() == [[1, 1]] * 3
    assert not block.grad.any()


def test_gradients_are_added_all_or_none():
    block = numbered()
    once = BackwardOnce(slots_of(a=block))
    with pytest.raises(ValueError, match=r"a\.weight.*\(3,\)"):
        once.add({"a.bias": np.ones(3), "a.weight": np.ones(3)})
    assert not block.grad.any()


def test_no_addition_is_lost_between_threads():
    a, b = numbered(), numbered()

    def add(slots):
        once = BackwardOnce(slots)
        for _ in range(300):
            once.add({"a.bias": np.ones(3), "b.bias": np.ones(3)})

    # The second order would deadlock against the first if locks were taken as they come.
    orders = [slots_of(a=a, b=b), slots_of(b=b, a=a)] * 2
    threads = [threading.Thread(target=add, args=(slots,)) for slots in orders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert a.grad[6:].tolist() == b.grad[6:].tolist() == [1200] * 3
