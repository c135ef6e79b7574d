"""A recurrent layer whose step and gradient are written in Python."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from rnnfast.layers import _check
from rnnfast.layers._base import BackwardOnce, Block, StatefulLayer, float_dtype
from rnnfast.layers._grid import Orientation
from rnnfast.layers._key import generator
from rnnfast.layers._valid import check_mask
from rnnfast.layers.initializers import glorot_uniform

Array = np.ndarray

_registered: dict[str, type["Cell"]] = {}


class Cell:
    """One step of a recurrence of your own, h_t = g(f1(x_t), f2(h_{t-1})) with any f1, f2 and g. Subclass it.

    A subclass defines `shapes`, `step` and `step_backward`, and :class:`CustomRNN` runs it over time. It keeps nothing
    between calls: what `step_backward` needs, `step` hands over as `saved`.

    Parameters
    ----------
    input_size, hidden_size : int
        I and H.

    Attributes
    ----------
    output_size : int
        The last axis of y: H, unless a subclass sets another.
    state_sizes : tuple of int
        The last axis of each array of the state: (H,), unless a subclass sets another. Where there is one array, the
        state is that array; otherwise it is a tuple of them.

    Examples
    --------
    h_t = tanh(A x_t) * cos(h_{t-1}):

    >>> import rnnfast as rf
    >>> class Mine(rf.Cell):
    ...     def shapes(self):
    ...         return {"A": (self.hidden_size, self.input_size)}
    ...
    ...     def step(self, params, x, state):
    ...         a, b = np.tanh(x @ params["A"].T), np.cos(state)
    ...         h = a * b
    ...         return h, h, (x, state, a, b)
    ...
    ...     def step_backward(self, params, saved, doutput, dstate):
    ...         x, state, a, b = saved
    ...         dh = doutput + dstate
    ...         da = dh * b * (1 - a * a)
    ...         return da @ params["A"], -dh * a * np.sin(state), {"A": da.T @ x}
    >>> layer = rf.CustomRNN(Mine(3, 4), dtype="float64", seed=0)
    >>> x = np.random.default_rng(0).normal(size=(2, 5, 3))
    >>> y, h = layer(x, lengths=[5, 2])
    >>> y.shape, h.shape
    ((2, 5, 4), (1, 2, 4))
    >>> max(rf.testing.check_gradients(layer, x).values()) < 1e-6
    True
    """

    def __init__(self, input_size: int, hidden_size: int):
        self.input_size = _check.size(input_size, "input_size")
        self.hidden_size = self.output_size = _check.size(hidden_size, "hidden_size")
        self.state_sizes: tuple[int, ...] = (self.hidden_size,)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The parameters' names and shapes."""
        raise NotImplementedError(f"{type(self).__name__} must define shapes()")

    def initialise(self, rng: np.random.Generator) -> dict[str, Any]:
        """First values by name. What is left out is Glorot uniform where it has two axes, and zero otherwise."""
        return {}

    def step(self, params: Mapping[str, Array], x: Array, state: Any) -> tuple[Array, Any, Any]:
        """One step of some rows: `(output, new_state, saved)`.

        Parameters
        ----------
        params : mapping of arrays
            By the names of `shapes`, read-only.
        x : (n, I) array
            n is the number of rows that are still running, at most B.
        state : (n, S) array, or a tuple of them
        """
        raise NotImplementedError(f"{type(self).__name__} must define step(params, x, state)")

    def step_backward(
        self, params: Mapping[str, Array], saved: Any, doutput: Array, dstate: Any
    ) -> tuple[Array, Any, Mapping[str, Array]]:
        """The gradients of one step: `(dx, dstate, grads)`, of x, of the state before, and of the parameters by name.

        Parameters
        ----------
        params, saved
            As `step` had and gave them.
        doutput : (n, output_size) array
            Gradient of the output.
        dstate : as the state
            Gradient of the new state. Where the output is the state too, its gradient is the sum of both.
        """
        raise NotImplementedError(f"{type(self).__name__} must define step_backward(params, saved, doutput, dstate)")

    def config(self) -> dict[str, Any]:
        """The constructor's arguments as JSON can hold them: what a file keeps of a registered cell."""
        return {"input_size": self.input_size, "hidden_size": self.hidden_size}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.config().items())})"


def register_cell(cell_class: type[Cell]) -> type[Cell]:
    """Let models with this cell be saved, and loaded wherever the class has been registered. A decorator.

    A file holds the class's name and its `config()`, never code.

    Raises
    ------
    TypeError
        For what is no subclass of `Cell`.
    ValueError
        Where another class has the name.
    """
    if not (isinstance(cell_class, type) and issubclass(cell_class, Cell)):
        raise TypeError(f"register_cell takes a subclass of rnnfast.Cell, got {cell_class!r}")
    name = cell_class.__name__
    known = _registered.setdefault(name, cell_class)
    if (known.__module__, known.__qualname__) != (cell_class.__module__, cell_class.__qualname__):
        raise ValueError(f"another cell has the name {name!r}: {known.__module__}.{known.__qualname__}")
    _registered[name] = cell_class  # the newer one of a class that was defined anew, as in a notebook
    return cell_class


