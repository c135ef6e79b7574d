"""Randomness as a key: masks are a function of (key, stream, step, row, unit) and of nothing else."""

import os
from typing import Any

import numpy as np

_MASK = (1 << 64) - 1


class Key(int):
    """A 64-bit key, drawn once from a caller's `rng`."""

    def child(self, position: int) -> "Key":
        """The key of the layer at `position` (the finaliser of SplitMix64, Steele et al. 2014, section 5)."""
        z = (int(self) + (position + 1) * 0x9E3779B97F4A7C15) & _MASK
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        return Key(z ^ (z >> 31))


def generator(seed: Any, name: str = "seed") -> np.random.Generator:
    """What draws the first values, of a `seed` argument; anything that NumPy takes for one will do.

    Raises
    ------
    TypeError, ValueError
        For anything else.
    """
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError) as error:
        message = f"{name} must be None, a whole number of at least 0 or a numpy.random.Generator, got {seed!r}"
        raise type(error)(message) from None


def draw_key(rng: Any = None) -> Key:
    """Turn NumPy's usual `rng` argument into a key.

    Parameters
    ----------
    rng : None, int, numpy.random.Generator or Key
        None takes fresh entropy, an int is a seed, a Generator gives one draw, a key is returned as it is.

    Examples
    --------
    >>> draw_key(3) == draw_key(3), draw_key(3) == draw_key(4)
    (True, False)
    """
    if isinstance(rng, Key):
        return rng
    if rng is None:
        return Key.from_bytes(os.urandom(8), "little")  # as fresh as NumPy's entropy, and a hundred times as fast
    return Key(generator(rng, "rng").integers(0, _MASK, dtype=np.uint64, endpoint=True))
