"""What the subcommands share: arguments, and errors that are one line for the user."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn


class CommandError(Exception):
    """The user's input is wrong; the message is one line that says how."""


class _Formatter(argparse.HelpFormatter):
    """Fills paragraphs, but leaves text of several lines, as examples are, as it is."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if "\n" in text else super()._fill_text(text, width, indent)


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def __init__(self, **options: Any):
        super().__init__(**{"formatter_class": _Formatter, **options})

    def error(self, message: str) -> NoReturn:
        """Print one line and exit with code 2."""
        self.exit(2, f"{self.prog}: error: {message} (try {self.prog} --help)\n")


@contextmanager
def bad_input() -> Iterator[None]:
    """Turn the errors that a file or a value of the user's may cause into a `CommandError`."""
    try:
        yield
    except (ValueError, TypeError, OSError, FloatingPointError, MemoryError, ImportError) as error:
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


def add_network_arguments(parser: argparse.ArgumentParser, *, hidden: int = 256, epochs: int = 6) -> None:
    """Add what `demo` and every kind of `train` ask about the network and its training, with these defaults."""
    parser.add_argument("--cell", choices=("lstm", "gru"), default="gru", help="recurrent cell (default: %(default)s)")
    parser.add_argument(
        "--hidden", type=integer(1), default=hidden, metavar="N", help=f"hidden units (default: {hidden})"
    )
    parser.add_argument(
        "--epochs", type=integer(1), default=epochs, metavar="N", help=f"passes over the data (default: {epochs})"
    )
    parser.add_argument("--seed", type=integer(0), default=0, help="of everything random (default: %(default)s)")
    parser.add_argument("--threads", type=integer(1), metavar="N", help="worker threads (default: all cores)")


def add_training_arguments(
    parser: argparse.ArgumentParser,
    *,
    hidden: int,
    epochs: int,
    dropout: float,
    batch_size: int,
    learning_rate: float,
    batches_of: str,
) -> None:
    """Add what every kind of `train` asks."""
    parser.add_argument(
        "--output", default="model.safetensors", metavar="MODEL", help="file to write (default: %(default)s)"
    )
    add_network_arguments(parser, hidden=hidden, epochs=epochs)
    parser.add_argument("--layers", type=integer(1), default=1, metavar="N", help="recurrent layers (default: 1)")
    parser.add_argument("--dropout", type=number(0.0, 1.0), default=dropout, metavar="P", help="(default: %(default)s)")
    parser.add_argument(
        "--batch-size", type=integer(1), default=batch_size, metavar="B", help=f"{batches_of} (default: %(default)s)"
    )
    parser.add_argument(
        "--learning-rate", type=number(0.0), default=learning_rate, metavar="R", help="(default: %(default)s)"
    )


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
