import copy
import itertools
import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence  # noqa: E402

from rnnfast.interop import torch as rt  # noqa: E402
from rnnfast.interop.torch import _weights, modules  # noqa: E402

CELLS = {
    "lstm": ("LSTM", {}),
    "projected": ("LSTM", {"proj_size": 3}),
    "gru": ("GRU", {}),
    "tanh": ("RNN", {}),
    "relu": ("RNN", {"nonlinearity": "relu"}),
}
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
cells = pytest.mark.parametrize("cell", CELLS)


def pair(cell, *sizes, dtype=torch.float64, seed=0, **options):
    """Ours and PyTorch's module with the same parameters, no two of which are alike."""
    name, own = CELLS[cell]
    torch.manual_seed(seed)
    theirs = getattr(nn, name)(*sizes, **own, **options, dtype=dtype)
    ours = getattr(rt, name)(*sizes, **own, **options, dtype=dtype)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def rand(*shape, dtype=torch.float64, grad=True):
    return torch.randn(*shape, dtype=dtype, requires_grad=grad)


def flat(output):
    """All tensors of an output."""
    y, state = output
    return [y.data if isinstance(y, PackedSequence) else y, *(state if isinstance(state, tuple) else (state,))]


def compare(ours, theirs, x, hx=None, tolerance=1e-12):
    """Outputs, and the gradients of a function of all of them."""
    inputs = [
        x.data if isinstance(x, PackedSequence) else x,
        *(hx if isinstance(hx, tuple) else () if hx is None else (hx,)),
    ]
    found = []
    for module in (ours, theirs):
        module.zero_grad()
        outputs = flat(module(x, hx))
        assert all(each.requires_grad for each in outputs)
        loss = sum((each * torch.cos(torch.arange(each.numel()).reshape(each.shape))).sum() for each in outputs)
        grads = torch.autograd.grad(loss, [*inputs, *module.parameters()], retain_graph=True)
        found.append([*outputs, *grads])
    for a, b in zip(*found, strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        assert b.abs().max() > 0
        assert (a - b).abs().max() <= tolerance * b.abs().max()


def state_for(module, batch=None):
    layers = module.num_layers * (1 + module.bidirectional)
    rows = () if batch is None else (batch,)
    h = rand(layers, *rows, module.proj_size or module.hidden_size)
    return (h, rand(layers, *rows, module.hidden_size)) if module.mode == "LSTM" else h


@cells
@pytest.mark.parametrize(
    ("layers", "bias", "bidirectional", "batch_first"),
    [(1, True, False, False), (2, False, True, True), (2, True, True, False)],
)
def test_outputs_and_gradients_are_pytorchs(cell, layers, bias, bidirectional, batch_first):
    ours, theirs = pair(cell, 3, 5, layers, bias=bias, bidirectional=bidirectional, batch_first=batch_first)
    x = rand(4, 7, 3)
    compare(ours, theirs, x)
    compare(ours, theirs, x, state_for(ours, 4 if batch_first else 7))
    compare(ours, theirs, x[0], state_for(ours))
    compare(ours, theirs, x.transpose(0, 1)[:, ::2].clone().transpose(0, 1))
    ragged = pack_padded_sequence(x, [3, 6, 1, 4], batch_first=True, enforce_sorted=False)
    even = pack_padded_sequence(x, [7, 7, 7, 7], batch_first=True)
    for packed in (ragged, even):
        compare(ours, theirs, packed, state_for(ours, 4))
        a, b = ours(packed)[0], theirs(packed)[0]
        assert torch.equal(a.batch_sizes, b.batch_sizes)
        assert (pad_packed_sequence(a)[0] - pad_packed_sequence(b)[0]).abs().max() < 1e-12


@cells
def test_float32_and_odd_sizes(cell):
    ours, theirs = pair(cell, 1, 33, 2, bidirectional=True, dtype=torch.float32)
    first = state_for(ours, 1)
    first = tuple(each.detach().float().requires_grad_() for each in (first if isinstance(first, tuple) else (first,)))
    compare(ours, theirs, rand(1, 1, 1, dtype=torch.float32), first if len(first) > 1 else first[0], tolerance=2e-5)
    compare(ours, theirs, rand(9, 5, 1, dtype=torch.float32), tolerance=2e-5)


@cells
def test_gradcheck(cell):
    ours, _ = pair(cell, 2, 4, 2, bidirectional=True)
    x, state = rand(3, 2, 2), state_for(ours, 2)
    state = state if isinstance(state, tuple) else (state,)
    weights = {name: each.detach().clone().requires_grad_() for name, each in ours.named_parameters()}

    def run(x, *rest):
        h, values = rest[: len(state)], dict(zip(weights, rest[len(state) :], strict=True))
        return tuple(flat(torch.func.functional_call(ours, values, (x, h if len(h) > 1 else h[0]))))

    assert torch.autograd.gradcheck(run, (x, *state, *weights.values()), fast_mode=True)


@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
@cells
def test_training_curves_are_pytorchs(cell, optimizer):
    curves = []
    for module in pair(cell, 3, 8, 2, batch_first=True):
        torch.manual_seed(1)
        head = nn.Linear(CELLS[cell][1].get("proj_size", 8), 1, dtype=torch.float64)
        parameters = [*module.parameters(), *head.parameters()]
        steps = getattr(torch.optim, optimizer)(parameters, lr=0.05)
        x = rand(16, 10, 3, grad=False)
        target = x.sum((1, 2), keepdim=False)[:, None] / 5
        losses = []
        for _ in range(20):
            steps.zero_grad()
            loss = nn.functional.mse_loss(head(module(x)[0][:, -1]), target)
            loss.backward()
            steps.step()
            losses.append(loss.item())
        curves.append(losses)
    ours, theirs = map(np.array, curves)
    assert theirs[-1] < 0.99 * theirs[0]
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)


