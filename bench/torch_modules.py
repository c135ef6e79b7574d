"""PyTorch's recurrent modules against those of rnnfast.interop.torch: the same parameters, one thread.

    python bench/torch_modules.py [--rounds N] [--cells LSTM GRU RNN] [--shapes B,T,H ...]

Modules with as many inputs as units. Forward is inference under no_grad; training is forward, a sum of the output, and
backward to the input and all parameters. Packed batches have lengths from T/2 to T and are packed beforehand. Medians
over interleaved rounds, and the median of their ratios.
"""

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import rnnfast as rf
from rnnfast.cli._timing import duration, interleaved, medians
from rnnfast.interop import torch as rt

SHAPES = ["32,100,64", "32,100,128", "1,200,128"]


def case(cell, B, T, H, packed, training):
    """The two functions to be timed, ours first."""
    torch.manual_seed(0)
    theirs = getattr(torch.nn, cell)(H, H, batch_first=True)
    ours = getattr(rt, cell)(H, H, batch_first=True)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(B, T, H)
    if packed:
        lengths = torch.randint(T // 2, T + 1, (B,))
        given = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)

    def forward(module):
        with torch.no_grad():
            module(given if packed else x)

    def train(module):
        module.zero_grad()
        if packed:
            y = module(PackedSequence(given.data.detach().requires_grad_(), *given[1:]))[0].data
        else:
            y = module(x.detach().requires_grad_())[0]
        y.sum().backward()

    run = train if training else forward
    return [lambda: run(ours), lambda: run(theirs)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--cells", nargs="+", default=["LSTM", "GRU", "RNN"])
    parser.add_argument("--shapes", nargs="+", default=SHAPES)
    given = parser.parse_args()
    torch.set_num_threads(1)
    rf.set_num_threads(1)
    print("| cell | B, T, H | | rnnfast | torch | ratio |\n|---|---|---|---|---|---|")
    for cell in given.cells:
        for shape in given.shapes:
            B, T, H = map(int, shape.split(","))
            for packed in (False, True) if B > 1 else (False,):
                for training in (False, True):
                    (ours, theirs), (_, ratio) = medians(
                        interleaved(case(cell, B, T, H, packed, training), given.rounds)
                    )
                    what = ("packed, " if packed else "") + ("training" if training else "forward")
                    print(f"| {cell} | {B}, {T}, {H} | {what} | {duration(ours)} | {duration(theirs)} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
