"""A training step of a decoder with attention: without and with input feeding, and with feeding beside torch eager."""

import numpy as np
import pytest

import rnnfast as rf
from rnnfast.models import Source

B, TOKENS = 64, 64
SIZES = [(8, 128), (8, 256), (20, 128), (20, 256)]


def case(steps, size, feeding=True):
    """A decoder of `size` units over memories of as many steps as it writes, and one step of its training."""
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, TOKENS, (B, steps))
    memory = rng.standard_normal((B, steps, 2 * size)).astype("f")
    dy = rng.standard_normal((B, steps, TOKENS)).astype("f") / 10
    decoder = rf.Decoder(
        rf.Embedding(TOKENS, size, seed=1),
        rf.LSTM(size + feeding * size, size, seed=2),
        attention=rf.Attention(size, 2 * size, "general", seed=3),
        input_feeding=feeding,
        seed=4,
    )

    def step():
        y, backward = decoder.forward(tokens, Source(memory=memory))
        return y, backward(dy, grads={}).memory

    return decoder, tokens, memory, dy, step


def in_torch(torch, decoder, tokens, memory, dy):
    """The same step in torch: LSTMCell, bmm and autograd."""
    weights = {name: torch.tensor(np.array(array), requires_grad=True) for name, array in decoder.params.items()}
    size = decoder.attention.query_size
    cell, memory = torch.nn.LSTMCell(2 * size, size), torch.tensor(memory, requires_grad=True)
    with torch.no_grad():
        for ours, own in (("weight_ih", cell.weight_ih), ("weight_hh", cell.weight_hh), ("bias", cell.bias_ih)):
            own.copy_(weights[f"recurrent.0.{ours}_l0"])
        cell.bias_hh.zero_()
    tokens, dy = torch.tensor(tokens), torch.tensor(dy)
    leaves = [*weights.values(), *cell.parameters(), memory]

    def step():
        for leaf in leaves:
            leaf.grad = None
        x, found = weights["embedding.weight"][tokens], []
        h = c = fed = torch.zeros(B, size)
        for t in range(x.shape[1]):
            h, c = cell(torch.cat([x[:, t], fed], 1), (h, c))
            scores = torch.bmm(memory, (h @ weights["attention.weight"].T)[:, :, None])[:, :, 0]
            context = torch.bmm(torch.softmax(scores, 1)[:, None], memory)[:, 0]
            fed = torch.tanh(torch.cat([context, h], 1) @ weights["combine.weight"].T)
            found.append(fed)
        y = torch.stack(found, 1) @ weights["output.weight"].T + weights["output.bias"]
        y.backward(dy)
        return y.detach().numpy(), memory.grad.numpy()

    return step


@pytest.mark.parametrize("who", ["without feeding", "rnnfast", "torch"])
@pytest.mark.parametrize(("steps", "size"), SIZES)
def test_decoder(race, steps, size, who):
    decoder, *arrays, step = case(steps, size, feeding=who != "without feeding")
    expected = step()
    if who == "torch":
        torch = pytest.importorskip("torch")
        torch.set_num_threads(1)
        step = in_torch(torch, decoder, *arrays)
    race(f"{steps} steps, {size} units", step, expected)
