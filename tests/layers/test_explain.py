"""What `explain` says of threads and bytes, against counts of one's own and the allocator's."""

import ctypes

import numpy as np
import pytest
from checks import SANITIZED

import rnnfast as rf
from rnnfast.kernels import _memory


class Mallinfo(ctypes.Structure):
    """What glibc's mallinfo2 returns."""

    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
    )]  # fmt: skip


def allocated():
    """Bytes that the C library has handed out."""
    mallinfo = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if mallinfo is None or SANITIZED:
        pytest.skip("needs glibc's mallinfo2, and its malloc")
    mallinfo.restype = Mallinfo
    now = mallinfo()
    return now.uordblks + now.hblkhd


@pytest.mark.parametrize(("cls", "rows", "states"), [(rf.RNN, 1, 1), (rf.LSTM, 4, 2), (rf.GRU, 4, 1)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("lengths", [None, [5, 0, 7]])
def test_bytes_saved(cls, rows, states, dtype, lengths):
    layer = cls(3, 64, dtype=dtype, seed=0)
    found = layer.explain(3, 7, lengths)
    steps = 21 if lengths is None else 12
    order = 2 * 3 * 8 + (0 if lengths is None else 2 * (7 + 1) * 8)
    assert found.steps == steps
    assert found.training == (steps * rows + (3 + steps) * states) * 64 * layer.block.dtype.itemsize + order
    assert found.output == 3 * 7 * 64 * layer.block.dtype.itemsize
    assert found.operations == steps * 2 * {"rnn": 1, "lstm": 4, "gru": 3}[layer.cell] * 64 * (64 + 3)


@pytest.mark.parametrize("reset", ["after", "before"])
@pytest.mark.parametrize("layers", [1, 2])
def test_bytes_are_what_the_allocator_hands_out(layers, reset):
    layer = rf.GRU(8, 64, layers, bidirectional=True, reset=reset, seed=0)
    x = np.ones((16, 150, 8), "f")  # too little for huge pages, which are counted whole
    layer.forward(x)  # packs the weights
    _memory.release_memory()
    before = allocated()
    output, backward = layer.forward(x)
    taken = allocated() - before
    found = layer.explain(16, 150)
    assert found.training > 5e6
    assert taken == pytest.approx(found.training + found.output, rel=0.01)
    del output, backward
    kept = allocated() - before  # for the next call
    assert found.training / 2 < kept < 1.2 * (found.training + found.output)
    layer.forward(x)
    assert allocated() - before == pytest.approx(kept, rel=0.01)
    _memory.release_memory()
    assert allocated() - before < 1e5


@pytest.mark.parametrize(
    ("cls", "options"), [(rf.RNN, {}), (rf.LSTM, {}), (rf.GRU, {"reset": "before", "zoneout": 0.1})]
)
def test_recomputing_memory_grows_with_the_root(cls, options):
    B, H = 1, 32  # too little for huge pages

    def kept(T, recompute):
        """Bytes between forward and backward beside y, by the allocator and by `explain`."""
        layer = cls(8, H, **options, recompute=recompute, seed=0)
        x = np.ones((B, T, 8), "f")
        plan = layer.explain(B, T)
        layer.forward(x)[1](np.ones((B, T, H), "f"))  # packs the weights, and takes what is taken once
        _memory.release_memory()
        before = allocated()
        output, backward = layer.forward(x)
        _memory.release_memory()
        found = allocated() - before - plan.output
        assert found == pytest.approx(plan.training, rel=0.02, abs=1e4)
        del output, backward
        return found, plan

    (whole, of_whole), (root, of_root), (_, of_longer) = kept(4096, None), kept(4096, True), kept(4 * 4096, True)
    states = 2 if cls is rf.LSTM else 1
    assert of_root.segment == 64
    assert of_root.training == 64 * B * states * H * 4 + 16 * B
    assert of_longer.training < 2.1 * of_root.training
    assert of_longer.backward < 2.1 * of_root.backward
    assert root < whole / 20
    assert of_root.training + of_root.backward < of_whole.training / 4
    print(
        cls,
        root / whole,
        (of_root.training + of_root.backward) / (of_whole.training + of_whole.backward),
        of_root,
        of_whole,
    )


@pytest.mark.parametrize("lengths", [None, [1000] * 3 + [7]])
def test_inference_takes_no_more_for_longer_sequences(lengths):
    rf.set_num_threads(1)
    layer = rf.LSTM(8, 33, seed=0)
    short = layer.explain(4, 1000, lengths)
    long = layer.explain(4, 100_000, lengths and [100 * n for n in lengths])
    assert 0 < long.inference == short.inference < 1e6
    assert long.output == 100 * short.output


def test_threads():
    rf.set_num_threads(2)
    layer = rf.LSTM(256, 256, seed=0)
    one, many = layer.explain(1, 100), layer.explain(32, 100)
    assert (one.row_slices, one.unit_slices) in ((1, 1), (1, 2))  # 1: fewer processors than threads
    assert (many.row_slices, many.unit_slices) == (2, 1)
    assert rf.GRU(5, 30, bidirectional=True).explain(1, 2000).side_by_side
    assert not rf.GRU(5, 30).explain(1, 2000).side_by_side
    rf.set_num_threads(1)
    alone = layer.explain(32, 100)
    assert (alone.row_slices, alone.unit_slices, alone.threads) == (1, 1, 1)


def test_the_table():
    text = str(rf.GRU(3, 5, reset="before", seed=0).explain(2, 4))
    assert text.splitlines()[0].split() == [
        "kernel",
        "gru",
        "reset=before",
        "update=keep,",
        "float32,",
        text.split()[5],
    ]
    assert "GiB" not in text
    assert "0.0 Mflop" in text


@pytest.mark.parametrize("arguments", [(0, 5), (5, 0), (2, 3, [1, 4]), (2, 3, [1])])
def test_bad_arguments(arguments):
    with pytest.raises(ValueError, match=r"batch_size|seq_len|lengths"):
        rf.RNN(3, 4).explain(*arguments)
