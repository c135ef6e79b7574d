"""Sequences of different lengths as one array."""

from rnnfast.data import pad_sequences

__all__ = ["pad_sequences"]
