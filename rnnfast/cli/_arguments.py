"""What the subcommands share: arguments, and errors that are one line for the user."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn


class CommandError(Exception):
    """The user's input is wrong; the message is one line that says how."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Print one line and exit with code 2."""
        self.exit(2, f"{self.prog}: error: {message} (try {self.prog} --help)\n")


@contextmanager
def bad_input() -> Iterator[None]:
    """Turn the errors that a file or a value of the user's may cause into a `CommandError`."""
    try:
        yield
    except (ValueError, OSError, FloatingPointError, MemoryError) as error:
        message = str(error)
        if isinstance(error, OSError) and error.filename is not None and error.strerror:
            message = f"{error.filename}: {error.strerror[0].lower()}{error.strerror[1:]}"
        raise CommandError(" ".join(message.split())) from error


def integer(least: int) -> Callable[[str], int]:
    """Return an argument type: integers from `least` up."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"must be an integer of at least {least}, got {text!r}")
        return value

    return parse


def number(least: float, below: float = math.inf) -> Callable[[str], float]:
    """Return an argument type: finite numbers from `least` up, smaller than `below`."""
    bounds = f"a number of at least {least:g}" + (f" and below {below:g}" if below < math.inf else "")

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not least <= value < below:
            raise argparse.ArgumentTypeError(f"must be {bounds}, got {text!r}")
        return value

    return parse


def add_network_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `demo` and `train` both ask about the network and its training."""
    parser.add_argument("--cell", choices=("lstm", "gru"), default="gru", help="recurrent cell (default: %(default)s)")
    parser.add_argument("--hidden", type=integer(1), metavar="N", help="hidden units (default: 256)")
    parser.add_argument("--epochs", type=integer(1), metavar="N", help="passes over the text (default: 6)")
    parser.add_argument("--seed", type=integer(0), default=0, help="of everything random (default: %(default)s)")
    parser.add_argument("--threads", type=integer(1), metavar="N", help="worker threads (default: all cores)")


def check_new_file(name: str) -> Path:
    """Return the path of a file that will be written; say what is wrong with it before the work, not after."""
    output = Path(name)
    if output.is_dir():
        raise CommandError(f"{output}: is a directory, a file name is needed")
    if not output.parent.is_dir():
        raise CommandError(f"{output}: there is no directory {output.parent}")
    if not os.access(output.parent, os.W_OK):
        raise CommandError(f"{output}: no permission to write in {output.parent}")
    return output


def check_output(name: str) -> Path:
    """Return the path of a model that will be written, which must not replace anything but a model."""
    output = check_new_file(name)
    if output.exists():
        from rnnfast.files import load

        try:
            load(output)
        except (ValueError, OSError):
            raise CommandError(f"{output}: exists and is no rnnfast model, so it is not overwritten") from None
    return output


def use_threads(threads: int | None) -> None:
    """Set the number of worker threads, where one was asked for."""
    if threads is not None:
        import rnnfast

        rnnfast.set_num_threads(threads)


def warn(message: str) -> None:
    """Print a line that is no error on standard error."""
    print(message, file=sys.stderr, flush=True)
