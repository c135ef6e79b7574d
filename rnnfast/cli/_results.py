"""How results reach the user: lines, or JSON for programs."""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rnnfast.cli._arguments import CommandError, bad_input, check_new_file


def add_json_argument(parser: argparse.ArgumentParser) -> None:
    """Add --json."""
    parser.add_argument("--json", action="store_true", help="write the result as JSON to standard output")


def say(args: argparse.Namespace, line: str) -> None:
    """Print a line on the way to the result; on standard error where standard output is for JSON alone."""
    print(line, file=sys.stderr if args.json else sys.stdout, flush=True)


def show(args: argparse.Namespace, text: str, values: dict[str, Any]) -> None:
    """Print the result: the text, or with --json the values."""
    print(json.dumps(values, indent=2, ensure_ascii=False) if args.json else text)


def check_predictions(args: argparse.Namespace) -> Path | None:
    """Return where predictions go, None for standard output; no file is ever replaced by them."""
    if args.output is None:
        return None
    output = check_new_file(args.output)
    if output.exists():
        raise CommandError(f"{output}: exists already, and is not overwritten; choose another name")
    return output


def deliver(args: argparse.Namespace, text: str, values: Any, count: str) -> None:
    """Write predictions to the file that was asked for, or to standard output.

    Parameters
    ----------
    args : argparse.Namespace
        Of `rnnfast predict`.
    text : str
        Whole lines.
    values : anything JSON can hold
        What --json writes in its place.
    count : str
        What was written, for the line that says so: "7 labels".
    """
    from rnnfast.files import write_whole

    if args.json:
        text = json.dumps(values, indent=2, ensure_ascii=False) + "\n"
    if args.output is None:
        sys.stdout.write(text)
        return
    with bad_input():
        write_whole(args.output, text.encode("utf-8"))
    print(f"wrote {count} to {os.fspath(args.output)}", file=sys.stderr)


def as_csv(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Rows as CSV, the columns' names first."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)
    return text.getvalue()
