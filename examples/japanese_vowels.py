"""Tell nine speakers apart by how they say one vowel: series of unequal length, JapaneseVowels of the UCI archive.

    pip install aeon
    python examples/japanese_vowels.py [--seeds 3] [--epochs 60]

270 recordings to train, 370 to test; 12 numbers (cepstral coefficients) a step, 7 to 29 steps (Kudo, Toyama and Shimbo
1999). aeon ships the data.
"""

import argparse
import time

import rnnfast as rf


def vowels(split):
    """Recordings as a list of arrays (T_i, 12), and the speakers' names."""
    try:
        from aeon.datasets import load_japanese_vowels
    except ImportError:
        raise SystemExit("this example reads JapaneseVowels as aeon ships it: pip install aeon") from None
    x, y = load_japanese_vowels(split=split)
    return [series.T for series in x], y


def train(seed, epochs=60):
    """Train one classifier; its test accuracy, and the seconds."""
    x, y = vowels("train")
    model = rf.Classifier(hidden_size=64, bidirectional=True, dropout=0.3, seed=seed)
    start = time.perf_counter()
    model.fit(x, y, epochs=epochs)
    seconds = time.perf_counter() - start
    return model.score(*vowels("test")), seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=60)
    args = parser.parse_args()
    for seed in range(args.seeds):
        accuracy, seconds = train(seed, args.epochs)
        print(f"seed {seed}: test accuracy {accuracy:.2%}, {args.epochs} epochs in {seconds:.1f} s", flush=True)


if __name__ == "__main__":
    main()