def test_what_changes_the_weights_is_seen():
    """However it is done: an optimizer, `.data`, NumPy, new memory, one number alone, all signs."""
    ours, theirs = pair("gru", 4, 4)
    x = rand(3, 2, 4, grad=False)
    ours(x)

    def one_number(weight):
        weight.data[5, 2] += 1e-9

    def whole(weight):
        weight.data = torch.flip(weight.data, [0])

    def in_place(weight):
        with torch.no_grad():
            weight.mul_(1.5)

    def turned(weight):
        weight.data.neg_()

    def through_numpy(weight):
        weight.detach().numpy()[0] = 3.0

    def turned_around(weight):
        weight.data = weight.data[:4].t().repeat(3, 1)

    for change in (one_number, whole, in_place, turned, through_numpy, turned_around):
        before = ours(x)[0]
        change(ours.weight_hh_l0)
        change(theirs.weight_hh_l0)
        after = ours(x)[0]
        assert not torch.equal(before, after), change.__name__
        assert (after - theirs(x)[0]).abs().max() < 1e-14, change.__name__
    ours.weight_ih_l0 = nn.Parameter(ours.weight_ih_l0.detach().clone() * 2)
    theirs.weight_ih_l0 = nn.Parameter(theirs.weight_ih_l0.detach().clone() * 2)
    assert (ours(x)[0] - theirs(x)[0]).abs().max() < 1e-14
    ours.float()
    assert ours(x.float())[0].dtype == torch.float32


def test_weights_are_packed_once(monkeypatch):
    ours, _ = pair("lstm", 3, 5)
    packs = []
    monkeypatch.setattr(_weights.Weights, "_plan_of", lambda *a, f=_weights.Weights._plan_of: packs.append(1) or f(*a))
    x = rand(3, 2, 3)
    for _ in range(3):
        ours(x)[0].sum().backward()
    with torch.no_grad():
        ours(x)
        assert len(packs) == 1
        ours.bias_hh_l0.add_(1)
    ours(x)
    assert len(packs) == 2


def test_no_copies_in_or_out():
    """What the layer gets is the tensors' memory, and what comes out is its arrays."""
    ours, _ = pair("lstm", 3, 5, batch_first=True)
    x, seen = rand(2, 4, 3), []
    layer = ours._weights().layer(ours, 0.0)
    for name, array in layer.block.arrays.items():
        assert np.shares_memory(array, getattr(ours, name).detach().numpy())
    forward = type(layer).forward

    def spy(self, x, *args, **kwargs):
        (y, state), backward = forward(self, x, *args, **kwargs)
        seen.extend([x, y])
        return (y, state), backward

    type(layer).forward = spy
    try:
        y, _ = ours(x)
    finally:
        type(layer).forward = forward
    assert np.shares_memory(seen[0], x.detach().numpy())
    assert np.shares_memory(seen[1], y.detach().numpy())


def test_inference_saves_nothing(monkeypatch):
    ours, theirs = pair("gru", 3, 5, 2, dropout=0.5)
    x = rand(4, 2, 3)
    ours.eval(), theirs.eval()
    monkeypatch.setattr(modules.Call, "train", None)
    for context in (torch.no_grad(), torch.inference_mode()):
        with context:
            y = ours(x)[0]
            assert not y.requires_grad
            assert y.grad_fn is None
            assert (y - theirs(x)[0]).abs().max() < 1e-14
    for parameter in ours.parameters():
        parameter.requires_grad_(False)
    assert ours(x.detach())[0].grad_fn is None


