"""`rnnfast train`: a model of one's own files, of the kind that is named."""

from __future__ import annotations

import argparse
import importlib

from rnnfast.cli._tasks import TASKS


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the subcommand, and below it every kind of model."""
    parser = subparsers.add_parser("train", help="train a model on files", description="Train a model on files.")
    kinds = parser.add_subparsers(title="kinds of model", metavar="KIND", required=True)
    for name in TASKS.values():
        module = importlib.import_module(f"rnnfast.cli.{name}")
        kind = module.add_parser(kinds)
        kind.set_defaults(train=module.train, prog=kind.prog)
    return parser


def run(args: argparse.Namespace) -> int:
    """Train a model of the kind that was named."""
    return args.train(args)
