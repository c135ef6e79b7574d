"""Networks made of layers."""

from rnnfast._lazy import attach

_names = {
    "rnnfast.models.sequential": ["Sequential"],
    "rnnfast.models.graph": ["Graph"],
    "rnnfast.models.language_model": ["LanguageModel"],
    "rnnfast.models.seq2seq": ["Bridge", "Decoder", "Encoder", "Seq2Seq", "Source"],
}
__all__, __getattr__, __dir__ = attach(__name__, _names)
