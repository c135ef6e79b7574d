"""Keras's names over our layers and our training: code written for Keras runs after its import lines have changed.

``from tensorflow.keras.layers import LSTM`` becomes ``from rnnfast.keras.layers import LSTM``. What differs is told in
docs/keras.md. The network itself is `model.core`, a `rnnfast.Sequential`.
"""

from rnnfast._lazy import attach

_names = {
    "rnnfast.keras.models": ["Model", "Sequential"],
    "rnnfast.keras.layers": ["Input", "InputLayer", "Layer"],
}
__all__, __getattr__, __dir__ = attach(
    __name__,
    _names,
    [
        *("callbacks", "datasets", "initializers", "layers", "losses", "metrics", "models"),
        *("optimizers", "preprocessing", "regularizers", "utils"),
    ],
)
