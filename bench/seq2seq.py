"""Graphemes to phonemes, in words a second: rnnfast beside the same model in torch eager.

    python bench/seq2seq.py [--load MODEL] [--threads 1] [--rounds 3] [--words 1024] [--reader 192] [--writer 256] ...

The model, the words and the batches are those of examples/cmudict_g2p.py. torch computes with the same weights, and
before anything is timed the two must agree: the scores of targets, and what beam search writes. Training is Adam
with clipping on equal batches of equal order; torch packs the sources, as its documentation tells one to, and the
decoder is one call of nn.LSTM with attention by bmm after it. Both beams are batched, and words that are done leave the
batch. With `--feeding 1` what attention gave is fed to the next step: one compiled loop here, a loop in Python there.
Without `--load` a model learns for twenty seconds, so that it ends its words where they end.
"""

import argparse
import functools
import importlib.util
import itertools
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import clip_grad_norm_
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import rnnfast as rf
from rnnfast.cli._timing import interleaved, medians
from rnnfast.training import CrossEntropy

EXAMPLE = Path(__file__).parents[1] / "examples" / "cmudict_g2p.py"
spec = importlib.util.spec_from_file_location("cmudict_g2p", EXAMPLE)
g2p = importlib.util.module_from_spec(spec)
spec.loader.exec_module(g2p)


