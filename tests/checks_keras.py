"""Keras itself as the judge, where it is installed."""

import os
import warnings
from typing import Any

import numpy as np
import pytest


def keras() -> Any:
    """The package, on its torch backend; the test is skipped without it."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("torch")
        found = pytest.importorskip("keras", exc_type=ImportError)
    if not hasattr(found, "Sequential"):
        pytest.skip("keras is not installed")
    return found


def randomise(model: Any, seed: int = 0) -> None:
    """Distinct weights for a model of either side, biases and statistics among them."""
    rng = np.random.default_rng(seed)
    model.set_weights(
        [
            0.3 + 0.4 * rng.random(w.shape) if w.ndim == 1 else 0.6 * rng.normal(size=w.shape)
            for w in model.get_weights()
        ]
    )
