"""Texts, vocabularies, batches, and the counting baseline."""

from .corpora import hold_out, python_documentation, read_text
from .ngram import NGram
from .streams import stream_batches
from .vocabulary import Vocabulary

__all__ = ["NGram", "Vocabulary", "hold_out", "python_documentation", "read_text", "stream_batches"]
