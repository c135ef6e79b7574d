"""Nine speakers told apart by two vowels: a bidirectional LSTM on ragged sequences, and the same in torch beside it.

    python examples/japanese_vowels.py [--data FOLDER_OR_WHEEL] [--seeds 3] [--epochs 60] [--compare]

JapaneseVowels (Kudo, Toyama and Shimbo 1999, UCI archive): 12 cepstral coefficients over 7 to 29 steps, 270 utterances
to learn from and 370 to be judged by. The package aeon ships it: where aeon is installed, or with `--data` and its
wheel, which `pip download --no-deps aeon==1.6.0` gets, or with the folder that holds the two .ts files.
"""

import argparse
import importlib.util
import time
import zipfile
from pathlib import Path

import numpy as np

import rnnfast as rf

SHIPPED = "aeon/datasets/data/JapaneseVowels"
HIDDEN, DROPOUT, BATCH, RATE, CLIP = 64, 0.5, 16, 3e-3, 1.0


def read(data=None):
    """Sequences (T_i, 12) and speakers of the training part, and of the test part."""
    return [parse(find(data, f"JapaneseVowels_{part}.ts").read_text("utf-8")) for part in ("TRAIN", "TEST")]


def find(data, name):
    """The file of that name in a folder, in a wheel, or in the installed aeon."""
    if data is None:
        aeon = importlib.util.find_spec("aeon")
        roots = [
            Path(folder) / SHIPPED.partition("/")[2] for folder in (aeon and aeon.submodule_search_locations) or ()
        ]
    elif Path(data).is_file() and zipfile.is_zipfile(data):
        roots = [zipfile.Path(data, f"{SHIPPED}/")]
    else:
        roots = [Path(data), Path(data) / SHIPPED]
    for root in roots:
        if (root / name).is_file():
            return root / name
    raise SystemExit(
        f"{name} is not in {data or 'an installed aeon'}. Get it with `pip download --no-deps aeon==1.6.0`, and give "
        "`--data aeon-1.6.0-py3-none-any.whl`."
    )


def parse(text):
    """Sequences and labels of a .ts file: a line each, channels between colons, the label last."""
    body = text.partition("@data")[2]
    x, y = [], []
    for line in body.split():
        *channels, label = line.split(":")
        x.append(np.array([channel.split(",") for channel in channels], dtype="float32").T)
        y.append(int(label))
    return x, y


def train(x, y, epochs, seed):
    """A trained model, a function from sequences to labels."""
    model = rf.Classifier(hidden_size=HIDDEN, bidirectional=True, pooling="mean", dropout=DROPOUT, seed=seed)
    model.fit(x, y, epochs=epochs, batch_size=BATCH, optimizer=rf.Adam(RATE, clip_norm=CLIP))
    return model.predict


def train_torch(x, y, epochs, seed):
    """The same in torch: packed sequences, batches by indexing, which is quicker than a DataLoader."""
    import torch
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

    torch.manual_seed(seed)
    steps = np.concatenate(x)
    mean, deviation = steps.mean(axis=0), steps.std(axis=0)

    def padded(x):
        sequences = [torch.from_numpy((each - mean) / deviation) for each in x]
        return pad_sequence(sequences, batch_first=True), torch.tensor([len(each) for each in x])

    def scores(inputs, lengths):
        packed, _ = lstm(pack_padded_sequence(inputs, lengths, batch_first=True, enforce_sorted=False))
        outputs, _ = pad_packed_sequence(packed, batch_first=True)
        return output(dropout(outputs.sum(dim=1) / lengths[:, None]))

    labels = sorted(set(y))
    inputs, lengths = padded(x)
    targets = torch.tensor([labels.index(label) for label in y])
    lstm = torch.nn.LSTM(inputs.shape[2], HIDDEN, bidirectional=True, batch_first=True)
    dropout = torch.nn.Dropout(DROPOUT)
    output = torch.nn.Linear(2 * HIDDEN, len(labels))
    parameters = [*lstm.parameters(), *output.parameters()]
    optimizer = torch.optim.Adam(parameters, RATE)
    for _ in range(epochs):
        for rows in torch.randperm(len(inputs)).split(BATCH):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(scores(inputs[rows], lengths[rows]), targets[rows]).backward()
            torch.nn.utils.clip_grad_norm_(parameters, CLIP)
            optimizer.step()

    dropout.eval()

    def predict(x):
        with torch.no_grad():
            return np.array(labels)[scores(*padded(x)).argmax(dim=1).numpy()]

    return predict


def judge(name, trainer, data, epochs, seed):
    """Train once; the test accuracy and the seconds of training, printed too."""
    (x, y), (x_test, y_test) = data
    start = time.perf_counter()
    predict = trainer(x, y, epochs, seed)
    seconds = time.perf_counter() - start
    accuracy = float(np.mean(predict(x_test) == y_test))
    print(f"{name}, seed {seed}: test accuracy {accuracy:.2%}, trained in {seconds:.1f} s", flush=True)
    return accuracy, seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", help="folder of the .ts files, or aeon's wheel")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--compare", action="store_true", help="train the same in torch, in turns, one thread each")
    args = parser.parse_args()
    data = read(args.data)
    trainers = {"rnnfast": train}
    rf.set_num_threads(1)
    if args.compare:
        if importlib.util.find_spec("torch") is None:
            raise SystemExit("--compare needs torch: pip install torch")
        import torch

        torch.set_num_threads(1)
        trainers["torch"] = train_torch
    found = {name: [] for name in trainers}
    for seed in range(args.seeds):
        for name, trainer in trainers.items():
            found[name].append(judge(name, trainer, data, args.epochs, seed))
    for name, each in found.items():
        accuracy, seconds = np.mean(each, axis=0)
        print(f"{name}, mean of {args.seeds} seeds: test accuracy {accuracy:.2%}, trained in {seconds:.1f} s")


if __name__ == "__main__":
    main()
