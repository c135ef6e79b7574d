"""A tour of the lecture notes' checklists: each question with an answer, a number that shows it, and a picture.

python examples/checklist.py [QUESTION ...] [--plot FOLDER]
"""

import argparse
from pathlib import Path

import numpy as np

import rnnfast as rf
from rnnfast import plotting
from rnnfast.testing import check_cell


def save(folder, name, draw, *arguments, **options):
    """Draw where there is a folder: SVG of a string, PNG of matplotlib's axes."""
    if not folder:
        return
    folder.mkdir(parents=True, exist_ok=True)
    picture = draw(*arguments, **options)
    if isinstance(picture, str):
        (folder / f"{name}.svg").write_text(picture, "utf-8")
    else:
        np.ravel(picture)[0].figure.savefig(folder / f"{name}.png", dpi=90, bbox_inches="tight")


def refusal(function, *arguments):
    """What a call is refused with."""
    try:
        raise SystemExit(f"not refused: {function(*arguments)}")
    except (AssertionError, ValueError) as error:
        return str(error)


def state(folder=None):
    """What is a hidden state? What the network remembers: words of the same letters leave different ones."""
    layer = rf.RNN(4, 8, seed=0)
    words = np.array([[np.eye(4)["aest".index(letter)] for letter in word] for word in ("state", "taste")])
    states, _ = layer(words)
    save(folder, "state", plotting.plot_states, states[0], labels="state")
    layer.params["weight_hh_l0"] = np.zeros((8, 8))  # R: no way from one state to the next
    apart, without = (float(np.linalg.norm(a - b)) for a, b in (states[:, -1], layer(words)[0][:, -1]))
    print(f"h_t = tanh(W x_t + R h_(t-1) + b). After 'state' and 'taste' h is {apart:.2f} apart, with R = 0 {without}")
    return apart, without


def unrolled(folder=None):
    """How does it go through a sequence? Step by step. Unrolled, a chain of boxes: one cell, one set of weights."""
    layer = rf.RNN(3, 8, seed=0)
    x = np.random.default_rng(0).normal(size=(1, 4, 3)).astype(np.float32)
    stream = layer.stream()
    apart = np.abs(np.stack([stream(x[:, t]).copy() for t in range(4)], axis=1) - layer(x)[0]).max()
    save(folder, "unrolled", plotting.plot_unrolled, rf.Sequential(layer, rf.Last(), rf.Linear(8, 1)), steps=4)
    boxes = plotting.plot_unrolled(layer, steps=4).count('class="box recurrent"')
    print(f"fed one by one, or as a sequence: {apart} apart; {boxes} boxes, {layer.num_params} weights in all of them")
    return apart, boxes, layer.num_params


def architectures(folder=None):
    """Which architectures are there? By what goes in and what comes out, at every step or once:"""
    halves = rf.Encoder(rf.Embedding(12, 4), rf.GRU(4, 8)), rf.Decoder(rf.Embedding(12, 4), rf.GRU(4, 8))
    one, many = np.zeros((2, 3)), np.zeros((2, 6, 3))
    kinds = {
        "one to one": (rf.Sequential(rf.Linear(3, 5)), one),
        "one to many": (rf.Sequential(rf.Repeat(6), rf.GRU(3, 8), rf.Linear(8, 5)), one),
        "many to one": (rf.Sequential(rf.GRU(3, 8), rf.Last(), rf.Linear(8, 5)), many),
        "many to many": (rf.Sequential(rf.GRU(3, 8), rf.Linear(8, 5)), many),
        "encoder-decoder": (rf.Seq2Seq(*halves), {"source": np.full((2, 6), 3), "target": np.full((2, 4), 3)}),
    }
    found = {name: model(x).shape for name, (model, x) in kinds.items()}
    for name, (model, x) in kinds.items():
        given = " and ".join(str(each.shape) for each in (x.values() if isinstance(x, dict) else [x]))
        print(f"{name:16} {given:17} -> {found[name]}")
        save(folder, name.replace(" ", "_"), plotting.plot_unrolled, model, steps=3)
    return found


def by_hand(x, h, p):
    """One step of an RNN."""
    return np.tanh(x @ p["weight_ih"].T + h @ p["weight_hh"].T + p["bias"])


def cell(folder=None):
    """How is a cell made by hand? One line of NumPy; of an LSTM eight: `python examples/exercises.py 2`."""
    error = check_cell(by_hand, "rnn")["h"]
    wrong = refusal(check_cell, lambda x, h, p: np.tanh(x @ p["weight_ih"].T + p["bias"]), "rnn")
    print(f"by hand and ours differ by {error}. Of a cell without its state is said: {wrong}")
    return error, wrong


def flat(grads):
    """All gradients as one vector."""
    return np.concatenate([grads[name].ravel() for name in sorted(grads)])