class CustomRNN(StatefulLayer):
    """A :class:`Cell` of your own, run over time. As slow as Python is, and otherwise a layer like any other.

    Parameters
    ----------
    cell : Cell
    bidirectional : bool
        Two directions, each with parameters of its own, their outputs side by side on the last axis.
    dtype : str
        "float32" or "float64".
    seed : None, int or numpy.random.Generator
        For the first values of the parameters.

    Notes
    -----
    Parameters have the cell's names, with `_reverse` after those of the other direction.
    """

    block: Block
    num_directions: int

    def __init__(self, cell: Any, *, bidirectional: bool = False, dtype: Any = "float32", seed: Any = None):
        self.cell = _rebuilt(cell) if isinstance(cell, dict) else cell
        if not isinstance(self.cell, Cell):
            raise TypeError(f"cell must be an rnnfast.Cell, got {type(cell).__name__}")
        if not hasattr(self.cell, "state_sizes"):
            raise TypeError(f"{type(cell).__name__}.__init__ must call super().__init__(input_size, hidden_size)")
        self.bidirectional = _check.flag(bidirectional, "bidirectional")
        self.num_directions = 2 if bidirectional else 1
        self.input_size, self.output_size = self.cell.input_size, self.num_directions * self.cell.output_size
        self._suffixes = ("", "_reverse")[: self.num_directions]
        shapes = {name: tuple(shape) for name, shape in self.cell.shapes().items()}
        self._names = tuple(shapes)
        self.block = Block(
            {n + suffix: shape for suffix in self._suffixes for n, shape in shapes.items()}, float_dtype(dtype)
        )
        rng = generator(seed)
        for suffix in self._suffixes:
            first = self.cell.initialise(rng)
            if unknown := set(first) - set(shapes):
                raise ValueError(f"initialise gives {', '.join(sorted(unknown))}, which shapes does not name")
            for name, shape in shapes.items():
                if name in first:
                    self.block.set(name + suffix, first[name])
                elif len(shape) == 2:
                    self.block.set(name + suffix, glorot_uniform(rng, (shape[0], shape[1])))

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, with the cell as its name and its own arguments.

        Raises
        ------
        TypeError
            For a cell that is not registered.
        """
        name = type(self.cell).__name__
        if _registered.get(name) is not type(self.cell):
            raise TypeError(
                f"{name} is written in Python, and a file holds no code: put @rnnfast.register_cell before the class, "
                "where it is saved and where it is loaded"
            )
        plan = {"name": name, "arguments": self.cell.config()}
        return {"cell": plan, "bidirectional": self.bidirectional, "dtype": str(self.block.dtype)}

    def __repr__(self) -> str:
        return f"CustomRNN({self.cell!r}, bidirectional={self.bidirectional}, dtype='{self.block.dtype}')"

    def __call__(  # type: ignore[override]
        self,
        x: Any,
        state: Any = None,
        *,
        lengths: Any = None,
        mask: Any = None,
        time_major: bool = False,
        out: Array | None = None,
    ) -> tuple[Array, Any]:
        """Inference.

        Parameters
        ----------
        x : array_like (B, T, I), (T, B, I) with `time_major`, or (T, I) for one sequence
        state : (D, B, S) array, or a tuple of them, as the cell has one or more; None for zeros
            D is 2 where `bidirectional`, else 1. Unbatched: (D, S).
        lengths : array_like of int (B,), optional
            Valid steps of each sequence, 0 to T. The reverse direction starts at the last of them.
        mask : array_like of bool, of the shape of x without its last axis, optional
            Instead of lengths: True where a step is valid. The state passes over the others unchanged.
        time_major : bool
        out : ndarray like y, optional
            Where y is written.

        Returns
        -------
        y : ndarray (B, T, D·output_size), and as x where that is time-major or unbatched
            Zero at steps that are not valid.
        state : as the state given
        """
        y, new, _, _ = self._run(x, state, lengths, mask, time_major)
        if out is None:
            return y, new
        if not isinstance(out, np.ndarray) or out.shape != y.shape:
            raise ValueError(
                f"out must be an array of shape {y.shape}, got {getattr(out, 'shape', type(out).__name__)}"
            )
        out[...] = y
        return out, new

    def forward(  # type: ignore[override]
        self,
        x: Any,
        state: Any = None,
        *,
        lengths: Any = None,
        mask: Any = None,
        time_major: bool = False,
        rng: Any = None,
    ) -> tuple[tuple[Array, Any], Callable[..., Any]]:
        """Training: `((y, state), backward)` with ``backward(dy, dstate=None, grads=None, need_dx=True)``.

        `backward` works once and returns `(dx, dstate)`.
        """
        once = BackwardOnce(self.slots())
        y, new, restore, saved = self._run(x, state, lengths, mask, time_major)
        y_shape, dtype, size = y.shape, self.block.dtype, self.cell.output_size
        T = y_shape[0] if restore.unbatched or restore.time_major else y_shape[1]
        B = 1 if restore.unbatched else y_shape[1] if restore.time_major else y_shape[0]

        def backward(dy: Any, dstate: Any = None, grads: Any = None, need_dx: bool = True) -> tuple[Array | None, Any]:
            dy = np.zeros(y_shape, dtype) if dy is None else _check.output_gradient(dy, y_shape, dtype)
            dy, after = restore.enter(dy), self._enter(dstate, B, restore.unbatched, "dstate")
            once.start()
            found: dict[str, Array] = {name: np.zeros(shape, dtype) for name, shape in self.block.shapes.items()}
            dx, before = np.zeros((B, T, self.input_size), dtype), []
            for d, suffix in enumerate(self._suffixes):
                params = self._params(suffix)
                dparts = [part.copy() for part in after[d]]
                for t, rows, kept in reversed(saved[d]):
                    doutput = dy[rows, t, d * size : (d + 1) * size]
                    result = self.cell.step_backward(params, kept, doutput, self._join([p[rows] for p in dparts]))
                    dx_t, dold, named = _three(result, "step_backward", "(dx, dstate, grads)")
                    dx[rows, t] += self._array(dx_t, "dx of step_backward", (len(rows), self.input_size))
                    for part, value in zip(
                        dparts, self._split(dold, len(rows), "dstate of step_backward"), strict=True
                    ):
                        part[rows] = value
                    for name, value in named.items():
                        if name not in self._names:
                            raise ValueError(f"grads of step_backward has {name!r}, wanted {', '.join(self._names)}")
                        full = name + suffix
                        found[full] += self._array(value, f"grads[{name!r}]", self.block.shapes[full])
                before.append(dparts)
            once.add(found, grads)
            return restore.leave(dx) if need_dx else None, self._leave(before, restore.unbatched)

        return (y, new), backward

    def _run(
        self, x: Any, state: Any, lengths: Any, mask: Any, time_major: bool
    ) -> tuple[Array, Any, Orientation, list[list[tuple[int, Array, Any]]]]:
        """y, the new state, and for each direction (step, rows that ran, what `step` saved) in order of running."""
        x = _check.real(x, self.block.dtype)
        if x.ndim not in (2, 3) or x.shape[-1] != self.input_size:
            wanted = "(T, B, {0}) or (T, {0})" if time_major else "(B, T, {0}) or (T, {0})"
            raise ValueError(f"x must have shape {wanted.format(self.input_size)}, got {x.shape}")
        restore = Orientation(x.ndim == 2, time_major)
        if mask is not None and lengths is not None:
            raise ValueError("mask and lengths exclude each other: both say which steps are valid")
        valid = None if mask is None else restore.enter(check_mask(mask, x.shape[:-1]))
        x = restore.enter(x)
        B, T = x.shape[:2]
        if lengths is not None:
            valid = ~_check.padding(np.reshape(lengths, -1) if restore.unbatched else lengths, (B, T))  # type: ignore[operator]
        size, parts, saved = self.cell.output_size, self._enter(state, B, restore.unbatched, "state"), []
        y = np.zeros((B, T, self.output_size), self.block.dtype)
        for d, suffix in enumerate(self._suffixes):
            params, steps = self._params(suffix), []
            for t in reversed(range(T)) if d else range(T):
                rows = np.arange(B) if valid is None else np.flatnonzero(valid[:, t])
                if not len(rows):
                    continue
                output, new, kept = self._step(params, x[rows, t], [part[rows] for part in parts[d]])
                y[rows, t, d * size : (d + 1) * size] = output
                for part, value in zip(parts[d], new, strict=True):
                    part[rows] = value
                steps.append((t, rows, kept))
            saved.append(steps)
        # time-major y is a view of transposed memory, as any stride will do
        return restore.leave(y), self._leave(parts, restore.unbatched), restore, saved

    def _step(self, params: Mapping[str, Array], x: Array, parts: list[Array]) -> tuple[Array, list[Array], Any]:
        """The cell's step, its results checked."""
        result = self.cell.step(params, x, self._join(parts))
        output, new, kept = _three(result, "step", "(output, new_state, saved)")
        output = self._array(output, "output of step", (len(x), self.cell.output_size))
        return output, self._split(new, len(x), "new state of step"), kept

    def _params(self, suffix: str) -> dict[str, Array]:
        return {name: self.block.array(name + suffix) for name in self._names}

    def _array(self, value: Any, name: str, shape: tuple[int, ...]) -> Array:
        value = _check.real(value, self.block.dtype, name)
        if value.shape != shape:
            raise ValueError(f"{name} must have shape {shape}, got {value.shape}")
        return value

    def _join(self, parts: Sequence[Array]) -> Any:
        """The state as the cell knows it: an array, or a tuple where there are more."""
        return parts[0] if len(parts) == 1 else tuple(parts)

    def _split(self, state: Any, rows: int, name: str) -> list[Array]:
        """The arrays (n, S) of a state of the cell."""
        sizes = self.cell.state_sizes
        parts = [state] if len(sizes) == 1 else list(state)
        if len(parts) != len(sizes):
            raise ValueError(f"{name} must have {len(sizes)} arrays, got {len(parts)}")
        return [self._array(part, name, (rows, size)) for part, size in zip(parts, sizes, strict=True)]

    def _enter(self, state: Any, B: int, unbatched: bool, name: str) -> list[list[Array]]:
        """For each direction the arrays (B, S), in memory of their own, of a state as the layer takes it."""
        D, sizes, dtype = self.num_directions, self.cell.state_sizes, self.block.dtype
        if state is None:
            return [[np.zeros((B, size), dtype) for size in sizes] for _ in range(D)]
        parts = [state] if len(sizes) == 1 else list(state)
        if len(parts) != len(sizes):
            raise ValueError(f"{name} must have {len(sizes)} arrays, got {len(parts)}")
        shapes = [(D, size) if unbatched else (D, B, size) for size in sizes]
        arrays = [self._array(part, name, shape) for part, shape in zip(parts, shapes, strict=True)]
        return [[array[d].reshape(B, -1).copy() for array in arrays] for d in range(D)]

    def _leave(self, parts: list[list[Array]], unbatched: bool) -> Any:
        arrays = [np.stack(each)[:, 0] if unbatched else np.stack(each) for each in zip(*parts, strict=True)]
        return self._join(arrays)

    def _stream_steps(self, rows: int) -> list[Any]:
        if self.bidirectional:
            raise ValueError(
                "a bidirectional CustomRNN cannot run step by step: its reverse direction starts at the sequence's end"
            )
        return [_PythonStep(self, rows)]

    def _join_steps(self, held: Iterator[tuple[Array, ...]]) -> Any:
        return self._leave([list(next(held))], False)

    def _split_steps(self, state: Any, rows: int) -> list[tuple[Array, ...]]:
        if state is None:
            raise TypeError("state must be that of a CustomRNN, got None")
        return [tuple(self._enter(state, rows, False, "state")[0])]