class Torch(nn.Module):
    """The model in torch, with the weights of ours."""

    def __init__(self, ours, recipe):
        super().__init__()
        encoder, decoder = ours.encoder.layers, ours.decoder
        inner = recipe.dropout if recipe.layers > 1 else 0.0
        how = {"batch_first": True, "dropout": inner}
        width = recipe.writer
        self.letters = nn.Embedding(*encoder[0].params["weight"].shape)
        self.reader = nn.LSTM(recipe.embedding, recipe.reader, recipe.layers, bidirectional=True, **how)
        self.bridge_h = nn.Linear(2 * recipe.reader * recipe.layers, width)
        self.bridge_c = nn.Linear(2 * recipe.reader * recipe.layers, width)
        self.phonemes = nn.Embedding(*decoder.embedding.params["weight"].shape)
        self.feeding = recipe.feeding
        self.writer = nn.LSTM(recipe.embedding + width * recipe.feeding, width, batch_first=True)
        self.general = nn.Linear(width, 2 * recipe.reader, bias=False)
        self.combine = nn.Linear(2 * recipe.reader + width, width, bias=False)
        self.output = nn.Linear(width, len(self.phonemes.weight))
        self.drop = nn.Dropout(recipe.dropout)
        pairs = [(self.letters, encoder[0]), (self.reader, encoder[1]), (self.phonemes, decoder.embedding)]
        pairs += [(self.writer, decoder.recurrent.layers[0]), (self.combine, decoder.combine)]
        pairs += [(self.output, decoder.output)]
        pairs += [(self.bridge_h, ours.bridge.layers["h_l0"]), (self.bridge_c, ours.bridge.layers["c_l0"])]
        with torch.no_grad():
            for theirs, layer in pairs:
                for name, parameter in theirs.named_parameters():
                    if "bias_hh" in name:
                        parameter.zero_()
                    else:
                        parameter.copy_(torch.tensor(layer.params[name.replace("bias_ih", "bias")]))
            self.general.weight.copy_(torch.tensor(decoder.attention.params["weight"]))

    def read(self, source, ends):
        """Outputs, what is no padding, and the first state of the writer."""
        packed = pack_padded_sequence(self.letters(source), ends, batch_first=True, enforce_sorted=False)
        packed, states = self.reader(packed)
        memory, _ = pad_packed_sequence(packed, batch_first=True)
        h, c = (each.transpose(0, 1).flatten(1) for each in states)
        begin = torch.tanh(self.bridge_h(h))[None], torch.tanh(self.bridge_c(c))[None]
        beyond = torch.arange(memory.shape[1])[None] >= ends[:, None]
        return self.drop(memory), beyond, begin

    def look(self, h, memory, beyond):
        """h~ of the outputs h (N, T, H), of the memory of N rows."""
        scores = torch.bmm(self.general(h), memory.transpose(1, 2))
        weights = scores.masked_fill(beyond[:, None], -torch.inf).softmax(-1)
        return torch.tanh(self.combine(torch.cat([torch.bmm(weights, memory), h], -1)))

    def forward(self, source, target, ends):
        memory, beyond, state = self.read(source, ends)
        embedded = self.phonemes(target)
        if not self.feeding:
            h = self.look(self.drop(self.writer(embedded, state)[0]), memory, beyond)
            return self.output(self.drop(h))
        fed, found = torch.zeros(len(source), 1, self.writer.hidden_size), []
        for step in embedded.unbind(1):
            h, state = self.writer(torch.cat([step[:, None], fed], -1), state)
            fed = self.look(self.drop(h), memory, beyond)
            found.append(fed)
        return self.output(self.drop(torch.cat(found, 1)))

    @torch.inference_mode()
    def beam(self, source, ends, size, max_length):
        """The best hypothesis of each word; a word is done when no beginning can be better than what has ended."""
        memory, beyond, (h, c) = self.read(source, ends)
        N, V = len(source), len(self.phonemes.weight)
        best = [(-np.inf, ())] * N
        words = torch.arange(N)
        tokens = torch.full((N, 1), g2p.START)
        scores = torch.zeros(N, 1)
        written = torch.zeros(N, 1, 0, dtype=torch.long)
        fed = torch.zeros(N, 1, self.writer.hidden_size)
        for place in range(max_length + 1):
            M, width = scores.shape
            embedded = self.phonemes(tokens.reshape(-1, 1))
            out, (h, c) = self.writer(torch.cat([embedded, fed], -1) if self.feeding else embedded, (h, c))
            # The hypotheses of a word look at one memory, side by side.
            looked = self.look(out.view(M, width, -1), memory, beyond)
            total = scores[..., None] + self.output(looked).log_softmax(-1)
            ended = total[:, :, g2p.STOP].max(1)
            if place == max_length:
                total[...] = -torch.inf
            total[:, :, g2p.STOP] = -torch.inf
            scores, places = total.view(M, -1).topk(min(size, width * (V - 1)))
            # A hypothesis has ended where its stop token is among the best of the beam.
            for i, (value, row) in enumerate(zip(ended.values.tolist(), ended.indices.tolist(), strict=True)):
                word = int(words[i])
                if value > best[word][0] and value >= float(scores[i, -1]):
                    best[word] = value, written[i, row].tolist()
            rows = places // V
            tokens = places % V
            left = torch.tensor([i for i in range(M) if float(scores[i, 0]) > best[int(words[i])][0]], dtype=torch.long)
            if not len(left):
                break
            if len(left) < M:
                words, memory, beyond = words[left], memory[left], beyond[left]
            rows, tokens, scores = rows[left], tokens[left], scores[left]
            flat = (rows + left[:, None] * width).view(-1)
            written = torch.cat([written.flatten(0, 1)[flat], tokens.view(-1, 1)], 1).view(len(left), rows.shape[1], -1)
            h, c, fed = h[:, flat], c[:, flat], looked.reshape(M * width, 1, -1)[flat]
        return [list(tokens) for _, tokens in best]


def train_torch(model, batches, recipe):
    model.train()
    adam = torch.optim.Adam(model.parameters(), 1e-4)
    ready = [
        (
            torch.from_numpy(x["source"]),
            torch.from_numpy(x["target"]),
            torch.from_numpy(ends["source"]),
            wanted(y, ends),
        )
        for x, y, ends in batches
    ]

    def steps():
        for source, target, ends, y in ready:
            adam.zero_grad()
            logits = model(source, target, ends)
            cross_entropy(logits.flatten(0, 1), y, ignore_index=-1, label_smoothing=recipe.smoothing).backward()
            clip_grad_norm_(model.parameters(), 2.0)
            adam.step()

    return steps


