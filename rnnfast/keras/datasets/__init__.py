"""Keras's data sets, from files on one's own disk: nothing is downloaded."""

from rnnfast._lazy import attach

__all__, __getattr__, __dir__ = attach(__name__, {}, ["imdb", "reuters"])