class _PythonStep:
    """The cell, one step at a time, with its state."""

    has_state = True

    def __init__(self, layer: CustomRNN, rows: int):
        self.layer, self.params = layer, layer._params("")
        self.parts = layer._enter(None, rows, False, "state")[0]

    def __call__(self, x: Any, numbers: Array | None = None) -> Array:
        chosen = slice(None) if numbers is None else numbers
        old = [part[chosen].copy() for part in self.parts]
        wanted = (len(old[0]), self.layer.input_size)
        x = _check.real(x, self.layer.block.dtype)
        if x.shape != wanted and not (wanted[0] == 1 and x.shape == wanted[1:]):
            raise ValueError(f"x must have shape {wanted}, one step of each sequence, got {x.shape}")
        output, new, _ = self.layer._step(self.params, x.reshape(wanted).copy(), old)
        for part, value in zip(self.parts, new, strict=True):
            part[chosen] = value
        return output

    def clear(self, numbers: Array) -> None:
        """Zeros, in these rows."""
        for part in self.parts:
            part[numbers] = 0

    def get(self, numbers: Array) -> tuple[Array, ...]:
        """A copy of what these rows hold."""
        return tuple(part[numbers] for part in self.parts)

    def set(self, numbers: Array, *arrays: Array) -> None:
        """Make these rows hold this."""
        for part, array in zip(self.parts, arrays, strict=True):
            part[numbers] = array


def _three(result: Any, method: str, wanted: str) -> tuple[Any, Any, Any]:
    if not isinstance(result, tuple) or len(result) != 3:
        raise TypeError(f"{method} must return {wanted}, got {type(result).__name__}")
    return result


def _rebuilt(plan: dict[str, Any]) -> Cell:
    """The cell of a file's description: a class that has been registered, or none."""
    name, arguments = plan.get("name"), plan.get("arguments")
    if name not in _registered or not isinstance(arguments, dict):
        raise ValueError(
            f"the cell {name!r:.60} is not known here: register its class with rnnfast.register_cell first"
        )
    return _registered[name](**arguments)
