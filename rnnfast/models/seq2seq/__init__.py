"""Encoder-decoder networks of independent parts: an encoder, a bridge, a decoder."""

from rnnfast._lazy import attach

_names = {
    "rnnfast.models.seq2seq.encoder": ["Encoder"],
    "rnnfast.models.seq2seq.bridge": ["Bridge"],
    "rnnfast.models.seq2seq.decoder": ["Decoder"],
    "rnnfast.models.seq2seq._parts": ["Source"],
    "rnnfast.models.seq2seq.model": ["Seq2Seq"],
}
__all__, __getattr__, __dir__ = attach(__name__, _names)
