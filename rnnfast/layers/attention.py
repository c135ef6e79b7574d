"""Attention: a mean of vectors, weighted by how well each fits a query."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rnnfast import ops
from rnnfast.layers import _check
from rnnfast.layers._base import Backward, BackwardOnce, Block, float_dtype, real_array
from rnnfast.layers._key import generator
from rnnfast.layers._many import Array, ManyInputs, Shape
from rnnfast.layers.initializers import constant, glorot_uniform

KINDS = ("dot", "scaled_dot", "general", "additive", "normed", "location")
_ADDITIVE = ("additive", "normed")

# From the gradient of the scores to those of query, keys and parameters.
ScoreBackward = Callable[[Array], tuple[Array, Array | None, dict[str, Array]]]


class Attention(ManyInputs):
    """context = Σ_j a_j v_j with a = softmax(score(q, k_j)) over the keys that count.

    ==============  ===============================  =====================================================
    kind            score(q, k_j)                    parameters
    ==============  ===============================  =====================================================
    "dot"           q · k_j                          none
    "scaled_dot"    q · k_j / sqrt(query_size)       none
    "general"       k_j · W q                        `weight` (key_size, query_size)
    "additive"      v · tanh(W_q q + W_k k_j)        `weight_query` (hidden_size, query_size), `weight_key`
                                                     (hidden_size, key_size), `weight_score` (hidden_size,)
    "normed"        g v/‖v‖ · tanh(W_q q + W_k k_j   these, `scale` (1,) and `bias` (hidden_size,)
                    + b)
    "location"      (W q)_j                          `weight` (num_positions, query_size)
    ==============  ===============================  =====================================================

    With `coverage` there is one more term inside the tanh, `weight_coverage` (hidden_size,) times the sum of all
    weights that key j has had at the steps before (See et al. 2017, arXiv:1704.04368, equations 10 and 11).

    Luong et al. 2015 (arXiv:1508.04025), equation 8 (dot, general, and concat, which is additive) and the equation of
    a location-based a_t that follows it, where short sequences use the first rows of W; Bahdanau et al. 2015
    (arXiv:1409.0473), section A.1.2 (additive), its v normalised as by Salimans and Kingma 2016 (arXiv:1602.07868),
    equation 2 (normed); Vaswani et al. 2017 (arXiv:1706.03762), equation 1 (scaled dot).

    Parameters
    ----------
    query_size : int
        Size of a query.
    key_size : int, optional
        Size of a key; None is query_size.
    kind : str
        As in the table.
    hidden_size : int, optional
        Of "additive" and "normed" alone; None is query_size.
    num_positions : int, optional
        Of "location" alone, which needs it: how many keys there can be.
    coverage : bool
        Of "additive" and "normed" alone. What has been looked at grows from step to step: a `Decoder` runs it.
    dtype : str
        "float32" or "float64".
    seed : None, int or numpy.random.Generator
        For the first weights: Glorot uniform.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> query, keys = rng.normal(size=(2, 8)), rng.normal(size=(2, 5, 8))
    >>> context, weights = Attention(8)(query, keys, lengths=[5, 3])
    >>> context.shape, weights.shape, weights[1, 3:].tolist()
    ((2, 8), (2, 5), [0.0, 0.0])
    """

    side_outputs = ("weights",)
    _cache_packed: tuple[int, dict[str, Any]] | None = None

    def __init__(
        self,
        query_size: int,
        key_size: int | None = None,
        kind: str = "dot",
        *,
        hidden_size: int | None = None,
        num_positions: int | None = None,
        coverage: bool = False,
        dtype: Any = "float32",
        seed: Any = None,
    ):
        self.query_size = _check.size(query_size, "query_size")
        self.key_size = self.query_size if key_size is None else _check.size(key_size, "key_size")
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(map(repr, KINDS))}, got {kind!r}")
        if kind in ("dot", "scaled_dot") and self.key_size != self.query_size:
            raise ValueError(
                f"kind {kind!r} needs keys as long as queries, got query_size {self.query_size} and key_size "
                f"{self.key_size}; 'general', 'additive' and 'normed' take both"
            )
        for name, value, owners in (
            ("hidden_size", hidden_size, _ADDITIVE),
            ("num_positions", num_positions, ("location",)),
        ):
            if value is not None and kind not in owners:
                owned = " or ".join(map(repr, owners))
                raise ValueError(f"{name} is an argument of kind {owned} alone, got kind {kind!r}")
        if kind == "location" and num_positions is None:
            raise ValueError("kind 'location' needs num_positions, the largest number of keys")
        self.coverage = _check.flag(coverage, "coverage")
        if coverage and kind not in _ADDITIVE:
            raise ValueError(f"coverage is an argument of kind 'additive' or 'normed' alone, got kind {kind!r}")
        self.kind = kind
        self.hidden_size = self.num_positions = None
        if kind in _ADDITIVE:
            self.hidden_size = self.query_size if hidden_size is None else _check.size(hidden_size, "hidden_size")
        if kind == "location":
            self.num_positions = _check.size(num_positions, "num_positions")
        self._dtype = float_dtype(dtype)
        shapes = self._shapes()
        if shapes:
            self.block = Block(shapes, self._dtype)
            rng = generator(seed)
            for name, shape in shapes.items():
                if name == "scale":
                    self.block.set(name, constant(shapes["bias"][0] ** -0.5, *shape))
                elif name != "bias":
                    fan_out, fan_in = shape if len(shape) == 2 else (1, *shape)
                    self.block.set(name, glorot_uniform(rng, (fan_out, fan_in)).reshape(shape))

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        if self.kind == "general":
            return {"weight": (self.key_size, self.query_size)}
        if self.hidden_size is not None:
            hidden = self.hidden_size
            normed: dict[str, tuple[int, ...]] = {"scale": (1,), "bias": (hidden,)} if self.kind == "normed" else {}
            return {
                "weight_query": (hidden, self.query_size),
                "weight_key": (hidden, self.key_size),
                "weight_score": (hidden,),
                **normed,
                **({"weight_coverage": (hidden,)} if self.coverage else {}),
            }
        return {} if self.num_positions is None else {"weight": (self.num_positions, self.query_size)}

    @property
    def dtype(self) -> np.dtype:
        """float32 or float64."""
        return self._dtype

    @property
    def input_shape(self) -> tuple[Any, ...]:  # type: ignore[override]
        """What the layer takes, for the summary: the shapes of query and keys."""
        return ("B", "Q", self.query_size), ("B", "T", self.key_size)

    def output_shape(self, shape: tuple[Any, ...]) -> Shape:
        """The context's shape, of those of query, keys and, where there are any, values."""
        return self.shapes_of_many(shape)[0]

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "query_size": self.query_size,
            "key_size": self.key_size,
            "kind": self.kind,
            "hidden_size": self.hidden_size,
            "num_positions": self.num_positions,
            # Left out where it is off, so that older versions read such files.
            **({"coverage": True} if self.coverage else {}),
            "dtype": str(self._dtype),
        }

    def __call__(  # type: ignore[override]
        self, query: Any, keys: Any, values: Any = None, *, lengths: Any = None, mask: Any = None
    ) -> tuple[Array, Array]:
        """Inference.

        Parameters
        ----------
        query : array_like (B, Q, query_size) or (B, query_size)
            Q queries for each sequence, or one.
        keys : array_like (B, T, key_size)
        values : array_like (B, T, V), optional
            None takes the keys.
        lengths : array_like of int (B,), optional
            How many keys of each sequence count.
        mask : array_like of bool (B, T) or (B, Q, T), optional
            True where a key counts (for a query); where both are given, keys count for both.

        Returns
        -------
        context : numpy.ndarray (B, Q, V) or (B, V)
        weights : numpy.ndarray (B, Q, T) or (B, T)
            They sum to one, and are 0 for keys that do not count. Where no key does, weights and context are 0.

        Raises
        ------
        ValueError, TypeError
            For wrong shapes and dtypes.
        """
        query, keys, values, valid, single = self._checked(query, keys, values, lengths, mask)
        weights = _softmax(self._score(query, keys)[0], valid)
        return _without_queries(single, np.matmul(weights, keys if values is None else values), weights)

    def forward(  # type: ignore[override]
        self,
        query: Any,
        keys: Any,
        values: Any = None,
        *,
        lengths: Any = None,
        mask: Any = None,
        rng: Any = None,
    ) -> tuple[tuple[Array, Array], Backward]:
        """Training: `((context, weights), backward)`, with the arguments of a call, which must not change in between.

        `backward(dcontext, dweights=None, grads=None) -> (dquery, dkeys, dvalues)` works once; None for a gradient
        stands for zeros. Without values, dvalues is None, and dkeys is the sum of both.
        """
        once = BackwardOnce(self.slots())
        query, keys, values, valid, single = self._checked(query, keys, values, lengths, mask)
        scores, score_backward = self._score(query, keys)
        weights = _softmax(scores, valid)
        held = keys if values is None else values
        context = np.matmul(weights, held)
        # The caller may write to what he gets.
        outputs = _without_queries(single, context, weights.copy())
        shapes = [array.shape for array in outputs]

        def backward(
            dcontext: Any, dweights: Any = None, grads: Any = None
        ) -> tuple[Array, Array | None, Array | None]:
            given = (dcontext, "dcontext", "context", shapes[0]), (dweights, "dweights", "weights", shapes[1])
            dcontext, dweights = (self._gradient(*each, single) for each in given)
            once.start()
            total = np.zeros_like(weights) if dweights is None else dweights
            dheld = np.zeros_like(held)
            if dcontext is not None:
                total = total + np.matmul(dcontext, held.swapaxes(1, 2))
                dheld = np.matmul(weights.swapaxes(1, 2), dcontext)
            dscores = weights * (total - (weights * total).sum(axis=-1, keepdims=True))
            dquery, dkeys, gradients = score_backward(dscores)
            once.add(gradients, grads)
            dquery = dquery[:, 0] if single else dquery
            if values is None:
                return dquery, dheld if dkeys is None else dkeys + dheld, None
            return dquery, np.zeros_like(keys) if dkeys is None else dkeys, dheld

        return outputs, backward

    def _gradient(self, gradient: Any, name: str, of: str, shape: Shape, single: bool) -> Array | None:
        if gradient is None:
            return None
        gradient = _check.real(gradient, self._dtype, name)
        if gradient.shape != shape:
            raise ValueError(f"{name} must have the shape of {of}, {shape}, got {gradient.shape}")
        return gradient[:, None] if single else gradient

    def _checked(
        self, query: Any, keys: Any, values: Any, lengths: Any, mask: Any
    ) -> tuple[Array, Array, Array | None, Array | None, bool]:
        """Query (B, Q, F), keys, values, which keys count (B or 1, Q or 1, T), and whether query came without Q."""
        if self.coverage:
            raise ValueError("Attention: coverage grows from step to step; a Decoder runs it, not a call")
        query, keys = _check.real(query, self._dtype, "query"), _check.real(keys, self._dtype, "keys")
        if keys.ndim != 3 or keys.shape[2] != self.key_size:
            raise ValueError(f"Attention: keys must have shape (B, T, {self.key_size}), got {keys.shape}")
        B, T = keys.shape[:2]
        if query.ndim not in (2, 3) or query.shape[0] != B or query.shape[-1] != self.query_size:
            wanted = f"({B}, Q, {self.query_size}) or ({B}, {self.query_size})"
            raise ValueError(
                f"Attention: query must have shape {wanted} for keys of shape {keys.shape}, got {query.shape}"
            )
        single = query.ndim == 2
        query = query[:, None] if single else query
        if values is not None:
            values = _check.real(values, self._dtype, "values")
            if values.ndim != 3 or values.shape[:2] != (B, T):
                raise ValueError(f"Attention: values must have shape ({B}, {T}, V), as keys have, got {values.shape}")
        self._check_positions(T)
        beyond = _check.padding(lengths, (B, T))
        valid = None if beyond is None else ~beyond[:, None]
        if mask is not None:
            mask = real_array(mask, "mask")
            shapes = [(B, T), (B, query.shape[1], T)]
            if mask.dtype != bool or mask.shape not in shapes:
                raise ValueError(
                    f"Attention: mask must be bool of shape {shapes[0]} or {shapes[1]}, got {mask.dtype} {mask.shape}"
                )
            mask = mask[:, None] if mask.ndim == 2 else mask
            valid = mask if valid is None else valid & mask
        if valid is not None and not valid.all():
            # What stands in padding may be anything, and 0 times infinity would not be 0.
            counts = np.any(valid, axis=1)[..., None]
            keys = np.where(counts, keys, 0)
            values = None if values is None else np.where(counts, values, 0)
        return query, keys, values, valid, single

    def _check_positions(self, T: int) -> None:
        if self.num_positions is not None and self.num_positions < T:
            raise ValueError(f"Attention: this kind 'location' has {self.num_positions} positions, got {T} keys")

    def _scale(self) -> float:
        """What a dot product is multiplied by."""
        return self.query_size**-0.5 if self.kind == "scaled_dot" else 1.0

    def _score_weight(self) -> tuple[Array, Callable[[Array], dict[str, Array]]]:
        """The v of additive scores, and from its gradient to those of the parameters that it is made of."""
        weight_score = self.params["weight_score"]
        if self.kind != "normed":
            return weight_score, lambda dweight: {"weight_score": dweight}
        scale, length = self.params["scale"], np.linalg.norm(weight_score)
        direction = weight_score / length

        def backward(dweight: Array) -> dict[str, Array]:
            along = dweight @ direction
            dscore = scale / length * (dweight - along * direction)
            return {"weight_score": dscore, "scale": np.array([along], self._dtype)}

        return scale * direction, backward

    def _score(self, query: Array, keys: Array) -> tuple[Array, ScoreBackward]:
        """Scores (B, Q, T) and their backward."""
        if self.kind in _ADDITIVE:
            return self._additive(query, keys)
        if self.kind == "location":
            return self._location(query, keys)
        if self.kind == "general":
            weight = self.params["weight"]
            projected = ops.linear(query, weight)
            scale = 1.0
        else:
            weight, projected, scale = None, query, self._scale()
        scores = np.matmul(projected, keys.swapaxes(1, 2))
        if scale != 1.0:
            scores *= scale

        def backward(dscores: Array) -> tuple[Array, Array, dict[str, Array]]:
            if scale != 1.0:
                dscores = dscores * scale
            dprojected = np.matmul(dscores, keys)
            dkeys = np.matmul(dscores.swapaxes(1, 2), projected)
            if weight is None:
                return dprojected, dkeys, {}
            dquery, dweight, _ = ops.linear_backward(query, weight, dprojected)
            assert dquery is not None
            return dquery, dkeys, {"weight": dweight}

        return scores, backward

    def _additive(self, query: Array, keys: Array) -> tuple[Array, ScoreBackward]:
        params, (weight, weight_backward) = self.params, self._score_weight()
        bias = params["bias"] if self.kind == "normed" else None
        hidden = ops.linear(query, params["weight_query"], bias)[:, :, None]
        hidden = hidden + ops.linear(keys, params["weight_key"])[:, None]
        np.tanh(hidden, out=hidden)
        scores = np.matmul(hidden, weight)

        def backward(dscores: Array) -> tuple[Array, Array, dict[str, Array]]:
            dhidden = dscores[..., None] * weight * (1 - hidden * hidden)
            dquery, dweight_query, dbias = ops.linear_backward(query, params["weight_query"], dhidden.sum(axis=2))
            dkeys, dweight_key, _ = ops.linear_backward(keys, params["weight_key"], dhidden.sum(axis=1))
            assert dquery is not None
            assert dkeys is not None
            gradients = {"weight_query": dweight_query, "weight_key": dweight_key}
            gradients |= weight_backward(np.einsum("bqt,bqth->h", dscores, hidden))
            return dquery, dkeys, gradients if bias is None else gradients | {"bias": dbias}

        return scores, backward

    def _location(self, query: Array, keys: Array) -> tuple[Array, ScoreBackward]:
        T, weight = keys.shape[1], self.params["weight"]
        scores = ops.linear(query, weight)[..., :T]

        def backward(dscores: Array) -> tuple[Array, None, dict[str, Array]]:
            whole = np.zeros((*dscores.shape[:2], len(weight)), self._dtype)
            whole[..., :T] = dscores
            dquery, dweight, _ = ops.linear_backward(query, weight, whole)
            assert dquery is not None
            return dquery, None, {"weight": dweight}

        return scores, backward

    def run_many(self, inputs: Sequence[Array], lengths: Sequence[Any]) -> tuple[Array, ...]:
        """Inference in a graph, of query, keys and perhaps values: context and weights, zero where queries end."""
        outputs = self(*inputs, lengths=lengths[1])
        beyond = _check.padding(lengths[0], inputs[0].shape[:-1])
        return outputs if beyond is None else tuple(np.where(beyond[..., None], 0, array) for array in outputs)

    def forward_many(
        self, inputs: Sequence[Array], lengths: Sequence[Any], rng: Any = None
    ) -> tuple[tuple[Array, ...], Backward]:
        """Training in a graph; `backward((dcontext, dweights), grads=None)` gives a gradient an input."""
        beyond = _check.padding(lengths[0], inputs[0].shape[:-1])
        query, *others = inputs

        def clean(array: Any) -> Any:
            return array if beyond is None or array is None else np.where(beyond[..., None], 0, array)

        outputs, backward_one = self.forward(clean(query), *others, lengths=lengths[1])

        def backward(doutputs: Sequence[Any], grads: Any = None) -> tuple[Array, ...]:
            return backward_one(*map(clean, doutputs), grads)[: len(inputs)]

        return tuple(map(clean, outputs)), backward

    def shapes_of_many(self, shapes: Sequence[Shape]) -> tuple[Shape, ...]:
        """The shapes of context and weights, of those of query, keys and perhaps values."""
        if len(shapes) not in (2, 3):
            raise ValueError(f"Attention takes query, keys and perhaps values, got {len(shapes)} inputs")
        query, keys = shapes[:2]
        for name, shape, axes, size in (("query", query, (2, 3), self.query_size), ("keys", keys, (3,), self.key_size)):
            if len(shape) not in axes or shape[-1] != size:
                raise ValueError(f"Attention: {name} must have {size} features, got shape {shape}")
        if len(shapes[-1]) != 3:
            raise ValueError(f"Attention: values must have shape (B, T, V), got {shapes[-1]}")
        return (*query[:-1], shapes[-1][-1]), (*query[:-1], keys[1])

    def lengths_of_many(self, lengths: Sequence[Any]) -> tuple[Any, ...]:
        """Both outputs have the query's lengths."""
        return lengths[0], lengths[0]


def _softmax(scores: Array, valid: Array | None) -> Array:
    """Along the last axis over the places that are valid; zeros elsewhere, and everywhere where none is."""
    if valid is not None:
        scores = np.where(valid, scores, -np.inf)
    highest = scores.max(axis=-1, keepdims=True, initial=-np.inf)
    weights = np.exp(scores - np.where(highest == -np.inf, 0, highest))
    total = weights.sum(axis=-1, keepdims=True)
    return weights / np.where(total == 0, 1, total)


def _without_queries(single: bool, context: Array, weights: Array) -> tuple[Array, Array]:
    return (context[:, 0], weights[:, 0]) if single else (context, weights)
