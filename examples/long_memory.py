"""Who remembers for 200 steps: adding and copying, solved by LSTM and GRU and not by the plain RNN.

    python examples/long_memory.py [--task adding|copying] [--cell rnn|lstm|gru] [--steps 200] [--batches N]

Each network sees new random sequences in every batch, and is judged on sequences that it has not seen. A gate that
is open lets a gradient through unchanged, step after step; in the plain RNN each step multiplies it by the same matrix
and by tanh' < 1, so that it fades (Hochreiter 1991; Bengio, Simard and Frasconi 1994). The biases of the gates start
such that states are kept for up to `steps` steps (Tallec and Ollivier 2018, "Can recurrent neural networks warp
time?").
"""

import argparse
from math import log

import numpy as np

import rnnfast as rf
from rnnfast.data import tasks
from rnnfast.layers import chrono

CELLS = {"rnn": rf.RNN, "lstm": rf.LSTM, "gru": rf.GRU}
HIDDEN, BATCH, EPOCH = 64, 50, 100
COPIED = 3  # symbols, of 8 kinds


def adding(steps, batches):
    """Inputs and targets of the adding problem, the loss, its target, and the error of one who knows nothing."""

    def draw(rng):
        return tasks.adding(BATCH, steps, seed=rng)[:2]

    return draw, draw, 2, 1, "mse", 1 / 6, batches or 3000


def copying(steps, batches):
    """The same of the copying problem; while training, delays of all lengths occur."""
    longest = steps - 2 * COPIED

    def draw(rng, delay=longest):
        return tasks.copy_memory(BATCH, delay, num_copied=COPIED, seed=rng)

    def draw_shorter(rng):
        return draw(rng, int(rng.integers(1, longest + 1)))

    return draw_shorter, draw, 10, 9, "cross_entropy", COPIED * log(8) / steps, batches or 6000


def train(task, cell, steps, batches=None, seed=0, verbose=True):
    """Train one network; the test loss, and that of one who knows nothing."""
    draw, draw_test, inputs, outputs, loss, chance, batches = {"adding": adding, "copying": copying}[task](
        steps, batches
    )
    recurrent, output = CELLS[cell](inputs, HIDDEN, seed=seed), rf.Linear(HIDDEN, outputs, seed=seed)
    if cell != "rnn":
        chrono(recurrent, steps, seed=seed)
    one_hot = rf.Embedding(inputs, inputs, weights=np.eye(inputs), frozen=True)
    layers = [recurrent, rf.Last()] if task == "adding" else [one_hot, recurrent]
    model = rf.Sequential(*layers, output)
    rng, test = np.random.default_rng(seed), np.random.default_rng(seed + 1)
    held_out = [draw_test(test) for _ in range(10)]
    history = model.fit(
        lambda: (draw(rng) for _ in range(EPOCH)),
        loss=loss,
        optimizer=rf.Adam(4e-3, clip_norm=1.0),
        epochs=batches // EPOCH,
        validation_data=held_out,
        callbacks=[lambda epoch, logs: logs["val_loss"] < 0.05 * chance],
        seed=seed,
        verbose=verbose,
    )
    return history.history["val_loss"][-1], chance, len(history.epoch) * EPOCH


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--task", choices=["adding", "copying"], nargs="*", default=["adding", "copying"])
    parser.add_argument("--cell", choices=list(CELLS), nargs="*", default=list(CELLS))
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batches", type=int)
    args = parser.parse_args()
    for task in args.task:
        for cell in args.cell:
            found, chance, batches = train(task, cell, args.steps, args.batches)
            verdict = "solved" if found < 0.1 * chance else "not solved"
            print(
                f"{task}, {args.steps} steps, {cell}: {verdict} after {batches} batches, loss {found:.4f} "
                f"({chance:.4f} of one who knows nothing)",
                flush=True,
            )


if __name__ == "__main__":
    main()
