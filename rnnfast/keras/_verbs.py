"""Going through data batch by batch where the state is carried from batch to batch, or batches come one by one."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np

from rnnfast.training.evaluate import Means
from rnnfast.training.step import output_mask


def batches_of(x: Any, steps: int | None = None) -> Iterator[Any]:
    """The inputs of batches that something gives."""
    source = x() if callable(x) else (x[i] for i in range(len(x))) if hasattr(x, "__getitem__") else x
    for batch in islice(source, steps):
        yield batch[0] if isinstance(batch, tuple) else batch


def _carried(core: Any, x: np.ndarray, size: int, state: Any) -> Iterator[tuple[slice, np.ndarray, Any]]:
    for start in range(0, len(x), size):
        rows = slice(start, start + size)
        if len(x[rows]) != min(size, len(x)):
            raise ValueError(f"a stateful model wants batches of one size: {len(x)} is no multiple of {size}")
        y, state = core.run(x[rows], state)
        yield rows, y, state


def stateful_predict(core: Any, x: np.ndarray, size: int, state: Any) -> tuple[np.ndarray, Any]:
    """Outputs, and the state after the last batch."""
    found = []
    for _, y, after in _carried(core, x, size, state):
        found.append(y)
        state = after
    return np.concatenate(found) if found else core(x), state


def stateful_evaluate(
    core: Any, x: np.ndarray, y: Any, loss: Any, metrics: Mapping[str, Any], size: int, state: Any
) -> tuple[dict[str, float], Any]:
    """Loss and metrics, and the state after the last batch."""
    means, y = Means(metrics), np.asarray(y)
    for rows, predictions, after in _carried(core, x, size, state):
        mask = output_mask(core, predictions, None, x[rows])
        means.add(*loss(predictions, y[rows], mask)[:2])
        means.watch(predictions, y[rows], mask)
        state = after
    return means.logs(), state
