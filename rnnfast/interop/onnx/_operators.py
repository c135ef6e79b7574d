"""RNN, LSTM and GRU for the onnx package's reference evaluator: our kernels, and for rare activations our equations."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from rnnfast import equations, ops
from rnnfast._backend import in_numpy
from rnnfast.interop.onnx import _node
from rnnfast.interop.onnx._control import Loop, Scan
from rnnfast.interop.onnx._node import RecurrentNode
from rnnfast.interop.onnx._older import older
from rnnfast.interop.onnx._walk import FOLDED

Array = np.ndarray


class _Weights(NamedTuple):
    """The weights of a node, as they were given and as the kernels take them."""

    node: RecurrentNode
    dtype: np.dtype
    in_numpy: bool
    given: tuple[Any, ...]
    copies: tuple[Any, ...]
    sizes: tuple[int, int]
    params: list[dict[str, Array]]
    packed: list[Any]

    def hold(self, node: RecurrentNode, dtype: np.dtype, given: tuple[Any, ...]) -> bool:
        """Whether these are those weights."""
        if (node, dtype, in_numpy()) != (self.node, self.dtype, self.in_numpy):
            return False
        return all(map(_same, given, self.given, self.copies))


def _same(given: Any, before: Any, copy: Any) -> bool:
    # What cannot be written to, within the evaluator, is a constant of the model.
    if given is before and (given is None or not given.flags.writeable):
        return True
    return given is not None and copy is not None and given.dtype == copy.dtype and np.array_equal(given, copy)


class _Recurrent(OpRun):
    op_domain = ""
    _kept: _Weights | None = None

    def _run(self, X: Array, W: Array, R: Array, *rest: Any, **attributes: Any) -> tuple[Array, ...]:
        kind = type(self).__name__
        where = f"{kind} {self.onnx_node.name!r:.80}"
        node = _node.read(kind, attributes, where)
        B, lengths, h0, c0, P = (*rest, *[None] * 5)[:5]
        weights = self._weights(node, X, (W, R, B, P, *rest[5:]))
        x = X if node.layout else np.swapaxes(X, 0, 1)
        (rows, T), D, (I, H), dtype = x.shape[:2], len(node.directions), weights.sizes, weights.dtype  # noqa: E741
        if x.shape[2] != I:
            raise ValueError(f"{where}: X must have {I} features, as W has, got shape {X.shape}")
        if lengths is not None:
            lengths = ops.sequence_lengths(lengths, (rows, T))
        initial = [_initial(each, name, node, (D, rows, H)) for each, name in ((h0, "initial_h"), (c0, "initial_c"))]
        y = np.empty((T, D, rows, H), dtype)
        final = [np.empty((D, rows, H), dtype) for _ in "hc"[: 1 + (node.cell == "lstm")]]
        for d, reverse in enumerate(node.directions):
            state = [None if each is None else each[d].astype(dtype) for each in initial[: len(final)]]
            state = [np.zeros((rows, H), dtype) if each is None else each for each in state]
            start = tuple(state) if node.cell == "lstm" else state[0]
            out, packed = y[:, d].swapaxes(0, 1), weights.packed[d]
            if packed is None:
                how = node.formulas(d, P is not None)
                params = weights.params[d]
                out[...], last = equations.run(node.cell, params, x, start, lengths=lengths, reverse=reverse, **how)
                for target, value in zip(final, last if node.cell == "lstm" else [last], strict=True):
                    target[d] = value
            else:
                how = node.options(d, P is not None) or {}
                places = tuple(each[d] for each in final)
                ops.forward(
                    node.cell,
                    None,
                    x,
                    start,
                    lengths=lengths,
                    reverse=reverse,
                    out=out,
                    packed=packed,
                    final=places,
                    **how,
                )
        if lengths is not None:
            for each in final:
                each[:, lengths == 0] = 0  # as ONNX Runtime has it
        if node.layout:
            y, final = y.transpose(2, 0, 1, 3), [each.swapaxes(0, 1) for each in final]
        return tuple(each.astype(X.dtype, copy=False) for each in (y, *final))

    def _weights(self, node: RecurrentNode, X: Array, given: tuple[Any, ...]) -> _Weights:
        dtype = np.dtype(np.float64 if X.dtype == np.float64 else np.float32)
        kept = self._kept
        if kept is not None and kept.hold(node, dtype, given):
            return kept
        if X.ndim != 3:
            raise ValueError(f"{node.where}: X must have three axes, got shape {X.shape}")
        arrays = _node.whole(given, node.where)
        sizes = node.check(*arrays)
        wide: list[Any] = [None if each is None else np.array(each, dtype) for each in arrays]
        params, packed = [], []
        for d in range(len(node.directions)):
            params.append(node.one_bias(node.ours(*wide, direction=d)))
            options = node.options(d, given[3] is not None)
            packed.append(None if options is None else ops.pack(node.cell, params[d], **options))
        copies = tuple(None if each is None else each.copy() for each in given)
        # One assignment: another thread sees the old weights or the new ones, each of which are whole.
        self._kept = found = _Weights(node, dtype, in_numpy(), given, copies, sizes, params, packed)
        return found


def _initial(given: Any, name: str, node: RecurrentNode, shape: tuple[int, ...]) -> Any:
    """An initial state as (D, B, H)."""
    if given is None:
        return None
    wanted = (shape[1], shape[0], shape[2]) if node.layout else shape
    if given.shape != wanted:
        raise ValueError(f"{node.where}: {name} must have shape {wanted}, got {given.shape}")
    return given.swapaxes(0, 1) if node.layout else given


class RNN(_Recurrent):
    """Elman's network."""


