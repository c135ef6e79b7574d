"""Small forms of what recurrent networks are used for, each on data that is made here: seconds, and a figure.

    python examples/applications.py [speech music tracking heartbeat questions stories demand]

speech     phonemes of a made voice, transcribed from its spectra by connectionist temporal classification
music      tunes in which a motif returns in other keys: note by note, against a table of trigrams; and a new tune
tracking   where a ball is in noisy frames of a video, also while it is hidden
heartbeat  beats that come too early and too wide in a made electrocardiogram, by a detector that saw healthy ones
questions  which question asks the same as another, by one encoder for both and triplets (Siamese network)
stories    who went where in a short story: a question answered in a sentence, by encoder, attention and decoder
demand     hourly demand of the next day: all hours at once, hour by hour, and by an encoder and a decoder
"""

import argparse

import numpy as np

import rnnfast as rf
from rnnfast.data import NGram
from rnnfast.decoding import ctc_greedy
from rnnfast.training import Triplet, train_step
from rnnfast.training.metrics import EditDistance
from rnnfast.training.schedules import Cosine

PHONEMES, BANDS = 8, 12


def utterances(rng, count, sounds):
    """Spectra (T_i, BANDS) of phonemes that last 3 to 7 frames, some louder than others, and the phonemes from 1."""
    x, y = [], []
    for _ in range(count):
        # No phoneme follows itself: nobody could tell the two from a long one.
        spoken = rng.integers(1, PHONEMES, rng.integers(3, 9)).cumsum() % PHONEMES
        frames = np.repeat(sounds[spoken], rng.integers(3, 8, len(spoken)), axis=0) * rng.uniform(0.7, 1.3)
        x.append(frames + rng.normal(0, 0.3, frames.shape))
        y.append(spoken + 1)
    return x, y


def speech(seed=0, epochs=20):
    """The rate of wrong phonemes in new utterances."""
    rng = np.random.default_rng(seed)
    sounds = rng.random((PHONEMES, BANDS))
    (x, y), (x_test, y_test) = utterances(rng, 600, sounds), utterances(rng, 200, sounds)
    network = rf.Sequential(rf.GRU(BANDS, 32, bidirectional=True, seed=seed), rf.Linear(64, PHONEMES + 1, seed=seed))
    network.fit(x, y, loss="ctc", optimizer=rf.Adam(0.01, clip_norm=1.0), epochs=epochs, seed=seed, verbose=False)
    wrong = EditDistance()
    for logits, wanted in zip(network.predict(x_test), y_test, strict=True):
        wrong.update(np.array([ctc_greedy(logits).labels]), np.array([wanted]))
    return wrong.result()


def tunes(rng, count):
    """Tunes of notes 1 to 20, each ended by 0: a motif of four notes, at four heights."""
    found = []
    for _ in range(count):
        motif, heights = rng.integers(0, 8, 4), rng.integers(1, 13, 4)
        found.extend([*(heights[:, None] + motif).ravel().tolist(), 0])
    return np.array(found)


def music(seed=0, epochs=8):
    """Perplexity by note of a network and of trigrams on new tunes, and a tune that the network writes."""
    rng = np.random.default_rng(seed)
    notes, new = tunes(rng, 2000), tunes(rng, 200)
    model = rf.LanguageModel(21, cell="lstm", hidden_size=96, embedding_dim=32, seed=seed)
    model.fit(notes, epochs=epochs, chunk=68, learning_rate=0.01, seed=seed, verbose=False)
    tune = model.generate([0], 40, temperature=0.5, stop=0, seed=seed)
    return model.evaluate(new), NGram(notes, 21, order=3).perplexity(new), tune.tolist()


def video(rng, count, steps=30, size=10):
    """Frames (N, T, size²) of a ball that bounces, hidden for five frames, and its places (N, T, 2)."""
    start, speed = rng.uniform(0, 1, (count, 1, 2)), rng.uniform(-0.08, 0.08, (count, 1, 2))
    place = start + speed * np.arange(steps)[:, None]
    place = (1 - np.abs(place % 2 - 1)) * (size - 1)
    grid = np.stack(np.meshgrid(np.arange(size), np.arange(size), indexing="ij"), axis=-1)
    frames = np.exp(-((place[:, :, None, None] - grid) ** 2).sum(axis=-1) / 2)
    hidden = (np.arange(steps) - rng.integers(10, steps - 5, (count, 1))) // 5 == 0
    frames[hidden] = 0
    return (frames + rng.normal(0, 0.3, frames.shape)).reshape(count, steps, -1), place, hidden


