"""Layers one after another."""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from rnnfast.layers._base import (
    Axis,
    Backward,
    BackwardOnce,
    Block,
    Layer,
    StatefulLayer,
    contiguous_runs,
    draw_key,
    lay_end_to_end,
    table,
    unique_blocks,
)
from rnnfast.models._architecture import describe

if TYPE_CHECKING:
    from rnnfast.training.history import History


class Sequential(Layer):
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
    loss: Any = None
    metrics: tuple[Any, ...] = ()
    _cache_slots: dict[str, tuple[Block, str]] | None = None

    def __init__(self, *layers: Layer):
        if not layers:
            raise ValueError("a Sequential needs at least one layer")
        for i, layer in enumerate(layers):
            if not isinstance(layer, Layer):
                raise TypeError(f"layer {i} must be a Layer, got {type(layer).__name__}")
        self.layers = layers
        self._check_sizes()
        self.learn_directions(None)
        blocks = self.blocks()
        if len({block.dtype for block in blocks}) > 1:
            found = ", ".join(f"{i} {type(layer).__name__} {layer.dtype}" for i, layer in enumerate(layers))
            raise ValueError(f"all layers of a model must have one dtype, got {found}")
        lay_end_to_end(blocks)

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

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        lay_end_to_end(self.blocks())

    def blocks(self) -> list[Block]:
        """The parameter blocks in order, each once."""
        return unique_blocks(block for layer in self.layers for block in layer.blocks())

    def slots(self) -> dict[str, tuple[Block, str]]:
        """Where each parameter lives, by name; a layer used twice goes by its first index."""
        if self._cache_slots is None:
            self._cache_slots = self._numbered([layer.slots() for layer in self.layers])
        return self._cache_slots

    def buffer_slots(self) -> dict[str, tuple[Block, str]]:
        """Where each buffer lives, by name."""
        return self._numbered([layer.buffer_slots() for layer in self.layers])

    @staticmethod
    def _numbered(slots: list[dict[str, tuple[Block, str]]]) -> dict[str, tuple[Block, str]]:
        found: dict[tuple[int, str], tuple[str, tuple[Block, str]]] = {}
        for i, named in enumerate(slots):
            for name, (block, inner) in named.items():
                found.setdefault((id(block), inner), (f"{i}.{name}", (block, inner)))
        return dict(found.values())

    @property
    def flat_data(self) -> np.ndarray:
        """All parameters as one 1-D array. Whoever writes to it calls `changed()` on every block."""
        return self._flat(1)

    @property
    def flat_grad(self) -> np.ndarray:
        """All gradients as one 1-D array."""
        return self._flat(2)

    def _flat(self, which: int) -> np.ndarray:
        runs = list(contiguous_runs(self.blocks()))
        if not runs:
            return np.zeros(0, np.float32)
        if len(runs) > 1:
            raise RuntimeError("a layer of this model has moved to another model: there is no one flat buffer")
        return runs[0][which]  # type: ignore[return-value]

    def config(self) -> dict[str, Any]:
        """The plans of the layers."""
        return describe(self)["config"]

    def __repr__(self) -> str:
        return f"Sequential({', '.join(map(repr, self.layers))})"

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

    def summary(self) -> None:
        """Print a table of layers, output shapes and parameters, learnt and kept."""
        shape, rows = self.input_shape, []
        for i, layer in enumerate(self.layers):
            rows.append((f"{i} {type(layer).__name__}", shape := layer.output_shape(shape), layer._sizes()[0]))
        print(table(rows, *self._sizes()))

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

    def _by_name(self, found: dict[int, dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """Gradients of each layer object, by the names that the model gives them."""
        names = {(id(block), inner): name for name, (block, inner) in self.slots().items()}
        total: dict[str, np.ndarray] = {}
        for layer in {id(layer): layer for layer in self.layers}.values():
            for inner_name, (block, inner) in layer.slots().items():
                name = names[id(block), inner]
                if inner_name in found[id(layer)]:
                    gradient = found[id(layer)][inner_name]
                    total[name] = total[name] + gradient if name in total else gradient
        return total

    def _states(self, state: Any, name: str = "state") -> tuple[Any, ...]:
        count = sum(layer.has_state for layer in self.layers)
        if state is None:
            return (None,) * count
        if not isinstance(state, tuple) or len(state) != count:
            got = f"a tuple of {len(state)}" if isinstance(state, tuple) else type(state).__name__
            raise ValueError(f"{name} must be a tuple as this model returns it, of {count} entries, got {got}")
        return state

    def fit(
        self,
        x: Any,
        y: Any,
        *,
        loss: Any,
        optimizer: Any = "adam",
        epochs: int = 1,
        batch_size: int = 32,
        lengths: Any = None,
        validation_split: float = 0.0,
        validation_data: tuple[Any, ...] | None = None,
        shuffle: bool = True,
        metrics: Iterable[Any] = (),
        callbacks: Iterable[Callable[..., Any] | Any] = (),
        seed: Any = None,
        verbose: bool = True,
    ) -> "History":
        """Train on arrays; see `rnnfast.training.fit.fit` for the arguments. Returns a History."""
        from rnnfast.training.fit import fit

        return fit(
            self,
            x,
            y,
            loss=loss,
            optimizer=optimizer,
            epochs=epochs,
            batch_size=batch_size,
            lengths=lengths,
            validation_split=validation_split,
            validation_data=validation_data,
            shuffle=shuffle,
            metrics=metrics,
            callbacks=callbacks,
            seed=seed,
            verbose=verbose,
        )

    def evaluate(
        self,
        x: Any,
        y: Any,
        *,
        lengths: Any = None,
        loss: Any = None,
        metrics: Iterable[Any] | None = None,
        batch_size: int = 32,
    ) -> dict[str, float]:
        """Loss and metrics on arrays, by name; without arguments those of the last `fit`.

        Raises
        ------
        ValueError
            When neither `loss` nor an earlier `fit` says which loss.
        """
        from rnnfast.training.evaluate import evaluate

        loss = self.loss if loss is None else loss
        if loss is None:
            raise ValueError("evaluate needs loss=, as this model has not been fitted")
        metrics = self.metrics if metrics is None else metrics
        return evaluate(self, x, y, loss=loss, lengths=lengths, metrics=metrics, batch_size=batch_size)

    def predict(self, x: Any, *, lengths: Any = None, batch_size: int = 32) -> np.ndarray:
        """Outputs for all of `x`, computed `batch_size` sequences at a time."""
        from rnnfast.training.evaluate import predict

        return predict(self, x, lengths=lengths, batch_size=batch_size)
