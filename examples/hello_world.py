"""The next character of "hello world": read as one sequence, all ten are told; character by character, seven at most.

    python examples/hello_world.py [--seed 0]

The lecture notes' first exercise: one-hot characters into a plain RNN of 32 units, which tells what comes next. After
"l" comes "l", "o" or "d", and after "o" comes " " or "r": who is shown a single character cannot know which. Only the
state, which holds what came before, tells the cases apart, so that the text must be fed as one sequence of ten steps.
"""

import argparse
from collections import Counter, defaultdict
from itertools import pairwise

import numpy as np

import rnnfast as rf

TEXT = "hello world"


def read(text=TEXT):
    """One-hot characters (1, T, C), the ids of those that follow (1, T), and all characters there are."""
    characters = sorted(set(text))
    ids = np.array([characters.index(each) for each in text])
    return np.eye(len(characters))[ids[None, :-1]], ids[None, 1:], characters


def train(x, y, seed=0, epochs=150):
    """Train on sequences (N, T, C), and tell how many next characters come out right, and the network."""
    symbols = x.shape[-1]
    model = rf.Sequential(rf.RNN(symbols, 32, seed=seed), rf.Linear(32, symbols, seed=seed))
    model.fit(x, y, loss="cross_entropy", optimizer=rf.Adam(0.01), epochs=epochs, seed=seed, verbose=False)
    return int((model(x).argmax(axis=-1) == y).sum()), model


def most_without_memory(text=TEXT):
    """How many are right at best of one who sees a single character: for each, the one that follows most often."""
    followers = defaultdict(Counter)
    for one, following in pairwise(text):
        followers[one][following] += 1
    return sum(max(counts.values()) for counts in followers.values())


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    x, y, characters = read()
    right, model = train(x, y, args.seed)
    told = "".join(characters[i] for i in model(x)[0].argmax(axis=-1))
    print(f"as one sequence: {right}/{y.size} next characters, {TEXT[:-1]!r} -> {told!r}")
    right, _ = train(x.swapaxes(0, 1), y.T, args.seed)
    print(f"character by character: {right}/{y.size}; without memory nobody tells more than {most_without_memory()}")


if __name__ == "__main__":
    main()