def test_some_weights_frozen_and_an_input_without_gradient():
    for module in (pair_ := pair("lstm", 3, 5)):
        module.weight_hh_l0.requires_grad_(False)
        module.bias_ih_l0.requires_grad_(False)
    x = rand(4, 2, 3, grad=False)
    for module in pair_:
        module(x)[0].sin().sum().backward()
    for (name, a), b in zip(pair_[0].named_parameters(), pair_[1].parameters(), strict=True):
        assert (a.grad is None) == (b.grad is None) == (name in ("weight_hh_l0", "bias_ih_l0"))
        assert a.grad is None or (a.grad - b.grad).abs().max() < 1e-12


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_gradient_through_one_output_alone(which):
    compared = []
    ours, theirs = pair("projected", 3, 5, bidirectional=True)
    x, state = rand(4, 2, 3), state_for(ours, 2)
    for module in (ours, theirs):
        compared.append(torch.autograd.grad(flat(module(x, state))[which].sum(), [x, *state, *module.parameters()]))
    for a, b in zip(*compared, strict=True):
        assert (a - b).abs().max() < 1e-12


def test_backward_again_with_retain_graph():
    ours, _ = pair("lstm", 3, 5, 2, dropout=0.4)
    x = rand(4, 2, 3)
    y = ours(x)[0]
    first, second = (torch.autograd.grad(y.sin().sum(), [x, *ours.parameters()], retain_graph=True) for _ in range(2))
    assert all(torch.equal(a, b) and a.abs().max() > 0 for a, b in zip(first, second, strict=True))


def test_changes_between_forward_and_backward_are_refused_as_by_pytorch():
    ours, _ = pair("gru", 3, 5)
    x = rand(4, 2, 3)
    for change in (lambda: x.data.data, lambda: None):
        change()
    y = ours(x)[0]
    with torch.no_grad():
        ours.weight_hh_l0.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()
    y = ours(x * 1)[0]
    y.detach().zero_()  # y is the caller's
    y.sum().backward()


@cells
def test_second_derivatives_are_refused(cell):
    ours, _ = pair(cell, 3, 5)
    x = rand(4, 2, 3)
    y = ours(x)[0].sum()
    (dx,) = torch.autograd.grad(y, x, create_graph=True)
    assert dx.requires_grad
    with pytest.raises(RuntimeError, match=r"no second derivatives.*restore\(model\)"):
        (y + dx.square().sum()).backward()


def test_dropout_follows_manual_seed():
    ours, _ = pair("lstm", 3, 16, 3, dropout=0.5, bidirectional=True)
    x = rand(5, 4, 3)
    runs = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        y = ours(x)[0]
        runs.append((y, torch.autograd.grad(y.sum(), x)[0]))
    assert all(torch.equal(a, b) for a, b in zip(runs[0], runs[1], strict=True))
    assert not torch.equal(runs[0][0], runs[2][0])
    with torch.no_grad():
        torch.manual_seed(0)
        assert torch.equal(ours(x)[0], runs[0][0])  # train() drops without gradients, too
        ours.eval()
        assert torch.equal(ours(x)[0], ours(x)[0])
    ours.train().dropout = 0.0
    assert torch.equal(ours(x)[0], ours(x)[0])
    ours.dropout = 1.0
    assert ours(x)[0].isfinite().all()


def test_dropout_has_the_right_mean_and_gradient():
    ours, _ = pair("tanh", 3, 50, 2, dropout=0.3)
    with torch.no_grad():
        ours.weight_ih_l1.copy_(torch.eye(50) * 1e-3)  # in which tanh is linear
        ours.weight_hh_l1.zero_()
        ours.bias_ih_l1.zero_(), ours.bias_hh_l1.zero_()
    x = rand(40, 20, 3, grad=False)
    ratio = ours(x)[0] / ours.eval()(x)[0]
    kept = (ratio - 1 / 0.7).abs() < 1e-3
    assert 0.68 < kept.double().mean() < 0.72
    assert (ratio[~kept].abs() < 1e-12).all()

    ours.train()
    inputs = rand(2, 3, 3)

    def seeded(x):
        torch.manual_seed(5)
        return ours(x)[0]

    assert torch.autograd.gradcheck(seeded, inputs)


