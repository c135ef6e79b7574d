"""Find names of persons, places and firms, most of them never seen, with a bidirectional LSTM and a CRF.

    python examples/names.py [--output softmax|crf] [--sentences 600] [--epochs 10]

The corpus is made: clauses such as "{person} of {firm} flew to {place}", filled with names of random syllables. A name
has one to three words; the same syllables make persons, places and firms, and some names ("jordan") are both a person's
and a place's, so that the words around must tell. Of the names in the test part more than four of five hold a new
word. Words that the training part has but once are all taken for one unknown word, as the new ones are.
"""

import argparse
import time

import numpy as np

import rnnfast as rf
from rnnfast.data import WordVocabulary

CLAUSES = [
    "{PER} of {ORG} flew to {LOC}",
    "yesterday {PER} met {PER} in {LOC}",
    "{ORG} bought {ORG} for ten million",
    "the mayor of {LOC} , {PER} , left {ORG}",
    "shares of {ORG} fell in {LOC} and {LOC}",
    "{PER} said that {ORG} is from {LOC}",
    "{PER} and {PER} work for {ORG}",
    "near {LOC} it rains , said {PER}",
    "the market rose by ten points",
]
BOTH = ["jordan", "paris", "lincoln", "georgia", "sydney", "chelsea"]
SYLLABLES = [consonant + vowel for consonant in "bdfgklmnrstv" for vowel in ("a", "en", "i", "or")]


def corpus(sentences, seed):
    """Sentences as lists of words, and their tags."""
    rng = np.random.default_rng(seed)

    def name(kind):
        if kind != "ORG" and rng.random() < 0.1:
            return [str(rng.choice(BOTH))]
        words = ["".join(rng.choice(SYLLABLES, rng.integers(2, 5))) for _ in range(rng.integers(1, 3))]
        if kind == "LOC" and rng.random() < 0.2:
            return [str(rng.choice(["new", "port", "saint"])), *words]
        if kind == "ORG" and rng.random() < 0.4:
            return [*words, str(rng.choice(["bank", "motors", "press"]))]
        return words

    x, y = [], []
    for _ in range(sentences):
        words, tags = [], []
        for clause in rng.choice(CLAUSES, rng.integers(1, 4)):
            for word in [*clause.split(), "."]:
                kind = word.strip("{}")
                found = [word] if word == kind else name(kind)
                words += found
                tags += ["O"] if word == kind else [f"B-{kind}"] + [f"I-{kind}"] * (len(found) - 1)
        x.append(words)
        y.append(tags)
    return x, y


def train(output, sentences=600, epochs=10, seed=0):
    """Train one tagger; its test accuracy of words, F1 of names, and the seconds."""
    x, y = corpus(sentences, seed)
    test = corpus(300, seed + 1000)
    vocabulary = WordVocabulary.from_texts(x, min_count=2)
    model = rf.Tagger(output=output, hidden_size=48, embedding_dim=32, dropout=0.3, vocabulary=vocabulary, seed=seed)
    start = time.perf_counter()
    model.fit(x, y, epochs=epochs)
    seconds = time.perf_counter() - start
    return model.score(*test), model.score(*test, metric="entity_f1"), seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", choices=["softmax", "crf"], nargs="*", default=["softmax", "crf"])
    parser.add_argument("--sentences", type=int, default=600)
    parser.add_argument("--epochs", type=int, default=10)
    args = parser.parse_args()
    for output in args.output:
        accuracy, f1, seconds = train(output, args.sentences, args.epochs)
        print(f"{output}: {accuracy:.2%} of words, F1 of names {f1:.2%}, {seconds:.1f} s", flush=True)


if __name__ == "__main__":
    main()
