import itertools
import math

import numpy as np
import pytest
from checks import awkward, central_differences, digest, max_error, ragged, relative_error

import rnnfast as rf
from rnnfast.decoding import ctc_greedy
from rnnfast.kernels import _threads
from rnnfast.training import CTC


def log_softmax(x):
    x = np.asarray(x, np.float64)
    x = x - x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def read(path, blank):
    return [symbol for symbol, _ in itertools.groupby(path) if symbol != blank]


def by_paths(logits, labels, blank=0):
    """-log p(labels), by going through every path."""
    log_p = log_softmax(logits)
    T, C = log_p.shape
    total = 0.0
    for path in itertools.product(range(C), repeat=T):
        if read(path, blank) == list(labels):
            total += math.exp(sum(log_p[t, k] for t, k in enumerate(path)))
    return -math.log(total) if total else math.inf


def by_logarithms(log_p, labels, blank=0):
    """-log p(labels), by forward probabilities in logarithms, from -inf up."""
    states = [blank]
    for label in labels:
        states += [label, blank]
    alpha = np.full(len(states), -np.inf)
    for t, row in enumerate(log_p):
        before = alpha.copy()
        for s, symbol in enumerate(states):
            terms = [before[s], before[s - 1] if s else -np.inf]
            if s > 1 and symbol not in (blank, states[s - 2]):
                terms.append(before[s - 2])
            if t == 0:
                terms = [0.0 if s < 2 else -np.inf]
            alpha[s] = np.logaddexp.reduce(terms) + row[symbol]
    return -np.logaddexp.reduce(alpha[-2:])


def draw(*shape, seed=0, dtype=np.float64, scale=2.0):
    return (np.random.default_rng([seed, *shape]).normal(size=shape) * scale).astype(dtype)


def draw_labels(B, S, C, seed=0, blank=0):
    """Labels of ragged lengths padded with -1, many of them repeated."""
    rng = np.random.default_rng([seed, B, S, C])
    classes = [k for k in range(C) if k != blank]
    labels = rng.choice(classes, (B, S))
    labels[:, 1::3] = labels[:, :-1:3]
    labels[np.arange(S) >= ragged(B, S)[:, None]] = -1
    return labels


TINY = [(1, [1]), (1, []), (2, [1, 2]), (3, [1, 1]), (4, [2]), (5, []), (5, [2, 2, 1]), (5, [1, 2, 1, 2]), (6, [1, 1])]


@pytest.mark.parametrize(("T", "labels"), TINY)
@pytest.mark.parametrize("blank", [0, 2])
def test_the_sum_over_every_path(T, labels, blank):
    x = draw(1, T, 3)
    labels = [(label + blank) % 3 for label in labels]
    total, count, gradient = CTC(blank)(x, [labels])
    wanted = by_paths(x[0], labels, blank)
    assert math.isfinite(wanted)
    assert abs(total - wanted) < 1e-10
    assert count == 1
    differences = central_differences(lambda: by_paths(x[0], labels, blank), x)
    assert relative_error(gradient, differences) < 1e-9
    single = CTC(blank)(x.astype(np.float32), [labels])
    assert abs(single[0] - wanted) < 1e-5
    assert single[2].dtype == np.float32
    assert max_error(single[2], gradient) < 1e-6


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("B", "T", "C", "S"), [(5, 23, 7, 6), (1, 40, 3, 11), (3, 9, 33, 4)])
@pytest.mark.parametrize("normalize", ["sequence", "target"])
def test_equal_to_torch(dtype, B, T, C, S, normalize):
    torch = pytest.importorskip("torch")
    x, labels = draw(B, T, C, dtype=dtype), draw_labels(B, S, C, blank=1)
    sizes, lengths = (labels >= 0).sum(axis=1), np.maximum(ragged(B, T), 2 * S + 1)
    lengths = np.minimum(lengths, T)
    mask = np.arange(T) < lengths[:, None]
    x[~mask] = np.nan
    given = torch.tensor(np.where(mask[..., None], x, 0).astype(np.float64), requires_grad=True)
    reduction = "sum" if normalize == "sequence" else "mean"
    wanted = torch.nn.functional.ctc_loss(
        given.log_softmax(2).transpose(0, 1),
        torch.tensor(np.maximum(labels, 0)),
        torch.tensor(lengths),
        torch.tensor(sizes),
        blank=1,
        reduction=reduction,
    )
    wanted.backward()
    total, count, gradient = CTC(1, normalize=normalize)(x, labels, mask)
    scale = 1 if normalize == "sequence" else B
    assert count == B
    assert abs(total - wanted.item() * scale) < 1e-10 * abs(total)
    tolerance = 1e-10 if dtype == np.float64 else 1e-6
    assert max_error(gradient, given.grad.numpy() * scale) < tolerance
    assert not gradient[~mask].any()
    assert gradient.dtype == dtype


