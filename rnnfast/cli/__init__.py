"""The `rnnfast` command.

Every subcommand is a module of this package with `add_parser(subparsers)`, which imports nothing heavy, and
`run(args) -> int`, which returns the exit code.
"""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Sequence

from rnnfast.cli._arguments import CommandError, Parser

_COMMANDS = (
    *("demo", "train", "predict", "evaluate", "generate", "translate"),
    *("inspect", "convert", "export", "bench", "info"),
)
_FIRST_STEPS = """first steps:
  rnnfast demo --quick                                      is all well here?
  rnnfast train text book.txt --output book.safetensors     a model of a file of one's own
  rnnfast generate book.safetensors --prompt "Once "
  rnnfast inspect book.safetensors                          what is in it
  rnnfast COMMAND --help                                    arguments, and examples

exit codes: 0 all went well, 2 the input was wrong (one line says how), 130 Ctrl-C"""
_INTERRUPTED = 130  # 128 + SIGINT, what shells expect


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; those of the process by default.

    Returns
    -------
    code : int
        0 when all went well, 2 when the input was wrong (one line on standard error says how), 130 after Ctrl-C.
    """
    for stream in (sys.stdout, sys.stderr):
        # A model may write characters that an old terminal cannot show.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace" if stream is sys.stderr else "replace")
    parser = _parser()
    if "_ARGCOMPLETE" in os.environ:  # a shell asks for completions
        import argcomplete

        argcomplete.autocomplete(parser)
    try:
        args = parser.parse_args(argv)
    except SystemExit as stop:  # --help, --version or a wrong argument, which argparse has reported
        return stop.code if isinstance(stop.code, int) else 2
    try:
        return args.run(args)
    except CommandError as error:
        print(f"{args.prog}: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{args.prog}: interrupted", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away, as `head` does. Python would complain once more while it shuts down.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _parser() -> Parser:
    from rnnfast import __version__

    description = "Recurrent networks on a CPU, trained and served fast."
    parser = Parser(prog="rnnfast", description=description, epilog=_FIRST_STEPS)
    parser.add_argument("--version", action="version", version=f"rnnfast {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in _COMMANDS:
        module = importlib.import_module(f"rnnfast.cli.{name}")
        subparser = module.add_parser(subparsers)
        subparser.set_defaults(run=module.run, prog=subparser.prog)
    return parser
