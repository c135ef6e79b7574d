"""`rnnfast export`: a model as a file for other programs."""

from __future__ import annotations

import argparse
import os

from rnnfast.cli._arguments import CommandError, bad_input, check_new_file, integer
from rnnfast.cli._results import add_json_argument, show

_EXAMPLES = """examples:
  rnnfast export c model.safetensors --output model.c --name model
  cc -std=c99 -DMODEL_SELF_TEST model.c -lm -o test && ./test     compares the C with rnnfast's numbers
  rnnfast export c both_ways.safetensors --output model.c --max-steps 50
  rnnfast export onnx model.safetensors --output model.onnx --lengths"""


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "export",
        help="write a model as C source or ONNX",
        description="Write a model for programs without Python. c: one C99 file without dependencies and without "
        "malloc, for a microcontroller: weights as constants, a struct that holds the state, a function for one step "
        "and one for a sequence, and a test of its own. onnx: an ONNX model, one node for each recurrent layer.",
        epilog=_EXAMPLES,
    )
    parser.add_argument("format", choices=("c", "onnx"), help="what to write")
    parser.add_argument("model", metavar="MODEL", help="a model file that rnnfast has written")
    parser.add_argument("--output", required=True, metavar="FILE", help="file to write")
    parser.add_argument("--name", default="model", help="c: what all names in the file start with (default: model)")
    parser.add_argument(
        "--max-steps", type=integer(1), metavar="T", help="c: the longest sequence, where a direction reads backwards"
    )
    parser.add_argument("--int8", action="store_true", help="c: matrices as bytes, a quarter of the flash")
    parser.add_argument("--lengths", action="store_true", help="onnx: the model takes the sequences' lengths, too")
    parser.add_argument("--stateful", action="store_true", help="onnx: the model takes and gives its states")
    parser.add_argument("--force", action="store_true", help="replace a file that exists")
    add_json_argument(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Read, write, and say how large it is."""
    output = check_new_file(args.output)
    if output.exists() and not args.force:
        raise CommandError(f"{output}: exists already, and is not overwritten without --force")
    from rnnfast import files

    with bad_input():
        model = files.load(args.model)
        if args.format == "c":
            from rnnfast.export import save_c

            save_c(model, output, name=args.name, max_steps=args.max_steps, int8=args.int8)
        else:
            from rnnfast.interop.onnx import to_onnx

            to_onnx(model, output, lengths=args.lengths, stateful=args.stateful)
    found = {"output": str(output), "format": args.format, "bytes": os.path.getsize(output)}
    show(args, f"wrote {found['bytes']:,} bytes to {output}", found)
    return 0
