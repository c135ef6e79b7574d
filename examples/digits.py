"""Read handwritten digits row by row: a bidirectional GRU on scikit-learn's 1797 images of 8 x 8 pixels.

    pip install scikit-learn
    python examples/digits.py [--seeds 3] [--epochs 40]

Each image is a sequence of 8 steps of 8 pixels. A quarter of the images is held out.
"""

import argparse
import time

import numpy as np

import rnnfast as rf


def digits():
    """Images (1797, 8, 8) and labels (1797,)."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise SystemExit("this example reads scikit-learn's digits: pip install scikit-learn") from None
    found = load_digits()
    return found.images, found.target


def train(seed, epochs=40):
    """Train one classifier; its test accuracy, and the seconds."""
    images, labels = digits()
    order = np.random.default_rng(seed).permutation(len(images))
    test, rest = np.split(order, [len(images) // 4])
    model = rf.Classifier(cell="gru", hidden_size=64, bidirectional=True, dropout=0.3, seed=seed)
    start = time.perf_counter()
    model.fit(images[rest], labels[rest], epochs=epochs)
    seconds = time.perf_counter() - start
    return model.score(images[test], labels[test]), seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=40)
    args = parser.parse_args()
    for seed in range(args.seeds):
        accuracy, seconds = train(seed, args.epochs)
        print(f"seed {seed}: test accuracy {accuracy:.2%}, {args.epochs} epochs in {seconds:.1f} s", flush=True)


if __name__ == "__main__":
    main()