def tracking(seed=0, epochs=30):
    """Mean distances in pixels while the ball is hidden, and else: of the network, and of the brightest pixel."""
    rng = np.random.default_rng(seed)
    (x, y, _), (x_test, y_test, hidden) = video(rng, 600), video(rng, 200)
    network = rf.Sequential(rf.GRU(x.shape[-1], 64, seed=seed), rf.Linear(64, 2, seed=seed))
    network.fit(x, y, loss="mse", optimizer=rf.Adam(5e-3, clip_norm=1.0), epochs=epochs, seed=seed, verbose=False)
    size = int(np.sqrt(x.shape[-1]))
    brightest = np.stack(np.divmod(x_test.argmax(axis=-1), size), axis=-1)
    found = []
    for told in (network.predict(x_test), brightest):
        distance = np.linalg.norm(told - y_test, axis=-1)
        found += [float(distance[hidden].mean()), float(distance[~hidden].mean())]
    return found


def cardiogram(rng, beats, sick=0.0):
    """A series with a P, a QRS and a T wave for each beat, and where a beat comes too early, too wide, without P."""
    series, wrong = [], []
    for _ in range(beats):
        ill = rng.random() < sick
        steps = int(rng.normal(40, 1.5)) - 10 * ill
        time = np.arange(steps) - 15 + 5 * ill
        waves = [(0.0 if ill else 0.2, -10, 2.0), (1.4 if ill else 1.2, 0, 3.0 if ill else 1.0), (0.35, 12, 3.0)]
        series.append(sum(high * np.exp(-(((time - at) / wide) ** 2) / 2) for high, at, wide in waves))
        wrong.append(np.abs(time) < 6 if ill else np.zeros(steps, bool))
    series = np.concatenate(series)
    return series + rng.normal(0, 0.03, len(series)), np.concatenate(wrong)


def heartbeat(seed=0, epochs=8):
    """The area under the curve of the scores of steps that belong to sick beats."""
    rng = np.random.default_rng(seed)
    detector = rf.AnomalyDetector(window=40, cell="gru", hidden_size=32, seed=seed)
    detector.fit(cardiogram(rng, 120)[0], epochs=epochs)
    return detector.score(*cardiogram(rng, 150, sick=0.1))


WAYS = (
    "how do i {} a {}",
    "what is the best way to {} a {}",
    "can you tell me how to {} a {}",
    "i have a {1} and want to {0} it",
    "is there an easy way to {} my {}",
)
VERBS = ("repair", "sell", "clean", "paint", "move", "buy", "build", "store")
THINGS = ("bike", "house", "boat", "piano", "table", "tent", "clock", "fence")


def triplets(rng, pairs, count, vocabulary):
    """Questions, others that ask the same in other words, and others that ask for another thing or deed."""
    found = []
    for _ in range(count):
        mine, other = (pairs[i] for i in rng.choice(len(pairs), 2, replace=False))
        ways = rng.choice(WAYS, 2, replace=False)
        asked = [ways[0].format(*mine), ways[1].format(*mine), str(rng.choice(WAYS)).format(*other)]
        found.append([vocabulary.encode(text) for text in asked])
    columns = [rf.data.pad(column)[0] for column in zip(*found, strict=True)]
    lengths = [np.array([len(text) for text in column]) for column in zip(*found, strict=True)]
    names = ("anchor", "same", "other")
    return dict(zip(names, columns, strict=True)), dict(zip(names, lengths, strict=True))


def questions(seed=0, steps=300):
    """How often the question that asks the same is nearer than another, for deeds and things never seen together."""
    rng = np.random.default_rng(seed)
    pairs = [(verb, thing) for verb in VERBS for thing in THINGS]
    rng.shuffle(pairs)
    vocabulary = rf.data.WordVocabulary.from_texts(way.format(*pair) for way in WAYS for pair in pairs)
    graph, names = rf.Graph({"anchor": ("B", "T"), "same": ("B", "S"), "other": ("B", "R")}), {}
    embedding, encoder = rf.Embedding(len(vocabulary), 16, seed=seed), rf.GRU(16, 32, bidirectional=True, seed=seed)
    last = rf.Last()
    for name in graph.inputs:
        names[f"{name}_code"] = graph.add(last, graph.add(encoder, graph.add(embedding, name)))
    graph.outputs(**names)
    loss, optimizer = Triplet(outputs=tuple(names)), rf.Adam(5e-3, clip_norm=1.0)
    for _ in range(steps):
        x, lengths = triplets(rng, pairs[16:], 32, vocabulary)
        train_step(graph, x, None, loss, optimizer, lengths=lengths)
    x, lengths = triplets(rng, pairs[:16], 400, vocabulary)
    codes = graph(x, lengths=lengths)
    near, far = (np.linalg.norm(codes["anchor_code"] - codes[name], axis=-1) for name in ("same_code", "other_code"))
    return float((near < far).mean())


PEOPLE, PLACES = ("mary", "john", "anna"), ("kitchen", "garden", "office", "hall", "cellar")


