"""`rnnfast demo`: train a character language model on Python's documentation, and show what came of it."""

from __future__ import annotations

import argparse

from rnnfast.cli._arguments import add_network_arguments, bad_input, check_output, number, use_threads, warn

_PROMPT = "The "
_BATCH_SIZE = 16
_CHUNK = 64
_DROPOUT = 0.2


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "demo",
        help="train a language model on Python's documentation, compare it, time it",
        description="Train a character language model on the documentation that comes with Python; compare its "
        "perplexity on the held-out last tenth with that of 5-grams; let it write; time it against plain NumPy.",
        epilog="examples:\n  rnnfast demo --quick\n  rnnfast demo --cell lstm --save documentation.safetensors",
    )
    add_network_arguments(parser)
    parser.set_defaults(hidden=None, epochs=None)  # `--quick` has others
    parser.add_argument("--quick", action="store_true", help="a small network, one epoch: seconds instead of minutes")
    parser.add_argument(
        "--time-limit",
        type=number(1.0),
        default=75.0,
        metavar="SECONDS",
        help="of training; on a slow machine it ends earlier, and well (default: %(default)g)",
    )
    parser.add_argument("--save", metavar="PATH", help="write the trained model to this file")
    return parser


def run(args: argparse.Namespace) -> int:
    """Train, compare, write, time."""
    output = None if args.save is None else check_output(args.save)
    use_threads(args.threads)

    from rnnfast.data import NGram, Vocabulary, hold_out, python_documentation
    from rnnfast.models.language_model import LanguageModel

    training, held_out = hold_out(python_documentation())
    vocabulary = Vocabulary(training)
    ids, held_out_ids = vocabulary.encode(training), vocabulary.encode(held_out, unknown="zero")
    print(f"Python's documentation: {len(training):,} characters to train on, the next {len(held_out):,} held out")
    hidden, epochs = args.hidden or (64 if args.quick else 256), args.epochs or (1 if args.quick else 6)
    model = LanguageModel(vocabulary, cell=args.cell, hidden_size=hidden, dropout=_DROPOUT, seed=args.seed)
    print(f"{args.cell.upper()} of {hidden} units, {model.network.num_params:,} parameters")

    history = model.fit(
        ids,
        held_out_ids,
        epochs=epochs,
        batch_size=_BATCH_SIZE,
        chunk=_CHUNK,
        time_limit=args.time_limit,
        seed=args.seed,
    )
    if history.interrupted:
        warn("interrupted; this is the model so far")
    if output is not None:
        with bad_input():
            model.save(output)
        print(f"saved {output}")

    ours = model.evaluate(held_out_ids)
    print("\nPerplexity per held-out character")
    print(f"  {args.cell.upper():<24} {ours:6.3f}")
    for name, scale in (("5-gram, Witten-Bell", 1.0), ("5-gram, tuned", "tuned")):
        theirs = NGram(ids, len(vocabulary), order=5, scale=scale).perplexity(held_out_ids)
        print(f"  {name:<24} {theirs:6.3f}   ratio {ours / theirs:.3f}")
    print(f"\nThe model writes:\n{_PROMPT}{model.generate(_PROMPT, 400, temperature=0.7, seed=args.seed)}")

    from rnnfast.cli._speed import speed_table

    print("\nSpeed of this network on this machine, against plain NumPy")
    print(speed_table(model, batch_size=_BATCH_SIZE, chunk=_CHUNK, rounds=5 if args.quick else 15))
    return 0