def back(x, wanted, p, span):
    """Half the squared error over all steps, and its gradients, which stop at the beginnings of pieces of `span`."""
    h = [np.zeros(len(p["bias"]))]
    for each in x:
        h.append(by_hand(each, h[-1], p))
    grads = {name: np.zeros_like(values) for name, values in p.items()}
    dh = np.zeros_like(h[0])
    for t in reversed(range(len(x))):
        dh = dh + h[t + 1] - wanted[t]  # what this step owes, and what all later ones owe through it
        da = dh * (1 - h[t + 1] ** 2)
        grads["weight_ih"] += np.outer(da, x[t])
        grads["weight_hh"] += np.outer(da, h[t])
        grads["bias"] += da
        dh = da @ p["weight_hh"] if t % span else np.zeros_like(da)
    return 0.5 * np.sum((np.array(h[1:]) - wanted) ** 2), flat(grads)


def differences(x, wanted, p, epsilon=1e-5):
    """The same gradients from the loss alone: each parameter moved up and down."""
    grads = {name: np.zeros_like(values) for name, values in p.items()}
    for name, values in p.items():
        for place in np.ndindex(values.shape):
            for move in (epsilon, -epsilon):
                values[place] += move
                grads[name][place] += back(x, wanted, p, len(x))[0] / (2 * move)
                values[place] -= move
    return flat(grads)


def bptt(folder=None):
    """What is BPTT? The chain rule along the unrolled network, last step first; truncated, it stops after some."""
    rng, T = np.random.default_rng(0), 32
    layer = rf.RNN(3, 6, dtype="float64", seed=0)
    x, wanted = rng.normal(size=(T, 3)), rng.uniform(-1, 1, (T, 6))
    p = {name.removesuffix("_l0"): values.copy() for name, values in layer.params.items()}

    def ours(span):
        grads, h = {}, None
        for start in range(0, T, span):
            (y, h), backward = layer.forward(x[start : start + span], h)
            backward(y - wanted[start : start + span], grads=grads)
        return flat(grads)

    cut = {span: back(x, wanted, p, span)[1] for span in (1, 2, 4, 8, 16, 32)}
    by_differences = np.abs(cut[T] - differences(x, wanted, p)).max()
    from_ours = max(np.abs(mine - ours(span)).max() for span, mine in cut.items())
    missing = {span: np.linalg.norm(mine - cut[T]) / np.linalg.norm(cut[T]) for span, mine in cut.items()}
    print(f"gradients by hand: {by_differences:.0e} from central differences, {from_ours:.0e} from ours, cut or not")
    print("of 32 steps, cut into pieces of", ", ".join(f"{span}: {share:.0%} off" for span, share in missing.items()))
    return by_differences, from_ours, missing


def vanishing(folder=None):
    """Why do gradients vanish? Each step back multiplies by R and by tanh' < 1; an open gate lets gradients pass."""
    layers = {"RNN": rf.RNN(2, 64, seed=0), "LSTM": rf.LSTM(2, 64, seed=0), "GRU": rf.GRU(2, 64, seed=0)}
    rf.layers.chrono(layers["LSTM"], 200, seed=0)  # gates that begin as open as 200 steps want them
    rf.layers.chrono(layers["GRU"], 200, seed=0)
    x, _ = rf.data.tasks.adding(8, 200, seed=0)
    dy = np.zeros((8, 200, 64))
    dy[:, -1] = 1 / 8  # of norm 1, at the last step
    norms = {name: layer.gradient_norms(x, dy)["l0"].mean(axis=0) for name, layer in layers.items()}
    faded = {name: norm[0] / norm[100] for name, norm in norms.items()}  # an LSTM's first step back is from h to c
    save(folder, "vanishing", plotting.plot_gradient_norms, layers, x)
    print("of the gradient's norm at step 100 is left at step 0:", *(f"{name} {x:.1g}" for name, x in faded.items()))
    return faded


def ledger(count, rng):
    """Steps (number, whether it counts, whether all is to be forgotten, whether the sum is asked), and the answers."""
    numbers = rng.uniform(-1, 1, (count, 20))
    counts, forget, asked = (rng.random((count, 20)) < share for share in (0.5, 0.1, 0.3))
    total, totals = 0.0, []
    for t in range(20):
        totals.append(total := total * ~forget[:, t] + numbers[:, t] * counts[:, t])
    return np.stack([numbers, counts, forget, asked], axis=-1), (np.stack(totals, axis=1) * asked)[..., None]


