"""PyTorch: modules that rnnfast computes in their place, and layers from its modules and state dicts, and back.

State dicts in safetensors files are read and written without PyTorch.
"""

from rnnfast._lazy import attach

_names = {
    "rnnfast.interop.torch.modules": ["GRU", "LSTM", "RNN"],
    "rnnfast.interop.torch.swap": ["accelerate", "restore"],
}
__all__, __getattr__, __dir__ = attach(__name__, _names)
