"""Read words off made speech with CTC: spectra of vowels and noises that nobody has cut into letters.

    python examples/speech.py [--words 1500] [--epochs 15] [--seed 0]

Each letter sounds for 3 to 9 frames, as two bands of a spectrum of 20 or as a noise; neighbours run into each other,
the pitch of the speaker shifts all bands, letters differ in loudness, silences and noise are everywhere. The network is
told which letters are spoken, never when (Graves et al. 2006). The words of the test part were never heard, nor their
speakers.
"""

import argparse
import time

import numpy as np

import rnnfast as rf
from rnnfast.data import pad
from rnnfast.decoding import ctc_beam_search, ctc_greedy
from rnnfast.training.metrics._distance import edit_distances

LETTERS = "aeioumnsztkl"  # class 0 is CTC's blank
BANDS = 20
# Where each letter sounds: two bands, and how much of it is noise.
SOUNDS = [(8, 12, 0), (6, 15, 0), (3, 17, 0), (5, 9, 0), (3, 7, 0), (2, 6, 0), (2, 10, 0), (17, 18, 1), (16, 18, 0.5)]
SOUNDS += [(11, 14, 1), (7, 13, 1), (4, 12, 0)]


def spell(rng):
    """A word: vowels and consonants in turns."""
    length, begin = rng.integers(2, 8), rng.integers(2)
    return [int(rng.integers(5)) if (i + begin) % 2 else int(rng.integers(5, 12)) for i in range(length)]


def speak(letters, rng):
    """The spectrum (T, 20) of letters."""
    shift, speed, bands = rng.normal(0, 0.7), rng.uniform(0.8, 1.3), np.arange(BANDS)
    frames = [np.zeros((rng.integers(1, 6), BANDS))]
    for letter in letters:
        low, high, noise = SOUNDS[letter]
        clear = sum(np.exp(-0.5 * ((bands - band - shift) / 1.1) ** 2) for band in (low, high))
        count = max(2, round(speed * rng.integers(3, 10)))
        rough = 1 + noise * rng.normal(0, 0.6, (count, BANDS))
        frames.append(rng.uniform(0.6, 1.3) * clear * rough)
        if rng.random() < 0.2:
            frames.append(np.zeros((rng.integers(1, 4), BANDS)))
    frames.append(np.zeros((rng.integers(1, 6), BANDS)))
    sound = np.concatenate(frames)
    padded = np.pad(sound, ((1, 1), (0, 0)), mode="edge")
    sound = 0.25 * padded[:-2] + 0.5 * sound + 0.25 * padded[2:]
    return (sound + rng.normal(0, 0.15, sound.shape)).astype(np.float32)


def data(count, seed):
    """Different words, and their spectra."""
    rng = np.random.default_rng(seed)
    words = {}
    while len(words) < count:
        word = spell(rng)
        words[tuple(word)] = word
    labels = [np.array(word) + 1 for word in words.values()]
    return [speak(word - 1, rng) for word in labels], labels


def train(words=1500, epochs=15, seed=0):
    """The rate of wrong letters by greedy reading and by beam search, the share of right words, and the seconds."""
    spectra, labels = data(words + 500, 11)
    model = rf.Sequential(rf.LSTM(BANDS, 48, bidirectional=True, seed=seed), rf.Linear(96, len(LETTERS) + 1, seed=seed))
    rate = rf.training.schedules.OneCycle(1e-2, epochs * -(-words // 32))
    start = time.perf_counter()
    model.fit(
        spectra[:words],
        labels[:words],
        loss="ctc",
        optimizer=rf.Adam(rate, clip_norm=1.0),
        epochs=epochs,
        batch_size=32,
        seed=seed,
        verbose=False,
    )
    seconds = time.perf_counter() - start
    batch, ends = pad(spectra[words:])
    logits, wanted = model(batch, lengths=ends), [each.tolist() for each in labels[words:]]
    greedy = [each.labels.tolist() for each in ctc_greedy(logits, ends)]
    beam = [row[0].labels.tolist() for row in ctc_beam_search(logits, ends, beam_size=10)]
    total = sum(map(len, wanted))
    rates = [float(edit_distances(wanted, told).sum() / total) for told in (greedy, beam)]
    return *rates, float(np.mean([a == b for a, b in zip(beam, wanted, strict=True)])), seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--words", type=int, default=1500)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    greedy, beam, right, seconds = train(args.words, args.epochs, args.seed)
    print(f"wrong letters: {greedy:.2%} read greedily, {beam:.2%} by beam search; {right:.1%} of 500 words right")
    print(f"{seconds:.1f} s of training")


if __name__ == "__main__":
    main()
