"""Foretell a noisy sine, one step ahead, with two LSTM layers.

    python examples/sine_forecast.py [--seeds 3] [--epochs 20] [--keras] [--leak]

The network sees 50 steps and is trained on the first 80 % of the windows. The scale is learnt from the training part
alone; with `--leak` from the whole series, as is often seen: the network is then told how high the future rises. (This
series is at its highest and lowest in the training part, and nothing changes; one that grows would be foretold too
well.) No forecast can have a smaller error than the noise itself, and the last value said again is the least that a
network has to beat. Errors are those of the scaled series.
"""

import argparse
import itertools
import os
import time

import numpy as np

import rnnfast as rf
from rnnfast.data import MinMaxScaler, make_windows

WINDOW, NOISE = 50, 0.1


def series():
    """1000 steps of a sine with noise."""
    noise = np.random.RandomState(42).randn(1000)
    return np.sin(np.linspace(0, 100, 1000)) + NOISE * noise


def windows(leak=False):
    """Inputs (950, 50, 1), targets (950, 1), how many of them are for training, and the noise's mean square."""
    values = series()
    split = int(0.8 * (len(values) - WINDOW))
    scaler = MinMaxScaler().fit(values if leak else values[: split + WINDOW])
    x, y = make_windows(scaler.transform(values).astype(np.float32), WINDOW)
    return x, y, split, float((NOISE / scaler.scale[0]) ** 2)


def ours(seed):
    """The network."""
    return rf.Sequential(
        rf.LSTM(1, 50, num_layers=2, seed=seed),
        rf.Last(),
        rf.Linear(50, 25, activation="relu", seed=seed),
        rf.Linear(25, 1, seed=seed),
    )


def kerases(seed):
    """The same in Keras, where it is installed."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(seed)
    lstms = [layers.LSTM(50, return_sequences=True), layers.LSTM(50)]
    return keras.Sequential([layers.Input((WINDOW, 1)), *lstms, layers.Dense(25, activation="relu"), layers.Dense(1)])


def forecast(seed, epochs=20, make=ours, leak=False):
    """Train one network; its test MSE and R², those of the last value, the noise's, and the seconds."""
    x, y, split, noise = windows(leak)
    model = make(seed)
    model.compile(optimizer="adam", loss="mse")
    options, quiet = ({"seed": seed}, {}) if make is ours else ({}, {"verbose": 0})
    start = time.perf_counter()
    model.fit(x[:split], y[:split], epochs=epochs, batch_size=32, validation_split=0.1, verbose=False, **options)
    seconds = time.perf_counter() - start
    wanted = y[split:]
    error = ((model.predict(x[split:], **quiet) - wanted) ** 2).mean()
    last = ((x[split:, -1] - wanted) ** 2).mean()
    return float(error), float(1 - error / wanted.var()), float(last), noise, seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--keras", action="store_true", help="train the same network with Keras, too, in turns")
    parser.add_argument(
        "--leak", action="store_true", help="learn the scale from the test part, too, as many listings do: do not"
    )
    args = parser.parse_args()
    if args.keras:
        # One thread each; Keras's backends read this when they are imported.
        os.environ["OMP_NUM_THREADS"] = "1"
        rf.set_num_threads(1)
    for seed, make in itertools.product(range(args.seeds), [ours, kerases] if args.keras else [ours]):
        error, r2, last, noise, seconds = forecast(seed, args.epochs, make, args.leak)
        who = "rnnfast" if make is ours else "Keras"
        print(
            f"{who}, seed {seed}: test MSE {error:.5f}, R² {r2:.4f} (the last value again: {last:.5f}, "
            f"noise: {noise:.5f}), {args.epochs} epochs in {seconds:.2f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
