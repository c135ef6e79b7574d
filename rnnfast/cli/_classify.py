"""Classifiers of texts and series in tables: `rnnfast train classify`, their labels, their accuracy."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import TYPE_CHECKING, Any

from rnnfast.cli import _tasks
from rnnfast.cli._arguments import CommandError, add_training_arguments, bad_input, check_output, integer, use_threads
from rnnfast.cli._results import add_json_argument, as_csv, deliver, say, show

if TYPE_CHECKING:
    import numpy as np

COLUMNS: tuple[dict[str, type], ...] = (
    {"label": str, "text": str},
    {"label": str, "steps": list},
    {"label": str, "series": str, "steps": list},
)

_EXAMPLES = """The table's first line names its columns. Each row is one of
  a text and its label                       review,stars
  a series and its label, step by step       label,t0,t1,t2        (rows may end early)
  one step of a longer series (--series)     patient,pulse,temperature,label

examples:
  rnnfast train classify reviews.csv --text review --label stars --output reviews.safetensors
  rnnfast train classify heartbeats.tsv --label kind --cell gru --hidden 32
  rnnfast train classify wards.csv --series patient --epochs 50"""


def add_parser(kinds: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the kind."""
    parser = kinds.add_parser(
        "classify",
        help="the label of a text or a series, of a CSV or TSV table",
        description="Train a classifier on a CSV or TSV table. A tenth of it, drawn at random, is held out; the epoch "
        "whose loss is best there is kept. Ctrl-C stops early.",
        epilog=_EXAMPLES,
    )
    parser.add_argument("file", metavar="FILE", help="CSV or TSV, UTF-8")
    parser.add_argument("--label", default="label", metavar="COLUMN", help="the label (default: %(default)s)")
    parser.add_argument(
        "--text",
        metavar="COLUMN",
        help="the text (default: 'text', else the only other column that is text)",
    )
    parser.add_argument("--series", metavar="COLUMN", help="which series each row is a step of; all others are numbers")
    parser.add_argument(
        "--bidirectional",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="read sequences in both directions (default: yes)",
    )
    parser.add_argument(
        "--min-count",
        type=integer(1),
        default=2,
        metavar="N",
        help="rarer words are one word, <unk> (default: %(default)s)",
    )
    add_training_arguments(
        parser, hidden=64, epochs=20, dropout=0.2, batch_size=32, learning_rate=3e-3, batches_of="sequences a step"
    )
    _tasks.add_held_out_arguments(parser, 0.1)
    add_json_argument(parser)
    return parser


def train(args: argparse.Namespace) -> int:
    """Train, save and measure."""
    check_output(args.output)
    with bad_input():
        columns = _choose(args.file, args.label, args.text, args.series)
        x, y, _ = _read(args.file, columns, training=True)
    counts = Counter(y)
    if len(counts) < 2:
        raise CommandError(f"{args.file}: all of column {args.label!r} is {y[0]!r}; at least two labels are needed")
    training, held_out = _tasks.split([[label] for label in y], args.held_out, args.seed)
    use_threads(args.threads)

    from rnnfast.data import WordVocabulary
    from rnnfast.models import Classifier

    x_training, y_training = [x[place] for place in training], [y[place] for place in training]
    x_held_out, y_held_out = [x[place] for place in held_out], [y[place] for place in held_out]
    say(args, f"{len(x):,} sequences, {len(counts)} labels; {len(held_out):,} are held out")
    with bad_input():
        vocabulary = None
        if "text" in columns:
            vocabulary = WordVocabulary.from_texts(x_training, min_count=args.min_count, lower=True)
        model = Classifier(
            cell=args.cell,
            hidden_size=args.hidden,
            num_layers=args.layers,
            bidirectional=args.bidirectional,
            dropout=args.dropout,
            vocabulary=vocabulary,
            seed=args.seed,
        )
        validation = (x_held_out, y_held_out) if held_out else None
        model.fit(x_training, y_training, validation_data=validation, **_tasks.training_options(args))
    return _tasks.conclude(args, model, columns, lambda: _measure(model, x_held_out, y_held_out), _headline)


def predict(model: Any, columns: dict[str, Any], args: argparse.Namespace) -> None:
    """Write a label and its probability for each sequence."""
    with bad_input():
        columns = columns or _choose(args.file, "label", labelled=False)
        x, _, names = _read(args.file, columns, labelled=False)
        shares = model.predict_proba(x)
    best = shares.argmax(axis=1).tolist()
    labels = [str(model.classes_[number]) for number in best]
    rows = [[label, f"{row[number]:.4f}"] for label, row, number in zip(labels, shares, best, strict=True)]
    values = [
        {"label": label, "probabilities": dict(zip(map(str, model.classes_), map(float, row), strict=True))}
        for label, row in zip(labels, shares, strict=True)
    ]
    heads = ["label", "probability"]
    if names:
        heads = [columns["series"], *heads]
        rows = [[name, *row] for name, row in zip(names, rows, strict=True)]
        values = [{columns["series"]: name, **value} for name, value in zip(names, values, strict=True)]
    deliver(args, as_csv(heads, rows), values, f"{len(labels):,} labels")


