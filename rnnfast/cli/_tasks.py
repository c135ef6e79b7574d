"""The tasks that models are trained for, each a module with `add_parser`, `train`, `predict` and `evaluate`.

`COLUMNS` of such a module says in what forms a model file may keep which columns it was trained on.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from rnnfast.cli._arguments import CommandError, bad_input, integer, number
from rnnfast.cli._results import say, show

TASKS = {
    "LanguageModel": "_text",
    "Classifier": "_classify",
    "Tagger": "_tag",
    "Translator": "_translate",
    "Forecaster": "_forecast",
    "AnomalyDetector": "_anomalies",
}
"""The module of each kind of model."""

_COLUMNS = "columns"


class Opened(NamedTuple):
    """A model file: the task's module, the model, and which columns of a file it was trained on ({} where unknown)."""

    task: Any
    model: Any
    columns: dict[str, Any]


def kind_of(network: Any, extra: dict[str, Any]) -> str:
    """What a model file holds: the name of a task model's class, or of the network's."""
    estimator = extra.get("estimator")
    if isinstance(estimator, dict) and isinstance(estimator.get("class"), str):
        return estimator["class"]
    return "LanguageModel" if "language_model" in extra else type(network).__name__


def open_model(path: str) -> Opened:
    """Load a model of any task.

    Raises
    ------
    CommandError
        When the file is not a whole, sound model of one of the tasks.
    """
    import rnnfast
    from rnnfast import files

    with bad_input():
        network, extra = files.load_with_extra(path)
        kind = kind_of(network, extra)
        if kind not in TASKS:
            raise ValueError(f"{path}: its kind is {kind}; this command takes {', '.join(TASKS)}")
        model = getattr(rnnfast, kind).load(path)
    task = importlib.import_module(f"rnnfast.cli.{TASKS[kind]}")
    columns = extra.get(_COLUMNS, {})
    if columns and not any(_fits(columns, form) for form in task.COLUMNS):
        raise CommandError(f"{path}: what it says of the columns it was trained on is damaged")
    return Opened(task, model, columns)


def _fits(columns: Any, form: dict[str, type]) -> bool:
    """Whether these are the names and types of one form of columns; lists hold names."""
    if not isinstance(columns, dict) or columns.keys() != form.keys():
        return False
    names = [name for value in columns.values() if isinstance(value, list) for name in value]
    return all(type(columns[key]) is kind for key, kind in form.items()) and all(isinstance(n, str) for n in names)


def conclude(
    args: argparse.Namespace,
    model: Any,
    columns: dict[str, Any],
    measure: Callable[[], dict[str, Any]],
    headline: Callable[[dict[str, Any]], str],
) -> int:
    """Save a trained estimator with its columns, and show how it does on what was held out."""
    epochs = len(model.history_.epoch)
    if model.history_.interrupted:
        say(args, f"interrupted after {epochs} whole epochs; this is the model so far")
    values: dict[str, Any] = {"output": args.output, "epochs": epochs}
    text = f"saved {args.output}"
    with bad_input():
        model.save(args.output, extra={_COLUMNS: columns})
        if args.held_out:
            values["held_out"] = measure()
            text += f", held-out {headline(values['held_out'])}"
    show(args, text, values)
    return 0


def add_held_out_arguments(parser: argparse.ArgumentParser, share: float) -> None:
    """Add what decides the end of training."""
    parser.add_argument(
        "--held-out",
        type=number(0.0, 1.0),
        default=share,
        metavar="SHARE",
        help="share of the data that is not trained on but measured; 0 trains on everything (default: %(default)s)",
    )
    parser.add_argument(
        "--patience",
        type=integer(1),
        default=10,
        metavar="N",
        help="epochs without a better held-out loss that end training (default: %(default)s)",
    )


def training_options(args: argparse.Namespace) -> dict[str, Any]:
    """What an estimator's `fit` is given; the epoch with the best held-out loss is kept."""
    from rnnfast.training import Adam, EarlyStopping

    return {
        "epochs": args.epochs,
        "batch_size": args.batch_size,
        "optimizer": Adam(args.learning_rate, clip_norm=1.0),
        "callbacks": [EarlyStopping(patience=args.patience)] if args.held_out else [],
        "verbose": True,
    }


def split(labels: Sequence[Iterable[Any]], share: float, seed: int) -> tuple[list[int], list[int]]:
    """Numbers of the examples to train on and of those to hold out, drawn at random, both in order.

    `labels` has those of each example; of every label one example at least is trained on.
    """
    import numpy as np

    seen: set[Any] = set()
    free = []
    for place in np.random.default_rng(seed).permutation(len(labels)).tolist():
        if seen.issuperset(labels[place]):
            free.append(place)
        else:
            seen.update(labels[place])
    held_out = sorted(free[: round(len(labels) * share)])
    if share and not held_out:
        raise CommandError(
            f"too few examples to hold some out: {len(labels)} with {len(seen)} labels (--held-out 0 trains on all)"
        )
    return sorted(set(range(len(labels))) - set(held_out)), held_out


def check_labels(path: str, labels: Iterable[Any], known: Iterable[Any]) -> None:
    """Refuse labels that the model cannot tell."""
    known = list(known)
    if unknown := [label for label in dict.fromkeys(labels) if label not in known]:
        shown = ", ".join(map(repr, known[:8])) + (", ..." if len(known) > 8 else "")
        raise CommandError(f"{path}: the label {unknown[0]!r} was not in the training data, which had {shown}")
