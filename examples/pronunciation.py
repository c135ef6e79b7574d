"""Run the trained pronunciation model of g2p-en on rnnfast: the same phones, faster.

    pip install --no-deps g2p-en
    python examples/pronunciation.py [word ...]

g2p-en 2.1.0 (Apache-2.0) spells English words that its dictionary lacks with an encoder and a decoder of GRUs. Its
weights are an archive of NumPy, computed by NumPy code of its own, word by word. Here they become a `Seq2Seq`, which
takes many words at once, can be saved as one file, searched with a beam and trained further.
"""

import argparse
import importlib.util
import pydoc_data.topics
import re
import sys
import time
import warnings
from pathlib import Path
from unittest import mock

import numpy as np

import rnnfast as rf

LETTERS = ["<pad>", "<unk>", "</s>", *"abcdefghijklmnopqrstuvwxyz"]
VOWELS = "AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW"
CONSONANTS = "B CH D DH F G HH JH K L M N NG P R S SH T TH V W Y Z ZH"
STRESSED = [f"{vowel}{stress}" for vowel in VOWELS.split() for stress in "012"]
PHONES = ["<pad>", "<unk>", "<s>", "</s>", *sorted([*STRESSED, *CONSONANTS.split(), "UW"])]


def folder():
    """Where the package is installed."""
    found = importlib.util.find_spec("g2p_en")
    if found is None:
        raise SystemExit("this example runs the model of another package: pip install --no-deps g2p-en")
    return Path(found.submodule_search_locations[0])


def load(path):
    """Its weights in our layers.

    Its gates come in the order r z n, with two biases and the reset after the product, as PyTorch's: `bias="double"`
    takes them as they are.
    """
    theirs = np.load(path)
    size, hidden = theirs["enc_emb"].shape[1], theirs["enc_w_hh"].shape[1]
    encoder = rf.Encoder(rf.Embedding(len(LETTERS), size), rf.GRU(size, hidden, bias="double"))
    decoder = rf.Decoder(
        rf.Embedding(len(PHONES), size),
        rf.GRU(size, hidden, bias="double"),
        start=PHONES.index("<s>"),
        stop=PHONES.index("</s>"),
    )
    model = rf.Seq2Seq(encoder, decoder, bridge="copy")
    for part, name, gru in (("encoder.0", "enc", "encoder.1"), ("decoder.embedding", "dec", "decoder.recurrent.0")):
        model.params[f"{part}.weight"] = theirs[f"{name}_emb"]
        for ours, its in (("weight_ih", "w_ih"), ("weight_hh", "w_hh"), ("bias_ih", "b_ih"), ("bias_hh", "b_hh")):
            model.params[f"{gru}.{ours}_l0"] = theirs[f"{name}_{its}"]
    model.params["decoder.output.weight"], model.params["decoder.output.bias"] = theirs["fc_w"], theirs["fc_b"]
    return model


def ids(word):
    """The numbers of its letters, and the end."""
    return [LETTERS.index(letter) if letter in LETTERS else LETTERS.index("<unk>") for letter in word] + [2]


def spell(model, words, **how):
    """The phones of many words at once; arguments as of `Seq2Seq.translate`."""
    how = {"beam_size": 1, "max_length": 20, "batch_size": 256, **how}
    return [[PHONES[phone] for phone in found] for found in model.translate([ids(word) for word in words], **how)]


class Speller:
    """One word at a time, without delay: the decoder is a stream, whose steps allocate nothing."""

    def __init__(self, model):
        decoder = model.decoder
        self.encoder, self.start, self.stop = model.encoder, decoder.start, decoder.stop
        self.step = rf.Sequential(decoder.embedding, *decoder.recurrent.layers, decoder.output).stream()

    def __call__(self, word):
        _, state = self.encoder.run([ids(word)])
        self.step.restore(state)
        phone, found = np.array([self.start]), []
        while len(found) < 20:
            phone[0] = self.step(phone)[0].argmax()
            if phone[0] == self.stop:
                break
            found.append(PHONES[phone[0]])
        return found


def its_own():
    """Its class, whose `predict` spells a word; what it wants for whole sentences (NLTK) is left out."""
    absent = ("nltk", "nltk.corpus", "nltk.tokenize", "inflect")
    with mock.patch.dict(sys.modules, {name: mock.MagicMock() for name in absent}), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from g2p_en.g2p import G2p

        return G2p()


def english_words():
    """Some thousand words, those of Python's documentation."""
    return sorted(set(re.findall(r"\b[a-z]{3,}\b", " ".join(pydoc_data.topics.topics.values()).lower())))


def seconds(functions, rounds):
    """The least time of each function, in turns."""
    found = [[] for _ in functions]
    for _ in range(rounds):
        for function, times in zip(functions, found, strict=True):
            start = time.perf_counter()
            function()
            times.append(time.perf_counter() - start)
    return map(min, found)


def compare(words, rounds=5):
    """How many words are spelt alike, and the least seconds for all: its own, ours one by one, ours at once."""
    model, theirs = load(folder() / "checkpoint20.npz"), its_own()
    speller = Speller(model)
    found = zip(spell(model, words), map(speller, words), map(theirs.predict, words), strict=True)
    alike = sum(one == other == wanted for one, other, wanted in found)
    ways = [
        lambda: [theirs.predict(word) for word in words],
        lambda: [speller(word) for word in words],
        lambda: spell(model, words),
    ]
    return alike, *seconds(ways, rounds)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("words", nargs="*")
    parser.add_argument("--compare", type=int, default=500, help="how many words to compare and to time (500)")
    args = parser.parse_args()
    if args.words:
        speller = Speller(load(folder() / "checkpoint20.npz"))
        for word in args.words:
            print(word, *speller(word))
        return
    words = np.random.default_rng(0).permutation(english_words())[: args.compare].tolist()
    alike, theirs, single, batch = compare(words)
    print(f"{alike} of {len(words)} words spelt alike; milliseconds a word:")
    print(
        f"its own {1e3 * theirs / len(words):.2f}, rnnfast {1e3 * single / len(words):.2f} one word at a time, ", end=""
    )
    print(f"{1e3 * batch / len(words):.3f} all at once")


if __name__ == "__main__":
    main()
