"""One epoch of training, data in and trained model out: rnnfast's fit, a torch eager loop, Keras's fit on torch.

    python bench/epochs.py [--rounds N] [--threads N]

Three small models, with Adam and clipping by the norm: a character model (embedding 32, GRU 128, 60 streams of the
text of Python's own documentation, windows of 50 with the state carried), a series model (the two layers of 50 LSTM
units and Dense 25 that introductions to forecasting use, windows of 60 steps), and a classifier of ragged sequences
(bidirectional LSTM 64, 12 channels, 7 to 29 steps). Interleaved rounds, medians; rivals take part where they are
installed. Each does the work as its documentation tells one to: torch packs ragged sequences, Keras masks them. Keras
does not carry the characters' state, which it cannot train with on torch.
"""

import argparse
import os
from functools import partial

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np

import rnnfast as rf
from rnnfast.cli._timing import duration, interleaved, medians
from rnnfast.data import stream_batches
from rnnfast.data.corpora import python_documentation

SYMBOLS, STREAMS, CHUNK = 100, 60, 50


def character_data():
    text = python_documentation()[:120_000]
    symbols = {symbol: i for i, symbol in enumerate(sorted(set(text))[:SYMBOLS])}
    ids = np.array([symbols.get(symbol, 0) for symbol in text])
    return list(stream_batches(ids, STREAMS, CHUNK))[:-1]


def series_data():
    rng = np.random.default_rng(0)
    t = np.arange(1100)
    series = (np.sin(t / 10) + 0.1 * rng.standard_normal(t.size)).astype("f")
    windows = np.lib.stride_tricks.sliding_window_view(series, 61)
    return np.ascontiguousarray(windows[:1024, :60, None]), np.ascontiguousarray(windows[:1024, 60:])


def ragged_data():
    rng = np.random.default_rng(0)
    lengths = rng.integers(7, 30, 272)
    return rng.standard_normal((272, 29, 12)).astype("f"), lengths, rng.integers(0, 9, 272)


def our_characters(batches):
    model = rf.Sequential(rf.Embedding(SYMBOLS, 32), rf.GRU(32, 128), rf.Linear(128, SYMBOLS))
    adam = rf.Adam(2e-3, clip_norm=1.0)
    return partial(model.fit, lambda: iter(batches), loss="cross_entropy", optimizer=adam, stateful=True, verbose=False)


def our_series(data):
    layers = rf.LSTM(1, 50, num_layers=2), rf.Last(), rf.Linear(50, 25), rf.Linear(25, 1)
    return partial(rf.Sequential(*layers).fit, *data, loss="mse", optimizer=rf.Adam(1e-3, clip_norm=1.0), verbose=False)


def our_ragged(data):
    x, lengths, y = data
    model = rf.Sequential(rf.LSTM(12, 64, bidirectional=True), rf.Last(), rf.Linear(128, 9))
    adam = rf.Adam(1e-3, clip_norm=1.0)
    how = {"loss": "cross_entropy", "optimizer": adam, "batch_size": 16, "verbose": False}
    return partial(model.fit, x, y, lengths=lengths, **how)


def torch_step(torch, model, optimizer, loss):
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()


def torch_characters(batches):
    import torch

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = torch.nn.Embedding(SYMBOLS, 32)
            self.gru = torch.nn.GRU(32, 128, batch_first=True)
            self.output = torch.nn.Linear(128, SYMBOLS)

        def forward(self, x, h):
            y, h = self.gru(self.embedding(x), h)
            return self.output(y), h

    model = Model()
    adam = torch.optim.Adam(model.parameters(), 2e-3)
    tensors = [(torch.from_numpy(x), torch.from_numpy(y)) for x, y, _ in batches]

    def epoch():
        h = None
        for x, y in tensors:
            logits, h = model(x, None if h is None else h.detach())
            torch_step(torch, model, adam, torch.nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten()))

    return epoch


