"""Writes golden/torch: state dicts as PyTorch saves them, and beside each an input and what PyTorch made of it.

python tests/golden/make_torch_models.py
"""

from pathlib import Path

import numpy as np

FOLDER = Path(__file__).with_name("torch")


def modules():
    """What is written, by name."""
    import torch
    from torch import nn

    class Tagger(nn.Module):
        """Embedding, LSTM, norms, two linear layers: names as people give them."""

        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(11, 6, padding_idx=0)
            self.rnn = nn.LSTM(6, 4, bidirectional=True, batch_first=True)
            self.norm, self.batch_norm = nn.LayerNorm(8), nn.BatchNorm1d(8)
            self.head = nn.Sequential(nn.Linear(8, 7), nn.ReLU(), nn.Linear(7, 5))

        def forward(self, x):
            y = self.norm(self.rnn(self.embedding(x))[0])
            return (self.head(self.batch_norm(y.transpose(1, 2)).transpose(1, 2)),)

    return {
        "lstm": nn.LSTM(3, 5, 2, bidirectional=True, batch_first=True),
        "lstm_projected": nn.LSTM(4, 6, 2, batch_first=True, proj_size=3, bidirectional=True, dtype=torch.float64),
        "lstm_no_bias": nn.LSTM(2, 3, bias=False, batch_first=True),
        "lstm_bfloat16": nn.LSTM(3, 4, batch_first=True),
        "gru": nn.GRU(3, 5, 2, bidirectional=True, batch_first=True),
        "gru_float16": nn.GRU(3, 4, batch_first=True),
        "rnn": nn.RNN(3, 5, 2, batch_first=True),
        "rnn_relu": nn.RNN(3, 4, nonlinearity="relu", batch_first=True),
        "lstm_cell": nn.LSTMCell(3, 4),
        "tagger": Tagger(),
    }


def randomise(module, dtype):
    """Numbers of which no two are alike and that `dtype` can hold, in all that a state dict has."""
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            tensor.uniform_(*((0.5, 1.5) if name.endswith("running_var") else (-0.6, 0.6)))
            tensor.copy_(tensor.to(dtype))


def main():
    import torch
    from safetensors.torch import save_file

    FOLDER.mkdir(exist_ok=True)
    torch.manual_seed(0)
    torch.set_grad_enabled(False)
    halves = {"lstm_bfloat16": torch.bfloat16, "gru_float16": torch.float16}
    for name, module in modules().items():
        module.eval()
        saved_as = halves.get(name, next(module.parameters()).dtype)
        randomise(module, saved_as)
        if name == "tagger":
            x = torch.randint(0, 11, (3, 6))
        else:
            steps = () if name == "lstm_cell" else (6,)
            x = torch.randn(2, *steps, module.input_size, dtype=next(module.parameters()).dtype)
        state = {
            key: each.to(saved_as) if each.is_floating_point() else each for key, each in module.state_dict().items()
        }
        save_file(state, FOLDER / f"{name}.safetensors")
        np.savez(FOLDER / f"{name}.npz", x=x.numpy(), y=module(x)[0].numpy())


if __name__ == "__main__":
    main()
