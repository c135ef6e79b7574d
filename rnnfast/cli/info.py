"""`rnnfast info`: what this machine offers and what rnnfast makes of it."""

from __future__ import annotations

import argparse

from rnnfast.cli._results import add_json_argument, show


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "info",
        help="show the instruction set, the threads and the versions",
        description="Show what rnnfast has found on this machine. The variable RNNFAST_ISA caps the instruction set, "
        "RNNFAST_NUM_THREADS sets the threads.",
        epilog="example: RNNFAST_ISA=sse2 rnnfast info --json",
    )
    add_json_argument(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Print what is known."""
    from rnnfast._config import config, config_text

    show(args, config_text(), config())
    return 0
