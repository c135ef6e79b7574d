"""From which of 18 languages a surname is, letter by letter, and which are taken for which.

    pip install Faker
    python examples/surnames.py [--epochs 25] [--plot confusion.png]

Faker (MIT licence) ships lists of surnames. At most 500 of each language are taken, without those that stand in several
lists; a fifth is held out. After the classic exercise of PyTorch's tutorial on names.
"""

import argparse
import importlib
import time
from collections import Counter

import numpy as np

import rnnfast as rf

LANGUAGES = {
    "az_AZ": "Azerbaijani", "cs_CZ": "Czech", "nl_NL": "Dutch", "en_GB": "English", "et_EE": "Estonian",
    "fi_FI": "Finnish", "fr_FR": "French", "de_DE": "German", "id_ID": "Indonesian", "ga_IE": "Irish",
    "it_IT": "Italian", "hr_HR": "Croatian", "lv_LV": "Latvian", "sk_SK": "Slovak", "es_ES": "Spanish",
    "sv_SE": "Swedish", "tw_GH": "Twi", "zu_ZA": "Zulu",
}  # fmt: skip


def surnames(rng, most=500):
    """Names, and their languages."""
    try:
        found = {
            language: set(importlib.import_module(f"faker.providers.person.{place}").Provider.last_names)
            for place, language in LANGUAGES.items()
        }
    except ImportError:
        raise SystemExit("this example reads the surnames that Faker ships: pip install Faker") from None
    lists = Counter(name for names in found.values() for name in names)
    x, y = [], []
    for language, names in found.items():
        own = sorted(name for name in names if lists[name] == 1)
        kept = rng.permutation(own)[:most].tolist()
        x += kept
        y += [language] * len(kept)
    return x, y


def train(seed=0, epochs=25):
    """The classifier, its accuracy on new names, the majority's, and the languages wanted and told."""
    rng = np.random.default_rng(seed)
    x, y = surnames(rng)
    order = rng.permutation(len(x))
    test, rest = np.split(order, [len(x) // 5])
    letters = [list(name.lower()) for name in x]
    model = rf.Classifier(
        cell="gru", hidden_size=64, embedding_dim=24, bidirectional=True, pooling="max", dropout=0.4, seed=seed
    )
    model.fit([letters[i] for i in rest], [y[i] for i in rest], epochs=epochs)
    wanted, told = [y[i] for i in test], model.predict([letters[i] for i in test])
    accuracy = float(np.mean(told == np.array(wanted)))
    commonest = Counter(y[i] for i in rest).most_common(1)[0][0]
    return model, accuracy, float(np.mean(np.array(wanted) == commonest)), wanted, told


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--plot", metavar="FILE", help="draw which languages are taken for which")
    args = parser.parse_args()
    start = time.perf_counter()
    model, accuracy, majority, wanted, told = train(args.seed, args.epochs)
    seconds = time.perf_counter() - start
    print(f"{accuracy:.1%} of the new names ({majority:.1%} are of the largest language), {seconds:.1f} s")
    for name in ("Beauchamp", "Kuznetsov", "Mäkelä", "O'Sullivan", "Rossetti", "Nkosi"):
        shares = model.predict_proba([list(name.lower())])[0]
        best = np.argsort(-shares)[:2]
        print(f"  {name}: " + ", ".join(f"{model.classes_[i]} {shares[i]:.0%}" for i in best))
    if args.plot:
        from rnnfast.plotting import plot_confusion

        numbers = {language: number for number, language in enumerate(model.classes_.tolist())}
        pairs = [[numbers[each] for each in each_of] for each_of in (wanted, told.tolist())]
        axes = plot_confusion(tuple(map(np.array, pairs)), model.classes_.tolist())
        axes.figure.savefig(args.plot, dpi=75)


if __name__ == "__main__":
    main()
