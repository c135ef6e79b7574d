"""Encoder, bridge and decoder as one network."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rnnfast import ops
from rnnfast.decoding._steps import log_softmax
from rnnfast.layers import _check
from rnnfast.layers._base import Backward, BackwardOnce, Layer, draw_key
from rnnfast.layers._summary import Part
from rnnfast.models._network import Network
from rnnfast.models._ragged import as_batch
from rnnfast.models.seq2seq import _search
from rnnfast.models.seq2seq._beginnings import Beginnings
from rnnfast.models.seq2seq._parts import Source
from rnnfast.models.seq2seq._states import level_shapes, put_together, take_apart
from rnnfast.models.seq2seq.bridge import Bridge
from rnnfast.models.seq2seq.decoder import Decoder
from rnnfast.models.seq2seq.encoder import Encoder

Array = np.ndarray


class Seq2Seq(Network):
    """A sequence to a sequence: an encoder reads, a bridge hands over, a decoder writes.

    Sutskever et al. 2014 (arXiv:1409.3215), Cho et al. 2014 (arXiv:1406.1078). The parts are independent: each can be
    saved, loaded, frozen and used with others.

    Parameters
    ----------
    encoder : Encoder
        Of token ids (B, S), vectors (B, S, F), or one vector (B, F).
    decoder : Decoder
        With attention, its memory_size is the encoder's output_size; with a context that it hears, its context_size.
    bridge : str or Bridge
        How the decoder's state begins, by its kind: "copy", "last", "sum", "concat", "dense" or "zeros" (see `Bridge`).
    seed : None, int or numpy.random.Generator
        For the bridge's first weights.

    Raises
    ------
    ValueError
        When sizes or states do not fit; the message says why, and what would.

    Notes
    -----
    It is trained with the true target as the decoder's input (teacher forcing), one fused call of each layer: the input
    is `{"source": ids or vectors, "target": start token and target}`, the output scores for the target and the stop
    token. `pairs` makes these arrays. The loss is "cross_entropy", and padding does not count.

    Attributes
    ----------
    encoder, bridge, decoder : Encoder, Bridge, Decoder
    scheduled_sampling : float
        While training, the probability that a token of the decoder's input is drawn from the model instead of taken
        from the target (Bengio et al. 2015, arXiv:1506.03099). 0 at first; a callback of `fit` may raise it epoch by
        epoch. It costs a pass of the decoder step by step. What is drawn is taken as given, so no gradient flows
        through it. It is not saved.

    Examples
    --------
    >>> import rnnfast as rf
    >>> encoder = rf.Encoder(rf.Embedding(12, 8, seed=0), rf.GRU(8, 32, bidirectional=True, seed=1))
    >>> decoder = rf.Decoder(rf.Embedding(12, 8, seed=2), rf.GRU(8, 32, seed=3), seed=4,
    ...                      attention=rf.Attention(32, 64, kind="general", seed=5))
    >>> model = rf.Seq2Seq(encoder, decoder, bridge="sum")
    >>> sources = [[3, 4, 5], [6, 7]]
    >>> x, y, lengths = model.pairs(sources, targets=[source[::-1] for source in sources])
    >>> x["target"].tolist(), y.tolist()
    ([[1, 5, 4, 3], [1, 7, 6, 0]], [[5, 4, 3, 2], [7, 6, 2, 0]])
    >>> history = model.fit(x, y, lengths=lengths, loss="cross_entropy", optimizer=rf.Adam(0.01), epochs=30, seed=0,
    ...                     verbose=False)
    >>> [tokens.tolist() for tokens in model.translate(sources)]
    [[5, 4, 3], [7, 6]]
    """

    works_on_steps = False
    scheduled_sampling: float = 0.0

    def __init__(self, encoder: Encoder, decoder: Decoder, bridge: str | Bridge = "copy", *, seed: Any = None):
        if not isinstance(encoder, Encoder):
            raise TypeError(f"encoder must be an Encoder, got {type(encoder).__name__}")
        if not isinstance(decoder, Decoder):
            raise TypeError(f"decoder must be a Decoder, got {type(decoder).__name__}")
        self.encoder, self.decoder = encoder, decoder
        self._check_sizes()
        if isinstance(bridge, Bridge):
            bridge.check(encoder, decoder)
            self.bridge = bridge
        else:
            self.bridge = Bridge.between(bridge, encoder, decoder, seed=seed)
        self._lay_out()

    def _check_sizes(self) -> None:
        size = self.encoder.output_size
        for wanted, what in ((self.decoder.memory_size, "attention"), (self.decoder.context_size, "context")):
            if wanted and isinstance(size, int) and wanted != size:
                raise ValueError(f"the decoder's {what} takes vectors of size {wanted}, the encoder gives {size}")
        if self.decoder.context is not None:
            self.encoder.context_layer()
        if self.decoder.gate is not None and len(self.encoder.input_shape) != 2:
            raise ValueError("a decoder that copies needs an encoder of token ids")

    @property
    def stop(self) -> int:
        """The token that ends a target."""
        return self.decoder.stop

    def _children(self) -> list[tuple[str, Layer]]:
        return [("encoder", self.encoder), ("bridge", self.bridge), ("decoder", self.decoder)]

    def plan(self, describe: Callable[[Layer], dict[str, Any]]) -> dict[str, Any]:
        """The plans of the three parts."""
        return {name: describe(layer) for name, layer in self._children()}

    @classmethod
    def from_plan(cls, config: dict[str, Any], rebuild: Callable[[Any], Layer]) -> "Seq2Seq":
        """The model of such a plan."""
        if set(config) != {"encoder", "bridge", "decoder"}:
            raise ValueError("the config of a Seq2Seq must be its encoder, bridge and decoder")
        encoder, bridge, decoder = (rebuild(config[name]) for name in ("encoder", "bridge", "decoder"))
        if not isinstance(bridge, Bridge):
            raise ValueError(f"the bridge of a Seq2Seq must be a Bridge, got {type(bridge).__name__}")
        return cls(encoder, decoder, bridge)  # type: ignore[arg-type]

    def __repr__(self) -> str:
        return f"Seq2Seq({self.encoder!r}, {self.decoder!r}, bridge={self.bridge.kind!r})"

    @property
    def input_shape(self) -> tuple[Any, ...]:  # type: ignore[override]
        """What it takes, for the summary: the shapes of source and target."""
        batch, *others = self.encoder.input_shape
        return (batch, *("S" if axis == "T" else axis for axis in others)), self.decoder.input_shape

    def output_shape(self, shape: tuple[Any, ...]) -> tuple[Any, ...]:
        """The shape of the scores, of those of source and target."""
        return self.decoder.output_shape(shape[1])

    def output_lengths(self, lengths: Any) -> Any:
        """The lengths of the scores: the target's."""
        if lengths is None or isinstance(lengths, np.ndarray):
            return lengths
        return self._both(lengths, "lengths", None)[1]

    def parts(self, shape: tuple[Any, ...]) -> list[Part]:
        """The three parts, for the summary."""
        source, target = shape
        read = self.encoder.output_shape(source)
        begins = (source[0], *self.bridge_shape())
        return [
            Part("encoder", "Encoder", source, read, self.encoder),
            Part("bridge", f"Bridge {self.bridge.kind}", read, begins, self.bridge),
            Part("decoder", "Decoder", target, self.decoder.output_shape(target), self.decoder),
        ]

    def bridge_shape(self) -> tuple[int, ...]:
        """How many numbers the decoder's state holds for a sequence."""
        return (sum(sum(level.sizes) for level in level_shapes(self.decoder.recurrent.layers)),)

    @staticmethod
    def _both(x: Any, name: str, default: Any = ...) -> tuple[Any, Any]:
        """Source's and target's, of a mapping or a pair."""
        if isinstance(x, Mapping) and x.keys() <= {"source", "target"} and (len(x) == 2 or default is None):
            return x.get("source"), x.get("target")
        if isinstance(x, (tuple, list)) and len(x) == 2:
            return x[0], x[1]
        if x is None and default is None:
            return None, None
        got = f"a mapping with {', '.join(map(str, x))}" if isinstance(x, Mapping) else type(x).__name__
        raise ValueError(f"{name} must be a mapping with 'source' and 'target', or a pair of both, got {got}")

    def _source(self, x: Any, lengths: Any) -> tuple[Array, Array | None]:
        """Source and lengths, checked, cut to the longest."""
        source, wanted = np.asarray(x), self.encoder.input_shape
        timeless = len(wanted) == 2 and isinstance(wanted[1], int)
        fits = source.ndim in (2, 3) if timeless else source.ndim == len(wanted)
        if not fits or (isinstance(wanted[-1], int) and source.shape[-1] != wanted[-1]):
            shape = ", ".join("S" if axis == "T" else str(axis) for axis in wanted)
            raise ValueError(f"the source must have shape ({shape}), got {source.shape}")
        if source.dtype.kind == "f":
            source = _check.real(source, self.dtype, "source")
        if lengths is None:
            return source, None
        if timeless and source.ndim == 2:
            raise ValueError("lengths of the source: one vector a source has none")
        lengths = ops.sequence_lengths(lengths, source.shape[:2])
        return source[:, : lengths.max(initial=0)], lengths

    def _hand_over(self, outputs: Array, states: Any, lengths: Any) -> tuple[Source, Callable[..., Any]]:
        """What the decoder takes of what the encoder gives; and from the former's gradient that of the latter."""
        encoder, decoder, rows = self.encoder, self.decoder, len(outputs)
        context, back_context = None, None
        if decoder.context is not None or (self.bridge.kind == "dense" and not encoder.is_recurrent):
            context, back_context = encoder.context(outputs, lengths)
        layers, inner = decoder.recurrent.layers, encoder.layers
        known = self.bridge.kind != "zeros" and encoder.is_recurrent
        flat = take_apart(inner, states, rows, outputs.dtype) if known else []
        depth = len(level_shapes(layers))
        begins, back_bridge = self.bridge.forward(flat, context, depth)
        state = None if begins is None else put_together(layers, begins, rows, outputs.dtype)
        memory = outputs if decoder.attention is not None else None
        source = Source(state, memory, lengths if outputs.ndim == 3 else None, context)

        def backward(dsource: Source, grads: Any) -> tuple[Array, Any]:
            dbegins = None if begins is None else take_apart(layers, dsource.state, rows, outputs.dtype)
            dflat, dcontext = back_bridge(dbegins, grads)
            terms = [each for each in (dcontext, dsource.context) if each is not None]
            doutputs = [] if dsource.memory is None else [dsource.memory]
            if terms:
                assert back_context is not None
                doutputs.append(back_context(sum(terms[1:], terms[0])))
            dy = sum(doutputs[1:], doutputs[0]) if doutputs else np.zeros_like(outputs)
            return dy, put_together(inner, dflat, rows, outputs.dtype) if dflat else None

        return source, backward

    def read(self, source: Any, lengths: Any = None) -> Source:
        """Run the encoder and hand over: what the decoder takes of sources.

        Parameters
        ----------
        source : array_like (B, S) of int, (B, S, F) or (B, F)
        lengths : array_like of int (B,), optional
        """
        source, lengths = self._source(source, lengths)
        outputs, states = self.encoder.run(source, lengths=lengths)
        return self._hand_over(outputs, states, self.encoder.output_lengths(lengths))[0]._replace(tokens=source)

    def __call__(self, x: Any, *, lengths: Any = None) -> Array:
        """Inference with given targets.

        Parameters
        ----------
        x : mapping with "source" and "target", or the pair of both
            Sources (B, S), (B, S, F) or (B, F); targets (B, T) from the start token on.
        lengths : mapping of "source" and "target" to array_like of int (B,), or the pair of both, optional
            None for one of them is its full length.

        Returns
        -------
        numpy.ndarray (B, T, num_tokens)
            Scores of what follows each token of the target; zero beyond its length.
        """
        return self._whole(x, self.decode(x, lengths=lengths).logits)

    def decode(self, x: Any, *, lengths: Any = None) -> Any:
        """As a call, and with it the decoder's final state and where it looked.

        Returns
        -------
        Decoded
            `logits` (B, T, num_tokens), `state`, and `weights` (B, T, S), or None without attention; T and S are those
            of the longest.
        """
        source, target, ends, steps = self._enter(x, lengths)
        return self.decoder.run(target, self.read(source, ends), lengths=steps)

    def forward(self, x: Any, *, lengths: Any = None, rng: Any = None) -> tuple[Array, Backward]:
        """Training with given targets.

        Parameters
        ----------
        x, lengths
            As in a call.
        rng : None, int or numpy.random.Generator
            For everything that is dropped, and for scheduled sampling.

        Returns
        -------
        y : numpy.ndarray (B, T, num_tokens)
        backward : callable
            `backward(dy, grads=None, need_dx=True) -> dx`: dx in the form of x, with None for token ids. It works once
            and adds to `self.grads`, or to the mapping given, all or nothing. Where the encoder is frozen and dx is not
            needed, it is left out.
        """
        once = BackwardOnce(self.slots())
        key = None if rng is None else draw_key(rng)
        keys = [None if key is None else key.child(i) for i in range(3)]
        source, target, ends, steps = self._enter(x, lengths)
        (outputs, states), back_encoder = self.encoder.forward(source, lengths=ends, rng=keys[0])
        given, back_over = self._hand_over(outputs, states, self.encoder.output_lengths(ends))
        given = given._replace(tokens=source)
        if self.scheduled_sampling:
            share = _check.not_negative(self.scheduled_sampling, "scheduled_sampling", 1.0)
            beyond = _check.padding(steps, target.shape)
            target = target if beyond is None else np.where(beyond, 0, target)
            target = _search.mixed_inputs(self.decoder, given, target, share, np.random.default_rng(keys[2]))
        logits, back_decoder = self.decoder.forward(target, given, lengths=steps, rng=keys[1])
        y = self._whole(x, logits)
        width = logits.shape[1]
        whole_source = np.shape(self._both(x, "x")[0])

        def backward(dy: Any, grads: Any = None, need_dx: bool = True) -> Any:
            dy = _check.output_gradient(dy, shape, dtype)
            once.start()
            found: dict[int, dict[str, Array]] = {id(layer): {} for _, layer in self._children()}
            dsource = back_decoder(dy[:, :width], grads=found[id(self.decoder)])
            doutputs, dstates = back_over(dsource, found[id(self.bridge)])
            dx = None
            if need_dx or not self.encoder.frozen:
                dx, _ = back_encoder(doutputs, dstates, grads=found[id(self.encoder)], need_dx=need_dx)
            once.add(self._by_name(found), grads)
            if dx is not None and dx.shape != whole_source:
                cut, dx = dx, np.zeros(whole_source, dx.dtype)
                dx[:, : cut.shape[1]] = cut
            return {"source": dx, "target": None} if isinstance(x, Mapping) else (dx, None)

        shape, dtype = y.shape, y.dtype
        return y, backward

    def _enter(self, x: Any, lengths: Any) -> tuple[Array, Array, Array | None, Array | None]:
        """Source, target and their lengths, checked, both cut to the longest."""
        source, target = self._both(x, "x")
        ends, steps = self._both(lengths, "lengths", None)
        target = np.asarray(target)
        if target.ndim != 2 or np.ndim(source) < 1 or len(target) != len(source):
            raise ValueError(
                f"the target must have shape (B, T), with the B of the source, got {target.shape} for a source of "
                f"shape {np.shape(source)}"
            )
        source, ends = self._source(source, ends)
        if steps is not None:
            steps = ops.sequence_lengths(steps, target.shape)
            target = target[:, : steps.max(initial=0)]
        return source, target, ends, steps

    def _whole(self, x: Any, logits: Array) -> Array:
        """Scores as long as the target."""
        T = np.shape(self._both(x, "x")[1])[1]
        if logits.shape[1] == T:
            return logits
        whole = np.zeros((len(logits), T, logits.shape[2]), logits.dtype)
        whole[:, : logits.shape[1]] = logits
        return whole

    def pairs(
        self, sources: Any, targets: Any, source_lengths: Any = None
    ) -> tuple[dict[str, Array], Array, dict[str, Array]]:
        """What `fit` and `evaluate` take, of sources and targets of any lengths.

        Parameters
        ----------
        sources : list of sequences, or array_like
            Token ids or vectors; an array goes with `source_lengths`, where it is padded.
        targets : list of sequences of int
            Without start and stop token.
        source_lengths : array_like of int (N,), optional

        Returns
        -------
        x : dict
            "source", padded with zeros, and "target" (N, T + 1), the start token and the target.
        y : numpy.ndarray (N, T + 1)
            The target and the stop token.
        lengths : dict
            Of x, "source" and "target".
        """
        source, ends = as_batch(sources, source_lengths, "sources")
        if len(source) != len(targets):
            raise ValueError(f"sources and targets must be equally many, got {len(source)} and {len(targets)}")
        start, stop = [self.decoder.start], [self.decoder.stop]
        target, steps = as_batch([np.concatenate([start, each]).astype(np.int64) for each in targets], name="targets")
        y, _ = as_batch([np.concatenate([each, stop]).astype(np.int64) for each in targets], name="targets")
        lengths = {"target": steps} if ends is None else {"source": ends, "target": steps}
        return {"source": source, "target": target}, y, lengths  # type: ignore[return-value]

    def score(self, sources: Any, targets: Any, source_lengths: Any = None) -> Array:
        """How likely given targets are.

        Parameters
        ----------
        sources, targets, source_lengths
            As of `pairs`.

        Returns
        -------
        numpy.ndarray (N,), float64
            log P(target | source), the stop token's included: the score of a hypothesis without length penalty.
        """
        x, y, lengths = self.pairs(sources, targets, source_lengths)
        log_probs = log_softmax(self(x, lengths=lengths).astype(np.float64))
        counts = np.arange(y.shape[1]) < lengths["target"][:, None]
        return np.where(counts, np.take_along_axis(log_probs, y[..., None], axis=2)[..., 0], 0.0).sum(axis=1)

    def start(self, batch: Any) -> tuple[Array, _search.Position]:
        """Where a search begins (see `rnnfast.decoding`).

        Parameters
        ----------
        batch : array_like, list of sequences, or the pair (array_like, lengths)
            Sources.
        """
        given, ends = batch if isinstance(batch, tuple) and len(batch) == 2 else (batch, None)
        source, lengths = as_batch(given, ends, "sources")
        return _search.start(self.decoder, self.read(source, lengths), len(source))

    def step(self, tokens: Array, state: _search.Position) -> tuple[Array, _search.Position]:
        """Log-probabilities (N, V) of what follows one more token of each row, and the state."""
        return _search.step(self.decoder, tokens, state)

    def reorder(self, state: _search.Position, rows: Array) -> _search.Position:
        """The state of chosen rows."""
        return _search.reorder(state, rows)

    def beginnings(self, state: _search.Position) -> Beginnings:
        """What keeps the states of all beginnings of a search, so that it may go on with any (see `beam_search`)."""
        return Beginnings(state)

    def translate(
        self, sources: Any, lengths: Any = None, *, beam_size: int = 5, batch_size: int = 32, **how: Any
    ) -> list[Array]:
        """Write the best target for each source.

        Parameters
        ----------
        sources : list of sequences, or array_like (N, S), (N, S, F) or (N, F)
        lengths : array_like of int (N,), optional
            Of sources that come as an array.
        beam_size : int
            1 takes the likeliest token at each step.
        batch_size : int
            How many sources at a time.
        **how
            As of `rnnfast.decoding.beam_search`, or with beam_size=1 of `rnnfast.decoding.greedy`: max_length,
            length_penalty and others. These functions give scores and alignments, too.

        Returns
        -------
        list of numpy.ndarray (T,)
            Tokens, without start and stop.
        """
        from rnnfast.decoding import beam_search, greedy

        batch_size = _check.size(batch_size, "batch_size")
        found = []
        for begin in range(0, len(sources), batch_size):
            place = slice(begin, begin + batch_size)
            batch = sources[place] if lengths is None else (np.asarray(sources)[place], np.asarray(lengths)[place])
            if beam_size == 1:
                found += [each.tokens for each in greedy(self, batch, **how)]
            else:
                found += [row[0].tokens for row in beam_search(self, batch, beam_size=beam_size, **how)]
        return found
