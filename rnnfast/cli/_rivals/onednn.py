"""oneDNN's own primitives, called from C++ (bench/onednn/rnn.cpp): the strongest that exists, without a library around.

The program is compiled on the spot by `c++` or what the variable CXX names, for the oneDNN 3 under the variable
ONEDNN_ROOT. Without it: the headers of the package onednn-devel, and the library that paddle brings, which has threads
of its own (that of the package onednn needs SYCL).
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from rnnfast.cli._cases import CHECKED_STEPS, Array, Case, Contestant, Data, regate
from rnnfast.cli._sections import CELLS, MODES

_SOURCE = Path(__file__).parents[3] / "bench" / "onednn" / "rnn.cpp"
_FILES = ("weight_ih", "weight_hh", "bias", "x", "dy", "y", "dx", "dweight_ih", "dweight_hh", "dbias")


def missing() -> str:
    """What lacks to compile the program; "" where it can be tried."""
    if not _SOURCE.is_file():
        return "bench/onednn/rnn.cpp is in a checkout only"
    if shutil.which(os.environ.get("CXX", "c++")) is None:
        return "no C++ compiler"
    return "" if _places() else "no oneDNN under ONEDNN_ROOT, nor the packages onednn-devel and paddlepaddle"


def library() -> str:
    """The library that is used."""
    places = _places()
    return str(places[1]) if places else ""


def contestant(case: Case, data: Data) -> Contestant | None:
    """A layer of primitives on arrays of ours."""
    if case.dtype != "float32" or not case.plain:
        return None
    program, failure = _program()
    if program is None:
        raise RuntimeError(f"cannot build bench/onednn/rnn.cpp: {failure}")
    # oneDNN stacks gates i f c o and z r h; its reset-after GRU has a fourth bias, of the product with the state.
    order = {"rnn": [0], "lstm": [0, 1, 2, 3], "gru": [1, 0, 2]}[case.kind]
    direction = data.direction("_l0")
    bias = regate(direction["bias"], order)
    if case.cell == "gru":
        bias = np.concatenate([bias, direction["bias_hn"]])
    x, dy = (np.ascontiguousarray(array.swapaxes(0, 1)) for array in (data.x, data.dy))
    weights = [np.ascontiguousarray(regate(direction[name], order)) for name in ("weight_ih", "weight_hh")]
    given = [*weights, bias, x, dy]
    arrays = dict(zip(_FILES, [*given, *(np.zeros_like(array) for array in (dy, x, *weights, bias))], strict=True))
    shape = (ctypes.c_int * 6)(CELLS.index(case.cell), MODES.index(case.mode), case.T, case.B, case.I, case.H)
    pointers = (ctypes.c_void_p * len(_FILES))(*(arrays[name].ctypes.data for name in _FILES))
    layer = program.rnn_new(shape, pointers)
    if not layer or program.rnn_run(layer):
        raise RuntimeError(program.rnn_failure().decode())
    run = functools.partial(program.rnn_run, ctypes.c_void_p(layer))

    def result() -> dict[str, Array]:
        for _ in range(CHECKED_STEPS - 1 if case.mode == "step" else 1):  # one more was above
            run()
        y = arrays["y"].swapaxes(0, 1)
        if case.mode != "training":
            return {"y": y}
        found = {f"{name}_l0": regate(arrays["d" + name], order) for name in ("weight_ih", "weight_hh")}
        parts = np.split(arrays["dbias"], len(arrays["dbias"]) // case.H)
        found["bias_l0"] = np.concatenate([parts[gate] for gate in order])
        if case.cell == "gru":
            found["bias_hn_l0"] = parts[3]
        return found | {"y": y, "dx": arrays["dx"].swapaxes(0, 1)}

    return Contestant(run, result)


def _places() -> tuple[Path, Path] | None:
    """The header's folder and the library."""
    root, libraries = os.environ.get("ONEDNN_ROOT"), []
    headers = Path(root or sys.prefix, "include")
    if root:
        libraries = [Path(root, part) for part in ("lib", "lib64")]
    elif (paddle := importlib.util.find_spec("paddle")) is not None and paddle.submodule_search_locations:
        libraries = [Path(paddle.submodule_search_locations[0], "libs")]
    found = [library for folder in libraries for library in sorted(folder.glob("libdnnl.*"))]
    return (headers, found[0]) if found and (headers / "oneapi" / "dnnl" / "dnnl.hpp").is_file() else None


@functools.cache
def _program() -> tuple[Any, str]:
    """The compiled program, or None and the compiler's words."""
    places = _places()
    assert places is not None
    headers, library = places
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "rnn.so")
        command = [os.environ.get("CXX", "c++"), "-O2", "-std=c++17", "-shared", "-fPIC", f"-I{headers}", str(_SOURCE)]
        command += [
            str(library),
            f"-Wl,-rpath,{library.parent}",
            "-Wl,--disable-new-dtags,--no-undefined",
            "-o",
            str(made),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            errors = [line for line in done.stderr.splitlines() if "error" in line or "undefined" in line]
            return None, (errors or ["no message"])[0]
        try:
            program = ctypes.CDLL(str(made))
        except OSError as error:
            return None, str(error)
    program.rnn_new.restype, program.rnn_failure.restype = ctypes.c_void_p, ctypes.c_char_p
    program.rnn_run.argtypes = [ctypes.c_void_p]
    return program, ""
