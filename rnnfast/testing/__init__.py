"""Checks for those who write layers, cells and models of their own."""

from rnnfast._lazy import attach

_names = {
    "rnnfast.testing.cell": ["check_cell"],
    "rnnfast.testing.gradients": ["check_gradients"],
}
__all__, __getattr__, __dir__ = attach(__name__, _names)
