"""PyTorch: modules that rnnfast computes in their place, and layers from its modules and state dicts, and back.

State dicts in safetensors files are read and written without PyTorch.
"""

from rnnfast._lazy import attach

_names = {
    "rnnfast.interop.torch.convert": ["from_torch"],
    "rnnfast.interop.torch.modules": ["GRU", "LSTM", "RNN"],
    "rnnfast.interop.torch.state_dict": ["load_into", "load_state_dict", "to_torch_state_dict"],
    "rnnfast.interop.torch.swap": ["accelerate", "restore"],
}
__all__, __getattr__, __dir__ = attach(__name__, _names)
