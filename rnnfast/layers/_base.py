"""What all layers share: parameters by name, gradients, copies, the summary, and the verbs."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from rnnfast.layers._block import BackwardOnce, Block, float_dtype, real_array, unique_blocks
from rnnfast.layers._key import Key, draw_key

if TYPE_CHECKING:
    from rnnfast.layers._summary import Part
    from rnnfast.layers.pool import Pool
    from rnnfast.layers.stream import Stream

__all__ = [
    "BackwardOnce",
    "Block",
    "Gradients",
    "Key",
    "Layer",
    "Parameters",
    "StatefulLayer",
    "draw_key",
    "float_dtype",
    "matching",
    "real_array",
]

Axis = int | str
Backward = Callable[..., Any]


class _Named(Mapping[str, np.ndarray]):
    def __init__(self, slots: Mapping[str, tuple[Block, str]]):
        self._slots = slots

    def _find(self, name: str) -> tuple[Block, str]:
        try:
            return self._slots[name]
        except KeyError:
            raise KeyError(f"no parameter {name!r}; there are {', '.join(self._slots) or 'none'}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._slots)

    def __len__(self) -> int:
        return len(self._slots)

    def __contains__(self, name: object) -> bool:
        return name in self._slots

    def __repr__(self) -> str:
        return "{" + ", ".join(f"{name!r}: {array.dtype}{array.shape}" for name, array in self.items()) + "}"


class Parameters(_Named):
    """Parameters by name. Reading gives a read-only view; assigning copies in and advances the layer's version."""

    def __getitem__(self, name: str) -> np.ndarray:
        block, inner = self._find(name)
        return block.array(inner)

    def __setitem__(self, name: str, value: Any) -> None:
        block, inner = self._find(name)
        block.set(inner, value)


class Gradients(_Named):
    """Gradients by name, as writable views."""

    def __getitem__(self, name: str) -> np.ndarray:
        block, inner = self._find(name)
        return block.grad_array(inner)

    def __setitem__(self, name: str, value: Any) -> None:
        target = self[name]
        value = real_array(value, f"grads[{name!r}]")
        if value.shape != target.shape:
            raise ValueError(f"grads[{name!r}] has shape {target.shape}, got {value.shape}")
        target[...] = value


