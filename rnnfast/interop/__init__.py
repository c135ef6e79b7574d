"""Other people's models and interfaces: PyTorch, Keras, ONNX, scikit-learn.

Each module imports its package when it is used, and says which extra installs it where it is missing.
"""

from rnnfast._lazy import attach

_names: dict[str, list[str]] = {}
__all__, __getattr__, __dir__ = attach(__name__, _names, ["keras", "onnx", "sklearn", "torch"])
