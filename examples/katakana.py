"""Run the trained models of e2k on rnnfast: English words in katakana, the same characters, faster.

    pip install e2k
    python examples/katakana.py [word ...]

e2k 0.8.1 (Unlicense) reads a word with a bidirectional GRU and writes katakana with two GRUs, between which attention
of four heads looks at the word. Its weights are safetensors, computed by NumPy code of its own, word by word. Here they
go into layers, and the model into `rnnfast.decoding`, which takes any object with `start`, `step` and `reorder`: so
there are batches of words of any lengths, and a beam.
"""

import argparse
import importlib.util
import pydoc_data.topics
import re
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors import safe_open

import rnnfast as rf

HEADS = 4


class Position(NamedTuple):
    """Where the writing of some words stands, one row a word: all that a step needs but its character."""

    before: np.ndarray
    """(1, N, H): the state of the GRU before the attention."""
    after: np.ndarray
    """(1, N, H): of the one after it."""
    keys: np.ndarray
    """(N, HEADS, S, H / HEADS): what attention compares with, and what it takes, of each letter."""
    values: np.ndarray
    lengths: np.ndarray | None
    """(N,); None where the words are equally long."""


class Katakana:
    """e2k's network, of a file of its weights."""

    def __init__(self, path):
        with safe_open(path, "numpy") as file:
            weights = {name: file.get_tensor(name).astype(np.float32) for name in file.keys()}  # noqa: SIM118
            told = file.metadata()
        self.letters, self.characters = told["in_table"].split("\0"), told["out_table"].split("\0")
        self.first, self.stop = int(told["sos_idx"]), int(told["eos_idx"])
        hidden = weights["encoder.weight_hh_l0"].shape[1]

        def filled(layer, prefix):
            """A layer with the weights whose names begin so; their names after that are PyTorch's, and ours."""
            for name in layer.params:
                layer.params[name] = weights[prefix + name]
            return layer

        self.letter_vectors = filled(rf.Embedding(len(self.letters), hidden), "e_emb.")
        self.encoder = filled(rf.GRU(hidden, hidden, bidirectional=True, bias="double"), "encoder.")
        self.joined = filled(rf.Linear(2 * hidden, hidden, activation="tanh"), "encoder_fc.0.")
        self.vectors = filled(rf.Embedding(len(self.characters), hidden), "k_emb.")
        self.before = filled(rf.GRU(hidden, hidden, bias="double"), "pre_decoder.")
        self.after = filled(rf.GRU(2 * hidden, hidden, bias="double"), "post_decoder.")
        self.attention = rf.Attention(hidden // HEADS, kind="scaled_dot")
        self.mixed = filled(rf.Linear(hidden, hidden), "attn.out_proj.")
        self.output = filled(rf.Linear(hidden, len(self.characters)), "fc.")
        # Query, key and value come from one matrix: three layers of a third of its rows each.
        self.query, self.key, self.value = (rf.Linear(hidden, hidden) for _ in range(3))
        for number, layer in enumerate((self.query, self.key, self.value)):
            rows = slice(number * hidden, (number + 1) * hidden)
            layer.params["weight"] = weights["attn.in_proj_weight"][rows]
            layer.params["bias"] = weights["attn.in_proj_bias"][rows]

    def start(self, words):
        """Read words, each a text or a list of letters."""
        words = [word.lower() if isinstance(word, str) else word for word in words]
        ids = [[self.letters.index(each) for each in word if each in self.letters] for word in words]
        letters, lengths = rf.data.pad([[self.first, *word, self.stop] for word in ids])
        read, _ = self.encoder(self.letter_vectors(letters), lengths=lengths)
        read = self.joined(read)
        zeros = np.zeros((1, len(words), self.before.hidden_size), np.float32)
        keys, values = by_head(self.key(read)), by_head(self.value(read))
        return np.full(len(words), self.first), Position(zeros, zeros, keys, values, lengths)

    def step(self, characters, at):
        """Log-probabilities (N, V) of what follows one more character each."""
        h, before = self.before(self.vectors(characters)[:, None], at.before)
        context = self.mixed(self.look(self.query(h), at))
        y, after = self.after(np.concatenate([h, context], axis=-1), at.after)
        scores = self.output(y[:, 0])
        highest = scores.max(axis=1, keepdims=True)
        log_probs = scores - highest - np.log(np.exp(scores - highest).sum(axis=1, keepdims=True))
        return log_probs, at._replace(before=before, after=after)

    def look(self, query, at):
        """Attention of several heads is attention of so many times the rows, each as wide as a head."""
        rows = [each.reshape(-1, *each.shape[2:]) for each in (by_head(query), at.keys, at.values)]
        context, _ = self.attention(*rows, lengths=None if at.lengths is None else np.repeat(at.lengths, HEADS))
        return context.reshape(query.shape)

    def reorder(self, at, rows):
        """The position of chosen rows."""
        return Position(at.before[:, rows], at.after[:, rows], at.keys[rows], at.values[rows], at.lengths[rows])

    def __call__(self, words, max_length=16):
        """The likeliest katakana, character by character."""
        found = rf.decoding.greedy(self, words, max_length=max_length)
        return ["".join(self.characters[each] for each in one.tokens) for one in found]


class Writer:
    """One word at a time, without delay: the GRUs are streams, whose steps allocate nothing."""

    def __init__(self, model):
        self.model = model
        self.before = rf.Sequential(model.vectors, model.before).stream()
        self.after = rf.Sequential(model.after, model.output).stream()

    def __call__(self, word, max_length=16):
        model, found = self.model, []
        character, at = model.start([word])
        at = at._replace(lengths=None)
        self.before.reset()
        self.after.reset()
        while len(found) < max_length:
            h = self.before(character)
            context = model.mixed(model.look(model.query(h)[:, None], at))[:, 0]
            character[0] = self.after(np.concatenate([h, context], axis=-1))[0].argmax()
            if character[0] == model.stop:
                break
            found.append(model.characters[character[0]])
        return "".join(found)


def by_head(array):
    """(N, S, H) as (N, HEADS, S, H / HEADS)."""
    N, S, H = array.shape
    return np.ascontiguousarray(array.reshape(N, S, HEADS, H // HEADS).swapaxes(1, 2))


def model_file(name):
    """Where the package keeps a model: "c2k", "c2k-turbo", "p2k" or "p2k-turbo"."""
    found = importlib.util.find_spec("e2k")
    if found is None:
        raise SystemExit("this example runs the models of another package: pip install e2k")
    return Path(found.submodule_search_locations[0]) / "models" / f"model-{name}.safetensors"


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


def compare(name, words, rounds=5):
    """How many words are written alike, and the least seconds for all: its own, ours one by one, ours at once."""
    import e2k

    kind, _, variant = name.partition("-")
    theirs, model = getattr(e2k, kind.upper())(model=variant or "base"), Katakana(model_file(name))
    writer = Writer(model)
    found = zip(model(words), map(writer, words), map(theirs, words), strict=True)
    alike = sum(one == other == wanted for one, other, wanted in found)
    ways = [
        lambda: [theirs(word) for word in words],
        lambda: [writer(word) for word in words],
        lambda: model(words),
    ]
    return alike, *seconds(ways, rounds)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("words", nargs="*")
    parser.add_argument("--compare", type=int, default=500, help="how many words to compare and to time (500)")
    args = parser.parse_args()
    if args.words:
        writer = Writer(Katakana(model_file("c2k")))
        for word in args.words:
            print(word, writer(word))
        return
    words = np.random.default_rng(0).permutation(english_words())[: args.compare].tolist()
    for name in ("c2k", "c2k-turbo"):
        alike, theirs, single, batch = compare(name, words)
        print(f"{name}: {alike} of {len(words)} words written alike; milliseconds a word:")
        print(
            f"its own {1e3 * theirs / len(words):.2f}, rnnfast {1e3 * single / len(words):.2f} one at a time, ", end=""
        )
        print(f"{1e3 * batch / len(words):.3f} all at once")


if __name__ == "__main__":
    main()
