"""Forecasters of columns of numbers: `rnnfast train forecast`, what follows, their errors."""

from __future__ import annotations

import argparse
import math
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

COLUMNS: tuple[dict[str, type], ...] = ({"columns": list, "season": int},)

_EXAMPLES = """The table's first line names its columns; each row is one step of time, the oldest first.

examples:
  rnnfast train forecast sales.csv --column turnover --horizon 7 --season 7 --output sales.safetensors
  rnnfast train forecast power.csv --column load --column wind --horizon 24 --window 96
  rnnfast train forecast sales.csv --column turnover --horizon 7 --quantiles 0.1 0.5 0.9"""


def add_parser(kinds: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the kind."""
    parser = kinds.add_parser(
        "forecast",
        help="the next values of a series, of a CSV or TSV table",
        description="Train a forecaster on columns of a CSV or TSV table. The last fifth of the rows is held out; the "
        "epoch whose loss is best there is kept, and its errors stand beside those of a forecast that repeats the last "
        "season. Ctrl-C stops early.",
        epilog=_EXAMPLES,
    )
    parser.add_argument("file", metavar="FILE", help="CSV or TSV, UTF-8")
    parser.add_argument(
        "--column",
        action="append",
        metavar="NAME",
        help="what to forecast; may be repeated (default: the only column of numbers)",
    )
    parser.add_argument("--horizon", type=integer(1), default=1, metavar="N", help="steps ahead (default: 1)")
    parser.add_argument("--window", type=integer(1), default=32, metavar="N", help="steps seen (default: 32)")
    parser.add_argument(
        "--season", type=integer(1), default=1, metavar="N", help="steps of a season, for the comparison (default: 1)"
    )
    parser.add_argument(
        "--quantiles",
        type=number(0.0, 1.0),
        nargs="+",
        metavar="Q",
        help="forecast these quantiles in place of the mean: 0.1 0.5 0.9",
    )
    parser.add_argument(
        "--difference", action="store_true", help="learn how far each step is from the last one: for series that drift"
    )
    add_training_arguments(
        parser, hidden=32, epochs=50, dropout=0.0, batch_size=32, learning_rate=3e-3, batches_of="windows a step"
    )
    _tasks.add_held_out_arguments(parser, 0.2)
    add_json_argument(parser)
    return parser


def train(args: argparse.Namespace) -> int:
    """Train, save and measure."""
    from rnnfast.cli._tables import read_series

    check_output(args.output)
    names, series, _ = read_series(args.file, args.column, "--column")
    held_out = math.ceil(len(series) * args.held_out)
    if held_out and held_out < args.horizon:
        raise CommandError(f"{args.file}: {held_out} rows are held out, too few for a horizon of {args.horizon}")
    if len(series) - held_out < args.window + args.horizon:
        raise CommandError(
            f"{args.file}: {len(series) - held_out} rows to train on are too few, window and horizon take "
            f"{args.window + args.horizon}"
        )
    if args.quantiles and (len(args.quantiles) < 2 or sorted(set(args.quantiles)) != args.quantiles):
        raise CommandError(f"--quantiles must be several that rise, got {' '.join(map(str, args.quantiles))}")
    use_threads(args.threads)

    from rnnfast.models import Forecaster

    say(args, f"{len(series):,} rows of {', '.join(names)}; the last {held_out:,} are held out")
    with bad_input():
        model = Forecaster(
            args.window,
            args.horizon,
            quantiles=args.quantiles,
            difference=args.difference,
            cell=args.cell,
            hidden_size=args.hidden,
            num_layers=args.layers,
            dropout=args.dropout,
            seed=args.seed,
        )
        model.fit(series, validation_split=args.held_out, **_tasks.training_options(args))

    def measure() -> dict[str, Any]:
        return _measure(model, series, len(series) - held_out, names, args.season)

    return _tasks.conclude(args, model, {"columns": names, "season": args.season}, measure, _headline)


def predict(model: Any, columns: dict[str, Any], args: argparse.Namespace) -> None:
    """Write what follows the last row."""
    from rnnfast.cli._tables import read_series

    names, series, _ = read_series(args.file, columns.get("columns"))
    with bad_input():
        told = model.predict(series).reshape(model.horizon, len(names), -1)
    heads = [f"{name}{_mark(quantile)}" for name in names for quantile in model.quantiles or [None]]
    rows = told.reshape(model.horizon, -1).tolist()
    text = as_csv(["step", *heads], [[step, *(f"{value:.8g}" for value in row)] for step, row in enumerate(rows, 1)])
    values = [{"step": step, **dict(zip(heads, row, strict=True))} for step, row in enumerate(rows, 1)]
    deliver(args, text, values, f"{model.horizon:,} steps")


def evaluate(model: Any, columns: dict[str, Any], args: argparse.Namespace) -> None:
    """Print the errors of forecasts from every row that has a window before it."""
    from rnnfast.cli._tables import read_series

    names, series, _ = read_series(args.file, columns.get("columns"))
    season = columns.get("season", 1)
    with bad_input():
        figures = _measure(model, series, max(model.window, season), names, season)
    show(args, _headline(figures), figures)


def _mark(quantile: float | None) -> str:
    return "" if quantile is None else f"_q{quantile:g}"


def _measure(model: Any, series: np.ndarray, start: int, names: list[str], season: int) -> dict[str, Any]:
    """Errors of the forecasts that begin at `start` and after, beside those of the seasonal-naive forecast."""
    import numpy as np

    from rnnfast.models.estimators.backtest import seasonal_naive

    starts = np.arange(start, len(series) - model.horizon + 1)
    if not len(starts):
        raise ValueError(f"{len(series)} rows are too few: at least {start + model.horizon} are needed")
    told = model.forecasts(series, starts)
    actual = series[starts[:, None] + np.arange(model.horizon)]
    naive = seasonal_naive(series, starts, model.horizon, season) - actual
    error = model.middle(told) - actual
    figures: dict[str, Any] = {"forecasts": len(starts), "horizon": model.horizon, "season": season, "columns": {}}
    for place, name in enumerate(names):
        figures["columns"][name] = {
            "mae": float(np.abs(error[..., place]).mean()),
            "rmse": float(np.sqrt((error[..., place] ** 2).mean())),
            "naive_mae": float(np.abs(naive[..., place]).mean()),
            "naive_rmse": float(np.sqrt((naive[..., place] ** 2).mean())),
        }
    if model.quantiles is not None:
        inside = (told[..., 0] <= actual) & (actual <= told[..., -1])
        figures["coverage"] = float(inside.mean())
        figures["wanted_coverage"] = model.quantiles[-1] - model.quantiles[0]
    return figures


def _headline(figures: dict[str, Any]) -> str:
    lines = [f"errors of {figures['forecasts']:,} forecasts of {figures['horizon']} steps:"]
    beside = "the last value" if figures["season"] == 1 else "the last season"
    for name, each in figures["columns"].items():
        lines.append(
            f"  {name}: MAE {each['mae']:.4g}, RMSE {each['rmse']:.4g}; repeating {beside} has MAE "
            f"{each['naive_mae']:.4g}, RMSE {each['naive_rmse']:.4g}"
        )
    if "coverage" in figures:
        wanted = figures["wanted_coverage"]
        lines.append(f"  {figures['coverage']:.1%} of the values lie within the band of {wanted:.0%}")
    return "\n".join(lines)
