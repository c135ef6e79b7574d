"""What writes the target."""

from collections.abc import Callable
from typing import Any

import numpy as np

from rnnfast import ops
from rnnfast.layers import Attention, Dropout, Embedding, Linear, _check
from rnnfast.layers._base import Backward, BackwardOnce, Layer, draw_key
from rnnfast.layers._summary import Part
from rnnfast.models._network import Network
from rnnfast.models.seq2seq import _copying, _loop, _teaching
from rnnfast.models.seq2seq._parts import Decoded, Source, check_layer
from rnnfast.models.sequential import Sequential

Array = np.ndarray

CONTEXTS = (None, "first", "every")
ORDERS = ("luong", "bahdanau")
_PARTS = ("embedding", "recurrent", "attention", "combine", "dropout", "output", "gate")
_OPTIONS = ("context", "start", "stop")
# Written to a plan only where they differ from this, so that plain decoders can be read by older versions.
_LATER: dict[str, Any] = {"input_feeding": False, "attention_order": "luong", "coverage_loss": 0.0}


class Decoder(Network):
    """Recurrent layers that write tokens, given what an encoder has read.

        h_t = cells(E[y_{t-1}], h_{t-1})                 E is the embedding; with a context c, (E[y_{t-1}], c)
        c_t = Σ_j a_tj m_j,  a_t = softmax(score(h_t, m_j))      with attention, over the encoder's outputs m
        h~_t = tanh(W_c [c_t, h_t])
        P(y_t | y_1 ... y_{t-1}, source) = softmax(V h~_t + b)   h_t for h~_t where there is no attention

    Sutskever et al. 2014 (arXiv:1409.3215); attention as by Luong et al. 2015 (arXiv:1508.04025), equations 5 and 6,
    after the recurrent layers, so that training runs all steps at once; a context at every step as by Cho et al. 2014
    (arXiv:1406.1078), as the first input by Vinyals et al. 2015 (arXiv:1411.4555).

    Three options let what a step has attended to feed the next one; training then runs one fused loop over the steps:

    - `input_feeding` (Luong et al. 2015, section 3.3): h_t = cells([E[y_{t-1}], h~_{t-1}], h_{t-1}), with h~_0 = 0;
    - `attention_order="bahdanau"` (Bahdanau et al. 2015, arXiv:1409.0473): a_t = softmax(score(h_{t-1}, m_j)) of the
      uppermost state before the step, and h_t = cells([E[y_{t-1}], c_t], h_{t-1});
    - `Attention(..., coverage=True)` (See et al. 2017, arXiv:1704.04368).

    With `copy` (the same, equations 8 and 9) tokens of the source may be written, too:
    P(w) = p_gen softmax(V h~_t + b)_w + (1 - p_gen) Σ_{j: x_j = w} a_tj, p_gen = σ(w [c_t, h_t, E[y_{t-1}]] + b'). The
    scores are log-probabilities then, which losses and searches take as they take logits.

    Parameters
    ----------
    embedding : Embedding
        Of the target's tokens.
    *layers : Layer
        Recurrent layers of one direction, from the lowest up, and layers without state between them, such as `Dropout`.
        The first takes vectors as wide as the embedding; with context="every", as wide as embedding and context; with
        what is fed, as wide as all of it: embedding, context, and h~ or c_t.
    attention : Attention, optional
        Its query_size is the size of the last layer's output, its key_size that of the encoder's.
    attention_size : int, optional
        Size of h~; None is the size of the last layer's output.
    context : None, "first" or "every"
        Whether the encoder's context is the input of a step before the start token, as wide as the embedding then, or
        stands beside every input. (As the initial state it goes through the bridge.)
    input_feeding : bool
        Whether h~ is fed to the next step. Not with Bahdanau's order, which feeds the context c_t.
    attention_order : "luong" or "bahdanau"
        Whether attention comes after the recurrent layers, or before them.
    coverage_loss : float
        Of attention with coverage: while training the loss grows by so many times the mean over all steps of
        Σ_j min(a_tj, Σ_{t'<t} a_t'j) (See et al. 2017, equation 12; they take 1).
    copy : bool
        Whether tokens of the source may be copied. Source and target have one vocabulary then.
    tied : bool
        The output's weight is the embedding's (Press and Wolf 2017): h~ must be as wide.
    dropout : float
        Of h~ before the output, while training. What is fed is not dropped.
    start, stop : int
        The tokens that stand before a target's first token and after its last.
    seed : None, int or numpy.random.Generator
        For the first weights of what is made here: W_c and the output.

    Attributes
    ----------
    embedding, recurrent, attention, combine, output, gate : Layer
        What it is made of: `recurrent` is a `Sequential` of the layers, `combine` is W_c, `gate` gives p_gen.

    Examples
    --------
    >>> import rnnfast as rf
    >>> decoder = rf.Decoder(rf.Embedding(20, 8), rf.GRU(8, 16), attention=rf.Attention(16, 32, kind="general"))
    >>> decoder.run([[1, 5, 3]], rf.models.Source(memory=np.ones((1, 4, 32)))).logits.shape
    (1, 3, 20)
    """

    works_on_steps = False

    def __init__(
        self,
        embedding: Embedding,
        *layers: Layer,
        attention: Attention | None = None,
        attention_size: int | None = None,
        context: str | None = None,
        input_feeding: bool = False,
        attention_order: str = "luong",
        coverage_loss: float = 0.0,
        copy: bool = False,
        tied: bool = False,
        dropout: float = 0.0,
        start: int = 1,
        stop: int = 2,
        seed: Any = None,
    ):
        if not isinstance(embedding, Embedding):
            raise TypeError(f"embedding must be an Embedding of the target's tokens, got {type(embedding).__name__}")
        for i, layer in enumerate(layers):
            check_layer(layer, i)
        if not any(layer.has_state for layer in layers):
            raise ValueError("a decoder needs at least one recurrent layer")
        recurrent, rng, dtype = Sequential(*layers), np.random.default_rng(seed), embedding.dtype
        size = recurrent.output_shape(recurrent.input_shape)[-1]
        combine = gate = None
        if attention is not None:
            if not isinstance(attention, Attention):
                raise TypeError(f"attention must be an Attention or None, got {type(attention).__name__}")
            if attention.query_size != size:
                raise ValueError(
                    f"the attention's query_size must be the size of the last layer's output, {size}, got "
                    f"{attention.query_size}"
                )
            inputs = attention.key_size + attention.query_size
            combine = Linear(
                inputs, attention_size or inputs - attention.key_size, False, "tanh", dtype=dtype, seed=rng
            )
            size = combine.out_features
            if _check.flag(copy, "copy"):
                gate = Linear(inputs + embedding.embedding_dim, 1, activation="sigmoid", dtype=dtype, seed=rng)
        elif copy:
            raise ValueError("copy takes the tokens that attention looks at, and this decoder has no attention")
        elif attention_size is not None:
            raise ValueError("attention_size is the size of h~, which there is with attention alone")
        output = Linear(
            size,  # type: ignore[arg-type]
            embedding.num_embeddings,
            tied=embedding if tied else None,
            dtype=dtype,
            seed=rng,
        )
        self._assemble(
            embedding,
            recurrent,
            attention,
            combine,
            Dropout(dropout),
            output,
            gate,
            context=context,
            start=start,
            stop=stop,
            input_feeding=input_feeding,
            attention_order=attention_order,
            coverage_loss=coverage_loss,
        )

    def _assemble(
        self,
        embedding: Any,
        recurrent: Any,
        attention: Any,
        combine: Any,
        dropout: Any,
        output: Any,
        gate: Any,
        *,
        context: Any,
        start: Any,
        stop: Any,
        input_feeding: Any = False,
        attention_order: Any = "luong",
        coverage_loss: Any = 0.0,
    ) -> None:
        self.embedding: Embedding = embedding
        self.recurrent: Sequential = recurrent
        self.attention: Attention | None = attention
        self.combine: Linear | None = combine
        self.dropout: Dropout = dropout
        self.output: Linear = output
        self.gate: Linear | None = gate
        if context not in CONTEXTS:
            raise ValueError(f"context must be None, 'first' or 'every', got {context!r:.60}")
        self.context: str | None = context
        for name, token in (("start", start), ("stop", stop)):
            if type(token) is not int or not 0 <= token < embedding.num_embeddings:
                raise ValueError(f"{name} must be a token, 0 to {embedding.num_embeddings - 1}, got {token!r:.60}")
        self.start, self.stop = start, stop
        if attention_order not in ORDERS:
            raise ValueError(f"attention_order must be 'luong' or 'bahdanau', got {attention_order!r:.60}")
        self.input_feeding, self.attention_order = _check.flag(input_feeding, "input_feeding"), attention_order
        if attention is None and (input_feeding or attention_order != "luong"):
            raise ValueError("input_feeding and attention_order are options of attention, and this decoder has none")
        if input_feeding and attention_order == "bahdanau":
            raise ValueError(
                "attention_order='bahdanau' feeds the context c_t to the recurrent layers: it excludes input_feeding"
            )
        self.coverage_loss = _check.not_negative(coverage_loss, "coverage_loss")
        if coverage_loss and not (attention is not None and attention.coverage):
            raise ValueError("coverage_loss is for an Attention with coverage=True")
        if self.steps_depend:
            _loop.check_layers(recurrent.layers)
        self._check_width()
        self._lay_out()

    def _check_width(self) -> None:
        wanted, given, fed = self.recurrent.input_shape[-1], self.embedding.embedding_dim, self.fed_size
        beside = f", and what is fed is {fed} wide" if fed else ""
        if self.context == "every" and not wanted > given + fed:
            raise ValueError(
                f"with context='every' the first layer takes embedding and context, so more than {given} features"
                f"{beside}, got one that takes {wanted}"
            )
        if self.context != "every" and wanted != given + fed:
            raise ValueError(f"the first layer takes {wanted} features, the embedding gives {given}{beside}")

    @property
    def steps_depend(self) -> bool:
        """Whether a step's attention depends on that of the step before: then a fused loop runs step after step."""
        return self.fed_size > 0 or (self.attention is not None and self.attention.coverage)

    @property
    def fed_size(self) -> int:
        """The size of what attention feeds to the recurrent layers; 0 where it feeds nothing."""
        if self.attention is None or self.combine is None:
            return 0
        if self.attention_order == "bahdanau":
            return self.attention.key_size
        return self.combine.out_features if self.input_feeding else 0

    @property
    def context_size(self) -> int:
        """The size of the context that it hears; 0 where it hears none."""
        if self.context is None:
            return 0
        wanted = self.recurrent.input_shape[-1]
        assert isinstance(wanted, int)
        return wanted - self.fed_size - (self.embedding.embedding_dim if self.context == "every" else 0)

    @property
    def memory_size(self) -> int | None:
        """The size of what attention looks at; None without attention."""
        return None if self.attention is None else self.attention.key_size

    def _children(self) -> list[tuple[str, Layer]]:
        return [(name, layer) for name in _PARTS if (layer := getattr(self, name)) is not None]

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({"gate": None, **_LATER, **state})

    def plan(self, describe: Callable[[Layer], dict[str, Any]]) -> dict[str, Any]:
        """The plans of its layers, by name."""
        found = {name: None if (layer := getattr(self, name)) is None else describe(layer) for name in _PARTS}
        if self.gate is None:
            del found["gate"]
        later = {name: value for name, usual in _LATER.items() if (value := getattr(self, name)) != usual}
        return {**found, **{name: getattr(self, name) for name in _OPTIONS}, **later}

    @classmethod
    def from_plan(cls, config: dict[str, Any], rebuild: Callable[[Any], Layer]) -> "Decoder":
        """The decoder of such a plan."""
        config = {"gate": None, **config}
        if set(config) - _LATER.keys() != {*_PARTS, *_OPTIONS}:
            raise ValueError(f"the config of a Decoder must be {', '.join(_PARTS)}, context, start and stop")
        layers: dict[str, Any] = {name: None if config[name] is None else rebuild(config[name]) for name in _PARTS}
        *kinds, gate = [type(layer).__name__ for layer in layers.values()]
        plain = ["Embedding", "Sequential", "Attention", "Linear", "Dropout", "Linear"]
        if gate not in ("NoneType", "Linear"):
            raise ValueError(f"the gate of a Decoder must be a Linear, got {gate}")
        if kinds not in (plain, [*plain[:2], "NoneType", "NoneType", *plain[4:]]):
            raise ValueError(f"a Decoder is made of {', '.join(plain)}, got {', '.join(kinds)}")
        for i, layer in enumerate(layers["recurrent"].layers):
            check_layer(layer, i)
        decoder = cls.__new__(cls)
        decoder._assemble(**layers, **{name: value for name, value in config.items() if name not in _PARTS})
        return decoder

    def __repr__(self) -> str:
        inside = [repr(self.embedding), *map(repr, self.recurrent.layers)]
        inside += [f"attention={self.attention!r}"] if self.attention is not None else []
        inside += [f"context={self.context!r}"] if self.context is not None else []
        inside += [f"{name}={getattr(self, name)!r}" for name, usual in _LATER.items() if getattr(self, name) != usual]
        return f"Decoder({', '.join(inside)})"

    @property
    def input_shape(self) -> tuple[Any, ...]:  # type: ignore[override]
        """What it takes, for the summary: the tokens before those that it writes."""
        return ("B", "T")

    def output_shape(self, shape: tuple[Any, ...]) -> tuple[Any, ...]:
        """The shape of the logits."""
        return (*shape, self.output.out_features)

    def parts(self, shape: tuple[Any, ...]) -> list[Part]:
        """The layers, for the summary."""
        steps, found = tuple(shape), []
        embedded = (*steps, self.recurrent.input_shape[-1])
        hidden = self.recurrent.output_shape(embedded)
        read = hidden if self.combine is None else (*steps, self.combine.out_features)
        shapes = {"embedding": (steps, self.embedding.output_shape(steps)), "recurrent": (embedded, hidden)}
        shapes |= {"attention": (hidden, (*steps, self.memory_size)), "combine": (hidden, read)}
        shapes |= {"dropout": (read, read), "output": (read, self.output_shape(steps)), "gate": (read, (*steps, 1))}
        for name, layer in self._children():
            if name != "dropout" or self.dropout.p:
                notes = self._notes() if name == "attention" else []
                found.append(Part(name, ", ".join([type(layer).__name__, *notes]), *shapes[name], layer))
        return found

    def _notes(self) -> list[str]:
        """How attention leads from step to step, for the summary."""
        found = ["input feeding"] * self.input_feeding + ["before the step"] * (self.attention_order == "bahdanau")
        return found + ["coverage"] * (self.attention is not None and self.attention.coverage)

    def check_source(self, source: Source) -> None:
        """Say what is missing of a source, or does not fit.

        Raises
        ------
        ValueError
            With the shape that is wanted.
        """
        if self.attention is not None and (source.memory is None or source.memory.ndim != 3):
            got = "none" if source.memory is None else f"shape {source.memory.shape}"
            raise ValueError(f"attention looks at outputs (B, S, {self.memory_size}) of the encoder, got {got}")
        if self.context is not None and (source.context is None or source.context.shape[1:] != (self.context_size,)):
            got = "none" if source.context is None else f"shape {source.context.shape}"
            raise ValueError(f"context={self.context!r} wants a context (B, {self.context_size}), got {got}")
        if self.gate is not None:
            _copying.held_tokens(self, source)

    def begin(self, source: Source) -> Any:
        """The state before the start token."""
        self.check_source(source)
        state = _loop.Running(source.state) if self.steps_depend else source.state
        if self.context != "first":
            return state
        assert source.context is not None
        if not self.steps_depend:
            return self.recurrent.run(source.context[:, None], state)[1]
        return _loop.run(self, source.context[:, None], source, state).state

    def beside(self, embedded: Array, context: Array | None) -> Array:
        """What the recurrent layers take at each step (B, T, F): with context="every" it holds the context (B, C)."""
        if self.context != "every" or context is None:
            return embedded
        repeated = np.broadcast_to(context[:, None], (*embedded.shape[:2], context.shape[-1]))
        return np.concatenate([embedded, repeated], axis=-1)

    def run(  # type: ignore[override]
        self, tokens: Any, source: Source, state: Any = None, *, lengths: Any = None
    ) -> Decoded:
        """Inference.

        Parameters
        ----------
        tokens : array_like of int (B, T)
            The start token first, then those that are written; or the next ones, with the state after those before.
        source : Source
        state : optional
            As an earlier call gives it, or `begin`; None is `begin(source)`.
        lengths : array_like of int (B,), optional
            Of the tokens.

        Returns
        -------
        Decoded
        """
        state = self.begin(source) if state is None else state
        self.check_source(source)
        embedded = self.embedding(tokens, lengths=lengths)
        x = self.beside(embedded, source.context)
        both = weights = None
        if self.steps_depend:
            found = _loop.run(self, x, source, state, lengths)
            read, both, weights, state = found.read(), found.both, found.weights, found.state
        else:
            read, state = self.recurrent.run(x, state, lengths=lengths)
            if self.attention is not None and self.combine is not None:
                context, weights = self.attention(read, source.memory, lengths=source.lengths)
                both = np.concatenate([context, read], axis=-1)
                read = self.combine(both, lengths=lengths)
        logits = self.output(read, lengths=lengths)
        if self.gate is not None:
            held = _copying.held_tokens(self, source)
            logits = _copying.run(self, logits, both, weights, embedded, held, lengths)
        return Decoded(logits, state, weights)

    __call__ = run  # type: ignore[assignment]

    def forward(  # type: ignore[override]
        self, tokens: Any, source: Source, *, lengths: Any = None, rng: Any = None
    ) -> tuple[Array, Backward]:
        """Training with the true tokens as inputs (teacher forcing): one call of each layer, or one of the loop.

        Parameters
        ----------
        tokens, source, lengths
            As of `run`, from the start token on.
        rng : None, int or numpy.random.Generator
            For everything that is dropped.

        Returns
        -------
        logits : numpy.ndarray (B, T, num_tokens)
        backward : callable
            `backward(dlogits, grads=None) -> Source`, the gradients of state, memory and context, None where the
            decoder takes none. It works once and adds to `self.grads`, or to the mapping given.
        """
        self.check_source(source)
        once = BackwardOnce(self.slots())
        key = None if rng is None else draw_key(rng)
        keys = [None if key is None else key.child(i) for i in range(3)]
        embedded, back_embedding = self.embedding.forward(tokens, lengths=lengths, rng=keys[0])
        x, ends = self.beside(embedded, source.context), lengths
        if self.context == "first":
            assert source.context is not None
            x = np.concatenate([source.context[:, None], embedded], axis=1)
            ends = None if lengths is None else ops.sequence_lengths(lengths, embedded.shape[:2]) + 1
        skipped = x.shape[1] - embedded.shape[1]
        teach = _teaching.by_loop if self.steps_depend else _teaching.by_layers
        taught = teach(self, x, source, ends, keys[1], skipped, lengths)
        h, back_dropout = self.dropout.forward(taught.read, rng=keys[2])
        logits, back_output = self.output.forward(h, lengths=lengths)
        back_copy: Any = None
        if self.gate is not None:
            logits, back_copy = _copying.forward(
                self, logits, taught.both, taught.weights, embedded, _copying.held_tokens(self, source), lengths
            )

        def backward(dlogits: Any, grads: Any = None) -> Source:
            dlogits = _check.output_gradient(dlogits, logits_shape, dtype)
            once.start()
            found: dict[int, dict[str, Array]] = {id(layer): {} for _, layer in self._children()}
            dboth = dweights = dembedded = None
            if back_copy is not None:
                dlogits, dboth, dembedded, dweights = back_copy(dlogits, found)
            dh = back_dropout(back_output(dlogits, grads=found[id(self.output)]))
            dx, dstate, dmemory = taught.backward(dh, dboth, dweights, found)
            width, dcontext = embedded.shape[-1], None
            if self.context == "every":
                dcontext = dx[..., width : width + self.context_size].sum(axis=1)
            elif self.context == "first":
                dx, dcontext = dx[:, 1:], dx[:, 0, : self.context_size]
            dx = dx[..., :width]
            back_embedding(dx if dembedded is None else dx + dembedded, grads=found[id(self.embedding)])
            once.add(self._by_name(found), grads)
            return Source(dstate, dmemory, None, dcontext)

        logits_shape, dtype = logits.shape, logits.dtype
        return logits, backward
