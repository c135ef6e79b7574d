"""PyTorch: modules that rnnfast computes in their place, and layers from its modules and state dicts, and back.

State dicts in safetensors files are read and written without PyTorch.
"""

from typing import Any

from rnnfast._lazy import attach
from rnnfast.interop._extra import package

_names = {
    "rnnfast.interop.torch.convert": ["from_torch"],
    "rnnfast.interop.torch.modules": ["GRU", "LSTM", "RNN"],
    "rnnfast.interop.torch.state_dict": ["load_into", "load_state_dict", "to_torch_state_dict"],
    "rnnfast.interop.torch.swap": ["accelerate", "restore"],
}
__all__, _find, __dir__ = attach(__name__, _names)


def __getattr__(name: str) -> Any:
    if name in ("GRU", "LSTM", "RNN", "accelerate", "restore"):
        package("torch", f"rnnfast.interop.torch.{name}")
    return _find(name)
