"""Translators of pairs of texts: `rnnfast train translate`, and how well they do."""

from __future__ import annotations

import argparse
import importlib.util
from typing import Any

from rnnfast.cli import _tasks
from rnnfast.cli._arguments import CommandError, add_training_arguments, bad_input, check_output, integer, use_threads
from rnnfast.cli._results import add_json_argument, say, show

COLUMNS: tuple[dict[str, type], ...] = ()

_EXAMPLES = """The file has a pair a line, source and target with a tab between:
  hello   bonjour
  thank you       merci

examples:
  rnnfast train translate pairs.tsv --output fr.safetensors
  rnnfast train translate words.tsv --tokens characters --target-tokens space    letters to phonemes"""


def add_parser(kinds: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the kind."""
    parser = kinds.add_parser(
        "translate",
        help="a text for a text, of a file with pairs",
        description="Train an encoder-decoder with attention on pairs of texts. A tenth of the sources, drawn at "
        "random, is held out with all of its targets; the epoch whose loss is best there is kept. Ctrl-C stops early.",
        epilog=_EXAMPLES,
    )
    parser.add_argument("file", metavar="FILE", help="pairs of source and target, UTF-8, a tab between")
    parser.add_argument(
        "--tokens",
        choices=("words", "characters", "space"),
        default="words",
        help="how a text is cut; 'space' cuts at spaces alone (default: %(default)s)",
    )
    parser.add_argument(
        "--target-tokens", choices=("words", "characters", "space"), help="how a target is (default: as a source)"
    )
    parser.add_argument(
        "--min-count",
        type=integer(1),
        default=1,
        metavar="N",
        help="rarer tokens are unknown; where the source has one, it is copied (default: %(default)s)",
    )
    add_training_arguments(
        parser, hidden=128, epochs=20, dropout=0.2, batch_size=64, learning_rate=3e-3, batches_of="pairs a step"
    )
    _tasks.add_held_out_arguments(parser, 0.1)
    add_json_argument(parser)
    return parser


def train(args: argparse.Namespace) -> int:
    """Train, save and measure."""
    check_output(args.output)
    x, y = read_pairs(args.file)
    numbers: dict[str, int] = {}
    of = [numbers.setdefault(source, len(numbers)) for source in x]
    held = set(_held_out(len(numbers), args.held_out, args.seed))
    use_threads(args.threads)

    from rnnfast.models import Translator

    parts = [[i for i, number in enumerate(of) if (number in held) == out] for out in (False, True)]
    (x_training, y_training), (x_held, y_held) = [([x[i] for i in part], [y[i] for i in part]) for part in parts]
    say(args, f"{len(x):,} pairs of {len(numbers):,} sources; {len(x_held):,} pairs are held out")
    with bad_input():
        model = Translator(
            cell=args.cell,
            hidden_size=args.hidden,
            num_layers=args.layers,
            dropout=args.dropout,
            tokens=args.tokens,
            target_tokens=args.target_tokens,
            min_count=args.min_count,
            seed=args.seed,
        )
        validation = (x_held, y_held) if held else None
        model.fit(x_training, y_training, validation_data=validation, **_tasks.training_options(args))
    return _tasks.conclude(args, model, {}, lambda: _measure(model, x_held, y_held), _headline)


def predict(model: Any, columns: dict[str, Any], args: argparse.Namespace) -> None:
    """Refuse: it has a command of its own, which writes line by line."""
    raise CommandError(f"{args.model}: a translator reads lines: rnnfast translate {args.model} < {args.file}")


def evaluate(model: Any, columns: dict[str, Any], args: argparse.Namespace) -> None:
    """Print how many targets are right, the rate of errors and BLEU."""
    x, y = read_pairs(args.file)
    with bad_input():
        figures = _measure(model, x, y)
    show(args, _headline(figures), figures)


def read_pairs(path: str) -> tuple[list[str], list[str]]:
    """Sources and targets of a file; empty lines are passed over."""
    from rnnfast.data import read_text

    with bad_input():
        lines = read_text([path]).split("\n")
    x, y = [], []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        fields = line.rstrip("\r").split("\t")
        if len(fields) < 2:
            raise CommandError(f"{path}: line {number} must be source and target with a tab between, got {line!r:.60}")
        x.append(fields[0])
        y.append(fields[1])
    if not x:
        raise CommandError(f"{path}: it has no pairs")
    return x, y


def _held_out(sources: int, share: float, seed: int) -> list[int]:
    import numpy as np

    count = round(sources * share)
    if share and not 0 < count < sources:
        raise CommandError(f"too few sources to hold some out: {sources} (--held-out 0 trains on all)")
    return np.random.default_rng(seed).permutation(sources)[:count].tolist()


def _measure(model: Any, x: list[str], y: list[str]) -> dict[str, Any]:
    figures = {"sources": len(set(x)), **model.measure(x, y)}
    if importlib.util.find_spec("sacrebleu"):
        import sacrebleu

        right: dict[str, list[str]] = {}
        for source, text in zip(x, y, strict=True):
            right.setdefault(source, []).append(text)
        most = max(map(len, right.values()))
        # Where a source has fewer references than another, its first one fills the place, which changes nothing.
        references = [[texts[min(i, len(texts) - 1)] for texts in right.values()] for i in range(most)]
        figures["sacrebleu"] = sacrebleu.corpus_bleu(model.predict(list(right)), references).score
    return figures


def _headline(figures: dict[str, Any]) -> str:
    told = f"{figures['exact_match']:.3f} of {figures['sources']:,} texts right, error rate {figures['error_rate']:.3f}"
    return f"{told}, BLEU {figures['bleu']:.1f}" + (
        f", by sacreBLEU {figures['sacrebleu']:.1f}" if "sacrebleu" in figures else ""
    )
