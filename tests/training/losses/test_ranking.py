import math

import numpy as np
import pytest
from checks import central_differences, max_error, relative_error
from loss_checks import Case, check_loss, check_torch, normal

import rnnfast as rf
from rnnfast.training import BPR, Contrastive, CosineEmbedding, MarginRanking, Triplet, train_step

SIGNS = np.random.default_rng(4).choice([-1, 1], (3, 4))


def cosine(a, b):
    return float(a @ b) / math.sqrt(float(a @ a) * float(b @ b))


def triplet(p, _):
    near, far = (math.sqrt(((p[0] - p[k] + 1e-6) ** 2).sum()) for k in (1, 2))
    return max(0.0, near - far + 0.9)


def contrastive(p, t):
    distance = math.sqrt(((p[0] - p[1]) ** 2).sum())
    return distance**2 / 2 if t == 1 else max(0.0, 3.0 - distance) ** 2 / 2


CASES = {
    "margin_ranking": Case(
        MarginRanking(0.4),
        normal(3, 4, 2),
        SIGNS,
        lambda p, t: max(0.0, 0.4 - t * (p[0] - p[1])),
        lambda f, p, t: f.nn.functional.margin_ranking_loss(p[..., 0], p[..., 1], t, margin=0.4, reduction="none"),
    ),
    "bpr": Case(
        BPR(),
        3 * normal(3, 4, 2),
        np.zeros((3, 4)),
        lambda p, _: -math.log(1 / (1 + math.exp(p[1] - p[0]))),
        lambda f, p, _: -f.nn.functional.logsigmoid(p[..., 0] - p[..., 1]),
    ),
    "triplet": Case(
        Triplet(0.9),
        normal(3, 4, 3, 5),
        np.zeros((3, 4)),
        triplet,
        lambda f, p, _: f.nn.functional.triplet_margin_loss(*p.unbind(2), margin=0.9, reduction="none"),
    ),
    "contrastive": Case(Contrastive(3.0), normal(3, 4, 2, 5), SIGNS, contrastive),
    "cosine_embedding": Case(
        CosineEmbedding(0.1),
        normal(3, 4, 2, 5),
        SIGNS,
        lambda p, t: 1 - cosine(*p) if t == 1 else max(0.0, cosine(*p) - 0.1),
        lambda f, p, t: f.nn.functional.cosine_embedding_loss(
            *p.flatten(0, 1).unbind(1), t.flatten(), margin=0.1, reduction="none"
        ),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_losses_are_their_formulas(name):
    check_loss(CASES[name])


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.torch])
def test_parity_with_torch(name):
    check_torch(CASES[name], pytest.importorskip("torch"))


@pytest.mark.parametrize("name", CASES)
def test_outputs_by_name_are_the_array_s_parts(name):
    loss, predictions, targets, *_ = CASES[name]
    names = ["one", "other", "third"][: loss.members]
    named = type(loss)(**{key: getattr(loss, key) for key in ("margin",) if hasattr(loss, key)}, outputs=names[::-1])
    outputs = dict(zip(names[::-1], np.moveaxis(predictions, 2, 0), strict=True))
    assert repr(named).endswith(f"outputs={tuple(names[::-1])})")
    mask, weights = np.array([[True] * 4, [True, False, True, False], [False] * 4]), np.array([0.5, 2.0, 1.0])
    masks = dict.fromkeys(names)
    masks[names[0]] = mask
    for given in (None, mask, masks):
        array = mask if isinstance(given, dict) else given
        wanted = loss(predictions, targets, array, weights)
        for what in ({names[0]: targets, names[-1]: None}, targets):
            for scale in (weights, {names[-1]: weights}):
                total, count, gradient = named({"free": np.ones(3), **outputs}, what, given, scale)
                assert (total, count) == wanted[:2]
                assert gradient["free"] is None
                for place, key in enumerate(names[::-1]):
                    assert np.array_equal(gradient[key], wanted[2][:, :, place])
                    assert gradient[key].flags.c_contiguous


def test_masks_by_name_must_agree():
    loss = Triplet(outputs=("a", "p", "n"))
    parts = normal(3, 4, 2)
    first, second = np.array([True, True, True, False]), np.array([True, False, True, True])
    total, count, gradient = loss(dict(zip("apn", parts, strict=True)), None, {"a": first, "p": second, "n": None})
    assert count == 2
    assert total == Triplet()(np.stack(parts, 1)[first & second])[0]
    assert not gradient["n"][[1, 3]].any()


def test_scores_of_one_column():
    scores = {"a": normal(5, 1), "b": normal(5, 1, seed=1)}
    wanted = MarginRanking(1.0)(np.concatenate([scores["a"], scores["b"]], axis=1), np.ones(5))
    for targets in (np.ones(5), np.ones((5, 1))):
        total, count, gradient = MarginRanking(1.0, outputs=("a", "b"))(scores, targets)
        assert (total, count) == wanted[:2]
        assert np.array_equal(np.concatenate([gradient["a"], gradient["b"]], axis=1), wanted[2])


