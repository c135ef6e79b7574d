"""Parts of speech of Turkish sentences, by a bidirectional LSTM with softmax and with a conditional random field.

    pip download --no-deps turkish-treebanks==1.0.0
    python examples/tagger.py [--data turkish_treebanks-1.0.0-py3-none-any.whl] [--seed 0] [--epochs 10]

The package (Google, Apache 2.0) brings 4851 sentences of the web and of Wikipedia in CoNLL-U: words and parts of words,
as Turkish hangs many endings on one stem, each with one of 14 parts of speech. A tenth of the sentences is held out; of
their words, a fifth never occurs in the rest. What a word is shows in its ending and its first letter: a word that
the training part has but once or twice is learnt as these, and so a new one is read ("Ankara'ya" as "^…'ya").
"""

import argparse
import collections
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np

import rnnfast as rf
from rnnfast.data import WordVocabulary, read_conll

WHEEL = "turkish_treebanks-1.0.0-py3-none-any.whl"
PARTS = ("web.conllu", "wiki.conllu")
WORD, TAG = 1, 3  # columns of CoNLL-U


def read(data=WHEEL):
    """Sentences as lists of words, and their tags, from the wheel or from a folder with its two files."""
    data = Path(data)
    if not data.exists():
        raise SystemExit(f"{data} is not here: pip download --no-deps turkish-treebanks==1.0.0")
    with tempfile.TemporaryDirectory() as folder:
        if not data.is_dir():
            with zipfile.ZipFile(data) as wheel:
                for part in PARTS:
                    Path(folder, part).write_bytes(wheel.read(f"data/{part}"))
        found = [read_conll(Path(data if data.is_dir() else folder, part), (WORD, TAG), conllu=True) for part in PARTS]
    return [row for x, _ in found for row in x], [row for _, y in found for row in y]


def ending(word):
    """What is left of a word that nobody knows: its last three letters, and whether it begins with a capital."""
    return ("^" if word[0].isupper() else "") + "…" + ("0" if word[-1].isdigit() else word[-3:].lower())


def simplified(sentences, known):
    """Words that are known as they are, the others by their endings."""
    return [[word if word in known else ending(word) for word in words] for words in sentences]


def commonest(x, y, x_test, y_test):
    """The share that is right of one who takes each word's commonest tag."""
    seen = collections.defaultdict(collections.Counter)
    for words, tags in zip(x, y, strict=True):
        for word, tag in zip(words, tags, strict=True):
            seen[word][tag] += 1
    everywhere = sum(seen.values(), collections.Counter()).most_common(1)[0][0]
    guess = {word: tags.most_common(1)[0][0] for word, tags in seen.items()}
    right = [
        guess.get(word, everywhere) == tag
        for words, tags in zip(x_test, y_test, strict=True)
        for word, tag in zip(words, tags, strict=True)
    ]
    return float(np.mean(right))


def judge(data, seed=0, epochs=10, outputs=("softmax", "crf")):
    """By what tags: accuracy on the words of the sentences that are held out, on new ones among them, and seconds."""
    x, y = read(data)
    order = np.random.default_rng(seed).permutation(len(x))
    test, rest = np.split(order, [len(x) // 10])
    (x, y), (x_test, y_test) = (([x[i] for i in rows], [y[i] for i in rows]) for rows in (rest, test))
    counts = collections.Counter(word for words in x for word in words)
    known = {word for word, count in counts.items() if count > 2}
    new = np.array([word not in counts for words in x_test for word in words])
    x, x_test = simplified(x, known), simplified(x_test, known)
    found = {"the commonest tag of each word or ending": (commonest(x, y, x_test, y_test), None, 0.0)}
    vocabulary = WordVocabulary.from_texts(x, min_count=2)
    for output in outputs:
        model = rf.Tagger(
            output=output, hidden_size=64, embedding_dim=64, dropout=0.5, vocabulary=vocabulary, seed=seed
        )
        start = time.perf_counter()
        model.fit(x, y, epochs=epochs)
        seconds = time.perf_counter() - start
        right = np.concatenate(model.predict(x_test)) == np.concatenate(y_test)
        found[output] = float(right.mean()), float(right[new].mean()), seconds
    return found, float(new.mean())


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", default=WHEEL, help="the wheel, or a folder with its two files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=10)
    args = parser.parse_args()
    found, share = judge(args.data, args.seed, args.epochs)
    for by, (accuracy, of_new, seconds) in found.items():
        rest = "" if of_new is None else f", {of_new:.2%} of the {share:.0%} that are new, {seconds:.1f} s"
        print(f"{by}: {accuracy:.2%} of the words held out{rest}")


if __name__ == "__main__":
    main()
