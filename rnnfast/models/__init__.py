"""Networks made of layers."""

from rnnfast._lazy import attach

_names = {
    "rnnfast.models.sequential": ["Sequential"],
    "rnnfast.models.graph": ["Graph"],
    "rnnfast.models.language_model": ["LanguageModel"],
}
__all__, __getattr__, __dir__ = attach(__name__, _names)
