"""`rnnfast generate`: let a trained language model write."""

from __future__ import annotations

import argparse

from rnnfast.cli._arguments import bad_input, integer, number, use_threads
from rnnfast.cli._results import add_json_argument, show


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "generate",
        help="write text with a trained model",
        description="Write text with a trained language model.",
        epilog='example: rnnfast generate book.safetensors --prompt "Once " --length 300 --top-p 0.9',
    )
    parser.add_argument("model", metavar="MODEL", help="file written by `rnnfast train` or `rnnfast demo --save`")
    parser.add_argument("--prompt", metavar="TEXT", help="text to continue (default: a new line)")
    parser.add_argument(
        "--length", type=integer(0), default=500, metavar="N", help="characters to write (default: %(default)s)"
    )
    parser.add_argument(
        "--temperature",
        type=number(0.0),
        default=0.7,
        metavar="T",
        help="0 always takes the likeliest character, 1 samples from the model as it is (default: %(default)s)",
    )
    parser.add_argument(
        "--top-k", type=integer(1), metavar="K", help="draw from the likeliest K characters alone (default: all)"
    )
    parser.add_argument(
        "--top-p",
        type=number(0.0),
        default=1.0,
        metavar="P",
        help="then from the fewest characters whose probabilities sum to P (default: 1, all)",
    )
    parser.add_argument("--stop", metavar="TEXT", help="end before this text is written (default: no end but --length)")
    parser.add_argument("--seed", type=integer(0), help="seed of the sampling (default: a new one each time)")
    add_json_argument(parser)
    parser.add_argument("--threads", type=integer(1), metavar="N", help="worker threads (default: all cores)")
    return parser


def run(args: argparse.Namespace) -> int:
    """Print the prompt and what follows it."""
    from rnnfast.models.language_model import LanguageModel

    use_threads(args.threads)
    with bad_input():
        model = LanguageModel.load(args.model)
        if model.vocabulary is None:
            raise ValueError(f"{args.model}: this model was trained on numbers, not on text")
        prompt = args.prompt
        if prompt is None:
            prompt = "\n" if "\n" in model.vocabulary else model.vocabulary.characters[0]
        text = model.generate(
            prompt,
            args.length,
            temperature=args.temperature,
            top_k=args.top_k,
            top_p=args.top_p,
            stop=args.stop,
            seed=args.seed,
        )
    whole = text if args.prompt is None else prompt + text
    show(args, whole, {"prompt": args.prompt, "text": text})
    return 0