def wanted(y, ends):
    return torch.from_numpy(np.where(np.arange(y.shape[1]) < ends["target"][:, None], y, -1).ravel())


def train_ours(model, batches, recipe):
    adam, loss = rf.Adam(1e-4, clip_norm=2.0), CrossEntropy(label_smoothing=recipe.smoothing)
    return lambda: model.fit(lambda: iter(batches), loss=loss, optimizer=adam, verbose=False, seed=0)


def write_torch(model, words, beam, batch_size):
    order = sorted(range(len(words)), key=lambda i: len(words[i]))
    found = [None] * len(words)
    for begin in range(0, len(words), batch_size):
        rows = order[begin : begin + batch_size]
        ids = [torch.tensor(g2p.spelling(words[i])) for i in rows]
        ends = torch.tensor([len(each) for each in ids])
        source = nn.utils.rnn.pad_sequence(ids, batch_first=True)
        for i, tokens in zip(rows, model.beam(source, ends, beam, 40), strict=True):
            found[i] = tokens
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--load", type=Path, help="a model that the example has saved, of the sizes given")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--words", type=int, default=768, help="how many to decode")
    parser.add_argument("--steps", type=int, default=8, help="batches of training")
    parser.add_argument("--beam", type=int, default=5)
    parser.add_argument("--together", type=int, nargs="+", default=[256, 1], help="how many words to decode at once")
    for name, default in g2p.Recipe()._asdict().items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    args = parser.parse_args()
    rf.set_num_threads(args.threads)
    torch.set_num_threads(args.threads)
    recipe = g2p.Recipe(**{name: getattr(args, name) for name in g2p.Recipe._fields})
    parts = g2p.split(g2p.read())
    phonemes = g2p.numbered(parts["train"])
    if args.load:
        ours = rf.load(args.load)
    else:
        ours = g2p.build(recipe, len(phonemes), 0)
        epoch, _ = g2p.batches(ours, parts["train"], phonemes, recipe, 0)
        limit = rf.training.TimeLimit(20)
        ours.fit(epoch, loss="cross_entropy", optimizer=rf.Adam(2e-3, clip_norm=2.0), callbacks=[limit], verbose=False)
    theirs = Torch(ours, recipe).eval()
    words = list(parts["test"])[:: len(parts["test"]) // args.words][: args.words]
    epoch, _ = g2p.batches(ours, parts["train"], phonemes, recipe, 1)
    batches = list(itertools.islice(epoch(), args.steps))
    x, _, ends = batches[0]
    with torch.inference_mode():
        logits = theirs(*(torch.from_numpy(each) for each in (x["source"], x["target"], ends["source"]))).numpy()
    valid = np.arange(logits.shape[1]) < ends["target"][:, None]
    worst = np.abs(logits - ours(x, lengths=ends))[valid].max()
    same = np.mean(
        [
            a == b
            for a, b in zip(
                g2p.pronounce(ours, words, args.beam), write_torch(theirs, words, args.beam, 256), strict=True
            )
        ]
    )
    print(
        f"{recipe}\nlargest difference of scores {worst:.1e}; {same:.2%} of {len(words)} words written alike",
        flush=True,
    )
    count = sum(len(y) for _, y, _ in batches)
    tasks = {
        f"decoding, beam {args.beam}, {size} together": (
            len(words),
            functools.partial(g2p.pronounce, ours, words, args.beam, size),
            functools.partial(write_torch, theirs, words, args.beam, size),
        )
        for size in args.together
    }
    tasks["training"] = count, train_ours(ours, batches, recipe), train_torch(theirs, batches, recipe)
    for what, (number, our, their) in tasks.items():
        if what == "training":
            theirs.train()
        times, ratios = medians(interleaved([our, their], args.rounds))
        speeds = [f"{number / seconds:,.0f}" for seconds in times]
        print(f"{what}, words a second: rnnfast {speeds[0]}, torch {speeds[1]}: {ratios[1]:.2f}x", flush=True)


if __name__ == "__main__":
    main()