@pytest.mark.parametrize("loss", [MarginRanking(0.4), Contrastive(3.0), CosineEmbedding(0.1)])
def test_targets_of_zeros_and_ones(loss):
    predictions = normal(6, 2) if not loss.vectors else normal(6, 2, 3)
    targets = np.array([1, 0, 0, 1, 1, 0])
    found = loss(predictions, targets)
    for given in (2 * targets - 1, targets == 1, targets.astype(float), targets[:, None]):
        again = loss(predictions, given)
        assert again[:2] == found[:2]
        assert np.array_equal(again[2], found[2])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_far_and_equal(dtype):
    total, _, gradient = BPR()(np.array([[1e4, -1e4], [-1e4, 1e4]], dtype))
    assert total == 2e4
    assert gradient.tolist() == [[0, 0], [-1, 1]]
    same = np.ones((2, 2, 3), dtype)
    total, _, gradient = Contrastive(2.0)(same, [1, 0])
    assert total == 2.0
    assert not gradient.any()
    total, _, gradient = CosineEmbedding()(np.zeros((2, 2, 3), dtype), [1, 0])
    assert total == 1
    assert not gradient.any()
    total, _, gradient = Triplet(epsilon=0.0)(np.ones((1, 3, 4), dtype))
    assert total == 1
    assert not gradient.any()
    total, _, gradient = Triplet()(np.array([[[1e30, 0], [0, 0], [0, 1e30]]], dtype))
    assert total == 0
    assert np.isfinite(gradient).all()


def test_an_encoder_of_three_inputs_learns_from_triplets():
    graph = rf.Graph(dict.fromkeys(("anchor", "positive", "negative"), ("B", "T", 2)))
    encoder, last, names = rf.GRU(2, 3, dtype="float64"), rf.Last(), {}
    for name in ("anchor", "positive", "negative"):
        names[name + "_code"] = graph.add(last, graph.add(encoder, name))
    graph.outputs(**names)
    x = {name: normal(4, 5, 2, seed=seed) for seed, name in enumerate(graph.inputs)}
    loss = Triplet(outputs=tuple(names))
    predictions, backward = graph.forward(x)
    gradient = loss(predictions)[2]
    backward(gradient, need_dx=False)
    found = dict(graph.grads)
    name = next(each for each in graph.params if "weight_hh" in each)
    values = graph.params[name].copy()

    def moved():
        graph.params[name] = values
        return loss(graph(x))[0]

    assert relative_error(found[name], central_differences(moved, values)) < 1e-6
    moved()
    before, optimizer = loss(graph(x)), rf.Adam(0.02)
    for _ in range(60):
        train_step(graph, x, None, loss, optimizer)
    after = loss(graph(x))
    assert after[1] == before[1] == 4
    assert after[0] < before[0] / 2


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Triplet()(normal(3, 2, 4)), ValueError, r"triplet: predictions must have shape \(\.\.\., 3, F\), got"),
        (lambda: Triplet()(normal(3)), ValueError, r"shape \(\.\.\., 3, F\), got \(3,\)"),
        (lambda: BPR()(normal(3, 3)), ValueError, r"bpr: predictions must have shape \(\.\.\., 2\), got \(3, 3\)"),
        (lambda: MarginRanking()(normal(3, 2), [1, 1]), ValueError, r"targets must have shape \(3,\), got \(2,\)"),
        (lambda: MarginRanking()(normal(3, 2), [1, 2, 1]), ValueError, "targets must be 1, and 0 or -1, got 2"),
        (lambda: Contrastive()(normal(3, 2, 4), ["a"] * 3), TypeError, "contrastive: targets must hold real numbers"),
        (lambda: Contrastive()(normal(3, 2, 4)), TypeError, "contrastive: targets must hold real numbers"),
        (lambda: Contrastive()({"a": normal(3, 4)}), ValueError, "say with outputs= which 2 of the outputs.* are a"),
        (lambda: Contrastive(outputs=("a", "b"))({"a": normal(3, 4)}), ValueError, "no output 'b'; there are a"),
        (
            lambda: Contrastive(outputs=("a", "b"))({"a": normal(3, 4), "b": normal(3, 5)}, [1, 1, 1]),
            ValueError,
            r"one shape, \(\.\.\., F\); a is float64 of \(3, 4\), b float64 of \(3, 5\)",
        ),
        (lambda: BPR(outputs=("a", "b", "c")), ValueError, r"bpr: outputs must be 2 names, got \('a', 'b', 'c'\)"),
        (lambda: BPR(outputs="ab"), ValueError, "outputs must be 2 names, got 'ab'"),
        (lambda: Triplet(margin=-1), ValueError, "margin must be at least 0"),
        (lambda: CosineEmbedding(margin=2), ValueError, "margin must be -1 to 1, got 2"),
    ],
)
def test_mistakes(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_float32_outputs_have_float32_gradients():
    loss = Triplet(outputs=("a", "p", "n"))
    parts = dict(zip("apn", normal(3, 4, 2), strict=True))
    wanted = loss(parts)[2]
    found = loss({name: part.astype(np.float32) for name, part in parts.items()})[2]
    for name, gradient in found.items():
        assert gradient.dtype == np.float32
        assert max_error(gradient, wanted[name]) < 1e-6
