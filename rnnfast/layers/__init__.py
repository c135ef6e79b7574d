"""Layers: one kind a file. Each is imported when its name is first used."""

from rnnfast._lazy import attach

_names = {
    "rnnfast.layers._base": ["Block", "Layer", "StatefulLayer"],
    "rnnfast.layers.rnn": ["IndRNN", "RNN"],
    "rnnfast.layers.lstm": ["LSTM"],
    "rnnfast.layers.gru": ["GRU", "MGU"],
    "rnnfast.layers.cells": ["GRUCell", "LSTMCell", "RNNCell"],
    "rnnfast.layers.initialize": ["initialize"],
    "rnnfast.layers.initializers": ["chrono", "irnn"],
    "rnnfast.layers.linear": ["Linear"],
    "rnnfast.layers.attention": ["Attention"],
    "rnnfast.layers.merge": ["Add", "Average", "Concatenate", "Multiply"],
    "rnnfast.layers.embedding": ["Embedding"],
    "rnnfast.layers.dropout": ["Dropout"],
    "rnnfast.layers.last": ["Last"],
    "rnnfast.layers.activation": ["Activation"],
    "rnnfast.layers.activity": ["ActivityRegularizer"],
    "rnnfast.layers.noise": ["GaussianNoise", "SpatialDropout"],
    "rnnfast.layers.norm": ["BatchNorm", "LayerNorm"],
    "rnnfast.layers.concatenated": ["from_concat", "to_concat"],
    "rnnfast.layers.python_cell": ["Cell", "CustomRNN", "register_cell"],
    "rnnfast.layers.pooling": ["MaxPool", "MeanPool"],
    "rnnfast.layers.windows": ["MaxPool1D", "MeanPool1D", "Pad"],
    "rnnfast.layers.shape": ["Flatten", "Repeat", "Reverse"],
    "rnnfast.layers.conv": ["Conv1D"],
    "rnnfast.layers.crf": ["CRF"],
}
__all__, __getattr__, __dir__ = attach(__name__, _names)