def torch_series(data):
    import torch

    lstm, first, last = torch.nn.LSTM(1, 50, 2, batch_first=True), torch.nn.Linear(50, 25), torch.nn.Linear(25, 1)
    model = torch.nn.ModuleList([lstm, first, last])
    adam = torch.optim.Adam(model.parameters(), 1e-3)
    loader = torch_loader(torch, 32, *map(torch.tensor, data))

    def epoch():
        for x, y in loader():
            found = last(first(lstm(x)[0][:, -1]))
            torch_step(torch, model, adam, torch.nn.functional.mse_loss(found, y))

    return epoch


def torch_ragged(data):
    import torch

    lstm, output = torch.nn.LSTM(12, 64, batch_first=True, bidirectional=True), torch.nn.Linear(128, 9)
    model = torch.nn.ModuleList([lstm, output])
    adam = torch.optim.Adam(model.parameters(), 1e-3)
    loader = torch_loader(torch, 16, *map(torch.tensor, data))

    def epoch():
        for x, lengths, y in loader():
            packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            _, (h, _) = lstm(packed)
            torch_step(torch, model, adam, torch.nn.functional.cross_entropy(output(torch.cat([h[0], h[1]], 1)), y))

    return epoch


def torch_loader(torch, batch_size, *tensors):
    """Batches by indexing, which is quicker than a DataLoader."""

    def batches():
        for rows in torch.randperm(len(tensors[0])).split(batch_size):
            yield [each[rows] for each in tensors]

    return batches


def keras_characters(batches):
    import keras

    layers = keras.layers
    # Training with stateful=True fails on torch: Keras 3.15 writes the state in place.
    gru = layers.GRU(128, return_sequences=True)
    model = keras.Sequential([keras.Input((CHUNK,)), layers.Embedding(SYMBOLS, 32), gru, layers.Dense(SYMBOLS)])
    compile_for(keras, model, keras.losses.SparseCategoricalCrossentropy(from_logits=True), 2e-3)
    x, y = (np.concatenate([batch[i] for batch in batches]) for i in (0, 1))
    return partial(model.fit, x, y, batch_size=STREAMS, shuffle=False, verbose=0)


def keras_series(data):
    import keras

    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((60, 1)), layers.LSTM(50, return_sequences=True), layers.LSTM(50), layers.Dense(25)]
    )
    model.add(layers.Dense(1))
    compile_for(keras, model, "mse", 1e-3)
    return partial(model.fit, *data, batch_size=32, verbose=0)


def keras_ragged(data):
    import keras

    x, lengths, y = data
    x = np.where((np.arange(29) < lengths[:, None])[..., None], x, 0)
    layers = keras.layers
    model = keras.Sequential([keras.Input((29, 12)), layers.Masking(0.0), layers.Bidirectional(layers.LSTM(64))])
    model.add(layers.Dense(9))
    compile_for(keras, model, keras.losses.SparseCategoricalCrossentropy(from_logits=True), 1e-3)
    return partial(model.fit, x, y, batch_size=16, verbose=0)


def compile_for(keras, model, loss, rate):
    model.compile(optimizer=keras.optimizers.Adam(rate, global_clipnorm=1.0), loss=loss)


MODELS = {
    "characters": (character_data, our_characters, torch_characters, keras_characters),
    "series": (series_data, our_series, torch_series, keras_series),
    "ragged classifier": (ragged_data, our_ragged, torch_ragged, keras_ragged),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    rf.set_num_threads(args.threads)
    try:
        import torch

        torch.set_num_threads(args.threads)
    except ImportError:
        pass
    print(f"{'an epoch of':<20}" + "".join(f"{name:>24}" for name in ("rnnfast", "torch", "keras on torch")))
    for name, (data, *systems) in MODELS.items():
        given, epochs = data(), []
        for make in systems:
            try:
                epochs.append(make(given))
            except ImportError:
                continue
        times, ratios = medians(interleaved(epochs, args.rounds))
        cells = [f"{duration(span)} ({ratio:.2f})" for span, ratio in zip(times, ratios, strict=True)]
        print(f"{name:<20}" + "".join(f"{cell:>24}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
