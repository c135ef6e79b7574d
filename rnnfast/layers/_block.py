"""Where parameters live: one contiguous buffer a leaf layer, laid end to end in a model."""

import math
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from rnnfast import ops
from rnnfast.kernels._memory import address


def float_dtype(dtype: Any) -> np.dtype:
    """The NumPy dtype of a layer, float32 or float64.

    Raises
    ------
    ValueError
        For any other dtype.
    """
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = None
    if found is None or found not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise ValueError(f"dtype must be 'float32' or 'float64', got {dtype!r}")
    return found


_planning: ContextVar[bool] = ContextVar("planning", default=False)


@contextmanager
def planned() -> Iterator[None]:
    """Inside, new blocks know their shapes but hold no memory, and initialisers draw nothing.

    So a layer can be made from a file's description and compared with the file before anything is allocated;
    `lay_end_to_end` then gives its blocks memory.
    """
    token = _planning.set(True)
    try:
        yield
    finally:
        _planning.reset(token)


def is_planning() -> bool:
    """Whether this runs inside `planned()`."""
    return _planning.get()


class Block:
    """One leaf layer's parameters, end to end in one contiguous buffer, and their gradients in another.

    Parameters
    ----------
    shapes : mapping of str to tuple of int
        Names and shapes, in the order they are laid out.
    dtype : str or numpy.dtype
        float32 or float64.

    Attributes
    ----------
    names : tuple of str
        Of the parameters, in order.
    data, grad : numpy.ndarray
        All parameters and all gradients as 1-D arrays. Whoever writes to `data` calls `changed()` afterwards.
    version : int
        Grows with every change of a value. What is derived from the parameters (packed weights) is keyed by it.
    frozen_names : frozenset of str
        Parameters that training leaves as they are: optimizers, regularizers and constraints skip them.
    lock : threading.Lock
        Held while gradients are added and parameters are set.
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], dtype: Any = "float32"):
        self.dtype = float_dtype(dtype)
        self.shapes = {name: tuple(int(n) for n in shape) for name, shape in shapes.items()}
        self.names = tuple(self.shapes)
        self.size = sum(math.prod(shape) for shape in self.shapes.values())
        self.version = 0
        self.frozen_names: frozenset[str] = frozenset()
        self.lock = threading.Lock()
        self.planned = is_planning()
        if not self.planned:
            self._store(np.zeros(self.size, self.dtype), np.zeros(self.size, self.dtype))

    def _store(self, data: np.ndarray, grad: np.ndarray) -> None:
        arrays, views, gradients, start = {}, {}, {}, 0
        for name, shape in self.shapes.items():
            stop = start + math.prod(shape)
            arrays[name] = data[start:stop].reshape(shape)
            views[name] = arrays[name].view()
            views[name].flags.writeable = False
            gradients[name] = grad[start:stop].reshape(shape)
            start = stop
        self.data, self.grad = data, grad
        self._arrays, self._views, self._gradients = arrays, views, gradients

    @property
    def frozen(self) -> bool:
        """Whether every parameter is frozen. Setting it sets all."""
        return len(self.frozen_names) == len(self.shapes) > 0

    @frozen.setter
    def frozen(self, value: bool) -> None:
        self.frozen_names = frozenset(self.shapes if value else ())

    def freeze(self, name: str, frozen: bool = True) -> None:
        """Freeze one parameter, or let it learn again."""
        self.frozen_names = self.frozen_names | {name} if frozen else self.frozen_names - {name}

    @property
    def frozen_size(self) -> int:
        """How many numbers are frozen."""
        return sum(math.prod(self.shapes[name]) for name in self.frozen_names)

    def array(self, name: str) -> np.ndarray:
        """A read-only view of one parameter."""
        return self._views[name]

    def grad_array(self, name: str) -> np.ndarray:
        """A writable view of one parameter's gradient."""
        return self._gradients[name]

    def set(self, name: str, value: Any) -> None:
        """Copy a value into one parameter and advance the version.

        Raises
        ------
        KeyError
            For an unknown name.
        ValueError
            For another shape.
        TypeError
            For complex, text or object values.
        """
        if name not in self.shapes:
            raise KeyError(f"no parameter {name!r}; there are {', '.join(self.names) or 'none'}")
        if self.planned:
            return
        value = real_array(value, f"params[{name!r}]")
        if value.shape != self.shapes[name]:
            raise ValueError(f"params[{name!r}] has shape {self.shapes[name]}, got {value.shape}")
        with self.lock:
            self._arrays[name][...] = value
            self.version += 1

    def changed(self) -> None:
        """Say that values in `data` have changed: call it after writing."""
        with self.lock:
            self.version += 1

    def rebase(self, data: np.ndarray, grad: np.ndarray) -> None:
        """Move the values into slices of a larger buffer. Views taken before keep the old memory."""
        with self.lock:
            if not self.planned:
                data[...] = self.data
                grad[...] = self.grad
            self._store(data, grad)
            self.planned = False

    def __getstate__(self) -> dict[str, Any]:
        return {
            "shapes": self.shapes,
            "data": self.data.copy(),
            "version": self.version,
            "frozen_names": self.frozen_names,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["shapes"], state["data"].dtype)  # type: ignore[misc]
        self.data[...] = state["data"]
        self.version, self.frozen_names = state["version"], state["frozen_names"]


