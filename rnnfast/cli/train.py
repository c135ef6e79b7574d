"""`rnnfast train text`: a character language model of one's own texts."""

from __future__ import annotations

import argparse

from rnnfast.cli._arguments import (
    CommandError,
    add_network_arguments,
    bad_input,
    check_output,
    integer,
    number,
    use_threads,
    warn,
)

_LEAST_CHARACTERS = 20


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the subcommand."""
    parser = subparsers.add_parser("train", help="train a model on files", description="Train a model on files.")
    kinds = parser.add_subparsers(title="kinds of model", metavar="KIND", required=True)
    text = kinds.add_parser(
        "text",
        help="a character language model of UTF-8 text",
        description="Train a character language model on UTF-8 text files. The last tenth is held out to measure "
        "perplexity. The output file always holds the epoch that was best there. Ctrl-C stops early and keeps it.",
    )
    text.add_argument("files", nargs="+", metavar="FILE", help="UTF-8 text, joined in this order")
    text.add_argument(
        "--output", default="model.safetensors", metavar="MODEL", help="file to write (default: %(default)s)"
    )
    add_network_arguments(text)
    text.set_defaults(hidden=256, epochs=6)
    text.add_argument("--layers", type=integer(1), default=1, metavar="N", help="recurrent layers (default: 1)")
    text.add_argument("--dropout", type=number(0.0, 1.0), default=0.2, metavar="P", help="(default: %(default)s)")
    text.add_argument("--batch-size", type=integer(1), default=16, metavar="B", help="streams (default: %(default)s)")
    text.add_argument(
        "--chunk", type=integer(1), default=64, metavar="T", help="steps gradients flow through (default: %(default)s)"
    )
    text.add_argument("--learning-rate", type=number(0.0), default=5e-3, metavar="R", help="(default: %(default)s)")
    return text


def run(args: argparse.Namespace) -> int:
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
    print(f"{len(text):,} characters, {len(set(text))} different ones; the last {len(held_out):,} are held out")
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
            print(f"interrupted in the first epoch; saved the model so far as {output}")
            return 0
        if history.interrupted:
            warn("interrupted; measuring the model so far")
            keep_if_best(model.evaluate(held_out))
    print(f"saved {output}, validation perplexity {best[-1]:.3f}")
    return 0
