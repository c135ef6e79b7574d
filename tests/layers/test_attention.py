import copy
import pickle

import numpy as np
import pytest
from checks import awkward, central_differences, max_error, relative_error
from layer_checks import parameters_and_gradients, randomise, rebuilt

from rnnfast.layers import Attention
from rnnfast.layers.attention import KINDS

kinds = pytest.mark.parametrize("kind", KINDS)
LENGTHS = [5, 0, 3]


def make(kind, dtype="float64", **options):
    """Queries of 3 numbers, and keys of 4 where the kind allows it."""
    if kind in ("additive", "normed"):
        options.setdefault("hidden_size", 7)
    if kind == "location":
        options.setdefault("num_positions", 6)
    key_size = 3 if kind in ("dot", "scaled_dot") else 4
    return randomise(Attention(3, key_size, kind, dtype=dtype, **options))


def draw(*shape, seed=1):
    return np.random.default_rng(seed).standard_normal(shape)


def inputs(layer, B=3, Q=2, T=5, V=6):
    return draw(B, Q, 3), draw(B, T, layer.key_size, seed=2), draw(B, T, V, seed=3)


def score(layer, q, k, j):
    """One score, as the table has it."""
    params = layer.params
    return {
        "dot": lambda: q @ k,
        "scaled_dot": lambda: q @ k / 3**0.5,
        "general": lambda: k @ params["weight"] @ q,
        "additive": lambda: params["weight_score"] @ np.tanh(params["weight_query"] @ q + params["weight_key"] @ k),
        "normed": lambda: (
            params["scale"][0]
            * params["weight_score"]
            / np.linalg.norm(params["weight_score"])
            @ np.tanh(params["weight_query"] @ q + params["weight_key"] @ k + params["bias"])
        ),
        "location": lambda: (params["weight"] @ q)[j],
    }[layer.kind]()


def by_hand(layer, query, keys, values, valid):
    """Context and weights, query by query; valid is (B, Q, T)."""
    context = np.zeros((*query.shape[:2], values.shape[2]))
    weights = np.zeros((*query.shape[:2], keys.shape[1]))
    for b, q in np.ndindex(query.shape[:2]):
        places = np.flatnonzero(valid[b, q])
        scores = np.exp([score(layer, query[b, q], keys[b, j], j) for j in places])
        weights[b, q, places] = scores / scores.sum()
        context[b, q] = weights[b, q] @ values[b]
    return context, weights


@kinds
@pytest.mark.parametrize("lengths", [None, LENGTHS])
def test_the_equations(kind, lengths):
    layer = make(kind)
    query, keys, values = inputs(layer)
    valid = np.arange(5) < np.array([5] * 3 if lengths is None else lengths)[:, None, None]
    wanted = by_hand(layer, query, keys, values, np.broadcast_to(valid, (3, 2, 5)))
    for context, weights in (
        layer(query, keys, values, lengths=lengths),
        layer.forward(query, keys, values, lengths=lengths)[0],
    ):
        assert max_error(context, wanted[0]) < 1e-14
        assert max_error(weights, wanted[1]) < 1e-15
        assert np.allclose(weights.sum(axis=-1), valid.any(axis=-1), rtol=1e-14)
        assert not weights[~np.broadcast_to(valid, weights.shape)].any()
        if lengths is not None:
            assert not context[1].any()


@kinds
def test_without_values_the_keys_are_taken(kind):
    layer = make(kind)
    query, keys, _ = inputs(layer)
    for a, b in zip(layer(query, keys), layer(query, keys, keys), strict=True):
        assert np.array_equal(a, b)
    dcontext = draw(3, 2, layer.key_size, seed=8)
    dquery, dkeys, dvalues = layer.forward(query, keys)[1](dcontext)
    apart = layer.forward(query, keys, keys)[1](dcontext)
    assert dvalues is None
    assert np.array_equal(dquery, apart[0])
    assert max_error(dkeys, apart[1] + apart[2]) < 1e-15


@kinds
def test_one_query_for_each_sequence(kind):
    layer = make(kind)
    query, keys, values = inputs(layer, Q=1)
    context, weights = layer(query[:, 0], keys, values, lengths=LENGTHS)
    assert context.shape == (3, 6)
    assert weights.shape == (3, 5)
    wanted = layer(query, keys, values, lengths=LENGTHS)
    assert np.array_equal(context, wanted[0][:, 0])
    assert np.array_equal(weights, wanted[1][:, 0])
    dcontext, dweights = draw(3, 6, seed=5), draw(3, 5, seed=6)
    got = layer.forward(query[:, 0], keys, values, lengths=LENGTHS)[1](dcontext, dweights)
    wanted = layer.forward(query, keys, values, lengths=LENGTHS)[1](dcontext[:, None], dweights[:, None])
    assert np.array_equal(got[0], wanted[0][:, 0])
    assert np.array_equal(got[1], wanted[1])
    assert np.array_equal(got[2], wanted[2])


