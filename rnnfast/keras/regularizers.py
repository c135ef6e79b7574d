"""Keras's penalties on weights."""

from collections.abc import Mapping
from typing import Any

from rnnfast.training import regularizers as _ours


class L1L2(_ours.L1L2):
    """l1 Σ |w| + l2 Σ w²."""

    def __init__(self, l1: float | None = 0.0, l2: float | None = 0.0):
        super().__init__(l1 or 0.0, l2 or 0.0)

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {"l1": self.l1, "l2": self.l2}


class L1(L1L2):
    """l1 Σ |w|."""

    def __init__(self, l1: float = 0.01):
        super().__init__(l1, 0.0)

    def get_config(self) -> dict[str, Any]:
        """The argument."""
        return {"l1": self.l1}


class L2(L1L2):
    """l2 Σ w²."""

    def __init__(self, l2: float = 0.01):
        super().__init__(0.0, l2)

    def get_config(self) -> dict[str, Any]:
        """The argument."""
        return {"l2": self.l2}


l1, l2, l1_l2 = L1, L2, L1L2
_NAMES: dict[str, Any] = {"l1": L1, "l2": L2, "L1": L1, "L2": L2, "L1L2": L1L2, "l1_l2": lambda: L1L2(0.01, 0.01)}


def get(spec: Any) -> Any:
    """A regularizer by its name or config, or itself; None stays None.

    Raises
    ------
    ValueError
        For an unknown one.
    """
    if spec is None or (callable(spec) and not isinstance(spec, str)):
        return spec
    name, config = (spec.get("class_name"), spec.get("config", {})) if isinstance(spec, Mapping) else (spec, {})
    if not isinstance(name, str) or name not in _NAMES:
        raise ValueError(f"the regularizer {spec!r:.80} is not known; there are {', '.join(_NAMES)}")
    return _NAMES[name](**config)
