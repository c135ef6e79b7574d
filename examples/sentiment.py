"""Is a sentence kind or unkind? A bidirectional LSTM on real text, beside a majority vote and a bag of words.

    python examples/sentiment.py [--data FOLDER_OR_ARCHIVE] [--seed 0] [--epochs 20]

Sentences of tweets, film reviews, product reviews and newspaper editorials, each rated from -4 to 4 by about twenty
people (Hutto and Gilbert 2014, "VADER", MIT licence). The source archive of the package vaderSentiment ships them:
`pip download --no-binary :all: --no-deps vaderSentiment==3.3.2` gets vaderSentiment-3.3.2.tar.gz.

A fifth is held out for the test and a tenth to stop by, drawn by the seed, documents as a whole: what is known of a
product's review must not help with its next sentence. Both models learn how sure people are, the logistic function of
the mean rating, from which they tell more than from its sign. They are judged by the sign, on the sentences of the test
part on which people are of one mind: those with a mean rating above 0.5 or below -0.5.
"""

import argparse
import io
import tarfile
import time
from pathlib import Path

import numpy as np

import rnnfast as rf

SOURCES = ["tweets", "movieReviewSnippets", "amazonReviewSnippets", "nytEditorialSnippets"]
NEUTRAL, SURENESS = 0.5, 1.5
BATCH = 64


def read(data):
    """Texts, their mean ratings, and the numbers of the documents that they come from."""
    texts, ratings, documents = [], [], []
    for source, content in files(data).items():
        for line in content.splitlines():
            number, rating, text = line.split("\t")
            texts.append(text)
            ratings.append(float(rating))
            documents.append(f"{source} {number.partition('_')[0]}")
    return texts, np.array(ratings), np.unique(documents, return_inverse=True)[1]


def files(data):
    """The texts of the four files, from a folder, or from an archive that may lie in another one."""
    names = {source: f"{source}_GroundTruth.txt" for source in SOURCES}
    path = Path(data)
    if path.is_dir():
        found = {file.name: file.read_bytes() for file in path.rglob("*_GroundTruth.txt")}
    else:
        found = unpack(path.read_bytes()) if path.is_file() and tarfile.is_tarfile(path) else {}
    if not found.keys() >= set(names.values()):
        raise SystemExit(
            f"{path} does not hold {', '.join(names.values())}. Get them with `pip download --no-binary :all: "
            "--no-deps vaderSentiment==3.3.2`, and give `--data vaderSentiment-3.3.2.tar.gz`."
        )
    return {source: found[name].decode("utf-8-sig") for source, name in names.items()}


def unpack(content):
    """The rated sentences' files in an archive, by name."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for member in archive:
            name = Path(member.name).name
            if name.endswith("_GroundTruth.txt"):
                found[name] = archive.extractfile(member).read()
            elif name == "hutto_ICWSM_2014.tar.gz":
                found |= unpack(archive.extractfile(member).read())
    return found


def split(documents, seed):
    """Rows to learn from, to stop by, and to be judged by; no document is in two of them."""
    draw = np.random.default_rng(seed).random(documents.max() + 1)[documents]
    return np.flatnonzero(draw >= 0.3), np.flatnonzero((draw >= 0.2) & (draw < 0.3)), np.flatnonzero(draw < 0.2)


def how(rate, epochs, validation, seed):
    """What `fit` is told, whatever the model."""
    return {
        "loss": "binary_cross_entropy",
        "optimizer": rf.Adam(rate, clip_norm=1.0),
        "epochs": epochs,
        "validation_data": validation,
        "callbacks": [rf.training.EarlyStopping("val_loss", patience=2)],
        "seed": seed,
        "verbose": False,
    }


def leanings(words, x, y):
    """Of each word, how much higher the odds of a positive sentence are with it: log ratios, begun at one and one."""
    counts = np.ones((2, words))
    for ids, positive in zip(x, y[:, 0], strict=True):
        counts[:, np.unique(ids)] += [[positive], [1 - positive]]
    return np.log(counts[0] / counts[1]) - np.log(y.mean() / (1 - y.mean()))


def recurrent(words, learn, stop, epochs, seed):
    """Embedding, bidirectional LSTM with dropout of its states, mean over the steps.

    One of the embedding's numbers starts as the word's leaning (after Wang and Manning 2012, "Baselines and bigrams").
    The others start small, for a rare word hardly leaves them, and had better say little by them.
    """
    first = np.random.default_rng(seed).normal(0, 0.05, (words, 64)).astype("float32")
    first[:, 0] = 0.5 * leanings(words, *learn)
    model = rf.Sequential(
        rf.Embedding(words, 64, weights=first, word_dropout=0.2),
        rf.Dropout(0.5),
        rf.LSTM(64, 32, bidirectional=True, recurrent_dropout=0.25, seed=seed),
        rf.layers.MeanPool(),
        rf.Dropout(0.5),
        rf.Linear(64, 1, seed=seed),
    )
    history = model.fit(*learn, batch_size=rf.training.Buckets(BATCH), **how(2e-3, epochs, stop, seed))
    return lambda x: model.predict(x, batch_size=256), len(history.epoch)


def bag_of_words(words, learn, stop, epochs, seed):
    """Logistic regression on how often each word occurs; the order of words is lost."""
    rng = np.random.default_rng(seed)
    x, y = learn

    def counts(x):
        return np.array([np.bincount(each, minlength=words) for each in x], "float32")

    def batches():
        for rows in np.array_split(rng.permutation(len(x)), len(x) // BATCH):
            yield counts([x[row] for row in rows]), y[rows]

    model = rf.Sequential(rf.Linear(words, 1, seed=seed))
    history = model.fit(batches, **how(2e-3, epochs, (counts(stop[0]), stop[1]), seed))
    return lambda x: model.predict(counts(x)), len(history.epoch)


def judge(data, seed=0, epochs=20):
    """Print and give the test accuracy of each method, by name."""
    texts, ratings, documents = read(data)
    learn, stop, test = split(documents, seed)
    test = test[abs(ratings[test]) > NEUTRAL]
    vocabulary = rf.data.WordVocabulary.from_texts([texts[row] for row in learn], min_count=2, lower=True)
    x = vocabulary.encode_all(texts)
    sure = (1 / (1 + np.exp(-SURENESS * ratings)))[:, None].astype("float32")
    positive = ratings > 0
    print(
        f"seed {seed}: {len(learn)} sentences to learn from, {len(stop)} to stop by, {len(test)} to be judged by; "
        f"{len(vocabulary)} words"
    )
    found = {"majority": float(np.mean(positive[test] == (positive[learn].mean() > 0.5)))}
    print(f"majority: test accuracy {found['majority']:.2%}", flush=True)
    for name, method in {"bag of words": bag_of_words, "bidirectional LSTM": recurrent}.items():
        start = time.perf_counter()
        parts = [([x[row] for row in rows], sure[rows]) for rows in (learn, stop)]
        predict, stopped = method(len(vocabulary), *parts, epochs, seed)
        seconds = time.perf_counter() - start
        told = predict([x[row] for row in test])[:, 0] > 0
        found[name] = float(np.mean(told == positive[test]))
        print(f"{name}: test accuracy {found[name]:.2%} after {stopped} epochs, {seconds:.1f} s", flush=True)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", default="vaderSentiment-3.3.2.tar.gz", help="the archive, or a folder with its files")
    parser.add_argument("--seed", type=int, default=0, help="of the split, and of all that is drawn")
    parser.add_argument("--epochs", type=int, default=20, help="at most")
    args = parser.parse_args()
    judge(args.data, args.seed, args.epochs)


if __name__ == "__main__":
    main()
