"""One step after the other through a decoder's fused time loop, for searches: a step costs some microseconds."""

import itertools
from typing import Any, NamedTuple

import numpy as np

from rnnfast.kernels._linear import multiply
from rnnfast.kernels._stepping import embed, log_softmax
from rnnfast.layers._attention_steps import Reading
from rnnfast.models.seq2seq import _copying
from rnnfast.models.seq2seq._frame import Frame, Part, first_states, levels_of
from rnnfast.models.seq2seq._loop import Running, hold

Array = np.ndarray


class _Room(NamedTuple):
    """What a step of so many rows needs."""

    frame: Frame
    begin: list[tuple[Array, ...]]
    """The state of each level before it."""
    end: list[tuple[Array, ...]]
    before: list[tuple[Array, slice]]
    """The parts of a whole state before the step, and their columns."""
    after: list[Array]
    """The same after it."""
    read: Array
    """(N, A): h~."""


class Stepper:
    """Steps of hypotheses of M sources. The weights must not change meanwhile.

    A whole state is one array (1, N, W): of each of N rows h, and c of an LSTM, of each level, h~ where it is fed, and
    the coverage. Threads may step side by side.

    Parameters
    ----------
    decoder : Decoder
        One that `_loop.takes_steps`.
    source : Source
    """

    def __init__(self, decoder: Any, source: Any):
        self.decoder, self.context = decoder, source.context
        self._tokens = None if decoder.gate is None else _copying.held_tokens(decoder, source)
        self._reading = Reading(decoder.attention)
        self._query = self._reading.query()
        self._held, self._positions = hold(self._reading, source.memory, source.lengths)
        self._parts, self._widths = [], []
        for _, layer, level in levels_of(decoder):
            (direction,) = level.directions
            packed = direction.packed(layer.block, layer._cache_packed, False)
            self._parts.append(Part(packed, direction.noise(None, 2 * level.number), None))
            self._widths.append(direction.state_sizes)
        self._table = decoder.embedding.block.array("weight")
        self._combine = None if decoder.input_feeding else decoder.combine._packed()
        self._output = decoder.output._packed()
        self._fed = decoder.combine.out_features if decoder.input_feeding else 0
        # One room is kept: most steps are of as many rows as the one before.
        self._rooms: dict[int, _Room] = {}

    def enter(self, running: Running, rows: int) -> Array:
        """The whole state at the beginning of a search."""
        dtype = self.decoder.attention.dtype
        room = self._room(rows)
        found = np.zeros((1, rows, sum(part.shape[1] for part, _ in room.before)), dtype)
        given = [array for start in first_states(self.decoder, running.recurrent, rows) for array in start]
        given += [None if running.fed is None else running.fed[0]] * bool(self._fed)
        given += [None if running.coverage is None else running.coverage[0]] * self.decoder.attention.coverage
        for array, (_, columns) in zip(given, room.before, strict=True):
            if array is not None:
                found[0, :, columns] = array
        self._rooms = {rows: room}
        return found

    def step(self, tokens: Array, state: Array, sources: Array) -> tuple[Array, Array, Array]:
        """Log-probabilities (N, V); the state; and where each row looked (N, S)."""
        decoder, rows = self.decoder, len(tokens)
        if state.shape[1] != rows or len(sources) != rows:
            raise ValueError(f"the state of {len(sources)} rows must have shape (1, {rows}, W), got {state.shape}")
        room = self._rooms.pop(rows, None) or self._room(rows)
        frame, size = room.frame, self._table.shape[1]
        x = frame.x[:, 0]
        embed(self._table, tokens, x)
        if decoder.context == "every":
            x[:, size : size + self.context.shape[1]] = self.context[sources]
        for part, columns in room.before:
            part[...] = state[0, :, columns]
        frame.loop.forward(room.begin, room.end, sources)
        if self._combine is not None:
            multiply(self._combine, frame.both[:, 0], room.read)
        log_probs = np.empty((rows, self._output.columns), x.dtype)
        multiply(self._output, room.read, log_probs)
        if self._tokens is not None:
            held, embedded = self._tokens[sources], frame.x[..., :size]
            mixed = _copying.run(decoder, log_probs[:, None], frame.both, frame.weights, embedded, held)
            log_probs = np.ascontiguousarray(mixed[:, 0])
        log_softmax(log_probs)
        after, weights = np.concatenate(room.after, axis=1)[None], frame.weights[:, 0].copy()
        self._rooms = {rows: room}
        return log_probs, after, weights

    def _room(self, rows: int) -> _Room:
        decoder = self.decoder
        frame = Frame(decoder, self._reading, self._query, self._held, self._positions, self._parts, rows, 1)
        dtype = frame.x.dtype
        begin, end = (
            [tuple(np.zeros((rows, width), dtype) for width in widths) for widths in self._widths] for _ in range(2)
        )
        first, after = ([array for level in states for array in level] for states in (begin, end))
        if frame.mixed is not None:
            first.append(frame.x[:, 0, -self._fed :])
            after.append(frame.mixed[:, 0])
        if frame.coverage is not None:
            first.append(frame.coverage[:, 0])
            after.append(frame.coverage[:, 1])
        ends = np.cumsum([0, *(array.shape[1] for array in first)]).tolist()
        places = [slice(a, b) for a, b in itertools.pairwise(ends)]
        read = np.zeros((rows, decoder.combine.out_features), dtype) if frame.mixed is None else frame.mixed[:, 0]
        return _Room(frame, begin, end, list(zip(first, places, strict=True)), after, read)
