"""Writes golden/torch: state dicts as PyTorch saves them, and beside each an input and what PyTorch made of it.

python tests/golden/make_torch_models.py
"""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

FOLDER = Path(__file__).with_name("torch")
RECURRENT = {
    "lstm": nn.LSTM(3, 5, 2, bidirectional=True, batch_first=True),
    "lstm_projected": nn.LSTM(4, 6, 2, batch_first=True, proj_size=3, bidirectional=True, dtype=torch.float64),
    "lstm_no_bias": nn.LSTM(2, 3, bias=False, batch_first=True),
    "lstm_bfloat16": nn.LSTM(3, 4, batch_first=True),
    "gru": nn.GRU(3, 5, 2, bidirectional=True, batch_first=True),
    "gru_float16": nn.GRU(3, 4, batch_first=True),
    "rnn": nn.RNN(3, 5, 2, batch_first=True),
    "rnn_relu": nn.RNN(3, 4, nonlinearity="relu", batch_first=True),
    "lstm_cell": nn.LSTMCell(3, 4),
}


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
        return self.head(self.batch_norm(y.transpose(1, 2)).transpose(1, 2))


def randomise(module):
    """Numbers of which no two are alike, in all that a state dict holds."""
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if tensor.is_floating_point():
                low, high = (0.5, 1.5) if name.endswith("running_var") else (-0.6, 0.6)
                tensor.uniform_(low, high)


def write(name, module, x, y):
    state = {key: tensor.contiguous() for key, tensor in module.state_dict().items()}
    save_file(state, FOLDER / f"{name}.safetensors")
    np.savez(FOLDER / f"{name}.npz", x=x.numpy(), y=y.detach().numpy())


def main():
    FOLDER.mkdir(exist_ok=True)
    torch.manual_seed(0)
    for name, module in RECURRENT.items():
        randomise(module)
        dtype = getattr(torch, name.rpartition("_")[2], None)
        half = module.to(dtype) if isinstance(dtype, torch.dtype) else module
        state = {key: tensor.clone() for key, tensor in half.state_dict().items()}
        module.float() if next(iter(state.values())).dtype != torch.float64 else None
        x = torch.randn(2, 6, module.input_size, dtype=next(module.parameters()).dtype)
        if isinstance(module, nn.LSTMCell):
            x = x[:, 0]
        y = module(x)[0]
        write(name, half.to(dtype) if isinstance(dtype, torch.dtype) else module, x, y)
    tagger = Tagger().eval()
    randomise(tagger)
    x = torch.randint(0, 11, (3, 6))
    write("tagger", tagger, x, tagger(x))


if __name__ == "__main__":
    main()
