"""`rnnfast bench`: this machine's speed against plain NumPy, and against the rivals that are installed."""

from __future__ import annotations

import argparse
import json
import os
import platform
from typing import Any

from rnnfast.cli._arguments import CommandError, check_new_file, integer

_BLAS_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_CELLS = ("rnn", "lstm", "gru", "gru_before")
_MODES = ("forward", "training", "step")
_SHORT = (
    [(mode, cell, 32, 100, H, H) for mode in ("forward", "training") for cell in ("lstm", "gru") for H in (128, 256)]
    + [("forward", cell, 1, 100, 64, 64) for cell in ("lstm", "gru")]
    + [("step", cell, 1, 1, H, H) for cell in ("lstm", "gru") for H in (32, 64, 128, 256, 512)]
)
_FULL = (
    [
        (mode, cell, B, T, H, H)
        for mode in ("forward", "training")
        for cell in _CELLS
        for B, T in ((1, 100), (32, 100), (128, 28))
        for H in (32, 64, 128, 256, 512)
    ]
    + [("step", cell, B, 1, H, H) for cell in _CELLS for B in (1, 16) for H in (32, 64, 128, 256, 512)]
)  # fmt: skip


def _shape(text: str) -> tuple[int, int, int]:
    try:
        B, T, H = (int(part) for part in text.split(","))
    except ValueError:
        B = T = H = 0
    if min(B, T, H) < 1:
        raise argparse.ArgumentTypeError(f"must be B,T,H, three integers of at least 1, got {text!r}")
    return B, T, H


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "bench",
        help="measure speed against plain NumPy, and against rivals",
        description="Time recurrent layers in float32: median times over interleaved rounds, and for each rival how "
        "many times longer it takes. Outputs and gradients are first compared with the float64 reference.",
    )
    parser.add_argument("--rivals", action="store_true", help="torch and onnxruntime too, where they are installed")
    parser.add_argument("--cells", nargs="+", choices=_CELLS, metavar="CELL", help="of rnn, lstm, gru, gru_before")
    parser.add_argument("--modes", nargs="+", choices=_MODES, metavar="MODE", help="of forward, training, step")
    parser.add_argument("--shapes", nargs="+", type=_shape, metavar="B,T,H", help="batch, steps, units; as many inputs")
    parser.add_argument("--full", action="store_true", help="many more cells and shapes: takes some minutes")
    parser.add_argument("--threads", type=integer(1), default=1, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--rounds", type=integer(1), default=7, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--json", metavar="PATH", help="write the figures to this file")
    return parser


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    for name in _BLAS_VARIABLES:
        os.environ[name] = str(args.threads)  # read when NumPy is imported, which is below
    output = None if args.json is None else check_new_file(args.json)
    from rnnfast.cli._contestants import CONTESTANTS, Case, enter, make_data, use_threads
    from rnnfast.cli._timing import duration, interleaved, medians

    use_threads(args.threads)
    names = list(CONTESTANTS) if args.rivals else ["rnnfast", "numpy"]
    config = _config(names)
    print("; ".join(f"{name} {value}" for name, value in config.items()))
    print(f"{'':36} {'rnnfast':>10} {'GFLOP/s':>8}" + "".join(f" {name:>18}" for name in names[1:]))
    rows: list[dict[str, Any]] = []
    for mode, cell, B, T, I, H in _cases(args):  # noqa: E741 - as in the equations
        case = Case(cell, mode, B, T, I, H)
        data = make_data(case)
        made = {name: contestant for name in names if (contestant := enter(name, case, data)) is not None}
        times, ratios = medians(interleaved([contestant.call for contestant in made.values()], args.rounds))
        seconds, ratio = dict(zip(made, times, strict=True)), dict(zip(made, ratios, strict=True))
        speed = case.operations / times[0] / 1e9
        cells = "".join(
            f" {duration(seconds[name]):>10}{ratio[name]:7.2f}x" if name in made else f" {'-':>18}"
            for name in names[1:]
        )
        print(f"{case.name:36} {duration(times[0]):>10} {speed:8.1f}{cells}", flush=True)
        rows.append({**case._asdict(), "seconds": seconds, "ratio": ratio, "gflops": speed})
    print("Ratios: how many times longer the other takes.")
    if output is not None:
        try:
            output.write_text(json.dumps({"config": config, "rounds": args.rounds, "results": rows}, indent=1) + "\n")
        except OSError as error:
            raise CommandError(f"{output}: {error.strerror}") from error
    return 0


def _cases(args: argparse.Namespace) -> list[tuple[str, str, int, int, int, int]]:
    if args.shapes is None:
        table = _FULL if args.full else _SHORT
        found = [c for c in table if (not args.modes or c[0] in args.modes) and (not args.cells or c[1] in args.cells)]
        if found:
            return found
    shapes = args.shapes or [(32, 100, 128)]
    return [
        (mode, cell, B, 1 if mode == "step" else T, H, H)
        for mode in args.modes or ("forward", "training")
        for cell in args.cells or ("lstm", "gru")
        for B, T, H in shapes
    ]


def _config(names: list[str]) -> dict[str, str]:
    import importlib.metadata

    import rnnfast
    from rnnfast.kernels import _runtime, _threads

    config = {
        "rnnfast": rnnfast.__version__,
        "instruction set": _runtime.isa(),
        "threads": str(_threads.get_num_threads()),
        "Python": platform.python_version(),
        "machine": platform.machine(),
    }
    for name in names[1:]:
        try:
            config[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            config[name] = "not installed"
    return config
