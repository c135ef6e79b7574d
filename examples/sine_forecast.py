"""Foretell a noisy sine, one step ahead, with two LSTM layers.

    python examples/sine_forecast.py [--seeds 3] [--epochs 20]

The network sees 50 steps and is trained on the first 80 % of the windows. The scale is learnt from the training part
alone. No forecast can have a smaller error than the noise itself, and the last value said again is the least that a
network has to beat. Errors are those of the scaled series.
"""

import argparse
import time

import numpy as np

import rnnfast as rf
from rnnfast.data import MinMaxScaler, make_windows

WINDOW, NOISE = 50, 0.1


def series():
    """1000 steps of a sine with noise."""
    noise = np.random.RandomState(42).randn(1000)
    return np.sin(np.linspace(0, 100, 1000)) + NOISE * noise


def forecast(seed, epochs=20):
    """Train one network; its test MSE and R², those of the last value, the noise's share, and the seconds."""
    values = series()
    split = int(0.8 * (len(values) - WINDOW))
    scaler = MinMaxScaler().fit(values[: split + WINDOW])
    x, y = make_windows(scaler.transform(values).astype(np.float32), WINDOW)
    model = rf.Sequential(
        rf.LSTM(1, 50, num_layers=2, seed=seed),
        rf.Last(),
        rf.Linear(50, 25, activation="relu", seed=seed),
        rf.Linear(25, 1, seed=seed),
    )
    start = time.perf_counter()
    model.fit(
        x[:split],
        y[:split],
        loss="mse",
        optimizer="adam",
        epochs=epochs,
        batch_size=32,
        validation_split=0.1,
        seed=seed,
        verbose=False,
    )
    seconds = time.perf_counter() - start
    wanted = y[split:]
    error = ((model.predict(x[split:]) - wanted) ** 2).mean()
    last = ((x[split:, -1] - wanted) ** 2).mean()
    return float(error), float(1 - error / wanted.var()), float(last), float((NOISE / scaler.scale[0]) ** 2), seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    args = parser.parse_args()
    for seed in range(args.seeds):
        error, r2, last, noise, seconds = forecast(seed, args.epochs)
        print(
            f"seed {seed}: test MSE {error:.5f}, R² {r2:.4f} (the last value again: {last:.5f}, noise: {noise:.5f}), "
            f"{args.epochs} epochs in {seconds:.2f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