def test_gradient_against_differences():
    x, labels = draw(3, 8, 4), [[1, 1, 2], [], [3, 2, 3]]
    mask = np.arange(8) < np.array([8, 3, 5])[:, None]
    weights = [0.5, -2.0, 3.0]
    for normalize in ("sequence", "target"):
        loss = CTC(normalize=normalize)
        _, count, gradient = loss(x, labels, mask, weights)
        differences = central_differences(lambda loss=loss: loss(x, labels, mask, weights)[0], x)
        assert count == 3
        assert relative_error(gradient, differences) < 1e-9


def test_targets_in_every_form():
    x = draw(4, 9, 5)
    padded = np.array([[1, 2, 2], [3, -1, -1], [-1, -1, -1], [4, 1, -1]])
    rows = [row[row >= 0] for row in padded]
    wanted = CTC()(x, padded)
    ragged_rows = np.empty(4, object)
    ragged_rows[:] = rows
    forms = [rows, tuple(rows), [row.tolist() for row in rows], ragged_rows, padded.tolist()]
    forms += [padded.astype(np.int8), padded.astype(">i4"), np.asfortranarray(padded)]
    forms += [[row.astype(np.uint16) for row in rows], np.pad(padded, ((0, 0), (0, 4)), constant_values=-1)]
    for form in forms:
        total, count, gradient = CTC()(x, form)
        assert (total, count) == wanted[:2]
        assert np.array_equal(gradient, wanted[2])


def test_logits_in_every_layout():
    x = draw(3, 6, 4)
    wanted = CTC()(x, [[1], [2, 2], [3]])
    for name, array in awkward(x):
        total, _, gradient = CTC()(array, [[1], [2, 2], [3]])
        assert total == wanted[0], name
        assert np.array_equal(gradient, wanted[2]), name


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_too_few_steps(dtype):
    """Two equal labels need three steps: one without finds no path."""
    x = draw(3, 3, 4, dtype=dtype)
    labels, mask = [[1, 1], [1, 1], [2, 3]], np.arange(3) < np.array([2, 3, 2])[:, None]
    rest = CTC()(x[1:], labels[1:], mask[1:])
    total, count, gradient = CTC()(x, labels, mask)
    assert total == math.inf
    assert count == 3
    assert not gradient[0].any()
    assert np.array_equal(gradient[1:], rest[2])
    total, count, gradient = CTC(zero_infinity=True)(x, labels, mask)
    assert total == rest[0]
    assert count == 3
    assert not gradient[0].any()
    assert np.array_equal(gradient[1:], rest[2])


def test_without_steps_or_labels():
    x = draw(3, 4, 3)
    mask = np.arange(4) < np.array([0, 0, 2])[:, None]
    x[~mask] = np.nan
    total, count, gradient = CTC()(x, [[], [1], []], mask)
    assert (total, count) == (math.inf, 3)
    assert not gradient[:2].any()
    total, count, gradient = CTC(zero_infinity=True, normalize="target")(x, [[], [1], []], mask)
    blanks = -log_softmax(x[2, :2])[:, 0].sum()
    assert abs(total - blanks) < 1e-12
    assert max_error(gradient[2, :2], np.exp(log_softmax(x[2, :2])) - [1, 0, 0]) < 1e-14
    for shape, labels in (((0, 4, 3), []), ((0, 4, 3), np.zeros((0, 2), int)), ((2, 0, 3), [[], []])):
        total, count, gradient = CTC()(np.zeros(shape), labels)
        assert (total, count, gradient.shape) == (0.0, shape[0], shape)
    assert CTC()(np.zeros((2, 0, 3)), [[], [1]])[0] == math.inf
    assert CTC()(np.zeros((1, 5, 1)), [[]])[0] == 0.0  # the blank is all there is


