"""Whether a state fits an optimizer and a model, told kindly."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from rnnfast.layers._base import Block
from rnnfast.training.schedules import find_schedule

_PLAIN = ("optimizer", "steps", "learning_rate", "parameters")


class Checked(NamedTuple):
    """A state taken apart; nothing of it is shared with what was given."""

    steps: int
    arrays: dict[str, np.ndarray]
    parameters: Any
    learning_rate: Any
    kept: dict[str, Any]


def check(state: Mapping[str, Any], optimizer: str, wanted: Sequence[str], kept: Sequence[str]) -> Checked:
    """Take a state apart.

    Parameters
    ----------
    state : mapping
    optimizer : str
        What it must be the state of.
    wanted : sequence of str
        Arrays it must hold, all or, before the first step, none.
    kept : sequence of str
        What else it must hold.

    Raises
    ------
    ValueError
        When it does not.
    """
    if state.get("optimizer", optimizer) != optimizer:
        raise ValueError(f"this is the state of {state['optimizer']}, not of {optimizer}")
    missing = [name for name in ("steps", *kept) if name not in state]
    if missing:
        raise ValueError(f"the state must hold {', '.join(missing)}")
    steps = int(state["steps"])
    if steps < 0:
        raise ValueError(f"steps must be 0 or more, got {steps}")
    arrays = {name: np.array(array) for name, array in state.items() if name not in (*_PLAIN, *kept)}
    if set(arrays) != set(wanted) and (arrays or steps):
        raise ValueError(
            f"the state must hold {', '.join(wanted) or 'no arrays'}, got {', '.join(arrays) or 'no arrays'}: was it "
            f"saved with other options of {optimizer}?"
        )
    first = next(iter(arrays.values()), None)
    for name, array in arrays.items():
        if array.ndim != 1 or array.dtype not in (np.float32, np.float64):
            raise ValueError(f"{name} must be a flat float32 or float64 array, got {array.dtype} {array.shape}")
        if first is not None and array.size != first.size:
            raise ValueError(f"the arrays must have one size, got {first.size} and, of {name}, {array.size}")
    rate = state.get("learning_rate")
    rate = find_schedule(rate) if isinstance(rate, Mapping) else rate
    return Checked(steps, arrays, state.get("parameters"), rate, {name: copy.deepcopy(state[name]) for name in kept})


def check_sizes(arrays: Mapping[str, np.ndarray], blocks: Sequence[Block]) -> None:
    """Compare the arrays that an optimizer has with a model's.

    Raises
    ------
    ValueError
        When the sizes or dtypes differ.
    """
    size = sum(block.size for block in blocks)
    for name, array in arrays.items():
        if array.size != size:
            raise ValueError(f"the state of {size} parameters is wanted, got {array.size}")
        if blocks and array.dtype != blocks[0].dtype:
            raise ValueError(f"the state must be {blocks[0].dtype} as the model, got {array.dtype} of {name}")
