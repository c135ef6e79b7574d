"""`rnnfast evaluate`: how well a trained model does on a file that holds the truth."""

from __future__ import annotations

import argparse

from rnnfast.cli._arguments import integer, use_threads
from rnnfast.cli._results import add_json_argument
from rnnfast.cli._tasks import open_model

_EXAMPLES = """examples:
  rnnfast evaluate reviews.safetensors test.csv    accuracy, and precision and recall of each label
  rnnfast evaluate names.safetensors test.conll    accuracy of tags, F1 of whole entities
  rnnfast evaluate sales.safetensors sales.csv     errors of forecasts from every row, beside those of a naive one
  rnnfast evaluate sensors.safetensors test.csv    precision and recall of strange rows, where a column names them
  rnnfast evaluate fr.safetensors test.tsv         texts that are right, rate of errors, BLEU
  rnnfast evaluate book.safetensors other.txt      perplexity per character"""


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "evaluate",
        help="measure a trained model on a file",
        description="Measure a trained model on a file with the columns, labels too, of the one it was trained on; a "
        "language model on a text.",
        epilog=_EXAMPLES,
    )
    parser.add_argument("model", metavar="MODEL", help="file written by `rnnfast train`, or by a model's `save`")
    parser.add_argument("file", metavar="FILE", help="a file of the kind the model was trained on")
    add_json_argument(parser)
    parser.add_argument("--threads", type=integer(1), metavar="N", help="worker threads (default: all cores)")
    return parser


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    use_threads(args.threads)
    opened = open_model(args.model)
    opened.task.evaluate(opened.model, opened.columns, args)
    return 0
