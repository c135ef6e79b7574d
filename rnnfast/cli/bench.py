"""`rnnfast bench`: this machine's speed against plain NumPy, and against the rivals that are installed."""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import platform
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from rnnfast.cli._arguments import CommandError, check_new_file, integer, number, use_threads, warn
from rnnfast.cli._sections import CELLS, MODES, SECTIONS, Row, full, row

if TYPE_CHECKING:
    from rnnfast.cli._cases import Case
    from rnnfast.cli._worker import Worker

_NAME, _CELL = 50, 19
_EXAMPLES = """examples:
  rnnfast bench                                           a short table, against NumPy
  rnnfast bench --rivals torch onnxruntime --shapes 32,100,128
  rnnfast bench --latency model.safetensors --rate 100    how long a step takes, and whether it keeps up with 100 Hz"""


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
        description="Time recurrent layers: median times over interleaved rounds, the fraction of the peak of "
        "multiply-adds, and for each rival how many times longer it takes. Every system has a process of its own, and "
        "its outputs and gradients are first compared with the float64 reference.",
        epilog=_EXAMPLES,
    )
    parser.add_argument(
        "--rivals", nargs="*", metavar="NAME", help="other systems too, as far as installed (default: all of them)"
    )
    parser.add_argument("--section", nargs="+", choices=SECTIONS, metavar="NAME", help=f"of {', '.join(SECTIONS)}")
    parser.add_argument("--full", action="store_true", help="every section: takes hours with all rivals")
    parser.add_argument("--cells", nargs="+", choices=CELLS, metavar="CELL", help=f"of {', '.join(CELLS)}")
    parser.add_argument("--modes", nargs="+", choices=MODES, metavar="MODE", help=f"of {', '.join(MODES)}")
    parser.add_argument("--shapes", nargs="+", type=_shape, metavar="B,T,H", help="batch, steps, units; as many inputs")
    parser.add_argument("--threads", type=integer(1), default=1, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--rounds", type=integer(1), default=7, metavar="N", help="(default: %(default)s)")
    latency = parser.add_argument_group("latency of a model")
    latency.add_argument("--latency", metavar="MODEL", help="instead: how long its single steps take, p50, p99, worst")
    latency.add_argument("--rate", type=number(1e-9), metavar="HZ", help="steps a second: the real-time factor too")
    latency.add_argument("--calls", type=integer(1), default=5000, metavar="N", help="(default: %(default)s)")
    latency.add_argument("--length", type=integer(1), default=100, metavar="T", help="of a sequence (default: 100)")
    parser.add_argument("--json", metavar="PATH", help="write the figures to this file")
    parser.add_argument("--plot", metavar="PATH", help="draw them (.png, .svg, .pdf)")
    return parser


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    output = None if args.json is None else check_new_file(args.json)
    if args.latency is not None:
        return _latency(args, output)
    picture = None if args.plot is None else check_new_file(args.plot)
    if picture is not None:
        from rnnfast.cli._picture import check_installed, draw

        check_installed()
    from rnnfast.cli._cases import Case
    from rnnfast.cli._rivals import RIVALS
    from rnnfast.cli._worker import Worker

    cases = [Case(**given) for given in _rows(args)]
    names = _systems(args.rivals)
    config = names | _config(args.threads)
    print("; ".join(f"{name} {value}" for name, value in config.items()))
    rivals = [name for name in names if name != "rnnfast"]
    headings = f"{'':{_NAME}} {'rnnfast':>10} {'GFLOP/s':>8} {'of peak':>8} {'of limit':>9} {'best library':>{_CELL}}"
    print(headings + "".join(f" {name:>{_CELL}}" for name in rivals), flush=True)
    rows: list[dict[str, Any]] = []
    with contextlib.ExitStack() as stack:
        workers = {name: stack.enter_context(Worker(RIVALS[name].module, args.threads)) for name in names}
        for case in cases:
            rows.append(_measure(case, workers, args.rounds))
            print(_line(rows[-1], rivals), flush=True)
    print("Ratios: how many times longer the other takes. NumPy, numba, oneDNN's primitives: no libraries of layers.")
    print("Of limit: of the speed that multipliers and the cache that holds the weights allow, both measured here.")
    config["peak"] = f"{median(row['peak'] for row in rows) / 1e9:.0f} GFLOP/s"
    whole = {"config": config, "rounds": args.rounds, "results": rows}
    if output is not None:
        _written(output, lambda: output.write_text(json.dumps(whole, indent=1) + "\n"))
    if picture is not None:
        _written(picture, lambda: draw(config, rows, picture))
    return 0


def _latency(args: argparse.Namespace, output: Path | None) -> int:
    from rnnfast.cli._latency import report

    use_threads(args.threads)
    text, values = report(args.latency, args.rate, args.calls, args.length)
    config = _config(args.threads)
    print("; ".join(f"{name} {value}" for name, value in config.items()))
    print(text)
    if output is not None:
        _written(output, lambda: output.write_text(json.dumps({"config": config, **values}, indent=1) + "\n"))
    return 0


def _written(path: Path, write: Callable[[], Any]) -> None:
    try:
        write()
    except (OSError, ValueError) as error:  # matplotlib refuses formats by ValueError
        raise CommandError(f"{path}: {getattr(error, 'strerror', None) or error}") from error


def _rows(args: argparse.Namespace) -> list[Row]:
    if args.shapes is not None:
        return [
            row(mode, cell, B, 1 if mode == "step" else T, H)
            for mode in args.modes or MODES[:2]
            for cell in args.cells or ("lstm", "gru")
            for B, T, H in args.shapes
        ]
    table = full() if args.full else [r for name in args.section or ["short"] for r in SECTIONS[name]]
    found = [r for r in table if r["mode"] in (args.modes or MODES) and r["cell"] in (args.cells or CELLS)]
    if not found:
        raise CommandError("no row of the table is of these cells and modes: --section, --full or --shapes has others")
    return found


def _systems(rivals: list[str] | None) -> dict[str, str]:
    """The systems to time, each with its versions; what is not installed is told."""
    from rnnfast.cli._rivals import RIVALS, missing, versions

    wanted = ["rnnfast", "numpy"] if rivals is None else ["rnnfast", *(rivals or list(RIVALS)[1:])]
    found = {}
    for name in dict.fromkeys(wanted):
        if name not in RIVALS:
            raise CommandError(f"there is no rival {name!r}; there are {', '.join(RIVALS)}")
        if lacking := missing(name):
            warn(f"{name}: left out, {lacking}")
        else:
            found[name] = versions(name)
    return found


def _measure(case: Case, workers: dict[str, Worker], rounds: int) -> dict[str, Any]:
    """One row: every system that has this case checked, then timed round by round."""
    from rnnfast.cli._cases import make_data
    from rnnfast.cli._contestants import check
    from rnnfast.cli._rivals import RIVALS
    from rnnfast.cli._rivals.numpy import expected
    from rnnfast.cli._timing import medians
    from rnnfast.cli._worker import WorkerError

    wanted = expected(case, make_data(case))
    absent: dict[str, str] = {}
    here = []

    def failed(name: str, error: Exception) -> None:
        if name == "rnnfast":
            raise CommandError(f"{case.name}: {error}") from error
        absent[name] = str(error)
        warn(f"{case.name}: {name} left out, {error}")

    for name, worker in workers.items():
        try:
            result = worker.ask("make", case)
            if result is not None:
                check(name, case, result, wanted)
                here.append(name)
        except (WorkerError, ArithmeticError) as error:
            failed(name, error)
    peaks: list[float] = []
    limits: list[float] = []
    times: list[dict[str, float]] = []
    for _ in range(rounds):
        peaks.append(workers["rnnfast"].ask("peak", case.dtype) * workers["rnnfast"].threads)
        limits.append(case.limit(peaks[-1], functools.cache(functools.partial(_reading, workers["rnnfast"]))))
        times.append({})
        for name in list(here):
            try:
                times[-1][name] = workers[name].seconds()
            except WorkerError as error:
                failed(name, error)
                here.remove(name)
    seconds, ratios = medians([[of[name] for name in here] for of in times])
    ratio = dict(zip(here, ratios, strict=True))
    best = {
        key: min((name for name in here[1:] if ok(name)), key=ratio.__getitem__, default=None)
        for key, ok in (("best_library", lambda n: RIVALS[n].library), ("best_rival", lambda n: n != "numpy"))
    }
    fractions = [case.operations / of["rnnfast"] / peak for of, peak in zip(times, peaks, strict=True)]
    return {
        "name": case.name,
        **case._asdict(),
        "operations": case.operations,
        "seconds": dict(zip(here, seconds, strict=True)),
        "ratio": ratio,
        "gflops": case.operations / seconds[0] / 1e9,
        "peak": median(peaks),
        "peak_fraction": median(fractions),
        "limit": median(limits),
        "limit_fraction": median(limit / of["rnnfast"] for limit, of in zip(limits, times, strict=True)),
        **best,
        "absent": absent,
        "rounds": times,
    }


def _reading(worker: Worker, size: float) -> float:
    """The bytes that all threads read in a second, each its part of so many."""
    return worker.ask("read", max(1024, int(size) // worker.threads)) * worker.threads


def _line(row: dict[str, Any], rivals: list[str]) -> str:
    from rnnfast.cli._timing import duration

    best, ratio = row["best_library"], row["ratio"]
    cells = [f"{best} {ratio[best]:.2f}x" if best else "-"]
    cells += [
        f"{duration(row['seconds'][name])}{ratio[name]:8.2f}x"
        if name in ratio
        else ("failed" if name in row["absent"] else "-")
        for name in rivals
    ]
    ours = f"{duration(row['seconds']['rnnfast']):>10} {row['gflops']:8.1f}"
    ours += f" {row['peak_fraction']:8.0%} {row['limit_fraction']:9.0%}"
    return f"{row['name']:{_NAME}} {ours}" + "".join(f" {cell:>{_CELL}}" for cell in cells)


def _config(threads: int) -> dict[str, str]:
    from rnnfast.kernels import _runtime

    return {
        "instruction set": _runtime.isa(),
        "threads": str(threads),
        "Python": platform.python_version(),
        "machine": platform.machine(),
        "processor": _processor(),
    }


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or os.name