def story(rng, longest):
    """A question, the story it is about, and the answer: what counts is where the person went last."""
    where, told = {}, []
    for _ in range(rng.integers(2, longest + 1)):
        who, place = rng.choice(PEOPLE), rng.choice(PLACES)
        where[who] = place
        told.append(f"{who} {rng.choice(('went', 'ran', 'walked'))} to the {place} .")
    who = rng.choice(list(where))
    return " ".join([f"where is {who} ?", *told]), f"{who} is in the {where[who]} ."


def stories(seed=0, count=3000, longest=5, epochs=10):
    """The share of new stories of which the answer is right, word for word; and of those that end with it."""
    rng = np.random.default_rng(seed)
    training = dict(story(rng, longest) for _ in range(count))
    new = {text: answer for text, answer in (story(rng, longest) for _ in range(500)) if text not in training}
    model = rf.Translator(cell="gru", hidden_size=48, embedding_dim=16, attention="additive", tokens="space", seed=seed)
    optimizer = rf.Adam(0.01, clip_norm=1.0)
    model.fit(list(training), list(training.values()), epochs=epochs, batch_size=32, optimizer=optimizer)
    last = np.mean([text.split()[-2] == answer.split()[-2] for text, answer in new.items()])
    return model.score(list(new), list(new.values())), float(last)


def hourly(rng, days):
    """Demand by the hour: a morning and an evening peak, whose height changes over the week."""
    hour = np.arange(24)
    peaks = np.exp(-(((hour - 8) / 2.5) ** 2)) + 1.4 * np.exp(-(((hour - 19) / 3) ** 2))
    height = 1 + 0.5 * np.sin(2 * np.pi * np.arange(days) / 7) + rng.normal(0, 0.05, days)
    return (height[:, None] * peaks).ravel() + rng.normal(0, 0.05, 24 * days)


def demand(seed=0, days=150, epochs=10):
    """Mean absolute errors over the next 24 hours: of the day before again, and of three ways to foretell them."""
    series = hourly(np.random.default_rng(seed), days + 40)
    past, window = series[: 24 * days], 72
    starts = np.arange(24 * days, len(series) - 24, 5)
    wanted = np.stack([series[start : start + 24] for start in starts])
    told = {"the day before": np.stack([series[start - 24 : start] for start in starts])}
    rate = Cosine(0.01, steps=epochs * len(past) // 32)
    for way in ("direct", "recursive"):
        model = rf.Forecaster(window, 24, strategy=way, cell="gru", hidden_size=32, seed=seed)
        model.fit(past, epochs=epochs, batch_size=32, optimizer=rf.Adam(rate, clip_norm=1.0))
        told[way] = model.forecasts(series, starts, 24).reshape(wanted.shape)
    # The encoder's last state is what the decoder reads at each of its 24 steps.
    halves = rf.GRU(1, 32, seed=seed), rf.Last(), rf.Repeat(24), rf.GRU(32, 32, seed=seed + 1)
    network = rf.Sequential(*halves, rf.Linear(32, 1, seed=seed))
    x, y = rf.data.Windows(past[:, None], window, 24)[:]
    optimizer = rf.Adam(rate, clip_norm=1.0)
    network.fit(x, y, loss="mse", optimizer=optimizer, epochs=epochs, seed=seed, verbose=False)
    before = np.stack([series[start - window : start, None] for start in starts])
    told["encoder-decoder"] = network.predict(before)[..., 0]
    return {way: float(np.abs(found - wanted).mean()) for way, found in told.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    names = ("speech", "music", "tracking", "heartbeat", "questions", "stories", "demand")
    parser.add_argument("what", nargs="*", metavar="WHAT")
    what = parser.parse_args().what or names
    if unknown := set(what) - set(names):
        parser.error(f"{', '.join(sorted(unknown))} is not among {', '.join(names)}")
    if "speech" in what:
        print(f"speech: {speech():.1%} of the phonemes are wrong")
    if "music" in what:
        ours, theirs, tune = music()
        print(f"music: perplexity {ours:.2f} by note, of trigrams {theirs:.2f}; it writes {' '.join(map(str, tune))}")
    if "tracking" in what:
        hidden, seen, bright_hidden, bright = tracking()
        print(
            f"tracking: {seen:.2f} pixels off, {hidden:.2f} while the ball is hidden; "
            f"the brightest pixel {bright:.2f} and {bright_hidden:.2f}"
        )
    if "heartbeat" in what:
        print(f"heartbeat: area under the curve {heartbeat():.3f}")
    if "questions" in what:
        print(f"questions: {questions():.1%} of those that ask the same are nearer")
    if "stories" in what:
        right, last = stories()
        print(f"stories: {right:.1%} of the answers right; the place named last is right in {last:.1%}")
    if "demand" in what:
        print("demand: mean absolute error of", ", ".join(f"{way} {error:.3f}" for way, error in demand().items()))


if __name__ == "__main__":
    main()
