"""`rnnfast predict`: what a trained model says of a file."""

from __future__ import annotations

import argparse

from rnnfast.cli._arguments import integer, use_threads
from rnnfast.cli._results import add_json_argument, check_predictions
from rnnfast.cli._tasks import open_model

_EXAMPLES = """examples:
  rnnfast predict reviews.safetensors new.csv                    one label and its probability for each row, as CSV
  rnnfast predict names.safetensors new.conll --output out.conll   one tag after each word
  rnnfast predict sales.safetensors sales.csv --json               the values that follow the last row"""


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "predict",
        help="label, tag or continue a file with a trained model",
        description="Say what a trained model makes of a file: labels of a table's rows, tags of a CoNLL file's words, "
        "what follows a series, or which of its steps are strange. The file has the columns of the one that was "
        "trained on; labels may be missing.",
        epilog=_EXAMPLES,
    )
    parser.add_argument("model", metavar="MODEL", help="file written by `rnnfast train`, or by an estimator's `save`")
    parser.add_argument("file", metavar="FILE", help="a file of the kind the model was trained on")
    parser.add_argument("--output", metavar="FILE", help="new file to write (default: standard output)")
    add_json_argument(parser)
    parser.add_argument("--threads", type=integer(1), metavar="N", help="worker threads (default: all cores)")
    return parser


def run(args: argparse.Namespace) -> int:
    """Predict and write."""
    check_predictions(args)
    use_threads(args.threads)
    opened = open_model(args.model)
    opened.task.predict(opened.model, opened.columns, args)
    return 0
