"""From an encoder's final states to a decoder's first."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rnnfast.layers import Linear
from rnnfast.layers._base import BackwardOnce, Layer
from rnnfast.models._network import Network
from rnnfast.models.seq2seq._states import LevelShape, Parts, level_shapes
from rnnfast.models.sequential import Sequential

Array = np.ndarray
Levels = list[LevelShape]

KINDS = ("copy", "last", "sum", "concat", "dense", "zeros")


class Bridge(Network):
    """How a decoder's state begins, given an encoder's final states.

    ========  =============================================================  =======================================
    kind      the decoder's state, level by level                            it needs
    ========  =============================================================  =======================================
    "copy"    the encoder's (Sutskever et al. 2014)                          equal depth, one direction, equal cells
    "last"    that of the encoder's uppermost levels, of two directions the  at least the decoder's depth, equal
              reverse one                                                    cells
    "sum"     the sum of the encoder's two directions                        equal depth, two directions, equal cells
    "concat"  both directions side by side                                   the same, the decoder twice as wide
    "dense"   tanh(W s + b), with s all final states of the encoder side by  nothing
              side: its h for an h, its c for a c, or its h where it has no
              c. Without recurrent layers s is the encoder's context
    "zeros"   zeros, or the state that the decoder has learnt                nothing
    ========  =============================================================  =======================================

    With equal cells are meant equal states: h of equal width, and c in both or none. A `Seq2Seq` makes its bridge when
    it is given a kind.

    Parameters
    ----------
    kind : str
    layers : mapping of str to Linear
        Of "dense": the layer of each state, by names as `h_l0` and `c_l0`.

    Examples
    --------
    >>> import rnnfast as rf
    >>> encoder = rf.Encoder(rf.Embedding(30, 8), rf.GRU(8, 16, bidirectional=True))
    >>> decoder = rf.Decoder(rf.Embedding(20, 8), rf.LSTM(8, 12))
    >>> {name: array.shape for name, array in rf.models.Bridge.between("dense", encoder, decoder).params.items()}
    {'h_l0.weight': (12, 32), 'h_l0.bias': (12,), 'c_l0.weight': (12, 32), 'c_l0.bias': (12,)}
    """

    works_on_steps = False

    def __init__(self, kind: str, layers: Mapping[str, Layer] | None = None):
        if kind not in KINDS:
            raise ValueError(f"a bridge must be one of {', '.join(map(repr, KINDS))}, got {kind!r:.60}")
        self.kind = kind
        self.layers = dict(layers or {})
        if (kind == "dense") != bool(self.layers) or not all(isinstance(each, Linear) for each in self.layers.values()):
            raise ValueError("a bridge has Linear layers if, and only if, its kind is 'dense'")
        self._lay_out()

    @classmethod
    def between(cls, kind: str, encoder: Sequential, decoder: Any, *, seed: Any = None) -> "Bridge":
        """A bridge from an encoder to a decoder.

        Raises
        ------
        ValueError
            For an unknown kind, or where it cannot lead from the one to the other; the message says why, and what can.
        """
        layers = {}
        if kind == "dense":
            rng, dtype = np.random.default_rng(seed), decoder.dtype
            for name, (inputs, outputs) in _dense_sizes(encoder, decoder).items():
                layers[name] = Linear(inputs, outputs, activation="tanh", dtype=dtype, seed=rng)
        bridge = cls(kind, layers)
        bridge.check(encoder, decoder)
        return bridge

    def check(self, encoder: Sequential, decoder: Any) -> None:
        """Refuse parts that this bridge does not join.

        Raises
        ------
        ValueError
            With the reason.
        """
        if self.kind == "zeros":
            return
        if self.kind == "dense":
            wanted = _dense_sizes(encoder, decoder)
            found = {name: (each.in_features, each.out_features) for name, each in self._linear()}
            if found != wanted:
                raise ValueError(f"the bridge must have layers of sizes {wanted} for these parts, it has {found}")
            return
        sources, targets = level_shapes(encoder.layers), level_shapes(decoder.recurrent.layers)
        reason = self._why_not(sources, targets)
        if reason:
            raise ValueError(f"bridge='{self.kind}' {reason}; bridge='dense' joins any two")

    def _why_not(self, sources: Levels, targets: Levels) -> str:
        if not sources:
            return "leads the states of recurrent layers, and the encoder has none"
        if self.kind == "last":
            if len(sources) < len(targets):
                return f"needs an encoder as deep as the decoder: it has {len(sources)} levels, not {len(targets)}"
            sources = sources[-len(targets) :]
        elif len(sources) != len(targets):
            return f"needs equal depths, got {len(sources)} levels in the encoder and {len(targets)} in the decoder"
        for i, (source, target) in enumerate(zip(sources, targets, strict=True)):
            if self.kind == "copy" and source.directions == 2:
                return (
                    f"takes one direction, and level {i} of the encoder has two ('sum', 'concat' and 'last' take two)"
                )
            if self.kind in ("sum", "concat") and source.directions == 1:
                return f"joins two directions, and level {i} of the encoder has one ('copy' takes one)"
            if len(source.sizes) != len(target.sizes):
                have, lack = ("encoder", "decoder") if len(source.sizes) > len(target.sizes) else ("decoder", "encoder")
                return f"needs equal cells, and in level {i} the {have} has a c, the {lack} none"
            sizes = tuple(size * (1 + (self.kind == "concat")) for size in source.sizes)
            if sizes != target.sizes:
                return f"would give states of widths {sizes} to level {i} of the decoder, which holds {target.sizes}"
        return ""

    def _linear(self) -> list[tuple[str, Linear]]:
        return list(self.layers.items())  # type: ignore[arg-type]

    def _children(self) -> list[tuple[str, Layer]]:
        return list(self.layers.items())

    def plan(self, describe: Callable[[Layer], dict[str, Any]]) -> dict[str, Any]:
        """Its kind and layers."""
        return {"kind": self.kind, "layers": {name: describe(layer) for name, layer in self.layers.items()}}

    @classmethod
    def from_plan(cls, config: dict[str, Any], rebuild: Callable[[Any], Layer]) -> "Bridge":
        """The bridge of such a plan."""
        if set(config) != {"kind", "layers"} or not isinstance(config["layers"], dict):
            raise ValueError("the config of a Bridge must be its kind and its layers")
        return cls(config["kind"], {str(name): rebuild(plan) for name, plan in config["layers"].items()})

    def __repr__(self) -> str:
        return f"Bridge({self.kind!r})"

    def forward(  # type: ignore[override]
        self, states: Parts, context: Array | None, depth: int
    ) -> tuple[Parts | None, Callable[..., tuple[Parts | None, Array | None]]]:
        """The decoder's first state; what is called once serves both inference and training.

        Parameters
        ----------
        states : list by level of lists by direction of (h,) or (h, c)
            The encoder's final ones.
        context : numpy.ndarray (B, F) or None
            The encoder's, where it has no recurrent layers.
        depth : int
            How many levels the decoder has.

        Returns
        -------
        states
            In the form of the encoder's; None where the decoder begins by itself.
        backward : callable
            `backward(dstates, grads=None) -> (dstates, dcontext)`, of the decoder's state to the encoder's. It works
            once.
        """
        if self.kind == "zeros":
            return None, lambda dstates, grads=None: (None, None)
        if self.kind == "dense":
            return self._dense(states, context)
        joined = [[self._join(level)] for level in states[-depth:]]

        def backward(dstates: Parts, grads: Any = None) -> tuple[Parts, None]:
            below = [[_zeros(direction) for direction in level] for level in states[: len(states) - depth]]
            above = zip(states[-depth:], dstates, strict=True)
            return below + [self._part(level, dlevel) for level, (dlevel,) in above], None

        return joined, backward

    def _join(self, level: list[tuple[Array, ...]]) -> tuple[Array, ...]:
        """The states of a level's directions as one."""
        if self.kind in ("copy", "last"):
            return level[-1]
        first, second = level
        if self.kind == "sum":
            return tuple(a + b for a, b in zip(first, second, strict=True))
        return tuple(np.concatenate(pair, axis=-1) for pair in zip(first, second, strict=True))

    def _part(self, level: list[tuple[Array, ...]], dstate: tuple[Array, ...]) -> list[tuple[Array, ...]]:
        """The gradients of a level's directions, of that of the state that they became."""
        if self.kind in ("copy", "last"):
            return [*map(_zeros, level[:-1]), dstate]
        if self.kind == "sum":
            return [dstate, dstate]
        halves = [np.split(each, 2, axis=-1) for each in dstate]
        return [tuple(half[i] for half in halves) for i in range(2)]

    def _dense(self, states: Parts, context: Array | None) -> Any:
        once = BackwardOnce(self.slots())
        flat = [direction for level in states for direction in level]
        found: Parts = []
        backwards = []
        for name, layer in self._linear():
            which = "hc".index(name[0])
            sources = [direction[min(which, len(direction) - 1)] for direction in flat]
            state, layer_backward = layer.forward(np.concatenate(sources, axis=-1) if sources else context)
            backwards.append((layer, which, layer_backward))
            if which == 0:
                found.append([(state,)])
            else:
                found[-1][0] += (state,)

        def backward(dstates: Parts, grads: Any = None) -> tuple[Parts, Array | None]:
            once.start()
            gradients: dict[int, dict[str, Array]] = {id(layer): {} for layer, _, _ in backwards}
            before = [list(_zeros(direction)) for direction in flat]
            dcontext = None if flat or context is None else np.zeros_like(context)
            given = [dstate for ((*parts,),) in dstates for dstate in parts]
            for (layer, which, layer_backward), dstate in zip(backwards, given, strict=True):
                ds = layer_backward(dstate, grads=gradients[id(layer)])
                if dcontext is not None:
                    dcontext += ds
                start = 0
                for direction in before:
                    part = direction[min(which, len(direction) - 1)]
                    part += ds[:, start : start + part.shape[-1]]
                    start += part.shape[-1]
            once.add(self._by_name(gradients), grads)
            ends = iter([tuple(each) for each in before])
            return [[next(ends) for _ in level] for level in states], dcontext

        return found, backward


def _zeros(direction: tuple[Array, ...]) -> tuple[Array, ...]:
    return tuple(np.zeros_like(each) for each in direction)


def _dense_sizes(encoder: Sequential, decoder: Any) -> dict[str, tuple[int, int]]:
    """The sizes of the layers of a dense bridge, by name."""
    sources = level_shapes(encoder.layers)
    found = {}
    for i, target in enumerate(level_shapes(decoder.recurrent.layers)):
        for which, size in enumerate(target.sizes):
            inputs = sum(each.directions * each.sizes[min(which, len(each.sizes) - 1)] for each in sources)
            if not sources:
                inputs = encoder.output_shape(encoder.input_shape)[-1]  # type: ignore[assignment]
            found[f"{'hc'[which]}_l{i}"] = inputs, size
    return found
