"""`rnnfast inspect`: what a file holds."""

from __future__ import annotations

import argparse
import json
import math
import os
from collections.abc import Iterator, Sequence
from typing import Any

from rnnfast.cli import _foreign
from rnnfast.cli._arguments import bad_input
from rnnfast.cli._formats import format_of
from rnnfast.cli._results import add_json_argument, show

_WIDEST = 72  # characters of one value
_FIRST_ITEMS = 8  # of a long list
_DEEPEST = 6  # dots in a name


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "inspect",
        help="show what a model file or a training checkpoint holds",
        description="Show what a file holds without running any of it: of a model its kind, layers, tensors and all "
        "that is kept beside them (labels, words, arguments); of a training checkpoint how far it has come; of a Keras "
        "or ONNX file or a PyTorch state dict (safetensors) its layers as rnnfast reads them, and its tensors.",
        epilog="examples:\n  rnnfast inspect model.safetensors\n  rnnfast inspect network.onnx --json",
    )
    parser.add_argument("file", metavar="FILE", help="a model of any kind, or a training checkpoint")
    add_json_argument(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Print the tables."""
    from rnnfast import files
    from rnnfast.training.checkpoint import is_checkpoint

    with bad_input():
        kind = format_of(args.file)
        found: dict[str, Any] = {"file": args.file, "bytes": os.path.getsize(args.file)}
        if kind in ("keras", "onnx"):
            lines, tensors = getattr(_foreign, kind)(args.file, found)
        else:
            metadata, tensors = files.read_header(args.file)
            if kind == "rnnfast":
                lines = _model(args.file, metadata, found)
            elif is_checkpoint(metadata):
                lines = _checkpoint(args.file, tensors, found)
            else:
                lines = [*_foreign.torch(args.file, metadata, found), *_values(metadata, "metadata")]
    found["tensors"] = [
        {"name": name, "shape": list(shape), "dtype": dtype} for name, (shape, dtype) in tensors.items()
    ]
    rows = [("Tensor", "Shape", "Dtype", "Numbers")]
    for name, (shape, dtype) in tensors.items():
        rows.append((name, f"({', '.join(map(str, shape))})", dtype, f"{math.prod(shape):,}"))
    show(args, "\n".join([*lines, "", *_aligned(rows), f"{found['bytes']:,} bytes"]), found)
    return 0


def _model(path: str, metadata: dict[str, str], found: dict[str, Any]) -> list[str]:
    from rnnfast import files
    from rnnfast.cli._tasks import kind_of
    from rnnfast.layers._summary import summarise

    model, extra = files.load_with_extra(path)
    found |= {
        "kind": kind_of(model, extra),
        "rnnfast_version": metadata.get("rnnfast_version"),
        "parameters": model.num_params,
        "dtype": str(model.dtype),
        "layers": _layers(model),
        "extra": extra,
    }
    written = f"written by rnnfast {found['rnnfast_version']}" if found["rnnfast_version"] else "of an unknown version"
    title = f"{path}: {found['kind']}, {found['dtype']}, {written}"
    return [title, "", summarise(model), *_values(extra, "extra")]


def _checkpoint(path: str, tensors: Any, found: dict[str, Any]) -> list[str]:
    from rnnfast import files
    from rnnfast.layers._summary import summarise
    from rnnfast.training.checkpoint import describe_checkpoint

    said = describe_checkpoint(path)
    try:
        model = files.plan_model(said.pop("architecture"), tensors)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    progress, history = said["progress"], said["history"]
    found |= {"kind": "checkpoint", **said, "layers": _layers(model)}
    last = {name: values[-1] for name, values in history["history"].items() if values}
    lines = [
        f"{path}: a training checkpoint",
        f"{progress['epoch']} epochs done, {progress['batch']} batches of the next; {progress['step']:,} updates",
    ]
    if last:
        lines.append("last epoch: " + ", ".join(f"{name} {value:.4g}" for name, value in last.items()))
    return [*lines, "", summarise(model), *_values(said["settings"], "settings")]


def _layers(model: Any) -> list[dict[str, Any]]:
    from rnnfast.layers._summary import summary_rows

    return [
        {"layer": line.strip(), "output_shape": list(shape), "parameters": count}
        for line, shape, count in summary_rows(model)
    ]


def _values(value: Any, title: str) -> list[str]:
    rows = [(f"  {name}", text) for name, text in _leaves(value, "")]
    return ["", title, *_aligned(rows)] if rows else []


def _leaves(value: Any, name: str) -> Iterator[tuple[str, str]]:
    """Names with dots between, and what stands there, cut to one line."""
    if isinstance(value, dict) and value and name.count(".") < _DEEPEST:
        for key, inner in value.items():
            yield from _leaves(inner, f"{name}.{key}" if name else str(key))
        return
    if value == {}:
        return
    count = len(value) if isinstance(value, list) else 0
    text = json.dumps(value[:_FIRST_ITEMS] if count else value, ensure_ascii=False)
    text = text if len(text) <= _WIDEST else text[:_WIDEST] + " ..."
    yield name, f"{text}  {count:,} in all" if count > _FIRST_ITEMS else text


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
