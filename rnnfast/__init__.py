"""rnnfast: recurrent networks on a CPU, trained and served fast, with NumPy alone."""

from importlib.machinery import PathFinder

from rnnfast._lazy import attach

__version__ = "0.1.0"

_names = {
    "rnnfast.layers": [
        *("RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell", "IndRNN", "MGU"),
        *("Linear", "Embedding", "Dropout", "Last", "Attention"),
        *("Add", "Average", "Concatenate", "Multiply"),
        *("Activation", "SpatialDropout", "GaussianNoise", "LayerNorm", "BatchNorm", "ActivityRegularizer"),
        *("MeanPool", "MaxPool", "MeanPool1D", "MaxPool1D", "Pad", "Flatten", "Repeat", "Reverse", "Conv1D", "CRF"),
        *("from_concat", "to_concat", "Cell", "CustomRNN", "register_cell"),
    ],
    "rnnfast.models": [
        *("Decoder", "Encoder", "Graph", "LanguageModel", "MaskedSequential", "Seq2Seq", "Sequential"),
        *("AnomalyDetector", "Captioner", "Classifier", "Forecaster", "Tagger", "Translator"),
    ],
    "rnnfast.training": [
        *("SGD", "Adam", "AdamW", "RMSprop", "EMA", "History", "Buckets", "TokenBudget"),
        *("CrossEntropy", "BinaryCrossEntropy", "Hinge", "KLDivergence", "JointLoss", "FunctionLoss"),
        *("MSE", "MAE", "Huber", "LogCosh", "Quantile", "Poisson", "CosineSimilarity"),
        *("GaussianNLL", "StudentNLL", "MixtureNLL"),
        *("MarginRanking", "BPR", "Triplet", "Contrastive", "CosineEmbedding"),
        *("CTC", "CRFLoss"),
        *("L1", "L2", "L1L2", "Orthogonal", "MaxNorm", "UnitNorm", "NonNegative"),
        *("Callback", "EarlyStopping", "ModelCheckpoint", "ReduceOnPlateau", "CSVLogger"),
    ],
    "rnnfast.files": ["save", "load"],
    "rnnfast.kernels._threads": ["set_num_threads", "get_num_threads"],
    "rnnfast._config": ["show_config"],
    "rnnfast._backend": ["backend", "get_backend", "set_backend"],
}
__all__, __getattr__, __dir__ = attach(
    __name__,
    _names,
    [
        "data",
        "decoding",
        "equations",
        "export",
        "interop",
        "keras",
        "layers",
        "models",
        "ops",
        "plotting",
        "reference",
        "testing",
        "training",
    ],
)
__all__ += ["__version__"]

if PathFinder.find_spec("rnnfast.kernels._runtime", [f"{__path__[0]}/kernels"]) is None:
    raise ImportError(
        f"the rnnfast in {__path__[0]} is not built for this Python. Install it with `pip install .`, or to work on "
        "it, with `pip install -e .` (both want a C compiler). An installed rnnfast is found from any other folder."
    )
