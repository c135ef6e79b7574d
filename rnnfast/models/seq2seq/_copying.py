"""What a decoder writes that may copy: probabilities of the vocabulary, and of the source's own tokens."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from rnnfast.layers import _check

Array = np.ndarray


class Copied(NamedTuple):
    """From the gradient of the log-probabilities."""

    logits: Array
    """Of the vocabulary's logits."""
    gate: Array
    """Of p_gen, (B, T, 1)."""
    weights: Array
    """Of the attention (B, T, S)."""


def mix(logits: Array, gate: Array, weights: Array, tokens: Array) -> tuple[Array, Callable[[Array], Copied]]:
    """log(p_gen softmax(logits) + (1 - p_gen) Σ over the places j that hold the token of a_j).

    See et al. 2017 (arXiv:1704.04368), equation 9, with a vocabulary that source and target have in common. A row that
    looks nowhere copies nothing: its p_gen is 1.

    Parameters
    ----------
    logits : ndarray (B, T, V)
    gate : ndarray (B, T, 1)
        p_gen.
    weights : ndarray (B, T, S)
        The attention a.
    tokens : ndarray of int (B, S)
        What the source holds; anything from 0 to V - 1 where there is no attention.
    """
    B, T, V = logits.shape
    looks = weights.any(axis=2, keepdims=True) if weights.shape[2] else np.zeros((B, T, 1), bool)
    made = np.where(looks, gate, 1)
    written = np.exp(logits - logits.max(axis=-1, keepdims=True))
    written /= written.sum(axis=-1, keepdims=True)
    places = np.broadcast_to(tokens[:, None], weights.shape)
    total = made * written
    rows = np.arange(B * T).reshape(B, T, 1) * V
    np.add.at(total.reshape(-1), (rows + places).reshape(-1), ((1 - made) * weights).reshape(-1))
    least = np.finfo(total.dtype).tiny
    counts = total > least

    def backward(dlog_probs: Array) -> Copied:
        slope = np.where(counts, dlog_probs / np.maximum(total, least), 0)
        copied = np.take_along_axis(slope, places, axis=2)
        along = (written * slope).sum(axis=-1, keepdims=True)
        dgate = np.where(looks, along - (copied * weights).sum(axis=-1, keepdims=True), 0)
        return Copied(made * written * (slope - along), dgate, (1 - made) * copied)

    return np.log(np.maximum(total, least)), backward


def held_tokens(decoder: Any, source: Any) -> Array:
    """The tokens that a source holds (B, S), zero beyond its end.

    Raises
    ------
    ValueError
        When they are missing, of a wrong shape, or none of the target's vocabulary.
    """
    shape, count = source.memory.shape[:2], decoder.output.out_features
    found = None if source.tokens is None else np.asarray(source.tokens)
    if found is None or found.dtype.kind not in "iu" or found.shape != shape:
        got = "none" if found is None else f"{found.dtype} {found.shape}"
        raise ValueError(f"a decoder that copies wants the source's tokens, integers of shape {shape}, got {got}")
    found = _without(found, source.lengths)
    if found.size and not (found.min() >= 0 and found.max() < count):
        raise ValueError(
            f"a decoder that copies shares its vocabulary with the source: tokens must be 0 to {count - 1}, got "
            f"{found.min()} to {found.max()}"
        )
    return found


def run(
    decoder: Any, logits: Array, both: Any, weights: Any, embedded: Array, tokens: Array, lengths: Any = None
) -> Array:
    """Log-probabilities (B, T, V), zero where sequences have ended."""
    gate = decoder.gate(np.concatenate([both, embedded], axis=-1))
    return _without(mix(logits, gate, weights, tokens)[0], lengths)


def forward(
    decoder: Any, logits: Array, both: Any, weights: Any, embedded: Array, tokens: Array, lengths: Any
) -> tuple[Array, Callable[..., tuple[Array, Array, Array, Array]]]:
    """The same for training, and its backward to logits, both, embedded and weights."""
    gate, back_gate = decoder.gate.forward(np.concatenate([both, embedded], axis=-1))
    log_probs, back_mix = mix(logits, gate, weights, tokens)

    def backward(dlog_probs: Array, found: dict[int, dict[str, Array]]) -> tuple[Array, Array, Array, Array]:
        copied = back_mix(_without(dlog_probs, lengths))
        dseen, width = back_gate(copied.gate, grads=found[id(decoder.gate)]), embedded.shape[-1]
        return copied.logits, dseen[..., :-width], dseen[..., -width:], copied.weights

    return _without(log_probs, lengths), backward


def _without(array: Array, lengths: Any) -> Array:
    """Zero where sequences have ended."""
    beyond = _check.padding(lengths, array.shape[:2])
    if beyond is None:
        return array
    return np.where(beyond.reshape(*beyond.shape, *(1,) * (array.ndim - 2)), 0, array)
