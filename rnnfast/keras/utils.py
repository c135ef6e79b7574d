"""Keras's helpers."""

import random

import numpy as np

from rnnfast.data import pad_sequences, to_categorical

__all__ = ["pad_sequences", "set_random_seed", "to_categorical"]


def set_random_seed(seed: int) -> None:
    """Fix what models draw: first weights, orders and what is dropped."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
