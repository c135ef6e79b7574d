"""rnnfast: recurrent networks on a CPU, trained and served fast, with NumPy alone."""

from rnnfast._lazy import attach

__version__ = "0.1.0"

_names = {
    "rnnfast.layers": [
        *("RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell"),
        *("Linear", "Embedding", "Dropout", "Last"),
    ],
    "rnnfast.models": ["LanguageModel", "Sequential"],
    "rnnfast.training": ["SGD", "Adam", "CrossEntropy", "MSE", "History"],
    "rnnfast.files": ["save", "load"],
    "rnnfast.kernels._runtime": ["set_num_threads", "get_num_threads", "show_config"],
}
__all__, __getattr__, __dir__ = attach(__name__, _names, ["data", "layers", "models", "ops", "reference", "training"])
__all__ += ["__version__"]
