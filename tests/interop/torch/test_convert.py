"""Whole modules, against PyTorch itself; `test_state_dict` has what needs golden files alone."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

import rnnfast as rf  # noqa: E402
from rnnfast.interop import torch as rt  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")


def randomised(module, seed=0):
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if tensor.is_floating_point():
                tensor.uniform_(*((0.5, 1.5) if name.endswith("running_var") else (-0.6, 0.6)))
    return module.eval()


def numpy(tensor):
    return tensor.detach().numpy()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("LSTM", {"num_layers": 2, "bidirectional": True, "dropout": 0.3}),
        ("LSTM", {"proj_size": 2, "num_layers": 2}),
        ("LSTM", {"bias": False}),
        ("GRU", {"num_layers": 3, "bidirectional": True}),
        ("RNN", {"nonlinearity": "relu"}),
        ("RNN", {"bidirectional": True, "dtype": torch.float64}),
    ],
)
def test_recurrent_modules_both_ways(name, options):
    module = randomised(getattr(nn, name)(3, 4, batch_first=True, **options))
    layer = rt.from_torch(module)
    assert layer.dropout == options.get("dropout", 0.0)
    x = torch.randn(2, 5, 3, dtype=options.get("dtype", torch.float32))
    y = module(x)[0]
    np.testing.assert_allclose(layer(numpy(x))[0], numpy(y), atol=1e-6)
    one = rt.from_torch(module, bias=True)
    np.testing.assert_allclose(one(numpy(x))[0], numpy(y), atol=1e-6)
    for made in (layer, one):
        again = getattr(nn, name)(3, 4, batch_first=True, **options).eval()
        rt.load_into(again, made)
        np.testing.assert_allclose(numpy(again(x)[0]), numpy(y), atol=1e-6)
    exact = rt.to_torch_state_dict(layer)
    assert list(exact)
    assert all(np.array_equal(exact[key], numpy(value)) for key, value in module.state_dict().items())
    time_first = getattr(nn, name)(3, 4, **options).eval()
    time_first.load_state_dict(module.state_dict())
    np.testing.assert_allclose(
        rt.from_torch(time_first)(numpy(x), time_major=True)[0], numpy(time_first(x)[0]), atol=1e-6
    )


@pytest.mark.parametrize("name", ["LSTMCell", "GRUCell", "RNNCell"])
def test_cells(name):
    module = randomised(getattr(nn, name)(3, 4))
    x = torch.randn(2, 3)
    found, wanted = rt.from_torch(module)(numpy(x)), module(x)
    for a, b in zip(*((each if isinstance(each, tuple) else (each,)) for each in (found, wanted)), strict=True):
        np.testing.assert_allclose(a, numpy(b), atol=1e-6)


ACTIVATIONS = [
    nn.ReLU(), nn.Tanh(), nn.Sigmoid(), nn.Softmax(dim=-1), nn.GELU(approximate="tanh"), nn.SiLU(), nn.ELU(0.7),
    nn.LeakyReLU(0.2), nn.Softsign(), nn.Softplus(), nn.Hardsigmoid(), nn.Identity(), nn.Dropout(0.4),
]  # fmt: skip


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda module: type(module).__name__)
def test_chains_of_modules(activation):
    module = randomised(nn.Sequential(nn.Linear(4, 6), activation, nn.LayerNorm(6), nn.Linear(6, 3, bias=False)))
    x = torch.randn(2, 5, 4)
    model = rt.from_torch(module)
    np.testing.assert_allclose(model(numpy(x)), numpy(module(x)), atol=2e-6)
    again = rt.to_torch_state_dict(model)
    assert again.keys() == module.state_dict().keys()
    assert all(np.array_equal(again[key], numpy(value)) for key, value in module.state_dict().items())


def test_training_goes_on_as_in_pytorch():
    """Embedding with padding, a stack, batch statistics, gradients of all weights."""
    parts = nn.ModuleList(
        [nn.Embedding(9, 4, padding_idx=0), nn.GRU(4, 5, 2, batch_first=True), nn.BatchNorm1d(5), nn.Linear(5, 3)]
    )
    randomised(parts).train()
    model = rt.from_torch(parts)
    ids = torch.randint(0, 9, (4, 6))
    y = parts[3](parts[2](parts[1](parts[0](ids))[0].transpose(1, 2)).transpose(1, 2))
    y.square().sum().backward()
    (ours, _), backward = model.forward(numpy(ids))
    np.testing.assert_allclose(ours, numpy(y), atol=1e-5)
    backward(2 * ours)
    for name, parameter in parts.named_parameters():
        gradient = numpy(parameter.grad)
        assert np.abs(gradient).max() > 0
        np.testing.assert_allclose(
            model.grads[name], gradient, atol=1e-5 * max(1, np.abs(gradient).max()), err_msg=name
        )
    for name in ("running_mean", "running_var"):
        np.testing.assert_allclose(model.buffers[f"2.{name}"], numpy(getattr(parts[2], name)), atol=1e-6)


def test_parts_of_a_model_with_layers_between():
    class Classifier(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.rnn = nn.Embedding(9, 4), nn.LSTM(4, 5, bidirectional=True, batch_first=True)
            self.head = nn.Sequential(nn.Dropout(0.5), nn.Linear(10, 2))

        def forward(self, ids):
            _, (h, _) = self.rnn(self.embedding(ids))
            return self.head(torch.cat([h[0], h[1]], 1))

    model = randomised(Classifier())
    ids = torch.randint(0, 9, (3, 6))
    with pytest.raises(TypeError, match=r"Classifier has a forward of its own.*from_torch\(\[model.embedding"):
        rt.from_torch(model)
    ours = rt.from_torch([model.embedding, model.rnn, rf.Last(), model.head])
    np.testing.assert_allclose(ours(numpy(ids)), numpy(model(ids)), atol=1e-6)
    again = randomised(Classifier(), seed=1)
    rt.load_into(again, ours)
    assert torch.equal(again(ids), model(ids))


def test_shared_tied_and_frozen():
    embedding, linear, output = nn.Embedding(7, 4), nn.Linear(4, 4), nn.Linear(4, 7)
    output.weight = embedding.weight
    linear.bias.requires_grad_(False)
    rnn = nn.GRU(4, 4, batch_first=True)
    rnn.bias_ih_l0.requires_grad_(False)
    module = nn.ModuleList([embedding, linear, linear, rnn, output])
    model = rt.from_torch(randomised(module))
    assert model.layers[1] is model.layers[2]
    assert model.layers[4].tied is model.layers[0]
    assert set(model.frozen_names) == {"1.bias", "3.bias_ih_l0"}
    assert rt.from_torch(rnn, bias=True).frozen_names == []
    rnn.bias_hh_l0.requires_grad_(False)
    assert rt.from_torch(rnn, bias=True).frozen_names == ["bias_l0", "bias_hn_l0"]
    ids = torch.randint(0, 7, (2, 3))
    np.testing.assert_allclose(model(numpy(ids)), numpy(output(rnn(linear(linear(embedding(ids))))[0])), atol=1e-6)


def test_convolution_flatten_and_norms_without_weights():
    conv = randomised(nn.Conv1d(3, 4, 3, stride=2, dilation=2))
    norm, batch = nn.LayerNorm(4, elementwise_affine=False), nn.BatchNorm1d(4, affine=False)
    randomised(batch)
    model = rt.from_torch([conv, norm, batch, nn.Flatten()])
    assert len(model.frozen_names) == 4
    x = torch.randn(2, 11, 3)
    y = norm(conv(x.transpose(1, 2)).transpose(1, 2))
    y = batch(y.transpose(1, 2)).transpose(1, 2)
    np.testing.assert_allclose(model(numpy(x)), numpy(y.flatten(1)), atol=2e-6)


def test_accelerated_modules_are_known():
    module = rt.accelerate(nn.Sequential(nn.LSTM(3, 4)))
    assert isinstance(rt.from_torch(module).layers[0], rf.LSTM)


def test_half_precision_and_live_state_dicts():
    module = randomised(nn.LSTM(3, 4)).bfloat16()
    for source in (module, module.state_dict()):
        layer = rt.from_torch(source)
        assert layer.dtype == np.float32
        assert np.array_equal(layer.params["weight_hh_l0"], numpy(module.weight_hh_l0.float()))
    assert rt.from_torch(module, dtype="float64").dtype == np.float64
    mixed = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2, dtype=torch.float64))
    with pytest.raises(ValueError, match="all layers of a model must have one dtype"):
        rt.from_torch(mixed)
    assert rt.from_torch(mixed, dtype="float32").dtype == np.float32


def test_pickled_state_dicts_go_through_pytorch(tmp_path):
    module, path = randomised(nn.GRU(3, 4)), tmp_path / "a.pt"
    torch.save(module.state_dict(), path)
    with pytest.raises(ValueError, match=r"a\.pt: it is a pickle"):
        rt.from_torch(path)
    layer = rt.from_torch(torch.load(path, weights_only=True))
    assert np.array_equal(layer.params["bias_hh_l0"], numpy(module.bias_hh_l0))


def test_flattened_weights_in_one_buffer():
    """As cuDNN leaves them: each a part of one tensor."""
    module = nn.LSTM(3, 4)
    whole, start = torch.randn(sum(p.numel() for p in module.parameters())), 0
    for parameter in module.parameters():
        parameter.data = whole[start : start + parameter.numel()].view(parameter.shape)
        start += parameter.numel()
    layer = rt.from_torch(module)
    assert all(np.array_equal(layer.params[name], numpy(p)) for name, p in module.named_parameters())


UNLIKE = [
    (
        nn.MultiheadAttention(8, 2),
        TypeError,
        r"torch.nn.MultiheadAttention has no counterpart .*these have: BatchNorm1d",
    ),
    (nn.Sequential(nn.Linear(2, 2), nn.PReLU()), TypeError, r"module '1': torch.nn.PReLU has no counterpart"),
    (nn.Sequential(nn.Sequential(nn.GELU())), ValueError, r"module '0.0': GELU\(approximate='none'\)"),
    (nn.Softmax(dim=1), ValueError, r"Softmax\(dim=1\) is along"),
    (nn.Embedding(3, 2, max_norm=1.0), ValueError, r"Embedding\(max_norm=1.0\)"),
    (nn.Conv1d(2, 2, 3, padding=1), ValueError, r"Conv1d\(padding=\(1,\)\) has no counterpart"),
    (nn.Conv1d(2, 2, 3, groups=2), ValueError, r"groups=2"),
    (nn.BatchNorm1d(2, momentum=None), ValueError, "momentum=None"),
    (nn.BatchNorm1d(2, track_running_stats=False), ValueError, "track_running_stats=False"),
    (nn.LayerNorm((2, 3)), ValueError, r"LayerNorm\(\(2, 3\)\) is over several axes"),
    (nn.Linear(2, 2, device="meta"), ValueError, "'weight' is on the device 'meta'"),
    (nn.Dropout(1.0), ValueError, "p must be at least 0 and less than 1"),
    ([nn.Linear(2, 2), "relu"], TypeError, "1 must be a torch.nn.Module or a layer, got str"),
]


@pytest.mark.parametrize(("module", "kind", "match"), UNLIKE, ids=lambda each: type(each).__name__)
def test_what_has_no_counterpart_is_named(module, kind, match):
    with pytest.raises(kind, match=match):
        rt.from_torch(module)


def test_subclasses_and_arguments():
    class Other(nn.LSTM):
        pass

    with pytest.raises(TypeError, match="Other has a forward of its own"):
        rt.from_torch(Other(2, 3))
    with pytest.raises(TypeError, match="hidden_size, prefix: for state dicts"):
        rt.from_torch(nn.LSTM(2, 3), hidden_size=3, prefix="a")


def test_modules_that_do_not_fit():
    model = rf.Sequential(rf.LSTM(2, 3), rf.Linear(3, 2))
    with pytest.raises(TypeError, match=r"module must be a torch.nn.Module, got int"):
        rt.load_into(3, model)
    with pytest.raises(ValueError, match="has 1 modules with weights, the Sequential 2"):
        rt.load_into(nn.LSTM(2, 3), model)
    linear = nn.Linear(3, 2)
    before = linear.weight.clone()
    with pytest.raises(ValueError, match=r"GRU\(2, 3\) does not fit LSTM"):
        rt.load_into(nn.ModuleList([linear, nn.GRU(2, 3)]), rf.Sequential(rf.Linear(3, 2), rf.LSTM(2, 3)))
    assert torch.equal(before, linear.weight)