def test_what_does_not_count_is_not_read():
    x, labels = draw(4, 6, 4), np.array([[1, 2], [2, -1], [3, 3], [1, 3]])
    kept = CTC()(x[1:3], labels[1:3], None, [2.0, 0.5])
    x[[0, 3]], labels[[0, 3]] = np.nan, 99
    total, count, gradient = CTC()(x, labels, np.array([False, True, True, False]), [np.nan, 2.0, 0.5, np.inf])
    assert (total, count) == kept[:2]
    assert np.array_equal(gradient[1:3], kept[2])
    assert not gradient[[0, 3]].any()
    total, count, gradient = CTC()(x, labels, None, [0.0, 2.0, 0.5, 0.0])
    assert (total, count) == (kept[0], 4)
    assert np.array_equal(gradient[1:3], kept[2])
    total, count, gradient = CTC()(x, labels, np.zeros(4, bool))
    assert (total, count) == (0.0, 0)
    assert not gradient.any()


@pytest.mark.parametrize("scale", [1e-3, 30.0, 1e3, 1e5])
def test_range_of_logarithms(scale):
    """Probabilities far below what a float64 holds, within a step and over many of them."""
    x = draw(2, 300, 5, scale=scale)
    labels = draw_labels(2, 60, 5, seed=3)
    total, _, gradient = CTC()(x, labels)
    wanted = sum(by_logarithms(log_softmax(x[n]), labels[n][labels[n] >= 0]) for n in range(2))
    assert abs(total / wanted - 1) < 1e-12
    assert max_error(gradient.sum(axis=2), np.zeros((2, 300))) < 1e-9
    assert np.abs(gradient).max() <= 1


def test_the_only_path_may_be_the_least_likely():
    """As many labels as steps: the one path left gives at each step what the softmax says never comes."""
    x = np.zeros((1, 40, 3))
    x[0, :, 0] = 800.0
    labels = [[1, 2] * 20]
    total, _, gradient = CTC()(x, labels)
    assert abs(total - 40 * 800) < 1e-9
    wanted = np.zeros((40, 3))
    wanted[:, 0] = 1
    wanted[np.arange(40), labels[0]] = -1
    assert max_error(gradient[0], wanted) < 1e-12


def test_infinities_and_nan():
    x = draw(1, 5, 4)
    forbidden = x.copy()
    forbidden[0, :, 3] = -np.inf
    without = CTC()(x[:, :, :3], [[1, 2]])
    total, _, gradient = CTC()(forbidden, [[1, 2]])
    assert abs(total - without[0]) < 1e-12
    assert max_error(gradient[..., :3], without[2]) < 1e-14
    assert not gradient[..., 3].any()
    total, _, gradient = CTC()(forbidden, [[1, 3]])
    assert total == math.inf
    assert not gradient.any()
    for far in (-1e9, -1e30, -1e300):
        forbidden[0, :, 3] = far
        assert abs(CTC()(forbidden, [[1, 2]])[0] - without[0]) < 1e-12
        total, _, gradient = CTC()(forbidden, [[1, 3]])
        assert abs(total / -far - 1) < 1e-8
        assert max_error(gradient.sum(axis=2), np.zeros((1, 5))) < 1e-12
    for bad in (np.nan, np.inf):
        x[0, 2, 1] = bad
        total, _, gradient = CTC()(np.concatenate([x, draw(1, 5, 4, seed=1)]), [[1, 2], [1, 2]])
        assert math.isnan(total)
        assert np.isnan(gradient[0, 2]).all()
        assert np.isfinite(gradient[1]).all()


def test_bits_do_not_depend_on_the_batch_or_the_threads():
    x, labels = draw(7, 21, 9, dtype=np.float32), draw_labels(7, 6, 9)
    mask = np.arange(21) < np.maximum(ragged(7, 21), 13)[:, None]
    found, before, calls = set(), _threads._set_worth_a_thread(0.0), _threads._divided_calls()
    try:
        for threads in (1, 2, 3, 7):
            rf.set_num_threads(threads)
            total, _, gradient = CTC()(x, labels, mask)
            found.add((total, digest([gradient])))
        assert _threads._divided_calls() == calls + 3
    finally:
        _threads._set_worth_a_thread(before)
    assert len(found) == 1
    alone = [CTC()(x[n : n + 1], labels[n : n + 1], mask[n : n + 1])[2] for n in range(7)]
    assert np.array_equal(np.concatenate(alone), gradient)