def gates(folder=None, seed=2, epochs=15):
    """What are an LSTM's gates for? c_t = f c_(t-1) + i g and h_t = o tanh(c_t): f keeps, i takes in, o shows."""
    rng = np.random.default_rng(seed)
    (x, y), (x_test, y_test) = ledger(1000, rng), ledger(200, rng)
    model = rf.Sequential(rf.LSTM(4, 1, seed=seed), rf.Linear(1, 1, seed=seed))
    model.fit(x, y, loss="mse", optimizer=rf.Adam(0.05, clip_norm=1.0), epochs=epochs, seed=seed, verbose=False)
    explained = 1 - float(np.mean((model(x_test) - y_test) ** 2) / y_test.var())
    traced = model.layers[0].trace(x_test)["l0"]
    print(f"one unit has learnt to sum ({explained:.1%} of the variance explained). Its gates, from 0 to 1:")
    found = {}
    for gate, column, when in (("f", 2, "forget (0)"), ("i", 1, "add (+)"), ("o", 3, "tell (?)")):
        now = x_test[..., column] > 0
        found[gate] = tuple(float(traced[gate][which].mean()) for which in (now, ~now))
        print(f"  {gate} is {found[gate][0]:.2f} where the input says {when}, and {found[gate][1]:.2f} elsewhere")
    signs = ["".join(np.array(list("+0?"))[step[1:] > 0]) or "·" for step in x_test[0]]
    save(folder, "gates", plotting.plot_gates, {"l0": traced}, ["f", "i", "o", "c"], labels=signs)
    return explained, found


def cells(folder=None):
    """How do RNN, LSTM and GRU differ? In their gates, and so in what they keep and what they cost."""
    print("8 inputs, 32 units:  cell  gates  states  weights")
    found = {}
    for name, letters, kept in (("RNN", "-", "h"), ("GRU", "r z", "h"), ("LSTM", "i f o", "h c")):
        found[name] = getattr(rf, name)(8, 32, bias=False).num_params
        print(f"{name:>25}  {letters:5}  {kept:6}  {found[name]:7}")
    return found


def apply(folder=None):
    """How are they applied? Two lines for words, two for a series; in earnest sentiment.py, tagger.py, sunspots.py."""
    texts = [f"the {thing} was {word}" for thing in ("film", "plot", "music", "end") for word in ("good", "not good")]
    network = rf.Classifier(hidden_size=8, seed=0).fit(texts, ["kind", "unkind"] * 4, epochs=20)
    accuracy = network.score(["the song was good", "the song was not good"], ["kind", "unkind"])
    series = np.sin(np.arange(400) / 5)
    forecast = rf.Forecaster(window=20, horizon=5, hidden_size=16, seed=0).fit(series[:300], epochs=20)
    error = float(np.abs(forecast.predict(series[:350]) - series[350:355]).max())
    print(f"{2 * accuracy:.0f} of 2 new reviews right; a sine, five steps ahead: off by up to {error:.3f}")
    return accuracy, error


def bidirectional(folder=None, epochs=20):
    """When in both directions? When all of the sequence is there before the answer; not to foretell or to write."""
    x = np.random.default_rng(0).normal(size=(600, 15, 1))
    y = (x > np.roll(x, -1, axis=1))[..., 0].astype(int)  # is the next one smaller? The last one's next is the first
    right = {}
    for both in (False, True):
        model = rf.Sequential(rf.GRU(1, 16, bidirectional=both, seed=0), rf.Linear(16 * (1 + both), 2, seed=0))
        model.fit(x[:500], y[:500], loss="cross_entropy", optimizer=rf.Adam(0.01), epochs=epochs, seed=0, verbose=False)
        right[both] = float((model(x[500:]).argmax(axis=-1) == y[500:]).mean())
    save(folder, "bidirectional", plotting.plot_unrolled, model, steps=3)
    print(f"larger than its neighbour to come? forward {right[False]:.1%} right, in both directions {right[True]:.1%}")
    layer = rf.GRU(4, 8, bidirectional=True)
    refused = refusal(rf.Decoder, rf.Embedding(12, 4), layer), refusal(layer.stream)
    print("refused:", *refused, sep="\n  ")
    return right, refused


TOUR = (state, unrolled, architectures, cell, bptt, vanishing, gates, cells, apply, bidirectional)
QUESTIONS = {each.__name__: each for each in TOUR}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("questions", nargs="*", metavar="QUESTION", help=", ".join(QUESTIONS))
    parser.add_argument("--plot", metavar="FOLDER", type=Path, help="draw pictures (SVG, and PNG by matplotlib)")
    args = parser.parse_args()
    if unknown := set(args.questions) - set(QUESTIONS):
        parser.error(f"{', '.join(sorted(unknown))} is not among {', '.join(QUESTIONS)}")
    for number, name in enumerate(args.questions or QUESTIONS, 1):
        print(f"\n{number}. {QUESTIONS[name].__doc__}")
        QUESTIONS[name](args.plot)


if __name__ == "__main__":
    main()
