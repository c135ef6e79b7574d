"""Keras's files, without Keras: models and weights in and out, read and written by h5py (extra `keras`)."""

from rnnfast._lazy import attach

_names = {"rnnfast.interop.keras._files": ["load", "load_weights", "save", "save_weights"]}
__all__, __getattr__, __dir__ = attach(__name__, _names)