def test_errors():
    x = np.zeros((2, 3, 4))
    for arguments, error, text in (
        ((x[0], [[1]]), ValueError, r"predictions must have shape \(B, T, C\), got \(3, 4\)"),
        ((x.astype(int), [[1], [1]]), TypeError, "predictions must be float32 or float64, got int64"),
        ((x, [[1]]), ValueError, "targets must be those of 2 sequences, got 1"),
        ((x, np.array([1, 2])), ValueError, r"targets must have shape \(B, S\), or be a list of arrays, got \(2,\)"),
        ((x, 5), TypeError, "targets must be an array .* got int"),
        ((x, [[1.5], [1]]), TypeError, "targets of a sequence must be integers"),
        ((x, [[[1]], [[1]]]), TypeError, r"integers \(S,\), got int64 \(1, 1\)"),
        ((x, [[1], [0]]), ValueError, "classes 0 to 3 but the blank 0, .* got 0 in sequence 1"),
        ((x, [[4], [1]]), ValueError, "got 4 in sequence 0"),
        ((x, [[-2], [1]]), ValueError, "got -2 in sequence 0"),
        ((x, [[1, -1, 2], [1]]), ValueError, "got 2 after -1 in sequence 0"),
        ((x, [[1], [1]], np.ones((2, 3))), TypeError, "mask must be boolean"),
        ((x, [[1], [1]], np.ones((3, 2), bool)), ValueError, r"mask must have shape \(2, 3\) or \(2,\), got \(3, 2\)"),
        ((x, [[1], [1]], [[True] * 3, [True, False, True]]), ValueError, "first steps .* sequence 1"),
        ((x, [[1], [1]], None, np.ones((2, 3))), ValueError, r"weights must have shape \(2,\), .* got \(2, 3\)"),
        ((x, [[1], [1]], None, [1, np.nan]), ValueError, "weights must be finite"),
    ):
        with pytest.raises(error, match=text):
            CTC()(*arguments)
    with pytest.raises(ValueError, match="the blank, 4, must be one of 4 classes"):
        CTC(4)(x, [[1], [1]])
    for arguments, error in (
        ((-1,), ValueError),
        ((1.0,), TypeError),
        ((True,), TypeError),
        ((0, 0, "mean"), ValueError),
    ):
        with pytest.raises(error):
            CTC(*arguments)
    assert repr(CTC(2, normalize="target")) == "CTC(blank=2, normalize='target')"


@pytest.mark.parametrize("ragged_lists", [False, True])
def test_a_network_learns_to_spell(ragged_lists):
    """Letters drawn out over several steps; the letters are told, their places are not."""
    rng = np.random.default_rng(0)
    counts, lengths = rng.integers(1, 4, 48), np.zeros(48, int)
    labels, x = np.full((48, 3), -1), np.zeros((48, 18, 4), np.float32)
    for n, count in enumerate(counts):
        labels[n, :count] = rng.choice(3, count, replace=False) + 1
        at = np.sort(rng.choice(5, count, replace=False)) * 3 + 1
        for label, t in zip(labels[n], at, strict=False):
            x[n, t : t + rng.integers(1, 3), label] = 1
        lengths[n] = at[-1] + 3
    model = rf.Sequential(rf.GRU(4, 12, bidirectional=True, seed=0), rf.Linear(24, 4, seed=1))
    given, targets, how = x, labels, {"lengths": lengths}
    if ragged_lists:
        given, how = [row[:n] for row, n in zip(x, lengths, strict=True)], {}
        targets = [row[:n] for row, n in zip(labels, counts, strict=True)]
    how |= {"loss": "ctc", "batch_size": 16}
    history = model.fit(given, targets, epochs=30, optimizer=rf.Adam(0.03), seed=0, verbose=False, **how)
    assert history.history["loss"][-1] < 0.2 < 2 < history.history["loss"][0]
    assert model.evaluate(given, targets, **how)["loss"] < 0.2
    found = ctc_greedy(model.predict(x, lengths=lengths), lengths)
    right = [each.labels.tolist() == row[row > 0].tolist() for each, row in zip(found, labels, strict=True)]
    assert np.mean(right) > 0.95