@kinds
@pytest.mark.parametrize("with_values", [True, False])
@pytest.mark.parametrize(("B", "Q", "T", "lengths"), [(3, 2, 5, None), (3, 2, 5, LENGTHS), (1, 1, 1, None)])
def test_gradients(kind, with_values, B, Q, T, lengths):
    layer = make(kind)
    arrays = inputs(layer, B, Q, T)[: 2 + with_values]
    dcontext = draw(B, Q, 6 if with_values else layer.key_size, seed=8)
    # One key has a weight of one whatever the score is.
    parts = [(dcontext, draw(B, Q, T, seed=9)), (dcontext, None), (None, draw(B, Q, T, seed=9))] if T > 1 else []
    for part in parts or [(dcontext, None)]:

        def loss(part=part):
            for block in layer.blocks():
                block.changed()
            outputs = layer.forward(*arrays, lengths=lengths)[0]
            return sum(float((a * b).sum()) for a, b in zip(outputs, part, strict=True) if b is not None)

        layer.zero_grad()
        found = layer.forward(*arrays, lengths=lengths)[1](*part)
        pairs = [*zip(("query", "keys", "values"), found, arrays, strict=False), *parameters_and_gradients(layer)]
        for name, gradient, array in pairs:
            dull = T == 1 and name != "values" and (with_values or name != "keys")
            dull |= (name == "values" and part[0] is None) or (
                (kind, name) == ("location", "keys") and (with_values or part[0] is None)
            )
            assert gradient.any() != dull, name
            error = relative_error(gradient, central_differences(loss, array)) if not dull else 0
            assert error < 1e-6, f"gradient of {name} is off by {error:.1e}"
        assert len(pairs) == len(arrays) + len(layer.params)


@kinds
def test_padding_may_hold_anything(kind):
    layer = make(kind)
    query, keys, values = inputs(layer)
    beyond = np.arange(5) >= np.array(LENGTHS)[:, None]
    dcontext = draw(3, 2, 6, seed=8)
    found = []
    for junk in (0.0, np.nan, np.inf):
        arrays = [np.where(beyond[..., None], junk, array) for array in (keys, values)]
        outputs, backward = layer.forward(query, *arrays, lengths=LENGTHS)
        layer.zero_grad()
        gradients = backward(dcontext)
        assert not gradients[1][beyond].any()
        assert not gradients[2][beyond].any()
        found.append([*outputs, *gradients, *map(np.copy, layer.grads.values())])
    for others in found[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(found[0], others, strict=True))


@kinds
def test_masks(kind):
    layer = make(kind)
    query, keys, values = inputs(layer)
    mask = np.array([[1, 0, 1, 1, 0], [0, 0, 0, 0, 0], [0, 1, 1, 0, 1]], bool)
    wanted = by_hand(layer, query, keys, values, np.broadcast_to(mask[:, None], (3, 2, 5)))
    got = layer(query, keys, values, mask=mask)
    assert max_error(got[0], wanted[0]) < 1e-14
    assert max_error(got[1], wanted[1]) < 1e-15
    each = np.random.default_rng(6).random((3, 2, 5)) < 0.5
    got = layer(query, keys, values, mask=each, lengths=LENGTHS)
    wanted = by_hand(layer, query, keys, values, each & (np.arange(5) < np.array(LENGTHS)[:, None, None]))
    assert max_error(got[0], wanted[0]) < 1e-14
    assert max_error(got[1], wanted[1]) < 1e-15
    whole = layer(query, keys, values, lengths=LENGTHS)
    by_mask = layer(query, keys, values, mask=np.arange(5) < np.array(LENGTHS)[:, None])
    assert all(np.array_equal(a, b) for a, b in zip(whole, by_mask, strict=True))


@kinds
@pytest.mark.parametrize(("B", "Q", "T"), [(0, 2, 5), (2, 0, 5), (2, 3, 0)])
def test_empty(kind, B, Q, T):
    layer = make(kind)
    arrays = inputs(layer, B, Q, T)
    (context, weights), backward = layer.forward(*arrays)
    assert weights.shape == (B, Q, T)
    assert context.shape == (B, Q, 6)
    assert not context.any()
    found = backward(np.ones_like(context), np.ones_like(weights))
    assert [array.shape for array in found] == [array.shape for array in arrays]
    assert not any(array.any() for array in (*found, *layer.grads.values()))


