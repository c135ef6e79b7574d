"""Layers one after another."""

from collections.abc import Callable, Iterator
from typing import Any, cast

import numpy as np

from rnnfast.layers._base import Axis, Backward, BackwardOnce, Layer, StatefulLayer, draw_key
from rnnfast.layers._summary import Part
from rnnfast.models._network import Network


class Sequential(Network):
    """A network whose layers follow one another, itself a layer.

    Parameters
    ----------
    *layers : Layer
        Layers or models. The same layer twice is one layer used twice: its parameters count once.

    Attributes
    ----------
    layers : tuple of Layer
    params, grads : mapping of str to numpy.ndarray
        Named `"{index}.{name}"`, as in `"0.weight_ih_l0"`.

    Notes
    -----
    All parameters lie end to end in one flat buffer, `flat_data`, and all gradients in another, `flat_grad`. A layer
    that is put in a second model moves there.

    Examples
    --------
    >>> from rnnfast.layers import Embedding, Last, Linear
    >>> model = Sequential(Embedding(10, 4), Last(), Linear(4, 2))
    >>> model(np.array([[3, 1, 4]])).shape
    (1, 2)
    >>> list(model.params), model.num_params
    (['0.weight', '2.weight', '2.bias'], 50)
    """

    has_state = True

    def __init__(self, *layers: Layer):
        if not layers:
            raise ValueError("a Sequential needs at least one layer")
        for i, layer in enumerate(layers):
            if not isinstance(layer, Layer):
                raise TypeError(f"layer {i} must be a Layer, got {type(layer).__name__}")
        self.layers = layers
        self._check_sizes()
        self.learn_directions(None)
        self._lay_out()

    def _check_sizes(self) -> None:
        shape = self.layers[0].input_shape
        for i, layer in enumerate(self.layers):
            wanted = layer.input_shape[-1]
            if isinstance(shape[-1], int) and isinstance(wanted, int) and shape[-1] != wanted:
                raise ValueError(
                    f"layer {i} ({type(layer).__name__}) takes {wanted} features, "
                    f"layer {i - 1} ({type(self.layers[i - 1]).__name__}) gives {shape[-1]}"
                )
            shape = layer.output_shape(shape)

    def learn_directions(self, directions: int | None) -> None:
        """Tell each layer how many directions the one before it puts side by side."""
        for layer in self.layers:
            layer.learn_directions(directions)
            if layer.num_directions is not None:
                directions = layer.num_directions

    @property
    def num_directions(self) -> int | None:  # type: ignore[override]
        """How many directions the output's last axis holds; None: as many as the input's."""
        found = [layer.num_directions for layer in self.layers if layer.num_directions is not None]
        return found[-1] if found else None

    def _children(self) -> list[tuple[str, Layer]]:
        return [(str(i), layer) for i, layer in enumerate(self.layers)]

    def plan(self, describe: Callable[[Layer], dict[str, Any]]) -> dict[str, Any]:
        """The plans of the layers, in order."""
        return {"layers": [describe(layer) for layer in self.layers]}

    @classmethod
    def from_plan(cls, config: dict[str, Any], rebuild: Callable[[Any], Layer]) -> "Sequential":
        """The model of such a plan."""
        if set(config) != {"layers"} or not isinstance(config["layers"], list):
            raise ValueError("the config of a Sequential must be a list of layers")
        return cls(*map(rebuild, config["layers"]))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.layers))})"

    @property
    def input_shape(self) -> tuple[Axis, ...]:  # type: ignore[override]
        """What the first layer takes."""
        return self.layers[0].input_shape

    def output_shape(self, shape: tuple[Axis, ...]) -> tuple[Axis, ...]:
        """The shape that comes of an input shape."""
        for layer in self.layers:
            shape = layer.output_shape(shape)
        return shape

    def output_lengths(self, lengths: Any) -> Any:
        """The lengths that hold after the last layer."""
        for layer in self.layers:
            lengths = layer.output_lengths(lengths)
        return lengths

    def parts(self, shape: tuple[Axis, ...]) -> list[Part]:
        """The layers, for the summary."""
        found = []
        for i, layer in enumerate(self.layers):
            found.append(Part(str(i), type(layer).__name__, shape, layer.output_shape(shape), layer))
            shape = found[-1].output_shape
        return found

    def __call__(self, x: Any, state: Any = None, *, lengths: Any = None) -> np.ndarray:
        """Inference: the output of the last layer.

        Parameters
        ----------
        x : array_like
            What the first layer takes.
        state : tuple, optional
            As `run` or `forward` return it; None starts from zeros.
        lengths : array_like of int (B,), optional

        Returns
        -------
        numpy.ndarray
        """
        return self.run(x, state, lengths=lengths)[0]

    def _stream_steps(self, rows: int) -> list[Any]:
        return [step for layer in self.layers for step in layer._stream_steps(rows)]

    def _join_steps(self, held: Iterator[tuple[np.ndarray, ...]]) -> Any:
        return tuple(layer._join_steps(held) for layer in self.layers if layer.has_state)

    def _split_steps(self, state: Any, rows: int) -> list[tuple[np.ndarray, ...]]:
        stateful = [layer for layer in self.layers if layer.has_state]
        states = zip(stateful, self._states(state), strict=True)
        return [held for layer, own in states for held in layer._split_steps(own, rows)]

    def run(self, x: Any, state: Any = None, *, lengths: Any = None) -> tuple[np.ndarray, tuple[Any, ...]]:
        """Inference that carries state: `(y, state)`; arguments as those of a call."""
        states = self._states(state)
        after: list[Any] = []
        for layer in self.layers:
            x, new = layer.run(x, states[len(after)] if layer.has_state else (), lengths=lengths)
            if layer.has_state:
                after.append(new)
            lengths = layer.output_lengths(lengths)
        return x, tuple(after)

    def forward(  # type: ignore[override]
        self, x: Any, state: Any = None, *, lengths: Any = None, rng: Any = None
    ) -> tuple[tuple[np.ndarray, tuple[Any, ...]], Backward]:
        """Training.

        Parameters
        ----------
        x, state, lengths
            As in a call.
        rng : None, int or numpy.random.Generator
            One key is drawn from it; each layer's masks follow from the key and the layer's index.

        Returns
        -------
        (y, state) : tuple
            `state` has one entry for each recurrent layer (and each model inside), `()` where there is none. Handing
            it to the next call is truncated back-propagation through time.
        backward : callable
            `backward(dy, dstate=None, grads=None, need_dx=True) -> (dx, dstate)`. It works once and adds to
            `self.grads`, or to the mapping given, all or nothing.
        """
        once = BackwardOnce(self.slots())
        states = self._states(state)
        key = None if rng is None else draw_key(rng)
        backwards: list[Backward] = []
        after: list[Any] = []
        for i, layer in enumerate(self.layers):
            layer_rng = None if key is None else key.child(i)
            if layer.has_state:
                (x, new), backward_layer = cast(StatefulLayer, layer).forward(
                    x, states[len(after)], lengths=lengths, rng=layer_rng
                )
                after.append(new)
            else:
                x, backward_layer = layer.forward(x, lengths=lengths, rng=layer_rng)
            backwards.append(backward_layer)
            lengths = layer.output_lengths(lengths)
        return (x, tuple(after)), self._backward(once, x.shape, backwards)

    def _backward(self, once: BackwardOnce, shape: tuple[int, ...], backwards: list[Backward]) -> Backward:
        def backward(dy: Any, dstate: Any = None, grads: Any = None, need_dx: bool = True) -> tuple[Any, tuple]:
            dy = np.asarray(dy)
            if dy.shape != shape:
                raise ValueError(f"dy must have the shape of y, {shape}, got {dy.shape}")
            dstates = self._states(dstate, "dstate")
            once.start()
            found: dict[int, dict[str, np.ndarray]] = {id(layer): {} for layer in self.layers}
            before: list[Any] = []
            for i in reversed(range(len(self.layers))):
                layer = self.layers[i]
                how = {"grads": found[id(layer)], "need_dx": need_dx or i > 0}
                if layer.has_state:
                    dy, dbefore = backwards[i](dy, dstates[len(dstates) - 1 - len(before)], **how)
                    before.append(dbefore)
                else:
                    dy = backwards[i](dy, **how)
            once.add(self._by_name(found), grads)
            return dy, tuple(reversed(before))

        return backward

    def _states(self, state: Any, name: str = "state") -> tuple[Any, ...]:
        count = len([layer for layer in self.layers if layer.has_state])
        if state is None:
            return (None,) * count
        if not isinstance(state, tuple) or len(state) != count:
            got = f"a tuple of {len(state)}" if isinstance(state, tuple) else type(state).__name__
            raise ValueError(f"{name} must be a tuple as this model returns it, of {count} entries, got {got}")
        return state
