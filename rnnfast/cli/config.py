"""`rnnfast config`: what this machine offers and what rnnfast makes of it."""

from __future__ import annotations

import argparse


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the subcommand."""
    return subparsers.add_parser("config", help="show the instruction set, the threads and the versions")


def run(args: argparse.Namespace) -> int:
    """Print the configuration."""
    import rnnfast

    rnnfast.show_config()
    return 0