@kinds
def test_large_scores_do_not_overflow(kind):
    layer = make(kind)
    query, keys, values = inputs(layer)
    context, weights = layer(1e5 * query, 1e5 * keys, values)
    assert np.allclose(weights.sum(axis=-1), 1)
    assert np.isfinite(context).all()


@kinds
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_inputs_of_any_kind_are_cast(kind, dtype):
    layer = make(kind, dtype)
    arrays = [array.astype(np.float32) for array in inputs(layer)]
    wanted = layer(*arrays)
    assert layer.dtype == wanted[0].dtype == wanted[1].dtype == dtype
    exact = make(kind)(*arrays)
    for a, b in zip(wanted, exact, strict=True):
        assert max_error(a, b) < (2e-6 if dtype == "float32" else 1e-14)
    for place in range(3):
        for _, array in awkward(arrays[place]):
            again = layer(*arrays[:place], array, *arrays[place + 1 :])
            assert max_error(again[0], wanted[0]) < 1e-5
    assert layer(arrays[0].astype(int), *arrays[1:])[0].dtype == dtype


def test_backward_belongs_to_its_call():
    layer = make("additive")
    arrays = inputs(layer)
    dcontext = draw(3, 2, 6, seed=8)
    wanted = layer.forward(*arrays)[1](dcontext)
    layer.zero_grad()
    (context, weights), backward = layer.forward(*arrays)
    context[...], weights[...] = 7, 7
    with pytest.raises(ValueError, match=r"dcontext must have the shape of context, \(3, 2, 6\), got \(3, 2, 5\)"):
        backward(dcontext[..., :5])
    with pytest.raises(ValueError, match=r"dweights must have the shape of weights, \(3, 2, 5\)"):
        backward(dcontext, dcontext)
    mine = {}
    for a, b in zip(backward(dcontext, grads=mine), wanted, strict=True):
        assert np.array_equal(a, b)
    assert set(mine) == set(layer.params)
    assert not layer.grads["weight_score"].any()
    with pytest.raises(RuntimeError, match="works once"):
        backward(dcontext)
    _, backward = layer.forward(*arrays)
    layer.params["weight_score"] = np.ones(7)
    with pytest.raises(RuntimeError, match="changed"):
        backward(dcontext)


@kinds
def test_copies_and_files(kind, tmp_path, capsys):
    layer = make(kind, "float32")
    arrays = inputs(layer)
    wanted = layer(*arrays)
    for again in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), rebuilt(layer, tmp_path)):
        assert again.config() == layer.config()
        for a, b in zip(again(*arrays), wanted, strict=True):
            assert np.array_equal(a, b)
    layer.summary()
    assert f"(B, Q, {layer.key_size})" in capsys.readouterr().out
    assert layer.num_params == {"general": 12, "additive": 7 * 8, "normed": 7 * 9 + 1, "location": 18}.get(kind, 0)
    with pytest.raises(ValueError, match="whole sequence"):
        layer.stream()


def test_coverage_is_copied_and_belongs_to_a_decoder(tmp_path):
    layer = randomise(Attention(3, 6, "additive", hidden_size=4, coverage=True, seed=0))
    for again in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), rebuilt(layer, tmp_path)):
        assert again.coverage
        assert np.array_equal(again.params["weight_coverage"], layer.params["weight_coverage"])
    with pytest.raises(ValueError, match="a Decoder runs it"):
        layer(np.zeros((1, 2, 3)), np.zeros((1, 5, 6)))


@kinds
def test_shapes(kind):
    layer = make(kind)
    K = layer.key_size
    assert layer.output_shape((("B", "Q", 3), ("B", "T", K))) == ("B", "Q", K)
    assert layer.shapes_of_many([("B", 3), ("B", "T", K), ("B", "T", 9)]) == (("B", 9), ("B", "T"))
    for shapes in (
        [("B", "Q", 3)],
        [("B", 3), ("B", K)],
        [("B", 9), ("B", "T", K)],
        [("B", 3), ("B", "T", K), ("B", 2)],
    ):
        with pytest.raises(ValueError, match="Attention"):
            layer.shapes_of_many(shapes)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((3, 4), {}, ValueError, "'dot' needs keys as long as queries, got query_size 3 and key_size 4"),
        ((3, 4, "scaled_dot"), {}, ValueError, "'scaled_dot' needs"),
        ((3, 3, "bilinear"), {}, ValueError, "kind must be one of 'dot', 'scaled_dot'.*got 'bilinear'"),
        ((3, 3, "location"), {}, ValueError, "needs num_positions"),
        (
            (3, 3, "general"),
            {"hidden_size": 3},
            ValueError,
            "hidden_size is an argument of kind 'additive' or 'normed' alone",
        ),
        ((3, 3, "additive"), {"num_positions": 3}, ValueError, "num_positions is an argument of kind 'location'"),
        ((0,), {}, ValueError, "query_size"),
        ((3,), {"dtype": "float16"}, ValueError, "dtype"),
    ],
)
def test_bad_arguments(arguments, options, error, message):
    with pytest.raises(error, match=message):
        Attention(*arguments, **options)


