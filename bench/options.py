"""What each option of a cell costs over the plain cell, and what it costs in torch and in Keras on torch.

    python bench/options.py [--rounds N] [--shape B,T,H]

Layers with as many inputs as units, on one thread, forward (inference) and training (forward and backward); medians of
ratios to the plain cell of the same system over interleaved rounds. Rivals take part where they are installed and have
the option in a layer of theirs.
"""

import argparse
import os
from functools import partial

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np

import rnnfast as rf
from rnnfast.cli._timing import interleaved, medians

LSTM = {
    "plain": {},
    "peephole": {"peephole": True},
    "coupled": {"coupled": True},
    "projection to H/2": {"proj_size": 0.5},
    "clip": {"clip": 3.0},
    "cell_clip": {"cell_clip": 3.0},
    "hard_sigmoid gates": {"recurrent_activation": "hard_sigmoid"},
    "softsign": {"activation": "softsign"},
    "layer_norm": {"layer_norm": True},
    "zoneout": {"zoneout": 0.1},
    "recurrent_dropout": {"recurrent_dropout": 0.2},
    "input_dropout": {"input_dropout": 0.2},
    "weight_drop": {"weight_drop": 0.3},
    "learned_state": {"learned_state": True},
    "lengths T/2 to T": {"lengths": True},
}
GRU = {
    "plain": {},
    "reset before": {"reset": "before"},
    "clip": {"clip": 3.0},
    "hard_sigmoid gates": {"recurrent_activation": "hard_sigmoid"},
    "layer_norm": {"layer_norm": True},
    "zoneout": {"zoneout": 0.1},
    "recurrent_dropout": {"recurrent_dropout": 0.2},
}
RNN = {
    "plain": {},
    "sigmoid": {"activation": "sigmoid"},
    "leaky_relu": {"activation": "leaky_relu"},
    "clip": {"clip": 3.0},
    "zoneout": {"zoneout": 0.1},
    "recurrent_dropout": {"recurrent_dropout": 0.2},
}
TABLES = {"LSTM": LSTM, "GRU": GRU, "RNN": RNN}


def ours(name, options, B, T, H, training):
    """One call of a layer of rnnfast."""
    options, more = dict(options), {}
    if "proj_size" in options:
        options["proj_size"] = H // 2
    if options.pop("lengths", False):
        more["lengths"] = np.random.default_rng(1).integers(T // 2, T + 1, B)
    layer = getattr(rf, name)(H, H, seed=0, **options)
    x = np.random.default_rng(0).normal(size=(B, T, H)).astype("f")
    if not training:
        return partial(layer, x, **more)
    dy = np.ones((B, T, layer.output_size), "f")

    def call():
        _, backward = layer.forward(x, rng=0, **more)
        backward(dy)

    return call


def torchs(name, options, B, T, H, training):
    """The same of torch, or None."""
    import torch

    options = {"proj_size": H // 2} if "proj_size" in options else dict(options)
    lengths = options.pop("lengths", False)
    if options.keys() - {"proj_size"}:
        return None
    torch.set_num_threads(1)
    layer = getattr(torch.nn, name)(H, H, batch_first=True, **options)
    x = torch.randn(B, T, H, requires_grad=training)
    ends = torch.tensor(np.random.default_rng(1).integers(T // 2, T + 1, B))

    def run():
        if not lengths:
            return layer(x)[0]
        packed = torch.nn.utils.rnn.pack_padded_sequence(x, ends, batch_first=True, enforce_sorted=False)
        return torch.nn.utils.rnn.pad_packed_sequence(layer(packed)[0], batch_first=True)[0]

    def call():
        with torch.set_grad_enabled(training):
            y = run()
            if training:
                y.backward(torch.ones_like(y))

    return call


def kerass(name, options, B, T, H, training):
    """The same of Keras on torch, or None."""
    import keras
    import torch

    names = {"recurrent_dropout": "recurrent_dropout", "input_dropout": "dropout", "activation": "activation"}
    names |= {"recurrent_activation": "recurrent_activation"}
    options = dict(options)
    if options.get("reset") == "before":
        options, more = {}, {"reset_after": False}
    elif options.keys() <= names.keys():
        more = {names[key]: value for key, value in options.items()}
    else:
        return None
    torch.set_num_threads(1)
    layer = getattr(keras.layers, {"RNN": "SimpleRNN"}.get(name, name))(H, return_sequences=True, **more)
    x = torch.randn(B, T, H, requires_grad=training)
    layer(x)

    def call():
        with torch.set_grad_enabled(training):
            y = layer(x, training=training)
            if training:
                y.backward(torch.ones_like(y))

    return call


def systems():
    """Those that are installed."""
    found = {"rnnfast": ours}
    for name, make, needs in (("torch", torchs, ("torch",)), ("keras", kerass, ("torch", "keras"))):
        try:
            for module in needs:
                __import__(module)
        except ImportError:
            continue
        found[name] = make
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--shape", default="32,100,128", help="B,T,H (default: %(default)s)")
    args = parser.parse_args()
    B, T, H = map(int, args.shape.split(","))
    rf.set_num_threads(1)
    present = systems()
    head = "".join(f"{name + ' ' + mode:>18}" for name in present for mode in ("forward", "training"))
    print(f"{'time over the plain cell':<28}{head}")
    for cell, table in TABLES.items():
        columns = {}
        for name, make in present.items():
            for training in (False, True):
                calls = {option: make(cell, given, B, T, H, training) for option, given in table.items()}
                calls = {option: call for option, call in calls.items() if call is not None}
                _, ratios = medians(interleaved(list(calls.values()), args.rounds))
                columns[name, training] = dict(zip(calls, ratios, strict=True))
        for option in table:
            cells = (column.get(option) for column in columns.values())
            print(
                f"{cell + ', ' + option:<28}" + "".join(f"{'-' if c is None else f'{c:.2f}':>18}" for c in cells),
                flush=True,
            )


if __name__ == "__main__":
    main()
