"""What RNN, LSTM and GRU share: layers on top of each other, in one direction or both."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from rnnfast import ops
from rnnfast.kernels._memory import empty
from rnnfast.layers import _check
from rnnfast.layers._base import Axis, BackwardOnce, Block, StatefulLayer, draw_key, float_dtype
from rnnfast.layers._block import as_array
from rnnfast.layers._direction import Direction, check_bias
from rnnfast.layers._grid import Masks, Orientation, StateForm
from rnnfast.layers._inside import Inside
from rnnfast.layers._key import generator
from rnnfast.layers._level import Level, LevelCall
from rnnfast.layers._merge import KINDS, check_merge
from rnnfast.layers._options import check_recompute, check_residual, segment_of, unknown_argument, widths
from rnnfast.layers._ragged import pad
from rnnfast.layers._valid import ValidSteps, check_mask
from rnnfast.ops._arrays import overlaps_itself

Array = np.ndarray


# Written to a plan only where they differ from this, so that plain layers can be read by older versions.
_LATER = {
    "reverse": False, "merge": "concat", "input_dropout": 0.0, "weight_drop": 0.0, "residual": False,
    "learned_state": False, "padding": "zeros", "recompute": None, "forget_bias": 1.0, "proj_size": 0,
}  # fmt: skip


class Saved(NamedTuple):
    """What a call keeps from forward to backward."""

    calls: list[LevelCall]
    restore: Orientation
    batch_size: int
    valid: ValidSteps | None
    learned: bool  # it started from the learned state


class Recurrent(Inside, StatefulLayer):
    """What the three layers share: the grid of layers and directions over `ops.forward`.

    Parameters
    ----------
    options : mapping
        What goes on to `ops`.
    first : mapping
        What the first values of the parameters depend on.
    """

    cell: str
    block: Block
    num_directions: int
    recompute: bool | int | None = None

    def __init__(
        self,
        input_size: int,
        hidden_size: int | Sequence[int],
        num_layers: int | None,
        options: Mapping[str, Any],
        first: Mapping[str, Any],
        *,
        bias: bool | str = True,
        bidirectional: bool = False,
        reverse: bool = False,
        merge: str | None = "concat",
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        weight_drop: float = 0.0,
        residual: bool | str = False,
        learned_state: bool = False,
        padding: str = "zeros",
        recompute: bool | int | None = None,
        dtype: Any = "float32",
        seed: Any = None,
        **unknown: Any,
    ):
        if unknown:
            raise TypeError(unknown_argument(type(self), next(iter(unknown))))
        self.input_size = _check.size(input_size, "input_size")
        self.hidden_sizes = widths(hidden_size, num_layers)
        self.num_layers = len(self.hidden_sizes)
        self.hidden_size = self.hidden_sizes[0] if len(set(self.hidden_sizes)) == 1 else self.hidden_sizes
        self.bias, self.bidirectional = check_bias(bias), _check.flag(bidirectional, "bidirectional")
        self.reverse = _check.flag(reverse, "reverse")
        self.merge, self.padding = check_merge(merge, (*KINDS, None)), padding
        self.dropout = _check.probability(dropout, "dropout")
        self.input_dropout = _check.probability(input_dropout, "input_dropout")
        self.weight_drop = _check.probability(weight_drop, "weight_drop")
        self.residual, self.learned_state = check_residual(residual), _check.flag(learned_state, "learned_state")
        self.recompute = check_recompute(recompute)
        self.options, self.first = dict(options), dict(first)
        self._check_combination()
        self._levels: list[Level] = []
        for number, width in enumerate(self.hidden_sizes):
            directions = [
                Direction(
                    self.cell,
                    self._levels[-1].output_size if number else self.input_size,
                    width,
                    self.bias,
                    f"_l{number}" + ("_reverse" if second else ""),
                    options,
                    reverse=second or self.reverse,
                    learned_state=self.learned_state,
                    **first,
                )
                for second in ((False, True) if bidirectional else (False,))
            ]
            self._levels.append(
                Level(number, directions, self.merge, self.residual, self.input_dropout, self.weight_drop)
            )
        if self.residual and not any(level.around for level in self._levels):
            raise ValueError(
                f"residual={self.residual!r} leads around layers above the first whose input and output are equally "
                f"wide, and there is none: the outputs have widths {[level.output_size for level in self._levels]}"
            )
        self._directions = [direction for level in self._levels for direction in level.directions]
        self._form = StateForm(
            self.cell, 1 + self.bidirectional, [level.directions[0].state_sizes for level in self._levels]
        )
        self.output_size = self._levels[-1].output_size
        self.num_directions = (2 if self.merge == "concat" else 0) if bidirectional else -1 if self.reverse else 1
        shapes: dict[str, tuple[int, ...]] = {}
        for level in self._levels:
            shapes |= level.shapes()
        self.block = Block(shapes, float_dtype(dtype))
        rng = generator(seed)
        for level in self._levels:
            level.initialise(self.block, rng)
        self._cache_packed: dict[str, Any] = {}

    def _check_combination(self) -> None:
        if self.padding not in ("zeros", "hold"):
            raise ValueError(f"padding must be 'zeros' or 'hold', got {self.padding!r}")
        if self.reverse and self.bidirectional:
            raise ValueError("reverse=True is the reverse direction alone: it excludes bidirectional=True")
        if self.merge != "concat" and not self.bidirectional:
            raise ValueError(f"merge={self.merge!r} is for two directions: it needs bidirectional=True")
        if self.merge is None and self.num_layers > 1:
            raise ValueError(
                "merge=None gives two outputs, which no layer above can take: it needs num_layers=1. Put a layer with "
                "merge='concat' below"
            )
        if self.padding == "hold" and self.residual and self.merge != "concat":
            raise ValueError(
                f"padding='hold' holds each direction's output, but with merge={self.merge!r} and residual they cannot "
                "be told apart: use merge='concat' or padding='zeros'"
            )

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._cache_packed = {}

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        width, values = self.hidden_size, {**vars(self), **self.first}
        return {
            "input_size": self.input_size,
            "hidden_size": width if isinstance(width, int) else list(width),
            "num_layers": self.num_layers,
            "bias": self.bias,
            "bidirectional": self.bidirectional,
            "dropout": self.dropout,
            "dtype": str(self.block.dtype),
            **{name: values[name] for name, usual in _LATER.items() if values.get(name, usual) != usual},
            **{name: list(value) if isinstance(value, tuple) else value for name, value in self.options.items()},
        }

    def output_shape(self, shape: tuple[Axis, ...]) -> tuple[Axis, ...]:
        """The shape that comes of an input shape; with merge=None that of both outputs stacked."""
        shape = super().output_shape(shape)
        return shape if self.merge is not None else (2, *shape)

    def learn_directions(self, directions: int | None) -> None:
        """Refuse a place in a model that hands one array from layer to layer, where there are two."""
        if self.merge is None:
            raise ValueError(
                f"{type(self).__name__}(merge=None) gives two outputs, and a Sequential hands on one: use "
                "merge='concat', or call the layer by itself"
            )

    def __call__(  # type: ignore[override]
        self,
        x: Any,
        state: Any = None,
        *,
        lengths: Any = None,
        mask: Any = None,
        time_major: bool = False,
        out: Array | None = None,
    ) -> tuple[Any, Any]:
        """Inference: nothing is saved, and packed weights are kept while the parameters do not change.

        Parameters
        ----------
        x : array_like (B, T, I), (T, B, I) with `time_major`, or (T, I) for one sequence
            Any strides; real numbers of another dtype are cast to the layer's.
        state : array (L·D, B, H), for the LSTM a pair (h, c), or None
            Layer-major: layer 0 forward, layer 0 reverse, layer 1 forward ... Unbatched: (L·D, H). Where the layers'
            widths differ, a tuple with one entry for each layer, (D, B, H) or pairs of them. None is zeros, or the
            learned state.
        lengths : array_like of int (B,), optional
            Valid steps of each sequence, 0 to T, in any order. The reverse direction starts at the last of them.
        mask : array_like of bool, of the shape of x without its last axis, optional
            Instead of lengths: True where a step is valid. The state passes over the others unchanged, wherever they
            are: padding in front, holes.
        time_major : bool
        out : ndarray like y, optional
            Where y is written; any strides. It may overlap x and the state.

        Returns
        -------
        y : ndarray (B, T, D·H), (T, B, D·H) or (T, D·H); H wide where directions are merged; with merge=None a pair
            At steps that are not valid zero, or with padding="hold" the output before, in each direction's order of
            reading; zero before the first valid step.
        state : as the state given
            After each sequence's last valid step (in reverse, its first); the state given where there is none.

        Raises
        ------
        ValueError, TypeError
            For wrong shapes, dtypes and lengths, before anything is computed.
        """
        y, new, _ = self._run(x, state, lengths, mask, time_major, out, None)
        return y, new

    def forward(  # type: ignore[override]
        self,
        x: Any,
        state: Any = None,
        *,
        lengths: Any = None,
        mask: Any = None,
        time_major: bool = False,
        rng: Any = None,
    ) -> tuple[tuple[Any, Any], Callable[..., Any]]:
        """Training: `((y, state), backward)`. x must not change before `backward` has run.

        Parameters
        ----------
        x, state, lengths, mask, time_major
            As for a call.
        rng : None, int or numpy.random.Generator
            For everything that is dropped.

        Returns
        -------
        output : (y, state)
        backward : callable
            ``backward(dy, dstate=None, grads=None, need_dx=True) -> (dx, dstate)``, in the shapes of y, the state and
            x; dy or dstate None is zero. It adds to `self.grads`, or to the mapping given. It works once, and raises
            RuntimeError when it has run before or the parameters have changed.
        """
        once = BackwardOnce(self.slots())
        key = draw_key(rng)
        y, new, saved = self._run(x, state, lengths, mask, time_major, None, key)
        shapes = tuple(each.shape for each in y) if self.merge is None else y.shape

        def backward(
            dy: Any, dstate: Any = None, grads: Any = None, need_dx: bool = True, *, norms: Any = None
        ) -> tuple[Array | None, Any]:
            dy = self._enter_dy(dy, shapes, saved.restore)
            B, unbatched, dtype = saved.batch_size, saved.restore.unbatched, self.block.dtype
            after = self._form.enter(dstate, B, unbatched, "dstate", dtype)
            once.start()
            found: dict[str, Array] = {}
            dx: Array | None = None
            memory, initial = self._form.room(B, dtype)
            for level, call in zip(reversed(self._levels), reversed(saved.calls), strict=True):
                at = level.at
                wanted = (None, None) if norms is None else norms[at]
                dx, named = level.backward(
                    self.block, call, dy, after[at], initial[at], need_dx or level.number > 0, wanted
                )
                found |= named
                dy = dx
                if dx is not None and level.number and self.dropout:
                    dy = ops.dropout(dx, self.dropout, int(key), Masks.BETWEEN.stream(level.number))
            if self.learned_state:
                for direction, own in zip(self._directions, initial, strict=True):
                    found |= direction.state_gradients(own, saved.learned)
            once.add(found, grads)
            if dx is not None:
                dx = saved.restore.leave(dx if saved.valid is None else saved.valid.return_gradient(dx))
            return dx, self._form.leave(memory, unbatched)

        return (y, new), backward

    def ragged(self, sequences: Iterable[Any], state: Any = None) -> tuple[list[Any], Any]:
        """Inference on sequences of any lengths, one batch of them.

        Parameters
        ----------
        sequences : iterable of array_like (T_b, I)
        state : as for a call

        Returns
        -------
        y : list of ndarray (T_b, D·H), with merge=None of pairs
        state : as from a call
        """
        arrays = [_check.real(each, self.block.dtype, f"sequences[{i}]") for i, each in enumerate(sequences)]
        for i, array in enumerate(arrays):
            if array.ndim != 2 or array.shape[1] != self.input_size:
                raise ValueError(f"sequences[{i}] must have shape (T, {self.input_size}), got {array.shape}")
        x, lengths = pad(arrays, self.block.dtype, (self.input_size,))
        y, new = self(x, state, lengths=lengths)
        ends = enumerate(lengths)
        if self.merge is None:
            return [(y[0][b, :end], y[1][b, :end]) for b, end in ends], new
        return [y[b, :end] for b, end in ends], new

    def _stream_steps(self, rows: int) -> list[Any]:
        if self.bidirectional or self.reverse:
            raise ValueError(
                f"a {'bidirectional' if self.bidirectional else 'reverse'} {type(self).__name__} cannot run step by "
                "step: its reverse direction starts at the sequence's end"
            )
        return [step for level in self._levels for step in level.steps(self.block, self._cache_packed, rows)]

    def _join_steps(self, held: Iterator[tuple[Array, ...]]) -> Any:
        return self._form.join(islice(held, self.num_layers))

    def _split_steps(self, state: Any, rows: int) -> list[tuple[Array, ...]]:
        if state is None:
            raise TypeError(f"state must be that of a {type(self).__name__}, got None")
        unbatched = rows == 1 and self._form.is_unbatched(state)
        entered = self._form.enter(state, rows, unbatched, "state", self.block.dtype)
        return [
            tuple(np.require(array, requirements=["C", "A"]) for array in (each if self.cell == "lstm" else (each,)))
            for each in entered
        ]

    def _run(
        self, x: Any, state: Any, lengths: Any, mask: Any, time_major: bool, out: Array | None, key: Any
    ) -> tuple[Any, Any, Saved]:
        """One pass over the grid; with a key, for training."""
        x, dtype = as_array(x, "x"), self.block.dtype
        if x.ndim not in (2, 3) or x.shape[-1] != self.input_size:
            wanted = "(T, B, {0}) or (T, {0})" if time_major else "(B, T, {0}) or (T, {0})"
            raise ValueError(f"x must have shape {wanted.format(self.input_size)}, got {x.shape}")
        restore = Orientation(x.ndim == 2, time_major)
        y = self._room((*x.shape[:-1], self.output_size)) if out is None else self._checked(out, x.shape)
        valid = None
        if mask is not None:
            if lengths is not None:
                raise ValueError("mask and lengths exclude each other: both say which steps are valid")
            valid = ValidSteps(restore.enter(check_mask(mask, x.shape[:-1])), self.padding == "hold")
        x = restore.enter(x)
        B = x.shape[0]
        if lengths is not None and (restore.unbatched or self.residual or self.padding == "hold"):
            lengths = ops.sequence_lengths(lengths, x.shape[restore.unbatched : 2])
            if self.padding == "hold":
                valid = ValidSteps(np.arange(x.shape[1]) < lengths[:, None], True)
        given, learned = self._given(state, B, restore.unbatched)
        if valid is not None:
            x, lengths = valid.gather(x), valid.lengths
            valid = None if valid.plain else valid
        memory, final = self._form.room(B, dtype)
        saved = Saved([], restore, B, valid, learned)
        segment = 0 if key is None else segment_of(self.recompute, x.shape[1])
        for level in self._levels:
            last, at = level is self._levels[-1], level.at
            if last:
                own = tuple(map(restore.enter, y)) if self.merge is None else restore.enter(y)
                if out is not None:  # which may be a part of what is still to be read
                    x, given = _apart(x, out), [_apart(each, out) for each in given]
            else:
                own = empty((*x.shape[:-1], level.output_size), dtype)
            saved.calls.append(
                level.forward(
                    self.block,
                    self._cache_packed,
                    x,
                    own,
                    given[at],
                    final[at],
                    lengths,
                    key,
                    valid if last else None,
                    segment,
                )
            )
            x = own
            if key is not None and self.dropout and not last:
                x = ops.dropout(x, self.dropout, int(key), Masks.BETWEEN.stream(level.number + 1))
        return y, self._form.leave(memory, restore.unbatched), saved

    def _given(self, state: Any, B: int, unbatched: bool) -> tuple[list[Any], bool]:
        """Where each direction starts, and whether that is the learned state."""
        if self.learned_state and state is None:
            return [direction.initial_state(self.block, B) for direction in self._directions], True
        return self._form.enter(state, B, unbatched, "state", self.block.dtype), False

    def _room(self, shape: tuple[int, ...]) -> Any:
        if self.merge is not None:
            return empty(shape, self.block.dtype)
        return empty(shape, self.block.dtype), empty(shape, self.block.dtype)

    def _checked(self, out: Any, shape: tuple[int, ...]) -> Array:
        """`out`, of the shape and memory that is wanted for x of `shape`."""
        wanted = (*shape[:-1], self.output_size)
        if self.merge is None:
            raise ValueError("out is one array, and with merge=None there are two outputs")
        if not isinstance(out, np.ndarray) or out.shape != wanted:
            raise ValueError(f"out must be an array of shape {wanted}, got {getattr(out, 'shape', type(out).__name__)}")
        if out.dtype != self.block.dtype:
            raise TypeError(f"out must be an array of dtype {self.block.dtype}, got {out.dtype}")
        if not out.flags.writeable:
            raise ValueError("out must be writeable, got a read-only array")
        if not out.flags.c_contiguous and overlaps_itself(out):
            raise ValueError(f"out must have memory for each element, got shape {out.shape} with strides {out.strides}")
        return out

    def _enter_dy(self, dy: Any, shapes: Any, restore: Orientation) -> Any:
        """The gradient of y, checked, as (B, T, F); a pair of them with merge=None."""
        dtype = self.block.dtype
        if dy is None:
            return None
        if self.merge is not None:
            return restore.enter(_check.output_gradient(dy, shapes, dtype))
        if not isinstance(dy, (tuple, list)) or len(dy) != 2:
            raise ValueError(f"dy must be a pair as y is, one for each direction, got {type(dy).__name__}")
        return [
            None if each is None else restore.enter(_check.output_gradient(each, shape, dtype))
            for each, shape in zip(dy, shapes, strict=True)
        ]


def _apart(arrays: Any, out: Array) -> Any:
    """Arrays, or a pair of them, in memory that `out` has no part in."""
    if isinstance(arrays, tuple):
        return tuple(_apart(each, out) for each in arrays)
    return arrays.copy() if arrays is not None and np.may_share_memory(arrays, out) else arrays