@pytest.mark.parametrize(
    ("shapes", "how", "error", "message"),
    [
        ([(2, 3, 4), (2, 5, 3)], {}, ValueError, r"query must have shape \(2, Q, 3\) or \(2, 3\).*got \(2, 3, 4\)"),
        ([(4, 3), (2, 5, 3)], {}, ValueError, "query must have shape"),
        ([(2, 3), (2, 3)], {}, ValueError, r"keys must have shape \(B, T, 3\), got \(2, 3\)"),
        ([(2, 3), (2, 5, 3), (2, 4, 3)], {}, ValueError, r"values must have shape \(2, 5, V\)"),
        ([(2, 3), (2, 5, 3)], {"lengths": [6, 1]}, ValueError, "from 0 to 5"),
        ([(2, 3), (2, 5, 3)], {"mask": np.ones((2, 5))}, ValueError, r"bool of shape \(2, 5\) or \(2, 1, 5\)"),
        ([(2, 3), (2, 5, 3)], {"mask": np.ones((5,), bool)}, ValueError, r"got bool \(5,\)"),
    ],
)
def test_bad_input(shapes, how, error, message):
    with pytest.raises(error, match=message):
        Attention(3)(*map(np.zeros, shapes), **how)


def test_too_many_positions():
    with pytest.raises(ValueError, match="has 6 positions, got 7 keys"):
        make("location")(np.zeros((1, 3)), np.zeros((1, 7, 4)))


@kinds
def test_parity_with_torch(kind):
    torch = pytest.importorskip("torch")
    layer = make(kind)
    query, keys, values = (torch.tensor(array, requires_grad=True) for array in inputs(layer))
    params = {name: torch.tensor(array, requires_grad=True) for name, array in layer.params.items()}
    lengths = np.array([5, 2, 3])
    valid = torch.tensor(np.arange(5) < lengths[:, None])[:, None]
    dcontext = draw(3, 2, 6, seed=8)
    if kind == "scaled_dot":
        context = torch.nn.functional.scaled_dot_product_attention(query, keys, values, attn_mask=valid)
    else:
        scores = {
            "dot": lambda: query @ keys.mT,
            "general": lambda: torch.nn.functional.bilinear(
                keys[:, None].expand(-1, 2, -1, -1).contiguous(),
                query[:, :, None].expand(-1, -1, 5, -1).contiguous(),
                params["weight"][None],
            )[..., 0],
            "additive": lambda: (
                torch.tanh((query @ params["weight_query"].T)[:, :, None] + (keys @ params["weight_key"].T)[:, None])
                @ params["weight_score"]
            ),
            "normed": lambda: (
                torch.tanh(
                    (query @ params["weight_query"].T)[:, :, None]
                    + (keys @ params["weight_key"].T)[:, None]
                    + params["bias"]
                )
                @ (params["scale"] * params["weight_score"] / params["weight_score"].norm())
            ),
            "location": lambda: (query @ params["weight"].T)[..., :5],
        }[kind]()
        context = torch.softmax(scores.masked_fill(~valid, -torch.inf), dim=-1) @ values
    context.backward(torch.tensor(dcontext))
    arrays = [array.detach().numpy() for array in (query, keys, values)]
    (ours, _), backward = layer.forward(*arrays, lengths=lengths)
    assert relative_error(ours, context.detach().numpy()) < 1e-12
    for gradient, theirs in zip(backward(dcontext), (query, keys, values), strict=True):
        wanted = np.zeros(theirs.shape) if theirs.grad is None else theirs.grad.numpy()
        assert max_error(gradient, wanted) < 1e-12
    for name, theirs in params.items():
        assert relative_error(layer.grads[name], theirs.grad.numpy()) < 1e-12
