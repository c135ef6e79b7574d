"""A decoder one step at a time, many hypotheses side by side."""

from typing import Any, NamedTuple

import numpy as np

from rnnfast.decoding._steps import log_softmax, take_rows
from rnnfast.models.seq2seq import _copying, _loop
from rnnfast.models.seq2seq._parts import Source
from rnnfast.models.seq2seq._stepping import Stepper
from rnnfast.models.seq2seq.decoder import Decoder

Array = np.ndarray


class Position(NamedTuple):
    """Where a search stands: N rows, each a hypothesis of one of M sources."""

    recurrent: Any
    """The state of the decoder's recurrent layers, N rows; of a stepper's the whole of it."""
    memory: Any
    """(M, S, F); or the `Stepper` that takes the steps, which keeps all sources."""
    lengths: Array | None
    """(M,), of the memory."""
    context: Array | None
    """(N, C)."""
    sources: Array
    """(N,): the source of each row. Each has equally many, side by side, so that rows need no copy of the memory; the
    loop needs none whatever the order."""
    weights: Array | None
    """(N, S): where the step before looked."""
    tokens: Array | None = None
    """(M, S): what may be copied."""


def start(decoder: Decoder, source: Source, rows: int) -> tuple[Array, Position]:
    """The start token for each row, and where the search begins."""
    tokens, sources, begin = np.full(rows, decoder.start), np.arange(rows), decoder.begin(source)
    if _loop.takes_steps(decoder):
        stepper = Stepper(decoder, source)
        state = stepper.enter(begin if decoder.steps_depend else _loop.Running(begin), rows)
        return tokens, Position(state, stepper, None, None, sources, None)
    memory = source.memory if decoder.attention is not None else None
    held = None if decoder.gate is None else _copying.held_tokens(decoder, source)
    return tokens, Position(begin, memory, source.lengths, source.context, sources, None, held)


def step(decoder: Decoder, tokens: Array, position: Position) -> tuple[Array, Position]:
    """Log-probabilities (N, V) after one more token each."""
    if isinstance(position.memory, Stepper):
        log_probs, state, attended = position.memory.step(tokens, position.recurrent, position.sources)
        return log_probs, position._replace(recurrent=state, weights=attended)
    embedded = decoder.embedding(tokens)[:, None]
    x = decoder.beside(embedded, position.context)
    both = weights = None
    looked: Array | None = None
    read, recurrent = decoder.recurrent.run(x, position.recurrent)
    if decoder.attention is not None and decoder.combine is not None:
        assert position.memory is not None
        M, S, _ = position.memory.shape
        query = read[:, 0].reshape(M, -1, read.shape[2])
        context, weights = decoder.attention(query, position.memory, lengths=position.lengths)
        both = np.concatenate([context.reshape(len(read), 1, -1), read], axis=-1)
        read, looked = decoder.combine(both), weights.reshape(len(read), S)
        weights = looked[:, None]
    logits = decoder.output(read)
    if position.tokens is not None:
        logits = _copying.run(decoder, logits, both, weights, embedded, position.tokens[position.sources])
    return log_softmax(logits[:, 0]), position._replace(recurrent=recurrent, weights=looked)


def reorder(position: Position, rows: Array) -> Position:
    """Chosen rows; sources that no row is left of are dropped."""
    sources, memory, lengths = position.sources[rows], position.memory, position.lengths
    tokens = position.tokens
    if memory is not None and not isinstance(memory, Stepper):
        kept, counts = np.unique(sources, return_counts=True)
        if not (np.ptp(counts) == 0 and np.array_equal(sources, np.repeat(kept, counts))):
            kept, counts = sources, np.ones(len(rows), np.intp)
        if not np.array_equal(kept, np.arange(len(memory))):
            memory, lengths = memory[kept], None if lengths is None else lengths[kept]
            tokens = None if tokens is None else tokens[kept]
        sources = np.repeat(np.arange(len(kept)), counts)
    context = None if position.context is None else position.context[rows]
    return Position(take_rows(position.recurrent, rows), memory, lengths, context, sources, None, tokens)


def mixed_inputs(decoder: Decoder, source: Source, target: Array, share: float, rng: np.random.Generator) -> Array:
    """The target (B, T) with tokens drawn from the model in the place of some, each with the probability `share`.

    What is drawn depends on all that was drawn before. The first token stays.
    """
    mixed = target.copy()
    _, position = start(decoder, source, len(target))
    for t in range(target.shape[1] - 1):
        log_probs, position = step(decoder, mixed[:, t], position)
        drawn = (log_probs + rng.gumbel(size=log_probs.shape)).argmax(axis=1)
        mixed[:, t + 1] = np.where(rng.random(len(target)) < share, drawn, target[:, t + 1])
    return mixed
