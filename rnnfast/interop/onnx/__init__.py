"""ONNX: recurrent nodes in as layers, any graph run with our kernels, models out.

Needs the onnx package: `pip install 'rnnfast[onnx]'`.
"""

from rnnfast._lazy import attach

_names = {
    "rnnfast.interop.onnx.backend": ["Backend", "Prepared", "prepare", "run_model", "run_node", "supports_device"],
    "rnnfast.interop.onnx.export": ["to_onnx"],
    "rnnfast.interop.onnx.layers": ["layers_of"],
}
__all__, __getattr__, __dir__ = attach(__name__, _names)
