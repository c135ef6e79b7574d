"""One encoder, two languages: read numbers in English once, write them in German, then in French.

    python examples/decoder_swap.py [--epochs 12] [--seed 0]

The encoder learns with the German decoder. Then it is saved, loaded and frozen, and a second decoder learns French
from what it reads: its weights stay as they are, and no gradient of it is computed. Numbers of the test part are new to
all of them.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

import rnnfast as rf
from rnnfast.data import WordVocabulary

WORDS = """\
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen \
eighteen nineteen
twenty thirty forty fifty sixty seventy eighty ninety
null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn \
achtzehn neunzehn
zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig
zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize dix-sept dix-huit dix-neuf
vingt trente quarante cinquante soixante soixante quatre-vingt quatre-vingt
"""
ENGLISH, TENS, GERMAN, ZEHNER, FRENCH, DIZAINES = (line.split() for line in WORDS.splitlines())


def english(n):
    """Words of a number below 1000."""
    if n >= 100:
        return [ENGLISH[n // 100], "hundred", *(english(n % 100) if n % 100 else [])]
    return [ENGLISH[n]] if n < 20 else [TENS[n // 10 - 2], *([ENGLISH[n % 10]] if n % 10 else [])]


def german(n):
    """The same; the ones come before the tens."""
    if n >= 100:
        return ["ein" if n < 200 else GERMAN[n // 100], "hundert", *(german(n % 100) if n % 100 else [])]
    ones = "ein" if n % 10 == 1 else GERMAN[n % 10]
    return [GERMAN[n]] if n < 20 else [*([ones, "und"] if n % 10 else []), ZEHNER[n // 10 - 2]]


def french(n):
    """The same; 70 and 90 are sixty-ten and eighty-ten."""
    if n >= 100:
        rest = french(n % 100) if n % 100 else []
        return [*([FRENCH[n // 100]] if n >= 200 else []), "cent", *rest]
    if n < 20:
        return [FRENCH[n]]
    tens, ones = n // 10, n % 10
    ones += 10 * (tens in (7, 9))
    between = ["et"] if ones in (1, 11) and tens < 8 else []
    return [DIZAINES[tens - 2], *between, *([FRENCH[ones]] if ones else [])]


def decoder(vocabulary, seed):
    """A new decoder for a language."""
    seeds = np.random.default_rng(seed).spawn(4)
    return rf.Decoder(
        rf.Embedding(len(vocabulary), 24, seed=seeds[0]),
        rf.GRU(24, 48, seed=seeds[1]),
        attention=rf.Attention(48, 96, kind="general", seed=seeds[2]),
        start=vocabulary["<s>"],
        stop=vocabulary["</s>"],
        seed=seeds[3],
    )


def teach(encoder, texts, numbers, language, epochs, seed):
    """A model with a new decoder, and the share of test numbers that it writes without a fault."""
    training, test = numbers
    vocabulary = WordVocabulary.from_texts([language(n) for n in training])
    model = rf.Seq2Seq(encoder, decoder(vocabulary, seed), bridge="sum")
    x, y, lengths = model.pairs([texts[n] for n in training], [vocabulary.encode(language(n)) for n in training])
    rate = rf.training.schedules.OneCycle(1e-2, epochs * -(-len(training) // 16))
    how = {"optimizer": rf.Adam(rate, clip_norm=1.0), "epochs": epochs, "batch_size": 16, "seed": seed}
    model.fit(x, y, lengths=lengths, loss="cross_entropy", verbose=False, **how)
    told = model.translate([texts[n] for n in test], beam_size=3, max_length=20)
    return model, float(np.mean([vocabulary.decode(a) == language(n) for a, n in zip(told, test, strict=True)]))


def swap(epochs=12, seed=0):
    """The shares of German and French, whether the encoder stayed as it was, and the seconds."""
    order = np.random.default_rng(7).permutation(1000).tolist()
    numbers = order[:850], order[850:]
    words = WordVocabulary.from_texts([english(n) for n in range(1000)])
    texts = words.encode_all([english(n) for n in range(1000)])
    seeds = np.random.default_rng(seed).spawn(2)
    encoder = rf.Encoder(rf.Embedding(len(words), 24, seed=seeds[0]), rf.GRU(24, 48, bidirectional=True, seed=seeds[1]))
    start = time.perf_counter()
    _, of_german = teach(encoder, texts, numbers, german, epochs, seed)
    with tempfile.TemporaryDirectory() as folder:
        encoder.save(Path(folder) / "reader.safetensors")
        reader = rf.load(Path(folder) / "reader.safetensors")
    reader.freeze()
    before = {name: value.copy() for name, value in reader.params.items()}
    _, of_french = teach(reader, texts, numbers, french, epochs, seed + 1)
    same = all(np.array_equal(value, before[name]) for name, value in reader.params.items())
    return of_german, of_french, same, time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    of_german, of_french, same, seconds = swap(args.epochs, args.seed)
    print(f"150 new numbers: German {of_german:.1%} right, French by the same encoder {of_french:.1%}; {seconds:.1f} s")
    print("the encoder's weights are", "unchanged" if same else "CHANGED")


if __name__ == "__main__":
    main()
