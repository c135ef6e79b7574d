"""Language models: `rnnfast train text`, and the perplexity of a text."""

from __future__ import annotations

import argparse
import math
from typing import Any

from rnnfast.cli._arguments import (
    CommandError,
    add_training_arguments,
    bad_input,
    check_output,
    integer,
    use_threads,
    warn,
)
from rnnfast.cli._results import add_json_argument, say, show

COLUMNS: tuple[dict[str, type], ...] = ()
_LEAST_CHARACTERS = 20


def add_parser(kinds: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the kind."""
    parser = kinds.add_parser(
        "text",
        help="a character language model of UTF-8 text",
        description="Train a character language model on UTF-8 text files. The last tenth is held out to measure "
        "perplexity. The output file always holds the epoch that was best there. Ctrl-C stops early and keeps it.",
        epilog="example: rnnfast train text book.txt --output book.safetensors",
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="UTF-8 text, joined in this order")
    add_training_arguments(
        parser, hidden=256, epochs=6, dropout=0.2, batch_size=16, learning_rate=5e-3, batches_of="streams"
    )
    parser.add_argument(
        "--chunk", type=integer(1), default=64, metavar="T", help="steps gradients flow through (default: %(default)s)"
    )
    add_json_argument(parser)
    return parser


def train(args: argparse.Namespace) -> int:
    """Train, and keep the best epoch in the output file."""
    from rnnfast.data import Vocabulary, hold_out, read_text

    output = check_output(args.output)
    with bad_input():
        text = read_text(args.files)
    if len(text) < _LEAST_CHARACTERS:
        raise CommandError(f"the text is too short: {len(text)} characters, at least {_LEAST_CHARACTERS} are needed")
    use_threads(args.threads)

    from rnnfast.models.language_model import LanguageModel

    training, held_out = hold_out(text)
    say(args, f"{len(text):,} characters, {len(set(text))} different ones; the last {len(held_out):,} are held out")
    with bad_input():
        model = LanguageModel(
            Vocabulary(training),
            cell=args.cell,
            hidden_size=args.hidden,
            num_layers=args.layers,
            dropout=args.dropout,
            seed=args.seed,
        )
    best: list[float] = []

    def keep_if_best(perplexity: float) -> None:
        # A perplexity that is not a number is kept only when there is nothing better.
        if not best or perplexity < best[-1]:
            model.save(output)
            best.append(perplexity)

    with bad_input():
        history = model.fit(
            training,
            held_out,
            epochs=args.epochs,
            batch_size=min(args.batch_size, len(training) - 1),
            chunk=args.chunk,
            learning_rate=args.learning_rate,
            callbacks=[lambda epoch, logs: keep_if_best(logs["val_perplexity"])],
            seed=args.seed,
        )
        if history.interrupted and not best:
            model.save(output)
            line = f"interrupted in the first epoch; saved the model so far as {output}"
            show(args, line, {"output": str(output), "epochs": 0})
            return 0
        if history.interrupted:
            warn("interrupted; measuring the model so far")
            keep_if_best(model.evaluate(held_out))
    figures = {"output": str(output), "epochs": len(history.epoch), "perplexity": best[-1]}
    show(args, f"saved {output}, validation perplexity {best[-1]:.3f}", figures)
    return 0


def predict(model: Any, columns: dict[str, Any], args: argparse.Namespace) -> None:
    """Refuse: a language model writes."""
    raise CommandError(f"{args.model}: a language model writes text: rnnfast generate {args.model}")


def evaluate(model: Any, columns: dict[str, Any], args: argparse.Namespace) -> None:
    """Print the perplexity of a text."""
    from rnnfast.data import read_text

    if model.vocabulary is None:
        raise CommandError(f"{args.model}: this model was trained on numbers, not on text")
    with bad_input():
        text = read_text([args.file])
        perplexity = model.evaluate(text)
    unknown = sum(character not in model.vocabulary for character in text)
    figures = {
        "characters": len(text),
        "unknown_characters": unknown,
        "perplexity": perplexity,
        "bits_per_character": math.log2(perplexity),
    }
    shown = f"{len(text):,} characters, {unknown:,} of them unknown to the model: perplexity {perplexity:.3f}"
    show(args, f"{shown}, {figures['bits_per_character']:.3f} bits per character", figures)