class GRU(_Recurrent):
    """The gated recurrent unit."""


class LSTM(_Recurrent):
    """Long short-term memory."""


class DynamicQuantizeLSTM(_Recurrent):
    """ONNX Runtime's LSTM with quantized weights; here what enters is not rounded too."""

    op_domain = "com.microsoft"


_OPERATORS: list[Any] = [RNN, GRU, LSTM, DynamicQuantizeLSTM, Loop, Scan]


class Evaluator(ReferenceEvaluator):
    """The onnx package's evaluator with our recurrent operators, in branches, loops and functions too."""

    def __init__(self, proto: Any, opsets: Any = None, *, new_ops: Any = None, **options: Any):
        super().__init__(proto, opsets, new_ops=[*_OPERATORS, *(new_ops or ())], **options)
        for array in self.rt_inits_.values():
            array.setflags(write=False)

    def _load_impl(self, node: Any, input_types: Any = None) -> Any:
        found = None if node.domain else older(node.op_type, self.opsets.get("", 0) or 1)
        return found or super()._load_impl(node, input_types)

    def fold(self, outer: Mapping[str, Array], room: int) -> int:
        """Compute once what follows from the model's own numbers, here and in branches and loops.

        Parameters
        ----------
        outer : mapping of str to ndarray
            What is known of the graphs around.
        room : int
            How many bytes may come of it.

        Returns
        -------
        int
            What is left of that.
        """
        known = {**outer, **self.rt_inits_}
        for name in self.input_names:  # also an initializer that may be fed instead
            known.pop(name, None)
        left = []
        for node in self.rt_nodes_:
            values = self._constants(node, known, room)
            if values is None:
                left.append(node)
            for name, array in zip(node.output, values or (), strict=False):
                array.setflags(write=False)
                known[name] = self.rt_inits_[name] = array
                room -= array.nbytes
            for inner in vars(node).values():
                if isinstance(inner, Evaluator):
                    room = inner.fold(known, room)
        self.rt_nodes_, used = left, self._used()
        self.rt_inits_ = {name: array for name, array in self.rt_inits_.items() if name in used}
        return room

    def _used(self) -> set[str]:
        """The names that the nodes take, here and in branches and loops, and those of what comes out."""
        found = set(self.output_names)
        for node in self.rt_nodes_:
            found.update(node.input)
            for inner in vars(node).values():
                if isinstance(inner, Evaluator):
                    found |= inner._used()
        return found

    @staticmethod
    def _constants(node: Any, known: Mapping[str, Array], room: int) -> Any:
        """What a node gives, if that is known; else None."""
        if node.op_type not in FOLDED or node.domain or node.has_linked_attribute:
            return None
        inputs = [known.get(name) for name in node.input]
        if any(array is None and name for name, array in zip(node.input, inputs, strict=True)):
            return None
        if sum(array.nbytes for array in inputs if array is not None) > room:
            return None
        try:
            values = node.run(*inputs)
        except Exception:  # in a branch that is never taken, perhaps; where it is, running it will tell
            return None
        return values if all(isinstance(each, np.ndarray) for each in values) else None
