"""Attention as the fused loop over the steps takes it: what does not depend on the step, and its gradients."""

from typing import Any

import numpy as np

from rnnfast import ops
from rnnfast.layers import _check
from rnnfast.layers.attention import Array, Attention
from rnnfast.ops._arrays import sequence_lengths

# Rows of hidden units are padded to a multiple of this: see kernels/src/attention_table.h.
LINES = 16


class Reading:
    """The scores of an `Attention` as q · k or v · tanh(q' + k), with keys k that are made of the memory once.

    Attributes
    ----------
    additive : bool
        Which of both.
    width : int
        Of a row of hidden units, padded; 0 where there are none.
    weight, along : numpy.ndarray (width,) or None
        v, and what the coverage of a position is multiplied by.
    """

    def __init__(self, attention: Attention):
        self.attention, self.params = attention, attention.params
        self.additive = attention.hidden_size is not None
        self.weight = self.along = None
        self.width = 0
        if attention.hidden_size is not None:
            self.width = -(-attention.hidden_size // LINES) * LINES
            score, self._score_back = attention._score_weight()
            self.weight = self._pad(score)
            if attention.coverage:
                self.along = self._pad(self.params["weight_coverage"])

    def _pad(self, row: Array) -> Array:
        padded = np.zeros(self.width, row.dtype)
        padded[: len(row)] = row
        return padded

    def query(self) -> Any:
        """What makes q' of a query, packed; None where it is the query itself."""
        if not self.additive:
            return None
        bias = self.params["bias"] if self.attention.kind == "normed" else None
        return self._packed("query", self.params["weight_query"], bias)

    def _packed(self, name: str, weight: Array, bias: Array | None = None) -> Any:
        """A matrix in the kernels' layout, made anew when the parameters have changed."""
        assert self.attention.block is not None
        cached, version = self.attention._cache_packed, self.attention.block.version
        if cached is None or cached[0] != version:
            cached = self.attention._cache_packed = (version, {})
        if name not in cached[1]:
            cached[1][name] = ops.pack_linear(weight, bias)
        return cached[1][name]

    def query_back(self) -> Any:
        """The way back."""
        return ops.pack_linear(self.params["weight_query"].T) if self.additive else None

    def enter(self, memory: Any, lengths: Array | None) -> tuple[Array, Array]:
        """Keys and values of a memory (B, S, F); what lies beyond its lengths may be anything.

        Raises
        ------
        ValueError
            For a wrong shape.
        """
        attention = self.attention
        memory = np.ascontiguousarray(_check.real(memory, attention.dtype, "memory"))
        if memory.ndim != 3 or memory.shape[2] != attention.key_size:
            raise ValueError(f"attention looks at a memory (B, S, {attention.key_size}), got shape {memory.shape}")
        B, S, _ = memory.shape
        if lengths is not None:
            beyond = _check.padding(sequence_lengths(lengths, (B, S)), (B, S))
            memory = memory if beyond is None else np.where(beyond[..., None], 0, memory)
        self.memory = memory
        if attention.kind == "general" or self.additive:
            weight = self.params["weight_key"] if self.additive else self.params["weight"].T
            return ops.linear(memory, weight, packed=self._packed("key", weight)), memory
        if attention.num_positions is not None:
            attention._check_positions(S)
            weight = self.params["weight"][:S]
            return np.ascontiguousarray(np.broadcast_to(weight, (B, *weight.shape))), memory
        return memory * attention._scale() if attention.kind == "scaled_dot" else memory, memory

    def backward(
        self, d_keys: Array, queries: Array, d_projected: Array | None, d_weight: Array | None, d_along: Array | None
    ) -> tuple[Array | None, dict[str, Array]]:
        """Gradients of the memory, as keys, and of the parameters: from those of the keys (B, S, K or width), of
        q' (B, T, width), and of v and what goes with coverage (B, width)."""
        attention, memory, kind = self.attention, self.memory, self.attention.kind
        if d_projected is not None and d_weight is not None and d_along is not None:
            hidden = attention.hidden_size
            through, d_weight_key, _ = ops.linear_backward(memory, self.params["weight_key"], d_keys[..., :hidden])
            _, d_weight_query, d_bias = ops.linear_backward(
                queries, self.params["weight_query"], d_projected[..., :hidden], need_dx=False
            )
            named = {"weight_query": d_weight_query, "weight_key": d_weight_key}
            named |= self._score_back(d_weight.sum(axis=0)[:hidden])
            if kind == "normed":
                named["bias"] = d_bias
            if attention.coverage:
                named["weight_coverage"] = d_along.sum(axis=0)[:hidden]
            return through, named
        if kind == "general":
            through, d_transposed, _ = ops.linear_backward(memory, self.params["weight"].T, d_keys)
            return through, {"weight": np.ascontiguousarray(d_transposed.T)}
        if kind == "location":
            whole = np.zeros_like(self.params["weight"])
            whole[: d_keys.shape[1]] = d_keys.sum(axis=0)
            return None, {"weight": whole}
        return d_keys * attention._scale() if kind == "scaled_dot" else d_keys, {}