def evaluate(model: Any, columns: dict[str, Any], args: argparse.Namespace) -> None:
    """Print the accuracy, and how each label fares."""
    with bad_input():
        columns = columns or _choose(args.file, "label")
        x, y, _ = _read(args.file, columns)
        _tasks.check_labels(args.file, y, map(str, model.classes_))
        figures = _measure(model, x, y)
    lines = [_headline(figures), "", f"{'precision':>10} {'recall':>8} {'F1':>8} {'count':>8}  label"]
    for label, row in figures["labels"].items():
        told = " ".join(f"{row[name]:8.3f}" for name in ("precision", "recall", "f1"))
        lines.append(f"  {told} {row['count']:8,}  {label}")
    show(args, "\n".join(lines), figures)


def _choose(
    path: str, label: str, text: str | None = None, series: str | None = None, labelled: bool = True
) -> dict[str, Any]:
    """Which columns are meant, as `_read` wants them and model files keep them."""
    from rnnfast.cli._tables import column, numeric, read_table

    table = read_table(path)
    others = [name for name in table if name != label]
    if series is not None:
        column(path, table, series, "--series")
        return {"label": label, "series": series, "steps": [name for name in others if name != series]}
    if labelled:
        column(path, table, label, "--label")
    words = [name for name in others if name not in numeric(table)]
    if text is None and "text" in table:
        text = "text"
    if text is None and len(words) > 1:
        raise ValueError(f"{path}: columns {', '.join(map(repr, words))} hold text; choose one with --text")
    if text is not None or words:
        return {"label": label, "text": words[0] if text is None else text}
    if not others:
        raise ValueError(f"{path}: it has no column beside the label's, {label!r}")
    return {"label": label, "steps": others}


def _read(
    path: str, columns: dict[str, Any], labelled: bool = True, training: bool = False
) -> tuple[list[Any], list[str], list[str]]:
    """Sequences, their labels where they are wanted, and the series' names where rows are steps of them."""
    from rnnfast.cli._tables import column, numbers, read_table, whole

    label, given = columns["label"], read_table(path)
    as_text = [columns[name] for name in ("text", "series") if name in columns]
    for name in [*as_text, *([label] if labelled else [])]:
        column(path, given, name, "--text, --label or --series" if training else None)
    table = read_table(path, [*as_text, *([label] if label in given else [])])
    y = [each.strip() for each in table[label]] if labelled else []
    if "" in y:
        raise ValueError(f"{path}: row {y.index('') + 1} has no label in column {label!r}")
    if "text" in columns:
        return table[columns["text"]], y, []
    values = numbers(path, table, columns["steps"], "--text or --label" if training else None)
    if "series" not in columns:
        return [_until_its_end(path, row, number) for number, row in enumerate(values, start=1)], y, []
    values = whole(path, values, columns["steps"])
    rows: dict[str, list[int]] = {}
    for number, name in enumerate(table[columns["series"]]):
        rows.setdefault(name, []).append(number)
    if labelled and (mixed := [name for name, places in rows.items() if len({y[place] for place in places}) > 1]):
        raise ValueError(f"{path}: series {mixed[0]!r} has rows of several labels")
    return (
        [values[places] for places in rows.values()],
        [y[places[0]] for places in rows.values()] if labelled else [],
        list(rows),
    )


def _until_its_end(path: str, row: np.ndarray, number: int) -> np.ndarray:
    """A series without the empty fields at its end."""
    import numpy as np

    ends = np.flatnonzero(~np.isnan(row))
    if not len(ends):
        raise ValueError(f"{path}: row {number} has no numbers")
    row = row[: ends[-1] + 1]
    if not np.isfinite(row).all():
        raise ValueError(f"{path}: row {number} has a gap, or an infinite number, within its series")
    return row


def _measure(model: Any, x: list[Any], y: list[str]) -> dict[str, Any]:
    told = [str(label) for label in model.predict(x)]
    right = Counter(a for a, b in zip(told, y, strict=True) if a == b)
    said, true = Counter(told), Counter(y)
    rows = {
        label: {
            "precision": right[label] / max(1, said[label]),
            "recall": right[label] / max(1, true[label]),
            "f1": 2 * right[label] / max(1, said[label] + true[label]),
            "count": true[label],
        }
        for label in map(str, model.classes_)
    }
    commonest = max(true, key=lambda label: true[label])
    return {
        "count": len(y),
        "accuracy": right.total() / len(y),
        "commonest": commonest,
        "commonest_accuracy": true[commonest] / len(y),
        "labels": rows,
    }


def _headline(figures: dict[str, Any]) -> str:
    told = round(figures["accuracy"] * figures["count"])
    return (
        f"accuracy {figures['accuracy']:.3f} ({told:,} of {figures['count']:,}); always saying "
        f"{figures['commonest']!r} has {figures['commonest_accuracy']:.3f}"
    )