def test_copies_and_pickles():
    ours, _ = pair("lstm", 3, 5, 2, bidirectional=True, batch_first=True)
    x = rand(2, 4, 3)
    y = ours(x)[0]
    for again in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        assert type(again) is rt.LSTM
        assert torch.equal(again(x)[0], y)
        with torch.no_grad():
            again.weight_ih_l1.zero_()
        assert torch.equal(ours(x)[0], y)
        assert not torch.equal(again(x)[0], y)
    assert repr(ours) == repr(nn.LSTM(3, 5, 2, bidirectional=True, batch_first=True))


def test_the_same_module_twice_in_one_graph():
    compared = []
    for module in pair("gru", 3, 3):
        x = rand(4, 2, 3)
        torch.manual_seed(3)
        x.data.copy_(torch.randn(4, 2, 3))
        y, h = module(x)
        y, h = module(y, h)
        compared.append(torch.autograd.grad(y.sum() + h.sin().sum(), [x, *module.parameters()]))
    for a, b in zip(*compared, strict=True):
        assert (a - b).abs().max() < 1e-12


def test_weights_that_are_computed_at_each_call():
    """Weight norm makes new tensors for each call; two calls in one graph have their own."""
    compared = []
    for module in pair("lstm", 3, 4):
        nn.utils.parametrizations.weight_norm(module, "weight_hh_l0")
        torch.manual_seed(3)
        y = module(module(rand(4, 2, 3))[0][..., :3])[0]
        grads = torch.autograd.grad(y.sum(), [p for _, p in sorted(module.named_parameters())])
        compared.append([y, *grads])
    for a, b in zip(*compared, strict=True):
        assert b.abs().max() > 0
        assert (a - b).abs().max() < 1e-12


