"""Keras's preprocessing."""

from rnnfast._lazy import attach

__all__, __getattr__, __dir__ = attach(__name__, {}, ["sequence"])
