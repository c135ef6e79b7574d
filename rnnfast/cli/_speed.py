"""The demo's table: the network it trained, against the same network in plain NumPy."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import reference
from rnnfast.cli._timing import duration, interleaved, medians
from rnnfast.models.language_model import LanguageModel
from rnnfast.training import Adam, CrossEntropy, train_step

_LEARNING_RATE = 1e-3
_CLIP_NORM = 1.0


class NumpyModel:
    """A one-layer `LanguageModel`, computed by NumPy and `rnnfast.reference` alone.

    Parameters
    ----------
    model : LanguageModel
        Its parameters are copied.
    """

    def __init__(self, model: LanguageModel) -> None:
        embedding, recurrent, *_, output = model.network.layers
        self.cell = model.cell
        self.embedding = np.array(embedding.params["weight"])
        self.weight, self.bias = np.array(output.params["weight"]), np.array(output.params["bias"])
        self.params = {name.removesuffix("_l0"): np.array(value) for name, value in recurrent.params.items()}
        self._all = [self.embedding, self.weight, self.bias, *self.params.values()]
        self._moments = [(np.zeros_like(array), np.zeros_like(array)) for array in self._all]
        self._steps = 0

    def forward(self, ids: npt.NDArray, state: Any = None) -> tuple[npt.NDArray, Any]:
        """Return logits (B, T, V) and the state."""
        y, state, _ = reference.forward(self.cell, self.params, self.embedding[ids], state)
        return y @ self.weight.T + self.bias, state

    def training_step(self, ids: npt.NDArray, targets: npt.NDArray, state: Any = None) -> tuple[float, Any]:
        """One step of clipped Adam; return the mean loss and the state."""
        y, state, saved = reference.forward(self.cell, self.params, self.embedding[ids], state)
        features, labels = y.reshape(-1, y.shape[-1]), targets.reshape(-1)
        logits = features @ self.weight.T + self.bias
        logits -= logits.max(axis=1, keepdims=True)
        exponentials = np.exp(logits)
        sums = exponentials.sum(axis=1, keepdims=True)
        rows = np.arange(len(labels))
        loss = float((np.log(sums[:, 0]) - logits[rows, labels]).mean())
        dlogits = exponentials / sums
        dlogits[rows, labels] -= 1.0
        dlogits /= len(labels)
        dx, _, gradients = reference.backward(saved, (dlogits @ self.weight).reshape(y.shape))
        dembedding = np.zeros_like(self.embedding)
        np.add.at(dembedding, ids.reshape(-1), dx.reshape(-1, dx.shape[-1]))
        self._adam([dembedding, dlogits.T @ features, dlogits.sum(axis=0), *(gradients[name] for name in self.params)])
        return loss, state

    def _adam(self, gradients: Sequence[npt.NDArray]) -> None:
        norm = math.sqrt(sum(float(np.vdot(gradient, gradient)) for gradient in gradients))
        scale = _CLIP_NORM / norm if norm > _CLIP_NORM else 1.0
        self._steps += 1
        rate = _LEARNING_RATE / (1 - 0.9**self._steps)
        root = math.sqrt(1 - 0.999**self._steps)
        for array, gradient, (m, v) in zip(self._all, gradients, self._moments, strict=True):
            gradient *= scale
            m += 0.1 * (gradient - m)
            v += 0.001 * (gradient * gradient - v)
            array -= rate * m / (np.sqrt(v) / root + 1e-8)


def speed_table(model: LanguageModel, *, batch_size: int, chunk: int, rounds: int) -> str:
    """Time the model against `NumpyModel` and return a table.

    Parameters
    ----------
    model : LanguageModel
        Of one layer; it is left as it was.
    batch_size, chunk : int
        Shape of the sequences; the single step has one row.
    rounds : int
        Each round times both sides, one after the other; the table shows medians, the ratio's taken round by round.
    """
    rng = np.random.default_rng(0)
    ids, targets = rng.integers(1, model.num_tokens, (2, batch_size, chunk))
    ours, numpy = copy.deepcopy(model), NumpyModel(model)
    loss, optimizer = CrossEntropy(), Adam(_LEARNING_RATE, clip_norm=_CLIP_NORM)
    one = ids[:1, :1]
    stream, state = ours.network.stream(), numpy.forward(one)[1]
    tasks: list[tuple[str, Callable[[], Any], Callable[[], Any]]] = [
        (
            f"forward, {batch_size} x {chunk} characters",
            lambda: ours.network(ids),
            lambda: numpy.forward(ids),
        ),
        (
            f"training step, {batch_size} x {chunk} characters",
            lambda: train_step(ours.network, ids, targets, loss, optimizer),
            lambda: numpy.training_step(ids, targets),
        ),
        ("single step, 1 character", lambda: stream(one[0]), lambda: numpy.forward(one, state)),
    ]
    width = max(len(name) for name, _, _ in tasks)
    lines = [f"{'':{width}}  {'NumPy':>10}  {'rnnfast':>10}  {'ratio':>6}"]
    for name, mine, theirs in tasks:
        (fast, slow), (_, ratio) = medians(interleaved([mine, theirs], rounds))
        lines.append(f"{name:{width}}  {duration(slow):>10}  {duration(fast):>10}  {ratio:5.1f}x")
    return "\n".join(lines)