def test_what_pytorch_refuses_is_refused_in_its_words():
    ours, theirs = pair("lstm", 3, 5)
    x, h = rand(4, 2, 3), rand(1, 2, 5)
    calls = [
        (rand(4, 2, 4),), (rand(4),), (rand(4, 2, 3, dtype=torch.float32),), (x, (h, rand(1, 3, 5))), (x, (h[0], h[0])),
        (rand(0, 2, 3),), (x, h), (x[0], (h, h)), (x.long(),),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(Exception) as wanted:  # noqa: PT011
            theirs(*call)
        with pytest.raises(type(wanted.value)) as got:
            ours(*call)
        assert str(got.value) == str(wanted.value)


def test_what_is_left_to_pytorch(monkeypatch):
    """Other dtypes, functional transforms, tracing, autocast, forward mode."""
    ours, theirs = pair("gru", 3, 5, dtype=torch.float32)
    x = rand(4, 2, 3, dtype=torch.float32)
    wanted = theirs(x)[0]
    monkeypatch.setattr(_weights.Weights, "layer", None)
    params = dict(ours.named_parameters())

    def loss(params, x):
        return torch.func.functional_call(ours, params, (x,))[0].sum()

    grads = torch.func.grad(loss)(params, x)
    wanted_grads = torch.autograd.grad(wanted.sum(), list(theirs.parameters()), retain_graph=True)
    assert all((a - b).abs().max() < 1e-5 for a, b in zip(grads.values(), wanted_grads, strict=True))
    with pytest.raises(RuntimeError, match="Batching rule not implemented for aten::gru"):
        torch.func.vmap(lambda one: ours(one)[0], in_dims=1)(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert ours(x)[0].dtype == theirs(x)[0].dtype
    half = copy.deepcopy(ours).bfloat16()
    assert half(x.bfloat16())[0].dtype == torch.bfloat16
    assert ours.to("meta")(x.to("meta"))[0].device.type == "meta"


def test_batched_gradients_are_refused():
    ours, _ = pair("gru", 3, 5)
    x = rand(4, 2, 3)
    y = ours(x)[0]
    with pytest.raises(RuntimeError, match=r"no batched gradients.*restore\(model\)"):
        torch.autograd.grad(y, x, torch.ones(6, *y.shape, dtype=y.dtype), is_grads_batched=True)


@pytest.mark.filterwarnings("ignore")
def test_scripted_and_traced_modules_are_pytorchs():
    ours, theirs = pair("lstm", 3, 5, 2, bidirectional=True)
    x = rand(4, 2, 3, grad=False)
    ours(x)
    for made in (torch.jit.trace(ours, (x,)), torch.jit.script(nn.Sequential(ours))):
        assert (made(x)[0] - theirs(x)[0]).abs().max() < 1e-14
    assert type(ours) is rt.LSTM


def test_functional_call_without_transforms():
    ours, theirs = pair("gru", 3, 5)
    x = rand(4, 2, 3)
    others = {name: rand(*p.shape) for name, p in ours.named_parameters()}
    a, b = (torch.func.functional_call(module, others, (x,))[0] for module in (ours, theirs))
    assert (a - b).abs().max() < 1e-13
    a, b = (torch.autograd.grad(each.sum(), list(others.values())) for each in (a, b))
    assert all((one - other).abs().max() < 1e-12 for one, other in zip(a, b, strict=True))


def test_checkpointed_and_hooked():
    from torch.utils.checkpoint import checkpoint

    ours, _ = pair("lstm", 3, 5, 2, dropout=0.5)
    x = rand(4, 2, 3)
    found = []
    for reentrant in (None, False, True):
        torch.manual_seed(0)
        y = ours(x)[0] if reentrant is None else checkpoint(lambda x: ours(x)[0], x, use_reentrant=reentrant)
        found.append(torch.autograd.grad(y.sin().sum(), x, retain_graph=True)[0] if not reentrant else None)
    assert torch.equal(found[0], found[1])
    calls = []
    ours.register_forward_hook(lambda module, args, output: calls.append(output[0].shape))
    ours.weight_ih_l0.register_hook(lambda grad: calls.append(grad.shape))
    ours(x)[0].sum().backward()
    assert calls == [(4, 2, 5), (20, 3)]


def test_accelerate_and_restore():
    class Other(nn.LSTM):
        pass

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = nn.LSTM(3, 4, batch_first=True)
            self.same, self.other, self.more = (
                self.rnn,
                Other(4, 4),
                nn.ModuleDict({"a": nn.GRU(4, 2), "b": nn.RNN(4, 2)}),
            )

        def forward(self, x):
            y = self.other(self.same(x)[0])[0]
            return self.more["a"](y)[0] + self.more["b"](y)[0]

    torch.manual_seed(0)
    model, x, seen = Model().double(), rand(2, 5, 3), []
    model.rnn.register_forward_hook(lambda *given: seen.append(type(given[0])))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    wanted, parts = model(x), dict(model.named_modules())
    state = copy.deepcopy(model.state_dict())
    assert rt.accelerate(model) is model
    assert rt.accelerate(model) is model
    assert {name: id(each) for name, each in model.named_modules()} == {name: id(each) for name, each in parts.items()}
    assert [type(each) for each in (model.rnn, model.same, model.other, *model.more.values())] == [
        rt.LSTM, rt.LSTM, Other, rt.GRU, rt.RNN,
    ]  # fmt: skip
    y = model(x)
    assert (y - wanted).abs().max() < 1e-13
    assert seen == [nn.LSTM, rt.LSTM]
    assert model.state_dict().keys() == state.keys()
    y.sum().backward()
    optimizer.step()
    assert rt.restore(model) is model
    assert type(model.rnn) is nn.LSTM
    assert type(model.more["a"]) is nn.GRU
    assert (model(x) - rt.accelerate(model)(x)).abs().max() < 1e-13
    assert not torch.equal(model(x), wanted)
    alone = nn.GRU(2, 2)
    assert type(rt.accelerate(alone)) is rt.GRU
    with pytest.raises(TypeError, match=r"model must be a torch.nn.Module, got dict"):
        rt.accelerate({})


def test_threads_share_a_module():
    from concurrent.futures import ThreadPoolExecutor

    ours, theirs = pair("lstm", 3, 5)
    xs = [rand(4, 2, 3, grad=False) for _ in range(16)]
    with ThreadPoolExecutor(4) as pool, torch.no_grad():
        found = list(pool.map(lambda x: ours(x)[0].detach(), xs))
        assert all((y - theirs(x)[0]).abs().max() < 1e-13 for x, y in zip(xs, found, strict=True))


def test_all_combinations_of_what_is_given():
    """x, hx and the parameters, each with and without a gradient."""
    ours, theirs = pair("lstm", 3, 5, 2)
    for x_grad, h_grad, c_grad in itertools.product((True, False), repeat=3):
        x, h, c = rand(4, 2, 3, grad=x_grad), rand(2, 2, 5, grad=h_grad), rand(2, 2, 5, grad=c_grad)
        wanted = [each for each in (x, h, c) if each.requires_grad]
        if not wanted:
            continue
        a, b = (torch.autograd.grad(module(x, (h, c))[0].sin().sum(), wanted) for module in (ours, theirs))
        assert all((one - other).abs().max() < 1e-12 for one, other in zip(a, b, strict=True))
