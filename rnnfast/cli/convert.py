"""`rnnfast convert`: a model file of one kind as a file of another."""

from __future__ import annotations

import argparse
import os

from rnnfast.cli._arguments import CommandError, bad_input, check_new_file
from rnnfast.cli._formats import FORMATS, format_for, format_of, read_model, write_model
from rnnfast.cli._results import add_json_argument, show

_EXAMPLES = """examples:
  rnnfast convert model.keras --output model.safetensors             Keras's file as ours; no Keras is needed
  rnnfast convert pytorch.safetensors --part encoder.rnn --output rnn.safetensors
  rnnfast convert model.safetensors --to torch --output state.safetensors
  rnnfast convert network.onnx --part lstm_1 --output lstm.safetensors    one recurrent node, to be trained further
  rnnfast convert model.safetensors --output model.onnx              or .keras, or .c"""


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "convert",
        help="turn a model file into one of another kind",
        description="Read a model of rnnfast, PyTorch (a state dict as safetensors), Keras (.keras, .h5) or ONNX, and "
        "write it as another of these, or as C. What a file is, its contents tell; what is written, the ending of its "
        "name. What the other side does not have is refused by name.",
        epilog=_EXAMPLES,
    )
    parser.add_argument("file", metavar="FILE", help="the model to read")
    parser.add_argument("--output", required=True, metavar="FILE", help="file to write")
    parser.add_argument("--to", choices=FORMATS, help="the format, where the ending of the name does not tell")
    parser.add_argument("--part", metavar="NAME", help="which recurrent module or node, where a file has several")
    parser.add_argument("--force", action="store_true", help="replace a file that exists")
    add_json_argument(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Read, write, and say what it was."""
    output = check_new_file(args.output)
    if output.exists() and not args.force:
        raise CommandError(f"{output}: exists already, and is not overwritten without --force")
    kind = args.to or format_for(args.output)
    with bad_input():
        was = format_of(args.file)
        model = read_model(args.file, args.part)
        write_model(model, args.output, kind)
    found = {
        "file": args.file, "from": was, "output": args.output, "to": kind, "model": type(model).__name__,
        "parameters": model.num_params, "bytes": os.path.getsize(output),
    }  # fmt: skip
    count = f"{found['parameters']:,} parameters"
    show(
        args,
        f"{args.file} ({was}): {found['model']}, {count}; wrote {output} ({kind}, {found['bytes']:,} bytes)",
        found,
    )
    return 0
