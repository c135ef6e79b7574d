"""Who remembers for 200 steps: adding and copying, solved by LSTM and GRU and not by the plain RNN.

    python examples/long_memory.py [--task adding|copying] [--cell rnn|lstm|gru] [--steps 200] [--batches N]
    python examples/long_memory.py --task adding --plot gradients.png

Each network sees new random sequences in every batch, and is judged on sequences that it has not seen. A gate that
is open lets a gradient through unchanged, step after step; in the plain RNN each step multiplies it by the same matrix
and by tanh' < 1, so that it fades (Hochreiter 1991; Bengio, Simard and Frasconi 1994). The biases of the gates start
such that states are kept for up to `steps` steps (Tallec and Ollivier 2018, "Can recurrent neural networks warp
time?").
"""

import argparse
import copy
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
    """Train one network; the test loss, that of one who knows nothing, the batches, the network then and at first."""
    draw, draw_test, inputs, outputs, loss, chance, batches = {"adding": adding, "copying": copying}[task](
        steps, batches
    )
    recurrent, output = CELLS[cell](inputs, HIDDEN, seed=seed), rf.Linear(HIDDEN, outputs, seed=seed)
    if cell != "rnn":
        chrono(recurrent, steps, seed=seed)
    one_hot = rf.Embedding(inputs, inputs, weights=np.eye(inputs), frozen=True)
    layers = [recurrent, rf.Last()] if task == "adding" else [one_hot, recurrent]
    model = rf.Sequential(*layers, output)
    first = copy.deepcopy(model)
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
    return history.history["val_loss"][-1], chance, len(history.epoch) * EPOCH, model, first


def picture(file, networks, steps):
    """A picture of who solves adding, and why.

    Parameters
    ----------
    file : path
    networks : mapping of str to (Sequential, Sequential)
        By what is to be shown of each, the network when it was trained, and at first.
    steps : int
    """
    import matplotlib.pyplot as plt

    from rnnfast.plotting import plot_gradient_norms

    x, _ = tasks.adding(200, steps, seed=2)
    figure, (at_first, trained, owed) = plt.subplots(1, 3, figsize=(11, 3.3), layout="constrained")
    for ax, when, title in (
        (at_first, 1, "A gradient of norm 1 on its way back, at first"),
        (trained, 0, "the same after training"),
    ):
        plot_gradient_norms({name: each[when].layers[0] for name, each in networks.items()}, x, ax=ax)
        ax.set_title(title, fontsize=10)
    trained.sharey(at_first)
    at_first.set_ylim(1e-6, 2)
    marked = x[..., 1].nonzero()
    bins = np.linspace(0, steps, 11)
    for name, (model, _) in networks.items():
        (answer, _), backward = model.forward(x)
        by_number = backward(np.ones_like(answer))[0][..., 0][marked]
        sums, counts = (np.histogram(marked[1], bins, weights=each)[0] for each in (by_number, None))
        owed.plot((bins[1:] + bins[:-1]) / 2, sums / counts, "o-", ms=4, label=name)
    owed.axhline(1.0, color="grey", lw=1, ls=":", label="wanted")
    owed.set(xlim=(0, steps), xlabel="step t of a marked number", ylabel="d answer / d number", ylim=(-0.1, 1.3))
    owed.set_title("What the answer owes to a marked number", fontsize=10)
    owed.legend(frameon=False, loc="center left", bbox_to_anchor=(0, 0.35))
    figure.savefig(file, dpi=75)
    return figure


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--task", choices=["adding", "copying"], nargs="*", default=["adding", "copying"])
    parser.add_argument("--cell", choices=list(CELLS), nargs="*", default=list(CELLS))
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batches", type=int)
    parser.add_argument("--plot", metavar="FILE", help="draw the gradients of the networks that learnt adding")
    args = parser.parse_args()
    networks = {}
    for task in args.task:
        for cell in args.cell:
            found, chance, batches, *both = train(task, cell, args.steps, args.batches)
            verdict = "solved" if found < 0.1 * chance else "not solved"
            print(
                f"{task}, {args.steps} steps, {cell}: {verdict} after {batches} batches, loss {found:.4f} "
                f"({chance:.4f} of one who knows nothing)",
                flush=True,
            )
            if task == "adding":
                networks[f"{cell.upper()}, {verdict}"] = both
    if args.plot and networks:
        picture(args.plot, networks, args.steps)


if __name__ == "__main__":
    main()
