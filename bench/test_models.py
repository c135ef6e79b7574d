"""A whole training step of small models, from the batch to the updated parameters: rnnfast, and torch if installed."""

import numpy as np
import pytest

import rnnfast as rf
from rnnfast.training import MSE, Adam, CrossEntropy, train_step

SYMBOLS = 96


def characters(cell):
    """Character model: 32 sequences of 64, 128 units."""
    rng, recurrent = np.random.default_rng(0), {"lstm": rf.LSTM, "gru": rf.GRU}[cell]
    model = rf.Sequential(
        rf.Embedding(SYMBOLS, 128, seed=0), recurrent(128, 128, bias="double", seed=1), rf.Linear(128, SYMBOLS, seed=2)
    )
    return model, *rng.integers(0, SYMBOLS, (2, 32, 64)), CrossEntropy()


def series():
    """Series model: 32 windows of 50 steps, two layers of 50 units, a forecast at the end."""
    rng = np.random.default_rng(0)
    model = rf.Sequential(
        rf.LSTM(1, 50, 2, bias="double", seed=1), rf.Last(), rf.Linear(50, 25, seed=2), rf.Linear(25, 1, seed=3)
    )
    return model, rng.normal(size=(32, 50, 1)).astype("f"), rng.normal(size=(32, 1)).astype("f"), MSE()


def tagger():
    """Tagger: 32 sentences of 40 words of 5,000, 64 units in each direction, 17 tags."""
    rng = np.random.default_rng(0)
    model = rf.Sequential(
        rf.Embedding(5000, 64, seed=0),
        rf.LSTM(64, 64, bidirectional=True, bias="double", seed=1),
        rf.Linear(128, 17, seed=2),
    )
    return model, rng.integers(0, 5000, (32, 40)), rng.integers(0, 17, (32, 40)), CrossEntropy()


MODELS = {
    "characters-lstm": lambda: characters("lstm"),
    "characters-gru": lambda: characters("gru"),
    "series": series,
    "tagger": tagger,
}


def rnnfast_step(model, x, y, loss):
    optimizer = Adam(1e-3, clip_norm=1.0)

    def step():
        done = train_step(model, x, y, loss, optimizer)
        return done.loss_sum / done.count

    return step


def torch_layer(torch, layer):
    """The same layer with the same parameters; a function of x."""
    params = {name: torch.from_numpy(np.array(value)) for name, value in layer.params.items()}
    if isinstance(layer, rf.Last):
        return lambda x: x[:, -1]
    if isinstance(layer, rf.Embedding):
        module = torch.nn.Embedding(layer.num_embeddings, layer.embedding_dim)
    elif isinstance(layer, rf.Linear):
        module = torch.nn.Linear(layer.in_features, layer.out_features)
    else:
        sizes = layer.input_size, layer.hidden_size, layer.num_layers
        kind = getattr(torch.nn, type(layer).__name__)
        module = kind(*sizes, batch_first=True, bidirectional=layer.bidirectional)
    module.load_state_dict(params)
    return module


def torch_step(model, x, y, loss):
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    layers = [torch_layer(torch, layer) for layer in model.layers]
    parameters = [p for layer in layers if isinstance(layer, torch.nn.Module) for p in layer.parameters()]
    optimizer = torch.optim.Adam(parameters, 1e-3)
    x, y = torch.from_numpy(x), torch.from_numpy(y)

    def step():
        optimizer.zero_grad()
        z = x
        for layer in layers:
            z = layer(z)
            z = z[0] if isinstance(z, tuple) else z
        if isinstance(loss, MSE):
            value = torch.nn.functional.mse_loss(z, y)
        else:
            value = torch.nn.functional.cross_entropy(z.flatten(0, 1), y.flatten())
        value.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        return value.item()

    return step


@pytest.mark.parametrize("system", [rnnfast_step, torch_step], ids=["rnnfast", "torch"])
@pytest.mark.parametrize("name", MODELS)
def test_training_step(benchmark, name, system):
    step, twin = system(*MODELS[name]()), rnnfast_step(*MODELS[name]())
    for _ in range(3):  # the same model, and the same optimizer
        assert step() == pytest.approx(twin(), rel=1e-4)
    benchmark.group = name
    benchmark(step)
