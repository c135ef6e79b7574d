"""Checks that the tests of encoder-decoders and of decoding share."""

from functools import partial
from itertools import product
from typing import Any

import numpy as np

from rnnfast.decoding._steps import log_softmax

SOURCE_LENGTHS, TARGET_LENGTHS = [5, 0, 2], [1, 4, 3]


def batch(width: int | None = None, B: int = 3, S: int = 5, T: int = 4, tokens: int = 6) -> dict[str, np.ndarray]:
    """Sources, of ids or of so wide vectors, and targets."""
    rng = np.random.default_rng(8)
    source = rng.integers(0, tokens, (B, S)) if width is None else rng.standard_normal((B, S, width))
    return {"source": source, "target": rng.integers(0, tokens, (B, T))}


def check_model_gradients(model: Any, x: dict[str, np.ndarray], without: tuple[str, ...] = (), **how: Any) -> None:
    """Gradients of a float64 model against central differences, the source's among them where it has one.

    Of each array a few numbers are checked, the one with the largest gradient among them. Those `without` are zero.
    """
    rng = np.random.default_rng(9)
    y, backward = model.forward(x, **how)
    dy = rng.standard_normal(y.shape)
    grads: dict[str, np.ndarray] = {}
    dx = backward(dy, grads=grads)
    assert dx["target"] is None

    def loss() -> float:
        return float((model.forward(x, **how)[0] * dy).sum())

    def check(name: str, gradient: np.ndarray, values: np.ndarray, put: Any) -> None:
        if name in without:
            assert not gradient.any(), f"gradient of {name} is not zero"
            return
        largest = np.abs(gradient).max()
        assert largest > 0, f"gradient of {name} is all zero"
        for place in {int(np.abs(gradient).argmax()), *rng.integers(0, values.size, 3).tolist()}:
            at, losses = np.unravel_index(place, values.shape), []
            kept = values[at]
            for step in (1e-5, -1e-5):
                values[at] = kept + step
                put(values)
                losses.append(loss())
            values[at] = kept
            put(values)
            error = abs((losses[0] - losses[1]) / 2e-5 - gradient[at]) / largest
            assert error < 1e-6, f"gradient of {name} is off by {error:.1e}"

    for name in model.params:
        values = model.params[name].copy()
        check(name, grads.get(name, np.zeros_like(values)), values, partial(model.params.__setitem__, name))
    if x["source"].dtype.kind == "f":
        check("source", dx["source"], x["source"], lambda values: None)
    else:
        assert dx["source"] is None


class Table:
    """A model whose next token depends on the row's kind and on all tokens before: `Steps` without a network."""

    def __init__(self, tokens: int, stop: int | None, seed: int = 0, spread: float = 1.0):
        self.tokens, self.seed, self.spread = tokens, seed, spread
        if stop is not None:
            self.stop = stop

    def log_probs(self, history: tuple[int, ...]) -> np.ndarray:
        rng = np.random.default_rng([self.seed, *history])
        return log_softmax(self.spread * rng.standard_normal((1, self.tokens)))[0]

    def start(self, kinds: Any) -> tuple[np.ndarray, Any]:
        return np.array(kinds, np.int64), [()] * len(kinds)

    def step(self, tokens: np.ndarray, state: Any) -> tuple[np.ndarray, Any]:
        state = [(*history, int(token)) for history, token in zip(state, tokens, strict=True)]
        return np.array([self.log_probs(history) for history in state]), state

    def reorder(self, state: Any, rows: np.ndarray) -> Any:
        return [state[row] for row in rows]

    def every_sequence(self, kind: int, shortest: int, longest: int) -> list[tuple[float, tuple[int, ...]]]:
        """Log-probability and tokens of all that can be written, its stop counted, in no order."""
        stop = getattr(self, "stop", None)
        found = []
        for length in range(shortest if stop is not None else longest, longest + 1):
            for tokens in product([each for each in range(self.tokens) if each != stop], repeat=length):
                whole = (*tokens, stop) if stop is not None else tokens
                total = sum(self.log_probs((kind, *whole[:i]))[token] for i, token in enumerate(whole))
                found.append((float(total), tokens))
        return found