class Layer:
    """A layer without state: calling it is inference, `forward` is training.

    A leaf layer sets `self.block` (when it has parameters) and defines `__call__`, `forward`, `config` and
    `output_shape`. What it keeps but does not learn (running statistics) is a block of its own, `self.buffer_block`:
    saved and copied with the layer, unknown to optimizers. Attributes whose names start with `_cache` are neither
    copied nor pickled.
    """

    block: Block | None = None
    buffer_block: Block | None = None
    input_shape: tuple[Axis, ...] = ("B", "T", "F")
    """What the layer takes, for the summary: numbers, or letters where any size will do."""
    num_directions: int | None = 1
    """How many directions the output's last axis holds side by side; None: as many as the input's; 0: both, merged."""
    has_state: bool = False
    """Whether `forward` takes and gives a state."""
    works_on_steps: bool = True
    """Whether a step's output depends on that step alone, so that the layer can run step by step."""

    def __call__(self, x: Any, *, lengths: Any = None) -> np.ndarray:
        """Inference: the output alone, nothing is saved."""
        raise NotImplementedError

    def forward(self, x: Any, *, lengths: Any = None, rng: Any = None) -> tuple[np.ndarray, Backward]:
        """Training: the output and `backward(dy, grads=None, need_dx=True) -> dx`.

        `backward` works once. It adds to `self.grads`, or to the mapping given as `grads`; with `need_dx=False`
        it returns None and saves the work.
        """
        raise NotImplementedError

    def run(self, x: Any, state: Any = None, *, lengths: Any = None) -> tuple[np.ndarray, Any]:
        """Inference that carries state: `(y, state)`, with `()` for the state of a layer that has none."""
        return self(x, lengths=lengths), ()

    def stream(self, batch_size: int = 1) -> "Stream":
        """Run step by step: ``y_t = stream(x_t)`` with x_t (B, I), the state kept between calls.

        Raises
        ------
        ValueError
            Where the whole sequence is needed: by a bidirectional layer, whose reverse direction starts at the end, or
            by `Last`.
        """
        from rnnfast.layers.stream import Stream

        return Stream(self, batch_size)

    def pool(self, capacity: int) -> "Pool":
        """Streams that come and go, stepped as one batch: ``y = pool(x, slots)``.

        Raises
        ------
        ValueError
            As `stream` does.
        """
        from rnnfast.layers.pool import Pool

        return Pool(self, capacity)

    def _stream_steps(self, rows: int) -> list[Any]:
        """What the layer does to one step of `rows` sequences: compiled steps, or the layer itself, called."""
        if self.has_state or not self.works_on_steps:
            raise ValueError(f"{type(self).__name__} needs the whole sequence, so it cannot run step by step")
        return [self]

    def _join_steps(self, held: Iterator[tuple[np.ndarray, ...]]) -> Any:
        """The state in the layer's form, of what its steps hold: (h, c) or (h,) each."""
        return ()

    def _split_steps(self, state: Any, rows: int) -> list[tuple[np.ndarray, ...]]:
        """What the steps hold, of a state of `rows` sequences in the layer's form; checked."""
        if state != ():
            raise ValueError(f"{type(self).__name__} has no state, (), got {type(state).__name__}")
        return []

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON can hold them."""
        raise NotImplementedError

    def output_shape(self, shape: tuple[Axis, ...]) -> tuple[Axis, ...]:
        """The shape that comes of an input shape; axes of any size are letters."""
        return shape

    def output_lengths(self, lengths: Any) -> Any:
        """The lengths that hold after this layer; None where it takes time away."""
        return lengths

    def learn_directions(self, directions: int | None) -> None:
        """Hear from a model how many directions the layer before puts side by side."""

    def blocks(self) -> list[Block]:
        """The parameter blocks in order, each once."""
        return [] if self.block is None else [self.block]

    def slots(self) -> dict[str, tuple[Block, str]]:
        """Where each parameter lives: (block, name in the block) by name."""
        return {} if self.block is None else {name: (self.block, name) for name in self.block.names}

    def buffer_slots(self) -> dict[str, tuple[Block, str]]:
        """Where each buffer lives, as `slots` tells it of the parameters."""
        block = self.buffer_block
        return {} if block is None else {name: (block, name) for name in block.names}

    def buffer_blocks(self) -> list[Block]:
        """The buffers' blocks in order, each once."""
        return unique_blocks(block for block, _ in self.buffer_slots().values())

    @property
    def buffers(self) -> Parameters:
        """What is kept but not learnt, by name, read and set as `params`: the running statistics of a BatchNorm."""
        return Parameters(self.buffer_slots())

    @property
    def params(self) -> Parameters:
        """Parameters by name: reading gives read-only views, assigning copies in."""
        return Parameters(self.slots())

    @property
    def grads(self) -> Gradients:
        """Gradients by name, as writable views."""
        return Gradients(self.slots())

    @property
    def dtype(self) -> np.dtype | None:
        """float32 or float64; None for a layer that has no parameters and takes either."""
        blocks = self.blocks()
        return blocks[0].dtype if blocks else None

    @property
    def num_params(self) -> int:
        """How many numbers the layer learns."""
        return sum(block.size for block in self.blocks())

    @property
    def frozen(self) -> bool:
        """Whether training leaves every parameter as it is. Setting it sets all of them."""
        slots = self.slots()
        return bool(slots) and len(self.frozen_names) == len(slots)

    @frozen.setter
    def frozen(self, value: bool) -> None:
        if not isinstance(value, (bool, np.bool_)):
            raise TypeError(f"frozen must be True or False, got {value!r}")
        for block in self.blocks():
            block.frozen = bool(value)

    @property
    def frozen_names(self) -> list[str]:
        """The parameters that training leaves as they are."""
        return [name for name, (block, inner) in self.slots().items() if inner in block.frozen_names]

    def freeze(self, *patterns: str) -> None:
        """Leave parameters as they are while training: optimizers, regularizers and constraints skip them.

        Parameters
        ----------
        *patterns : str
            Names of parameters, with `*` for any text, as in `"weight_hh*"`. None of them means all parameters.

        Raises
        ------
        ValueError
            When a pattern fits no parameter; nothing is frozen then.

        Examples
        --------
        >>> from rnnfast.layers import LSTM
        >>> layer = LSTM(3, 4)
        >>> layer.freeze("weight_*")
        >>> layer.frozen_names, layer.frozen
        (['weight_ih_l0', 'weight_hh_l0'], False)
        """
        self._freeze(patterns, True)

    def unfreeze(self, *patterns: str) -> None:
        """Let parameters learn again, chosen as `freeze` chooses them."""
        self._freeze(patterns, False)

    def _freeze(self, patterns: tuple[str, ...], frozen: bool) -> None:
        slots = self.slots()
        for name in dict.fromkeys(name for each in patterns for name in matching(each, slots)) if patterns else slots:
            block, inner = slots[name]
            block.freeze(inner, frozen)

    def zero_grad(self) -> None:
        """Set all gradients to zero."""
        for block in self.blocks():
            block.grad.fill(0)

    def parts(self, shape: tuple[Axis, ...]) -> list["Part"]:
        """The layers inside, for the summary, given an input shape; none in a leaf layer."""
        return []

    def summary(self) -> None:
        """Print a table of layers, output shapes and parameters: those trained, those frozen, and what is kept."""
        from rnnfast.layers._summary import summarise

        print(summarise(self))

    def get_config(self) -> dict[str, Any]:
        """All that `from_config` needs for an equal layer with first values of its own, as JSON can hold it.

        Layers inside are there as plans, `{"class": name, "config": config}`, and frozen parameters as `frozen`.

        Examples
        --------
        >>> from rnnfast.layers import Linear
        >>> config = Linear(3, 2, activation="tanh").get_config()
        >>> config
        {'in_features': 3, 'out_features': 2, 'bias': True, 'activation': 'tanh', 'dtype': 'float32'}
        >>> Linear.from_config(config)
        Linear(in_features=3, out_features=2, bias=True, activation='tanh', dtype='float32')
        """
        from rnnfast.models._architecture import describe

        return describe(self)["config"]

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The layer or model of a config that `get_config` gave.

        Raises
        ------
        ValueError
            When the config is malformed or has unknown arguments.
        TypeError
            For a class that is not one of rnnfast's.
        """
        from rnnfast.models._architecture import rebuild

        layer = rebuild({"class": cls.__name__, "config": dict(config)})
        if type(layer) is not cls:
            raise TypeError(f"{cls.__module__}.{cls.__name__} is not one of rnnfast's layers and cannot be rebuilt")
        return layer

    def get_weights(self) -> list[np.ndarray]:
        """Copies of all parameters, in the order of `params`, and then of all buffers."""
        return [array.copy() for array in (*self.params.values(), *self.buffers.values())]

    def set_weights(self, weights: Sequence[Any] | Mapping[str, Any]) -> None:
        """Copy values into all parameters and buffers: all of them, or none.

        Parameters
        ----------
        weights : sequence or mapping of str to array_like
            As `get_weights` gives them, or by name.

        Raises
        ------
        ValueError
            When there are too many or too few, or a shape is another.

        Examples
        --------
        >>> from rnnfast.layers import Linear
        >>> layer = Linear(2, 1)
        >>> layer.set_weights([[[3.0, 4.0]], [5.0]])
        >>> layer.set_weights({"bias": [6.0], "weight": [[3.0, 4.0]]})
        >>> [array.tolist() for array in layer.get_weights()]
        [[[3.0, 4.0]], [6.0]]
        """
        slots = {**self.slots(), **self.buffer_slots()}
        if isinstance(weights, Mapping):
            if set(weights) != set(slots):
                missing, unknown = [each for each in slots if each not in weights], [*weights.keys() - slots.keys()]
                raise ValueError(f"weights must have the layer's names: missing {missing}, unknown {unknown}")
            given = {name: weights[name] for name in slots}
        elif len(weights) != len(slots):
            raise ValueError(f"weights must hold {len(slots)} arrays, {', '.join(slots) or 'none'}, got {len(weights)}")
        else:
            given = dict(zip(slots, weights, strict=True))
        arrays = {name: real_array(value, f"weights[{name!r}]") for name, value in given.items()}
        for name, (block, inner) in slots.items():
            if arrays[name].shape != block.shapes[inner]:
                raise ValueError(f"weights[{name!r}] has shape {arrays[name].shape}, wanted {block.shapes[inner]}")
        for name, (block, inner) in slots.items():
            block.set(inner, arrays[name])

    def save(self, path: Any) -> None:
        """Write architecture and weights to a safetensors file (see `rnnfast.files.save`)."""
        from rnnfast.files import save

        save(self, path)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.config().items())})"

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if not name.startswith("_cache")}


class StatefulLayer(Layer):
    """A recurrent layer: it takes a state and gives one back.

    A subclass sets `input_size`, `output_size` (the last axis of y) and `num_directions`.
    """

    has_state = True
    input_size: int
    output_size: int

    def __call__(  # type: ignore[override]
        self, x: Any, state: Any = None, *, lengths: Any = None, time_major: bool = False, out: Any = None
    ) -> tuple[np.ndarray, Any]:
        """Inference: `(y, state)`, nothing is saved."""
        raise NotImplementedError

    def run(self, x: Any, state: Any = None, *, lengths: Any = None) -> tuple[np.ndarray, Any]:
        """Inference, as a call."""
        return self(x, state, lengths=lengths)

    def forward(  # type: ignore[override]
        self, x: Any, state: Any = None, *, lengths: Any = None, time_major: bool = False, rng: Any = None
    ) -> tuple[tuple[np.ndarray, Any], Backward]:
        """Training: `((y, state), backward)` with `backward(dy, dstate=None, grads=None, need_dx=True)`.

        `backward` works once and returns `(dx, dstate)`; dx is None with `need_dx=False`.
        """
        raise NotImplementedError

    @property
    def input_shape(self) -> tuple[Axis, ...]:  # type: ignore[override]
        """What the layer takes, for the summary."""
        return ("B", "T", self.input_size)

    def output_shape(self, shape: tuple[Axis, ...]) -> tuple[Axis, ...]:
        """The shape that comes of an input shape."""
        return (*shape[:-1], self.output_size)


def matching(pattern: str, names: Iterable[str]) -> list[str]:
    """The parameters' names that a pattern fits.

    Raises
    ------
    ValueError
        When there is none.
    """
    names = list(names)
    found = [name for name in names if fnmatchcase(name, pattern)]
    if not found:
        raise ValueError(f"{pattern!r} fits no parameter; there are {', '.join(names) or 'none'}")
    return found