def as_array(value: Any, name: str) -> np.ndarray:
    """`value` as an array; a list of sequences that are not equally long is a ValueError that says what to do."""
    try:
        return ops.as_array(value)
    except ValueError as error:
        if "inhomogeneous" not in str(error):
            raise
    raise ValueError(
        f"{name} holds sequences of different lengths, which make no array: pad them (rnnfast.data.pad_sequences) and "
        "give lengths=, or give the list to the layer's or model's ragged()"
    )


def real_array(value: Any, name: str) -> np.ndarray:
    """`value` as an array of real numbers (or booleans); anything else is a TypeError that says `name`."""
    array = as_array(value, name)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}")
    return array


def unique_blocks(blocks: Iterable[Block]) -> list[Block]:
    """The blocks in order, each once."""
    return list(dict.fromkeys(blocks))


def _adjacent(a: np.ndarray, b: np.ndarray) -> bool:
    return a.base is not None and a.base is b.base and address(a) + a.nbytes == address(b)


def _spanning(first: np.ndarray, last: np.ndarray) -> np.ndarray:
    if first is last:
        return first
    owner = first.base
    assert owner is not None
    start = (address(first) - address(owner)) // owner.itemsize
    stop = (address(last) - address(owner)) // owner.itemsize + last.size
    return owner[start:stop]


def contiguous_runs(blocks: Sequence[Block]) -> Iterator[tuple[list[Block], np.ndarray, np.ndarray]]:
    """Neighbouring blocks joined: triples of (blocks, data, grad), as few as memory allows.

    A model whose layers belong to it alone is one run; a layer that has moved to another model breaks it.
    """
    run: list[Block] = []
    for block in blocks:
        if not block.size:
            continue
        if run and not (_adjacent(run[-1].data, block.data) and _adjacent(run[-1].grad, block.grad)):
            yield run, _spanning(run[0].data, run[-1].data), _spanning(run[0].grad, run[-1].grad)
            run = []
        run.append(block)
    if run:
        yield run, _spanning(run[0].data, run[-1].data), _spanning(run[0].grad, run[-1].grad)


def lay_end_to_end(blocks: Sequence[Block]) -> None:
    """Move the blocks into one flat buffer (and their gradients into another), unless they are in one already."""
    if is_planning() or (not any(b.planned for b in blocks) and len(list(contiguous_runs(blocks))) <= 1):
        return
    size = sum(block.size for block in blocks)
    data, grad = np.zeros(size, blocks[0].dtype), np.zeros(size, blocks[0].dtype)
    start = 0
    for block in blocks:
        block.rebase(data[start : start + block.size], grad[start : start + block.size])
        start += block.size


Slots = Mapping[str, tuple[Block, str]]


class BackwardOnce:
    """What one forward call hands to its backward: the right to run once, on parameters that have not changed.

    Make it in `forward`, before parameters are read. In `backward` check the arguments, call `start()`, compute, and
    end with `add()`.

    Parameters
    ----------
    slots : mapping of str to (Block, str)
        The layer's parameter names and where each lives (`Layer.slots()`).
    """

    def __init__(self, slots: Slots):
        self._slots = slots
        self._versions = {block: block.version for block, _ in slots.values()}
        self._right = [True]  # taken out by `start`: that works once even where threads compete

    def start(self) -> None:
        """Take the one right to run.

        Raises
        ------
        RuntimeError
            When backward ran before, or parameters have changed since the forward call.
        """
        for block, version in self._versions.items():
            if block.version != version:
                raise RuntimeError("the parameters have changed since this forward call; call forward again")
        try:
            self._right.pop()
        except IndexError:
            raise RuntimeError("this backward has run already; it works once, call forward again") from None

    def add(self, gradients: Mapping[str, np.ndarray], into: Any = None) -> None:
        """Add gradients, all or none of them.

        Parameters
        ----------
        gradients : mapping of str to numpy.ndarray
            Freshly computed arrays, by parameter name.
        into : mutable mapping of str to numpy.ndarray, optional
            Where to add them instead of the blocks. A name that it lacks is set to the array itself.
        """
        for name, gradient in gradients.items():
            block, inner = self._slots[name]
            if gradient.shape != block.shapes[inner]:
                raise ValueError(f"gradient {name!r} has shape {gradient.shape}, wanted {block.shapes[inner]}")
        if into is not None:
            old = [name for name in gradients if name in into]
            new = {name: gradient for name, gradient in gradients.items() if name not in into}
            for name in old:
                if np.shape(into[name]) != gradients[name].shape:
                    raise ValueError(
                        f"grads[{name!r}] must have shape {gradients[name].shape}, got {np.shape(into[name])}"
                    )
            _add_all([into[name] for name in old], [gradients[name] for name in old])
            into.update(new)
            return
        slots = [self._slots[name] for name in gradients]
        with ExitStack() as locks:
            # One order for all threads, or two models that share layers could wait for each other for ever.
            for block in sorted({block for block, _ in slots}, key=id):
                locks.enter_context(block.lock)
            _add_all([block.grad_array(inner) for block, inner in slots], list(gradients.values()))


def _add_all(totals: list[np.ndarray], terms: list[np.ndarray]) -> None:
    # The loop runs inside deque and map, in C: Python delivers Ctrl-C only between bytecodes, so either all is
    # added or nothing.
    deque(map(np.add, totals, terms, totals), maxlen=0)
