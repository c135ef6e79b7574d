"""No step of a stream or a pool allocates: counted by tracemalloc, and by a shim before the C library's malloc."""

import gc
import os
import platform
import shutil
import subprocess
import sys
import tracemalloc
from itertools import repeat

import numpy as np
import pytest

import rnnfast as rf

STEPS = 100_000

SHIM = """
#include <stddef.h>
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
static volatile long calls;
long malloc_calls(void) { return calls; }
void *malloc(size_t n) { calls++; return __libc_malloc(n); }
void *calloc(size_t n, size_t m) { calls++; return __libc_calloc(n, m); }
void *realloc(void *p, size_t n) { calls++; return __libc_realloc(p, n); }
"""


def steps_of_everything():
    """By name, calls without arguments that take one step."""
    numbers = rf.Sequential(
        *(rf.LSTM(5, 9, 2), rf.LayerNorm(9), rf.Dropout(0.5), rf.GRU(9, 7), rf.BatchNorm(7)),
        rf.Linear(7, 3, activation="sigmoid"),
    )
    tokens = rf.Sequential(rf.Embedding(11, 4), rf.RNN(4, 6), rf.Linear(6, 11, activation="relu"))
    x, ids, out = np.ones((4, 5), "f"), np.array([3, 1, 4, 1]), np.zeros((4, 3), "f")
    layer, stream, text = rf.LSTM(5, 33).stream(4), numbers.stream(4), tokens.stream(4)
    pool, words = numbers.pool(9), tokens.pool(9)
    slots = [pool.join() for _ in range(9)][2:6]
    array = np.array([words.join() for _ in range(9)][2:6])
    return {
        "layer": lambda: layer(x),
        "stream": lambda: stream(x),
        "stream with out": lambda: stream(x, out=out),
        "stream of ids": lambda: text(ids),
        "pool": lambda: pool(x, slots),
        "pool of ids, slots in an array": lambda: words(ids, array),
        "reset of a row": lambda: stream.reset(1),
    }


@pytest.mark.parametrize("name", list(steps_of_everything())[:-1])
def test_nothing_stays(name):
    take = steps_of_everything()[name]
    take()
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        for _ in repeat(None, 100):
            take()
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        for _ in repeat(None, STEPS):
            take()
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()
    # The interpreter takes a block or two of its own now and then (768 and 2068 bytes were seen);
    # a byte a step would be ten times the limit.
    assert after - before < STEPS // 10
    assert peak - before < STEPS // 10


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the shim stands before glibc's malloc")
@pytest.mark.skipif("LD_PRELOAD" in os.environ, reason="another library is loaded first")
def test_malloc_is_never_called(tmp_path):
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("there is no C compiler")
    source, shim = tmp_path / "shim.c", tmp_path / "shim.so"
    source.write_text(SHIM)
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", source, "-o", shim], check=True)
    environment = {**os.environ, "LD_PRELOAD": str(shim), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    run = subprocess.run([sys.executable, __file__], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    counts = dict(line.rsplit(" ", 1) for line in run.stdout.splitlines())
    assert int(counts.pop("an array")) >= STEPS  # the shim counts
    assert counts == dict.fromkeys(list(steps_of_everything()), "0")


def count_mallocs():
    """Print how often malloc is called in so many steps of each kind."""
    import ctypes

    calls = ctypes.CDLL(None).malloc_calls
    calls.restype = ctypes.c_long
    for name, take in {**steps_of_everything(), "an array": lambda: np.empty(100_000)}.items():
        for _ in repeat(None, 100):
            take()
        before = calls()
        for _ in repeat(None, STEPS):
            take()
        print(name, calls() - before)


if __name__ == "__main__":
    count_mallocs()
