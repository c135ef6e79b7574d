"""`rnnfast translate`: lines in, lines out."""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Iterator
from typing import Any

from rnnfast.cli._arguments import CommandError, bad_input, integer, number, use_threads

_EXAMPLES = """examples:
  rnnfast translate fr.safetensors < in.txt > out.txt
  echo "thank you" | rnnfast translate fr.safetensors --n-best 3     texts with their scores, best first
  rnnfast translate fr.safetensors --json --alignments < in.txt      a JSON object a line"""


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "translate",
        help="write a text for each line of standard input",
        description="Write a text for each line of standard input, as it comes, with a model of `rnnfast train "
        "translate`. An empty line stays empty.",
        epilog=_EXAMPLES,
    )
    parser.add_argument("model", metavar="MODEL", help="file written by `rnnfast train translate`")
    parser.add_argument(
        "--beam", type=integer(1), default=5, metavar="N", help="beginnings carried on (default: %(default)s)"
    )
    parser.add_argument(
        "--n-best", type=integer(1), metavar="N", help="write the best N texts, each as: line's number, score, text"
    )
    parser.add_argument(
        "--length-penalty",
        choices=("none", "average", "wu"),
        default="none",
        help="what divides the log-probability of a text (default: %(default)s)",
    )
    parser.add_argument(
        "--coverage-penalty",
        type=number(0.0),
        default=0.0,
        metavar="B",
        help="sinks texts that leave out some of the source (default: 0)",
    )
    parser.add_argument("--min-length", type=integer(0), default=0, metavar="N", help="least tokens (default: 0)")
    parser.add_argument("--max-length", type=integer(1), metavar="N", help="most tokens (default: twice the source's)")
    parser.add_argument(
        "--alignments", action="store_true", help="add where each token looked: 0-1 is its 0th to our 1st"
    )
    parser.add_argument(
        "--batch-size", type=integer(1), default=1, metavar="N", help="lines at a time; more is faster (default: 1)"
    )
    parser.add_argument("--json", action="store_true", help="a JSON object a line")
    parser.add_argument("--threads", type=integer(1), metavar="N", help="worker threads (default: all cores)")
    return parser


def run(args: argparse.Namespace) -> int:
    """Translate until the input ends."""
    from rnnfast.models import Translator

    use_threads(args.threads)
    if (args.n_best or 1) > args.beam:
        raise CommandError(f"--n-best must be at most --beam, {args.beam}, got {args.n_best}")
    with bad_input():
        model = Translator.load(args.model)
    how = {
        "beam_size": args.beam,
        "n_best": args.n_best or 1,
        "length_penalty": args.length_penalty,
        "coverage_penalty": args.coverage_penalty,
        "min_length": args.min_length,
        "max_length": args.max_length,
        "batch_size": args.batch_size,
    }
    numbers = itertools.count()
    for lines in _batches(args.batch_size):
        with bad_input():
            found = iter(model.write([line for line in lines if line.strip()], **how))
        for line in lines:
            _show(args, next(numbers), line, next(found) if line.strip() else [])
        sys.stdout.flush()
    return 0


def _batches(size: int) -> Iterator[list[str]]:
    """The lines of standard input, so many at a time."""
    with bad_input():
        if hasattr(sys.stdin, "reconfigure"):
            sys.stdin.reconfigure(encoding="utf-8")
        while lines := [line.rstrip("\r\n") for line in itertools.islice(sys.stdin, size)]:
            yield lines


def _show(args: argparse.Namespace, place: int, line: str, texts: list[Any]) -> None:
    if args.json:
        shown = [
            {
                "text": each.text,
                "tokens": each.tokens,
                "score": each.score,
                **({"alignment": _numbers(each)} if args.alignments else {}),
            }
            for each in texts
        ]
        print(json.dumps({"source": line, "translations": shown}, ensure_ascii=False))
        return
    if not texts:
        print(line.strip() if args.n_best is None else f"{place}\t\t")
    for each in texts:
        fields = [each.text] if args.n_best is None else [str(place), f"{each.score:.4f}", each.text]
        if args.alignments:
            looked = [] if each.alignment is None or not each.alignment.size else each.alignment.argmax(axis=1)
            fields.append(" ".join(f"{source}-{place}" for place, source in enumerate(looked)))
        print("\t".join(fields))


def _numbers(each: Any) -> list[list[float]] | None:
    return None if each.alignment is None else each.alignment.round(4).tolist()
