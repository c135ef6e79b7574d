"""Taggers of words in columns: `rnnfast train tag`, their tags, their accuracy."""

from __future__ import annotations

import argparse
from typing import Any

from rnnfast.cli import _tasks
from rnnfast.cli._arguments import CommandError, add_training_arguments, bad_input, check_output, integer, use_threads
from rnnfast.cli._results import add_json_argument, deliver, say, show

COLUMNS: tuple[dict[str, type], ...] = ({"word": int, "tag": int, "conllu": bool},)

_EXAMPLES = """The file has a word a line, its tag in a further column, and an empty line after each sentence:
  Ann     B-PER
  sleeps  O

examples:
  rnnfast train tag names.conll --output names.safetensors
  rnnfast train tag en_ewt-ud-train.conllu --softmax"""


def add_parser(kinds: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the kind."""
    parser = kinds.add_parser(
        "tag",
        help="a tag for each word, of a CoNLL file",
        description="Train a tagger on a file in CoNLL's form. A tenth of the sentences, drawn at random, is held out; "
        "the epoch whose loss is best there is kept. Ctrl-C stops early.",
        epilog=_EXAMPLES,
    )
    parser.add_argument("file", metavar="FILE", help="words and tags, UTF-8; CoNLL-U where its name ends in .conllu")
    parser.add_argument(
        "--word-column", type=int, metavar="N", help="column of the words, from 0 (default: 0; of CoNLL-U 1)"
    )
    parser.add_argument(
        "--tag-column", type=int, metavar="N", help="column of the tags (default: -1, the last; of CoNLL-U 3)"
    )
    parser.add_argument(
        "--softmax", action="store_true", help="tell each tag by itself, without a conditional random field"
    )
    parser.add_argument(
        "--min-count",
        type=integer(1),
        default=2,
        metavar="N",
        help="rarer words are one word, <unk> (default: %(default)s)",
    )
    add_training_arguments(
        parser, hidden=64, epochs=20, dropout=0.2, batch_size=16, learning_rate=3e-3, batches_of="sentences a step"
    )
    _tasks.add_held_out_arguments(parser, 0.1)
    add_json_argument(parser)
    return parser


def train(args: argparse.Namespace) -> int:
    """Train, save and measure."""
    check_output(args.output)
    columns = _default_columns(args.file)
    for name, chosen in (("word", args.word_column), ("tag", args.tag_column)):
        columns[name] = columns[name] if chosen is None else chosen
    words, tags = _read_pairs(args.file, columns)
    training, held_out = _tasks.split(tags, args.held_out, args.seed)
    use_threads(args.threads)

    from rnnfast.data import WordVocabulary
    from rnnfast.models import Tagger

    x_training, y_training = [words[place] for place in training], [tags[place] for place in training]
    x_held_out, y_held_out = [words[place] for place in held_out], [tags[place] for place in held_out]
    count = len({tag for row in tags for tag in row})
    say(args, f"{len(words):,} sentences, {sum(map(len, words)):,} words, {count} tags; {len(held_out):,} are held out")
    with bad_input():
        model = Tagger(
            cell=args.cell,
            hidden_size=args.hidden,
            num_layers=args.layers,
            dropout=args.dropout,
            output="softmax" if args.softmax else "crf",
            vocabulary=WordVocabulary.from_texts(x_training, min_count=args.min_count),
            seed=args.seed,
        )
        validation = (x_held_out, y_held_out) if held_out else None
        model.fit(x_training, y_training, validation_data=validation, **_tasks.training_options(args))
    return _tasks.conclude(args, model, columns, lambda: _measure(model, x_held_out, y_held_out), _headline)


def predict(model: Any, columns: dict[str, Any], args: argparse.Namespace) -> None:
    """Write a tag after each word."""
    from rnnfast.data import read_conll

    columns = columns or _default_columns(args.file)
    with bad_input():
        (words,) = read_conll(args.file, (columns["word"],), conllu=columns["conllu"])
        if not words:
            raise ValueError(f"{args.file}: it has no words")
        tags = [[str(tag) for tag in row] for row in model.predict(words)]
    sentences = [
        "".join(f"{word} {tag}\n" for word, tag in zip(*each, strict=True)) for each in zip(words, tags, strict=True)
    ]
    values = [{"words": row, "tags": told} for row, told in zip(words, tags, strict=True)]
    deliver(args, "\n".join(sentences), values, f"the tags of {len(words):,} sentences")


def evaluate(model: Any, columns: dict[str, Any], args: argparse.Namespace) -> None:
    """Print the accuracy, and F1 of entities where the tags mark some."""
    words, tags = _read_pairs(args.file, columns or _default_columns(args.file))
    _tasks.check_labels(args.file, (tag for row in tags for tag in row), map(str, model.classes_))
    with bad_input():
        figures = _measure(model, words, tags)
    show(args, _headline(figures), figures)


def _default_columns(path: str) -> dict[str, Any]:
    conllu = path.endswith(".conllu")
    return {"word": 1 if conllu else 0, "tag": 3 if conllu else -1, "conllu": conllu}


def _read_pairs(path: str, columns: dict[str, Any]) -> tuple[list[list[str]], list[list[str]]]:
    from rnnfast.data import read_conll

    with bad_input():
        words, tags = read_conll(path, (columns["word"], columns["tag"]), conllu=columns["conllu"])
    if not words:
        raise CommandError(f"{path}: it has no words")
    if words == tags:
        raise CommandError(f"{path}: words and tags are the same column; a line must have both, as in 'Ann B-PER'")
    return words, tags


def _measure(model: Any, words: list[list[str]], tags: list[list[str]]) -> dict[str, Any]:
    figures = {"sentences": len(words), "words": sum(map(len, words)), "accuracy": model.score(words, tags)}
    letters = {str(tag).partition("-")[0] for tag in model.classes_}
    # Tags such as "B-PER" mark entities; parts of speech do not.
    if "O" in letters and letters <= set("OBIESLU"):
        figures["entity_f1"] = model.score(words, tags, metric="entity_f1")
    return figures


def _headline(figures: dict[str, Any]) -> str:
    entities = f", F1 of entities {figures['entity_f1']:.3f}" if "entity_f1" in figures else ""
    return f"accuracy {figures['accuracy']:.3f} of {figures['words']:,} words{entities}"
