"""A decoder whose steps depend on what the steps before have attended to: the arrays of its fused time loop."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from rnnfast import ops
from rnnfast._backend import get_backend, require_compiled
from rnnfast.kernels._attention import Memory
from rnnfast.layers import Dropout
from rnnfast.layers._attention_steps import Reading
from rnnfast.layers._base import Layer
from rnnfast.layers._direction import dropped
from rnnfast.layers._grid import Masks
from rnnfast.layers._level import Level
from rnnfast.layers.recurrent import Recurrent
from rnnfast.models.seq2seq._frame import Frame, Part, first_states, levels_of

Array = np.ndarray


class Running(NamedTuple):
    """Where such a decoder stands."""

    recurrent: Any
    """The state of its recurrent layers; None is their own start."""
    fed: Array | None = None
    """(1, B, A): h~ of the step before; None is zeros."""
    coverage: Array | None = None
    """(1, B, S): the sum of all attention so far; None is zeros."""


def check_layers(layers: Iterable[Layer]) -> None:
    """Refuse layers that the loop over the steps does not run.

    Raises
    ------
    ValueError
        With the reason.
    """
    where = "a decoder whose steps feed each other"
    for i, layer in enumerate(layers):
        if isinstance(layer, Dropout) and i > 0:
            continue
        if not isinstance(layer, Recurrent):
            raise ValueError(
                f"{where} is made of recurrent layers, and of Dropout after them: layer {i} is a {type(layer).__name__}"
            )
        for name, value in (("input_dropout", layer.input_dropout), ("residual", layer.residual == "highway")):
            if value:
                raise ValueError(f"{where} does not run {name}={getattr(layer, name)!r}, an option of its layer {i}")


def takes_steps(decoder: Any) -> bool:
    """Whether the loop takes the steps of a search: all that it can, as a step costs it a fraction of what layers cost.

    A decoder whose steps depend on each other has no other way.
    """
    if decoder.steps_depend:
        return True
    if decoder.attention is None or get_backend() != "compiled":
        return False
    try:
        check_layers(decoder.recurrent.layers)
    except ValueError:
        return False
    return True


class Pass:
    """One pass over T steps.

    Parameters
    ----------
    decoder : Decoder
    x : ndarray (B, T, E)
        Embedded tokens, with the context beside them where there is one.
    state : Running
    lengths : int64 ndarray (B,), optional
    memory : ndarray (B, S, F)
        What attention looks at.
    memory_lengths : int64 ndarray (B,), optional
    key : Key, optional
        Of everything that is dropped; given in training alone.

    Attributes
    ----------
    both : ndarray (B, T, F + Q)
        Context and output of each step.
    mixed : ndarray (B, T, A) or None
        h~, where it is fed.
    weights, coverage : ndarray (B, T, S), (B, T + 1, S) or None
    """

    def __init__(
        self,
        decoder: Any,
        x: Array,
        state: Running,
        lengths: Array | None,
        memory: Array,
        memory_lengths: Array | None,
        key: Any = None,
    ):
        require_compiled("a decoder whose steps feed each other")
        self.decoder, self.lengths, self.key = decoder, lengths, key
        self.training = key is not None
        (B, T, E), dtype = x.shape, x.dtype
        self.reading = Reading(decoder.attention)
        held, S = hold(self.reading, memory, memory_lengths, self.training)
        self.levels = levels_of(decoder)
        parts = [
            Part(*self._packed(i, layer, level), self._factor(place, B, T, dtype))
            for place, (i, layer, level) in enumerate(self.levels)
        ]
        frame = Frame(decoder, self.reading, self.reading.query(), held, S, parts, B, T, lengths, self.training)
        frame.x[..., :E] = x
        if T and state.fed is not None:
            frame.x[:, 0, E:] = state.fed[0]
        if frame.coverage is not None and state.coverage is not None:
            frame.coverage[:, 0] = state.coverage[0]
        self.both, self.mixed, self.queries = frame.both, frame.mixed, frame.queries
        self.weights, self.coverage, self.loop = frame.weights, frame.coverage, frame.loop
        self.loop.forward(*self._states(state, B, dtype))
        self.state = self._after(state)

    def _packed(self, i: int, layer: Recurrent, level: Level) -> tuple[Any, tuple[int, int]]:
        """A level's weights, and where its masks come from."""
        (direction,), key = level.directions, self._key(i)
        if self.training and level.weight_drop:
            packed = direction.packed_dropped(layer.block, level.weight_drop, int(key), level._weight_stream(0))
        else:
            packed = direction.packed(layer.block, layer._cache_packed, self.training)
        return packed, direction.noise(key, 2 * level.number)

    def _key(self, i: int) -> Any:
        return None if self.key is None else self.key.child(i)

    def _factor(self, place: int, B: int, T: int, dtype: np.dtype) -> Array | None:
        """What the output of a level is multiplied by: dropout, of its layer and of the layers after that."""
        if not self.training:
            return None
        i, layer, level = self.levels[place]
        factor, shape = None, (B, T, level.output_size)
        if level is not layer._levels[-1]:
            if layer.dropout:
                key, stream = self._key(i), Masks.BETWEEN.stream(level.number + 1)
                factor = ops.dropout(np.ones(shape, dtype), layer.dropout, int(key), stream)
            return factor
        for j, after in enumerate(self.decoder.recurrent.layers[i + 1 :], i + 1):
            if not isinstance(after, Dropout):
                break
            if after.p:
                factor = after.forward(np.ones(shape, dtype) if factor is None else factor, rng=self._key(j))[0]
        return factor

    def _states(self, state: Running, B: int, dtype: np.dtype) -> tuple[list[Any], list[Any]]:
        """Where each level starts, and where its last state is written: the start, to begin with."""
        initial = first_states(self.decoder, state.recurrent, B)
        final: list[Any] = []
        self.rooms, self.learned = [], []
        for i, layer in enumerate(layer for layer in self.decoder.recurrent.layers if isinstance(layer, Recurrent)):
            self.learned.append(layer.learned_state and (state.recurrent is None or state.recurrent[i] is None))
            memory, views = layer._form.room(B, dtype)
            self.rooms.append((layer, memory))
            final += views
        for view, start in zip(final, initial, strict=True):
            for array, value in zip(view, start, strict=True):
                array[...] = 0 if value is None else value
        return initial, final

    def _after(self, before: Running) -> Running:
        """The state after each row's last step."""
        B, T = self.both.shape[:2]
        ends = np.full(B, T) if self.lengths is None else self.lengths
        fed = coverage = None
        if self.mixed is not None:
            fed = np.zeros((1, B, self.mixed.shape[2]), self.mixed.dtype) if before.fed is None else before.fed.copy()
            rows = np.flatnonzero(ends)
            fed[0, rows] = self.mixed[rows, ends[rows] - 1]
        if self.coverage is not None:
            coverage = self.coverage[np.arange(B), ends][None]
        return Running(tuple(layer._form.leave(memory, False) for layer, memory in self.rooms), fed, coverage)

    def read(self) -> Array:
        """h~ of all steps."""
        return self.decoder.combine(self.both) if self.mixed is None else self.mixed

    def backward(
        self,
        d_both: Array | None,
        d_mixed: Array | None,
        found: dict[int, dict[str, Array]],
        d_weights: Array | None = None,
        d_coverage: Array | None = None,
    ) -> tuple[Array, tuple[Any, ...], Array]:
        """The gradients of x, of the recurrent layers' first state and of the memory.

        Those of the parameters go to `found`, by the decoder's layers.

        Parameters
        ----------
        d_both : ndarray like both
            From outside, in its own memory, which is overwritten; None for zeros.
        d_mixed : ndarray like mixed, or None
            The same where h~ is fed, else None.
        d_weights, d_coverage : ndarray (B, T, S), optional
        """
        decoder, reading, dtype = self.decoder, self.reading, self.both.dtype
        attention, combine = decoder.attention, decoder.combine
        (B, T, S), F = self.weights.shape, attention.key_size
        stages = self.loop.stages
        d_both = np.zeros_like(self.both) if d_both is None else d_both
        d_x = [np.empty_like(stage.x) for stage in stages]
        d_scores = d_projected = d_keys = d_weight = d_along = None
        if reading.additive:
            d_projected, d_keys = np.zeros((B, T, reading.width), dtype), np.zeros((B, S, reading.width), dtype)
            d_weight, d_along = np.zeros((B, reading.width), dtype), np.zeros((B, reading.width), dtype)
        else:
            d_scores = np.zeros((B, T, S), dtype)
        initial: list[tuple[Array, ...]] = []
        rooms = []
        for layer, _ in self.rooms:
            memory, views = layer._form.room(B, dtype)
            for view in views:
                for array in view:
                    array[...] = 0
            rooms.append((layer, memory, views))
            initial += views
        gradients = self.loop.backward(
            d_both=d_both,
            d_mixed=d_mixed,
            d_x=d_x,
            d_initial=initial,
            d_scores=d_scores,
            d_projected=d_projected,
            d_keys=d_keys,
            d_weight=d_weight,
            d_along=d_along,
            d_weights=d_weights,
            d_coverage=d_coverage,
            combine_back=None if d_mixed is None else ops.pack_linear(combine.params["weight"].T),
            query_back=reading.query_back(),
        )
        self._sort(gradients, rooms, found)
        if d_mixed is not None:
            found[id(combine)]["weight"] = ops.linear_backward(
                self.both, combine.params["weight"], d_mixed, need_dx=False
            )[1]
        d_memory = np.matmul(self.weights.swapaxes(1, 2), d_both[..., :F])
        if d_scores is not None:
            d_keys = np.matmul(d_scores.swapaxes(1, 2), self.queries)
        assert d_keys is not None
        through, named = reading.backward(d_keys, self.queries, d_projected, d_weight, d_along)
        if through is not None:
            d_memory += through
        found[id(attention)].update(named)
        states = tuple(layer._form.leave(memory, False) for layer, memory, _ in rooms)
        return d_x[0], states, d_memory

    def _sort(self, gradients: list[dict[str, Array]], rooms: list[Any], found: dict[int, dict[str, Array]]) -> None:
        """Gradients of the levels, by the names that the decoder's `recurrent` gives them."""
        recurrent = self.decoder.recurrent
        by_layer: dict[int, dict[str, Array]] = {id(layer): {} for layer in recurrent.layers}
        for (i, layer, level), stage, named in zip(self.levels, self.loop.stages, gradients, strict=True):
            named = {name: gradient for name, gradient in named.items() if name in stage.packed.names}
            if level.weight_drop:
                named["weight_hh"] = dropped(
                    named["weight_hh"], level.weight_drop, int(self._key(i)), level._weight_stream(0)
                )
            by_layer[id(layer)] |= level.directions[0].gradients(named)
        for (layer, _, views), learned in zip(rooms, self.learned, strict=True):
            if layer.learned_state:
                for direction, own in zip(layer._directions, views, strict=True):
                    by_layer[id(layer)] |= direction.state_gradients(own, learned)
        found[id(recurrent)].update(recurrent._by_name(by_layer))


def hold(reading: Reading, memory: Array, lengths: Array | None, training: bool = False) -> tuple[Memory, int]:
    """Sources (M, S, F), ready to be looked at, and S.

    Raises
    ------
    ValueError
        When there are more positions than a location-based attention has.
    """
    keys, values = reading.enter(memory, lengths)
    return Memory(keys, values, lengths, reading.additive, training), values.shape[1]


def run(decoder: Any, x: Array, source: Any, state: Running, lengths: Any = None, key: Any = None) -> Pass:
    """A pass over inputs (B, T, E) with a `Source`; with a key, for training.

    Raises
    ------
    ValueError
        For wrong shapes.
    """
    decoder.check_source(source)
    B, T, _ = x.shape
    lengths = None if lengths is None else ops.sequence_lengths(lengths, (B, T))
    if len(source.memory) != B:
        raise ValueError(f"the source's memory must have {B} rows, as the tokens have, got {len(source.memory)}")
    ends = None if source.lengths is None else ops.sequence_lengths(source.lengths, source.memory.shape[:2])
    return Pass(decoder, x, state, lengths, source.memory, ends, key)
