"""Is a sentence kind or unkind? A bidirectional LSTM on real text, beside a majority vote and a bag of words.

    python examples/sentiment.py [--data FOLDER_OR_ARCHIVE] [--seed 0] [--epochs 20]

Sentences of tweets, film reviews, product reviews and newspaper editorials, each rated from -4 to 4 by twenty people
(Hutto and Gilbert 2014, "VADER", MIT licence). The source archive of the package vaderSentiment ships them:
`pip download --no-binary :all: --no-deps vaderSentiment==3.3.2` gets vaderSentiment-3.3.2.tar.gz.

A sentence is positive from a mean rating above 0.5, negative below -0.5; the others, of which people are not sure, are
left out. A fifth is held out for the test and a tenth to stop by, drawn by the seed, reviews and editorials as a whole:
what a network knows about one product's review must not help it with the next sentence.
"""

import argparse
import io
import tarfile
import time
from pathlib import Path

import numpy as np

import rnnfast as rf

SOURCES = ["tweets", "movieReviewSnippets", "amazonReviewSnippets", "nytEditorialSnippets"]
NEUTRAL = 0.5


def read(data):
    """Texts, labels (0 negative, 1 positive), and the numbers of the documents that they come from."""
    texts, labels, documents = [], [], []
    for source, content in files(data).items():
        for line in content.splitlines():
            number, rating, text = line.split("\t")
            if abs(float(rating)) > NEUTRAL:
                texts.append(text)
                labels.append(int(float(rating) > 0))
                documents.append(f"{source} {number.partition('_')[0]}")
    return texts, np.array(labels), np.unique(documents, return_inverse=True)[1]


def files(data):
    """The texts of the four files, from a folder, or from an archive that may lie in another one."""
    names = {source: f"{source}_GroundTruth.txt" for source in SOURCES}
    path = Path(data)
    if path.is_dir():
        found = {file.name: file.read_bytes() for file in path.rglob("*_GroundTruth.txt")}
    else:
        found = unpack(path.read_bytes()) if path.is_file() else {}
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
    return [np.flatnonzero(part) for part in (draw >= 0.3, (draw >= 0.2) & (draw < 0.3), draw < 0.2)]


def stopping():
    return rf.training.EarlyStopping("val_loss", patience=3)


def recurrent(vocabulary, parts, epochs, seed):
    """The test accuracy of an embedding and a bidirectional LSTM with dropout between its steps."""
    (x, y), validation, (x_test, y_test) = parts
    model = rf.models.Classifier(
        vocabulary=vocabulary,
        embedding_dim=64,
        hidden_size=64,
        bidirectional=True,
        dropout=0.5,
        recurrent_dropout=0.25,
        pooling="max",
        seed=seed,
    )
    batches = rf.training.Buckets(32)
    adam = rf.Adam(2e-3, clip_norm=1.0)
    model.fit(
        x, y, epochs=epochs, optimizer=adam, batch_size=batches, validation_data=validation, callbacks=[stopping()]
    )
    return model.score(x_test, y_test), len(model.history_.epoch)


def bag_of_words(vocabulary, parts, epochs, seed):
    """The test accuracy of logistic regression on the counts of words, whose order is lost."""

    def counts(texts):
        return np.array([np.bincount(each, minlength=len(vocabulary)) for each in vocabulary.encode_all(texts)], "f")

    (x, y), (x_stop, y_stop), (x_test, y_test) = ((counts(texts), labels) for texts, labels in parts)
    model = rf.Sequential(rf.Linear(len(vocabulary), 2, seed=seed))
    history = model.fit(
        x,
        y,
        loss="cross_entropy",
        optimizer=rf.Adam(1e-3),
        epochs=epochs,
        validation_data=(x_stop, y_stop),
        callbacks=[stopping()],
        seed=seed,
        verbose=False,
    )
    return float(np.mean(model.predict(x_test).argmax(axis=1) == y_test)), len(history.epoch)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", default="vaderSentiment-3.3.2.tar.gz", help="the archive, or a folder with its files")
    parser.add_argument("--seed", type=int, default=0, help="of the split, and of all that is drawn")
    parser.add_argument("--epochs", type=int, default=20, help="at most")
    args = parser.parse_args()
    texts, labels, documents = read(args.data)
    parts = [([texts[row] for row in rows], labels[rows]) for rows in split(documents, args.seed)]
    vocabulary = rf.data.WordVocabulary.from_texts(parts[0][0], min_count=2, lower=True)
    sizes = ", ".join(
        f"{len(y)} to {aim}" for (_, y), aim in zip(parts, ["learn from", "stop by", "test"], strict=True)
    )
    print(f"{len(texts)} sentences: {sizes}; {len(vocabulary)} words")
    majority = np.bincount(parts[0][1]).argmax()
    print(f"always {['negative', 'positive'][majority]}: test accuracy {np.mean(parts[2][1] == majority):.2%}")
    for name, method in {"bag of words": bag_of_words, "bidirectional LSTM": recurrent}.items():
        start = time.perf_counter()
        accuracy, epochs = method(vocabulary, parts, args.epochs, args.seed)
        seconds = time.perf_counter() - start
        print(f"{name}: test accuracy {accuracy:.2%} after {epochs} epochs, {seconds:.1f} s", flush=True)


if __name__ == "__main__":
    main()
