"""Detectors of strange steps in columns of numbers: `rnnfast train anomalies`, their scores, how well they tell."""

from __future__ import annotations

import argparse
import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from rnnfast.cli import _tasks
from rnnfast.cli._arguments import (
    CommandError,
    add_training_arguments,
    bad_input,
    check_output,
    integer,
    number,
    use_threads,
)
from rnnfast.cli._results import add_json_argument, as_csv, deliver, say, show

if TYPE_CHECKING:
    import numpy as np

COLUMNS: tuple[dict[str, type], ...] = ({"columns": list}, {"columns": list, "label": str})

_EXAMPLES = """The table's first line names its columns; each row is one step of time, the oldest first.

examples:
  rnnfast train anomalies sensors.csv --column pressure --column flow --output sensors.safetensors
  rnnfast train anomalies sensors.csv --column pressure --label broken --method autoencoder
  rnnfast predict sensors.safetensors today.csv"""


def add_parser(kinds: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the kind."""
    parser = kinds.add_parser(
        "anomalies",
        help="strange steps of a series, of a CSV or TSV table",
        description="Train a detector of strange steps on columns of a CSV or TSV table whose rows are as they should "
        "be. The last fifth of the rows is held out; the epoch whose loss is best there is kept. Ctrl-C stops early.",
        epilog=_EXAMPLES,
    )
    parser.add_argument("file", metavar="FILE", help="CSV or TSV, UTF-8")
    parser.add_argument(
        "--column",
        action="append",
        metavar="NAME",
        help="what to watch; may be repeated (default: the only column of numbers)",
    )
    parser.add_argument(
        "--label",
        metavar="NAME",
        help="column of 0 and 1 that says which rows are strange: they are not trained on, and tell how well it does",
    )
    parser.add_argument(
        "--method",
        choices=("forecast", "autoencoder"),
        default="forecast",
        help="strange is what cannot be foretold, or not be told again (default: %(default)s)",
    )
    parser.add_argument("--window", type=integer(1), default=32, metavar="N", help="steps seen (default: 32)")
    parser.add_argument(
        "--quantile",
        type=number(0.0, 1.0),
        default=0.99,
        metavar="Q",
        help="of the scores of the rows that are as they should be, above which a row is strange (default: 0.99)",
    )
    add_training_arguments(
        parser, hidden=32, epochs=50, dropout=0.0, batch_size=32, learning_rate=3e-3, batches_of="windows a step"
    )
    _tasks.add_held_out_arguments(parser, 0.2)
    add_json_argument(parser)
    return parser


def train(args: argparse.Namespace) -> int:
    """Train, save and measure."""
    import numpy as np

    from rnnfast.cli._tables import read_series
    from rnnfast.models import AnomalyDetector

    check_output(args.output)
    apart = [args.label] if args.label else []
    names, series, table = read_series(args.file, args.column, "--column", apart=apart)
    strange = _labels(args.file, table, args.label, "--label") if args.label else np.zeros(len(series), bool)
    start = len(series) - math.ceil(len(series) * args.held_out)
    least = args.window + (args.method == "forecast")
    kept, tail = _runs(series[:start], strange[:start], least), _runs(series[start:], strange[start:], least)
    for what, runs in (("to train on", kept), ("held out", tail)):
        if not runs and (args.held_out or runs is kept):
            raise CommandError(f"{args.file}: the rows {what} are too few: {least} in a row, none strange, are needed")
    # What is held out is the last windows of all; half a window more is left to rounding.
    windows = [sum(len(run) - least + 1 for run in runs) for runs in (kept, tail)]
    share = (windows[1] - 0.5) / sum(windows) if args.held_out else 0.0
    use_threads(args.threads)
    say(args, f"{len(series):,} rows of {', '.join(names)}; the last {len(series) - start:,} are held out")
    with bad_input():
        model = AnomalyDetector(
            method=args.method,
            window=args.window,
            quantile=args.quantile,
            cell=args.cell,
            hidden_size=args.hidden,
            num_layers=args.layers,
            dropout=args.dropout,
            seed=args.seed,
        )
        model.fit(kept + tail, validation_split=share, **_tasks.training_options(args))

    def measure() -> dict[str, Any]:
        return _measure(model, series, strange if args.label else None, start)

    columns = {"columns": names, **({"label": args.label} if args.label else {})}
    return _tasks.conclude(args, model, columns, measure, _headline)


def predict(model: Any, columns: dict[str, Any], args: argparse.Namespace) -> None:
    """Write each row's score, and whether it is strange."""
    from rnnfast.cli._tables import read_series

    apart = [columns["label"]] if "label" in columns else []
    _, series, _ = read_series(args.file, columns.get("columns"), apart=apart)
    with bad_input():
        scores = model.score_samples(series)
    strange = scores > model.threshold_
    shown = [None if math.isnan(score) else score for score in scores.tolist()]
    rows = [
        [row, "" if score is None else f"{score:.6g}", int(is_strange)]
        for row, (score, is_strange) in enumerate(zip(shown, strange.tolist(), strict=True), 1)
    ]
    values = [
        {"row": row, "score": score, "strange": is_strange}
        for row, (score, is_strange) in enumerate(zip(shown, strange.tolist(), strict=True), 1)
    ]
    deliver(args, as_csv(["row", "score", "strange"], rows), values, f"{len(rows):,} rows, {strange.sum():,} strange,")


def evaluate(model: Any, columns: dict[str, Any], args: argparse.Namespace) -> None:
    """Print how well strange rows are told, where a column says which they are, and how many are told."""
    from rnnfast.cli._tables import read_series

    label = columns.get("label")
    _, series, table = read_series(args.file, columns.get("columns"), apart=[label] if label else [])
    wanted = _labels(args.file, table, label) if label else None
    with bad_input():
        figures = _measure(model, series, wanted, 0)
    show(args, _headline(figures), figures)


def _labels(path: str, table: dict[str, Any], name: str, option: str | None = None) -> np.ndarray:
    """Which rows are strange, bool (T,)."""
    from rnnfast.cli._tables import numbers, whole

    with bad_input():
        values = whole(path, numbers(path, table, [name], option), [name])[:, 0]
        if ((values != 0) & (values != 1)).any():
            raise ValueError(f"{path}: column {name!r} must hold 0 and 1, 1 at rows that are strange")
    return values == 1


def _runs(series: np.ndarray, strange: np.ndarray, least: int) -> list[np.ndarray]:
    """The rows between strange ones, where they are enough in a row."""
    import numpy as np

    ends = np.flatnonzero(np.concatenate([[True], strange, [True]]))
    pieces = [series[begin : end - 1] for begin, end in pairwise(ends.tolist())]
    return [piece for piece in pieces if len(piece) >= least]


def _measure(model: Any, series: np.ndarray, wanted: np.ndarray | None, start: int) -> dict[str, Any]:
    """Of the rows from `start` on that have a score: how many are told to be strange, and how well."""
    import numpy as np

    scores = model.score_samples(series)[start:]
    there = ~np.isnan(scores)
    told = scores[there] > model.threshold_
    figures: dict[str, Any] = {"rows": len(told), "told": int(told.sum()), "threshold": model.threshold_}
    if wanted is None:
        return figures
    from rnnfast.training.metrics import AUC

    wanted = wanted[start:][there]
    right, measure = int((told & wanted).sum()), AUC()
    measure.update(scores[there], wanted.astype(np.int64))
    auc = measure.result()
    return figures | {
        "strange": int(wanted.sum()),
        "precision": right / max(1, int(told.sum())),
        "recall": right / max(1, int(wanted.sum())),
        "auc": None if math.isnan(auc) else auc,
    }


def _headline(figures: dict[str, Any]) -> str:
    text = f"rows: {figures['told']:,} of {figures['rows']:,} are told to be strange"
    if "strange" not in figures:
        return text
    text += f", {figures['strange']:,} are: precision {figures['precision']:.1%}, recall {figures['recall']:.1%}"
    return text if figures["auc"] is None else f"{text}, area under the curve {figures['auc']:.3f}"
