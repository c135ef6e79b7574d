"""A decoder's pass over the true tokens, all steps: layer after layer, or by the loop over the steps."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from rnnfast.layers import _check
from rnnfast.layers._base import draw_key
from rnnfast.layers._penalties import add_penalty
from rnnfast.models.seq2seq import _loop

Array = np.ndarray
Found = dict[int, dict[str, Array]]


class Taught(NamedTuple):
    """What comes of it, of the steps that count."""

    read: Array
    """(B, T, A): h~; h without attention."""
    both: Array | None
    """(B, T, F + Q): context and h."""
    weights: Array | None
    """(B, T, S)."""
    backward: Callable[..., tuple[Array, Any, Array | None]]
    """`backward(dread, dboth, dweights, found)`: the gradients of x, of the first state and of the memory."""


def by_layers(decoder: Any, x: Array, source: Any, ends: Any, key: Any, skipped: int, lengths: Any) -> Taught:
    """One call of each layer, over inputs x (B, T, I) that end at `ends`, the first `skipped` of which are not read."""
    attention, combine = decoder.attention, decoder.combine
    (steps, _), back_recurrent = decoder.recurrent.forward(x, source.state, lengths=ends, rng=key)
    h = steps[:, skipped:]
    read, both, weights = h, None, None
    if attention is not None:
        (context, weights), back_attention = attention.forward(h, source.memory, lengths=source.lengths)
        both = np.concatenate([context, h], axis=-1)
        read, back_combine = combine.forward(both, lengths=lengths)

    def backward(
        dread: Array, dboth: Array | None, dweights: Array | None, found: Found
    ) -> tuple[Array, Any, Array | None]:
        dmemory = None
        if attention is not None:
            through = back_combine(dread, grads=found[id(combine)])
            dboth = through if dboth is None else through + dboth
            dcontext, dh = dboth[..., : attention.key_size], dboth[..., attention.key_size :]
            dquery, dmemory, _ = back_attention(dcontext, dweights, grads=found[id(attention)])
            dread = dh + dquery
        if skipped:
            dread = np.concatenate([np.zeros_like(steps[:, :skipped]), dread], axis=1)
        dx, dstate = back_recurrent(dread, grads=found[id(decoder.recurrent)])
        return dx, dstate, dmemory

    return Taught(read, both, weights, backward)


def by_loop(decoder: Any, x: Array, source: Any, ends: Any, key: Any, skipped: int, lengths: Any) -> Taught:
    """The same by the loop over the steps."""
    passed = _loop.run(decoder, x, source, _loop.Running(source.state), ends, draw_key(key))
    combine = decoder.combine
    both, weights = passed.both[:, skipped:], passed.weights[:, skipped:]
    if passed.mixed is None:
        read, back_combine = combine.forward(both, lengths=lengths)
    else:
        read = passed.mixed[:, skipped:].copy()
    penalty = _coverage_penalty(decoder, passed, skipped)

    def whole(gradient: Array | None) -> Array | None:
        """The gradient for all steps, in memory of its own, zero where none counts."""
        if gradient is None:
            return None
        found = np.zeros((*passed.both.shape[:2], gradient.shape[2]), gradient.dtype)
        found[:, skipped:] = gradient
        if passed.lengths is not None and (beyond := _check.padding(passed.lengths, found.shape[:2])) is not None:
            found[beyond] = 0
        return found

    def backward(dread: Array, dboth: Array | None, dweights: Array | None, found: Found) -> tuple[Array, Any, Array]:
        dmixed, dcoverage = whole(dread), None
        if passed.mixed is None:
            through = back_combine(dread, grads=found[id(combine)])
            dmixed, dboth = None, through if dboth is None else through + dboth
        dweights = whole(dweights)
        if penalty is not None:
            own, dcoverage = penalty()
            dweights = own if dweights is None else dweights + own
        return passed.backward(whole(dboth), dmixed, found, dweights, dcoverage)

    return Taught(read, both, weights, backward)


def _coverage_penalty(decoder: Any, passed: _loop.Pass, skipped: int) -> Callable[[], tuple[Array, Array]] | None:
    """Add the coverage loss to the penalties of this batch; from it to the gradients of weights and coverage."""
    if not decoder.coverage_loss:
        return None
    weights, coverage = passed.weights, passed.coverage
    assert coverage is not None
    counts = np.ones(weights.shape[:2], bool)
    if passed.lengths is not None:
        counts = np.arange(weights.shape[1]) < passed.lengths[:, None]
    counts[:, :skipped] = False
    share = decoder.coverage_loss / max(1, int(counts.sum()))
    before = coverage[:, :-1]
    overlap = np.where(counts[..., None], np.minimum(weights, before), 0)
    gathered = add_penalty(share * float(overlap.sum(dtype=np.float64)))

    def backward() -> tuple[Array, Array]:
        slope = np.where(counts, np.asarray(share * gathered.share, weights.dtype), 0)[..., None]
        less = weights < before
        return np.where(less, slope, 0).astype(weights.dtype), np.where(less, 0, slope).astype(weights.dtype)

    return backward
