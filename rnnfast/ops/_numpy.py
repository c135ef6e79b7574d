"""The kernels' NumPy twins: what `forward`, `backward` and `linear` call under the backend "numpy"."""

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np

from rnnfast.equations.cells import CELLS, Array, Named, activate
from rnnfast.equations.gradients import BACK
from rnnfast.kernels._passes import dropout
from rnnfast.ops._variant import Variant


class NumpyWeights:
    """A recurrent layer's weights, as `kernels._packed.Packed` holds them: a copy, immutable."""

    def __init__(self, variant: Variant, arrays: Mapping[str, Array], options: Mapping[str, Any]):
        self.kind, self.training = variant, True
        self.params = {name: array.copy() for name, array in arrays.items()}
        self.names = frozenset(self.params)
        rows, self.input_size = self.params["weight_ih"].shape
        self.dtype, self.hidden_size = self.params["weight_ih"].dtype, rows // variant.gates
        projection = self.params.get("weight_hr")
        self.output_size = self.hidden_size if projection is None else len(projection)
        known = inspect.signature(CELLS[variant.cell]).parameters
        options = {"activation": "tanh", **options, "proj_size": 0 if projection is None else self.output_size}
        self.options = {
            name: tuple(value) if isinstance(value, list) else value for name, value in options.items() if name in known
        }

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes for array in self.params.values())


class NumpyCall:
    """A training call: what each step was made of, in the order in which the steps happened."""

    def __init__(self, weights: NumpyWeights, x: Array):
        self.weights, self.x = weights, x
        self.steps: list[tuple[int, Array, Named, Named, dict[str, Any]]] = []


def forward(
    weights: NumpyWeights,
    x: Array,
    h0: Array | None,
    c0: Array | None,
    lengths: Array | None,
    reverse: bool,
    y: Array,
    hn: Array,
    cn: Array | None,
    training: bool,
    key: int = 0,
    stream: int = 0,
) -> NumpyCall | None:
    """As `kernels._recurrent.forward`: y, hn and cn are written."""
    B, T, _ = x.shape
    dtype, cell = weights.dtype, CELLS[weights.kind.cell]
    valid = np.arange(T) < (np.full(B, T) if lengths is None else lengths)[:, None]
    x = np.where(valid[..., None], x, 0)  # padding may hold anything
    state = {"h": np.zeros(hn.shape, dtype) if h0 is None else h0.copy()}
    if cn is not None:
        state["c"] = np.zeros(cn.shape, dtype) if c0 is None else c0.copy()
    masks, zones = _masks(weights, (B, T), training, key, stream)
    call = NumpyCall(weights, x) if training else None
    for t in reversed(range(T)) if reverse else range(T):
        drawn = masks | {name: zone[:, t] if np.ndim(zone) else zone for name, zone in zones.items()}
        now = cell(weights.params, x[:, t], *state.values(), **drawn, **weights.options)
        rows = valid[:, t, None]
        if call is not None:
            call.steps.append((t, rows, state, now, drawn))
        y[:, t] = np.where(rows, now["h"], 0)
        state = {name: np.where(rows, now[name], old) for name, old in state.items()}
    hn[...] = state["h"]
    if cn is not None:
        cn[...] = state["c"]
    return call


def _masks(
    weights: NumpyWeights, shape: tuple[int, int], training: bool, key: int, stream: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The mask of h for all steps, and shares of zoneout: (B, T, H) masks of 0 and 1 in training, else their mean."""
    (B, T), kind = shape, weights.kind
    widths = {"zone_h": (kind.zoneout_h, weights.output_size), "zone_c": (kind.zoneout_c, weights.hidden_size)}
    zones: dict[str, Any] = {}
    for number, (name, (share, width)) in enumerate(widths.items()):
        if share and training:
            kept = dropout(np.ones((B, T, width), weights.dtype), 1 - share, key, stream + number)
            zones[name] = (kept != 0).astype(weights.dtype)
        elif share:
            zones[name] = share
    if not (kind.recurrent_dropout and training):
        return {}, zones
    ones = np.ones((B, weights.output_size), weights.dtype)
    return {"recurrent_mask": dropout(ones, kind.recurrent_dropout, key, stream + 2)}, zones


def backward(
    call: NumpyCall,
    dy: Array | None,
    dhn: Array | None,
    dcn: Array | None,
    dx: Array | None,
    dh0: Array,
    dc0: Array | None,
    norms: Array | None = None,
) -> dict[str, Array]:
    """As `kernels._gradients.backward`: dx, dh0, dc0 and norms are written, the parameters' gradients returned."""
    weights, x = call.weights, call.x
    back = BACK[weights.kind.cell]
    grads = {name: np.zeros_like(array) for name, array in weights.params.items()}
    gradient = {"h": np.zeros(dh0.shape, weights.dtype) if dhn is None else dhn.copy()}
    if dc0 is not None:
        gradient["c"] = np.zeros(dc0.shape, weights.dtype) if dcn is None else dcn.copy()
    if dx is not None:
        dx[...] = 0
    for t, rows, old, now, drawn in reversed(call.steps):
        if dy is not None:
            gradient["h"] = gradient["h"] + np.where(rows, dy[:, t], 0)
        if norms is not None:
            norms[t, rows[:, 0]] = np.linalg.norm(gradient["h"].astype(np.float64), axis=1)[rows[:, 0]]
        here = [np.where(rows, each, 0) for each in gradient.values()]
        through, *before = back(weights.params, x[:, t], *old.values(), now, *here, grads, **drawn, **weights.options)
        if dx is not None:
            dx[:, t] = through
        gradient = {name: np.where(rows, each, gradient[name]) for name, each in zip(gradient, before, strict=True)}
    dh0[...] = gradient["h"]
    if dc0 is not None:
        dc0[...] = gradient["c"]
    return grads


class NumpyMatrix:
    """A linear map, as `kernels._linear.PackedMatrix` holds it: activation(x M + bias), M (depth, columns)."""

    def __init__(self, matrix: Array, bias: Array | None, activation: str | None):
        self.matrix, self.bias, self.activation = matrix.copy(), None if bias is None else bias.copy(), activation
        self.depth, self.columns = matrix.shape
        self.dtype = matrix.dtype

    def __call__(self, x: Array) -> Array:
        """y of x (N, depth)."""
        y = x @ self.matrix
        if self.bias is not None:
            y = y + self.bias
        return activate(self.activation, y) if self.activation else y
