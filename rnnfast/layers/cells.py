"""RNNCell, LSTMCell and GRUCell: one step of a recurrent layer."""

from collections.abc import Callable
from typing import Any

import numpy as np

from rnnfast import ops
from rnnfast.layers import _check
from rnnfast.layers._base import Axis, BackwardOnce, Block, Layer, float_dtype
from rnnfast.layers._block import as_array
from rnnfast.layers._direction import Direction, check_bias, check_forget_bias
from rnnfast.layers._grid import LSTMState
from rnnfast.layers._key import generator

Array = np.ndarray


class Cell(Layer):
    """What the three cells share: a sequence of one step, without a time axis."""

    cell: str
    block: Block

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        bias: bool | str = True,
        dtype: Any = "float32",
        seed: Any = None,
        forget_bias: float = 1.0,
        **options: str,
    ):
        self.input_size = _check.size(input_size, "input_size")
        self.hidden_size = _check.size(hidden_size, "hidden_size")
        self.bias, self.options = check_bias(bias), options
        self.forget_bias = check_forget_bias(forget_bias)
        ops.kind(self.cell, **options)
        self._direction = Direction(
            self.cell, self.input_size, self.hidden_size, self.bias, "", options, forget_bias=self.forget_bias
        )
        self.block = Block(self._direction.shapes(), float_dtype(dtype))
        self._direction.initialise(self.block, generator(seed))
        self._cache_packed: dict[str, Any] = {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._cache_packed = {}

    @property
    def input_shape(self) -> tuple[Axis, ...]:  # type: ignore[override]
        """What the cell takes, for the summary."""
        return ("B", self.input_size)

    def output_shape(self, shape: tuple[Axis, ...]) -> tuple[Axis, ...]:
        """The shape of the state."""
        return (*shape[:-1], self.hidden_size)

    def _stream_steps(self, rows: int) -> list[Any]:
        layer = type(self).__name__.removesuffix("Cell")
        raise ValueError(f"{type(self).__name__} keeps no state between calls; rnnfast.{layer} has streams")

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "input_size": self.input_size,
            "hidden_size": self.hidden_size,
            "bias": self.bias,
            "dtype": str(self.block.dtype),
            **({} if self.forget_bias == 1 else {"forget_bias": self.forget_bias}),
            **self.options,
        }

    def __call__(self, x: Any, state: Any = None) -> Any:  # type: ignore[override]
        """One step of inference.

        Parameters
        ----------
        x : array_like (B, I), or (I,) for one sequence
        state : array (B, H), for the LSTM a pair (h, c), or None for zeros
            Unbatched: (H,).

        Returns
        -------
        state : as the state given
            The next one. h is the output.
        """
        return self._run(x, state, False)[0]

    def forward(self, x: Any, state: Any = None) -> tuple[Any, Callable[..., Any]]:  # type: ignore[override]
        """One step of training: `(state, backward)` with ``backward(dstate, grads=None) -> (dx, dstate)``.

        backward works once, and raises RuntimeError when it has run or the parameters have changed. x must not change
        before that.
        """
        once = BackwardOnce(self.slots())
        new, saved, unbatched = self._run(x, state, True)

        def backward(dstate: Any, grads: Any = None) -> tuple[Array, Any]:
            last = self._rows(dstate, saved.shape[0], unbatched, "dstate")
            once.start()
            dx, before, named = ops.backward(saved, None, last)
            once.add(self._direction.gradients(named), grads)
            assert dx is not None
            return dx[0, 0] if unbatched else dx[:, 0], self._leave(before, unbatched)

        return new, backward

    def _run(self, x: Any, state: Any, training: bool) -> tuple[Any, Any, bool]:
        x = as_array(x, "x")
        if x.ndim not in (1, 2) or x.shape[-1] != self.input_size:
            raise ValueError(f"x must have shape (B, {self.input_size}) or ({self.input_size},), got {x.shape}")
        unbatched = x.ndim == 1
        x = x.reshape(-1, 1, self.input_size)
        _, new, saved = ops.forward(
            self.cell,
            self._direction.weights(self.block) if training else None,
            x,
            self._rows(state, x.shape[0], unbatched, "state"),
            save=training,
            packed=self._direction.packed(self.block, self._cache_packed, training),
            **self._direction.options,
        )
        return self._leave(new, unbatched), saved, unbatched

    def _rows(self, state: Any, B: int, unbatched: bool, name: str) -> Any:
        if state is None:
            return None
        wanted = (self.hidden_size,) if unbatched else (B, self.hidden_size)

        def one(array: Any, name: str) -> Array:
            array = _check.real(array, self.block.dtype, name)
            if array.shape != wanted:
                raise ValueError(f"{name} must have shape {wanted}, got {array.shape}")
            return array.reshape(B, self.hidden_size)

        if self.cell != "lstm":
            return one(state, name)
        h, c = ops.state_pair(state, name)
        return one(h, f"h of {name}"), one(c, f"c of {name}")

    def _leave(self, state: Any, unbatched: bool) -> Any:
        if self.cell != "lstm":
            return state[0] if unbatched else state
        return LSTMState(*(array[0] if unbatched else array for array in state))


_ARGUMENTS = """
    Parameters
    ----------
    input_size, hidden_size : int
    bias : True, False or "double"
    dtype : str
    seed : None, int or numpy.random.Generator
"""


class RNNCell(Cell):
    __doc__ = f"""One step of :class:`RNN`: the state is h.
{_ARGUMENTS}    activation : "tanh", "relu" or "identity"

    Examples
    --------
    >>> cell = RNNCell(3, 4, seed=0)
    >>> h = cell(np.ones((2, 3)))
    >>> cell(np.ones((2, 3)), h).shape
    (2, 4)
    """
    cell = "rnn"

    def __init__(
        self, input_size: int, hidden_size: int, *, bias: bool | str = True, activation: str = "tanh",
        dtype: Any = "float32", seed: Any = None,
    ):  # fmt: skip
        super().__init__(input_size, hidden_size, bias=bias, dtype=dtype, seed=seed, activation=activation)


class LSTMCell(Cell):
    __doc__ = f"""One step of :class:`LSTM`: the state is the pair (h, c).
{_ARGUMENTS}    forget_bias : float
        The first value of the forget gate's bias.

    Examples
    --------
    >>> cell = LSTMCell(3, 4, seed=0)
    >>> h, c = cell(np.ones(3))
    >>> h.shape
    (4,)
    """
    cell = "lstm"

    def __init__(
        self, input_size: int, hidden_size: int, *, bias: bool | str = True, forget_bias: float = 1.0,
        dtype: Any = "float32", seed: Any = None,
    ):  # fmt: skip
        super().__init__(input_size, hidden_size, bias=bias, dtype=dtype, seed=seed, forget_bias=forget_bias)


class GRUCell(Cell):
    __doc__ = f"""One step of :class:`GRU`: the state is h.
{_ARGUMENTS}    reset : "after" or "before"
    update : "keep" or "new"

    Examples
    --------
    >>> cell = GRUCell(3, 4, seed=0)
    >>> cell(np.ones((2, 3)), np.zeros((2, 4))).shape
    (2, 4)
    """
    cell = "gru"

    def __init__(
        self, input_size: int, hidden_size: int, *, bias: bool | str = True, reset: str = "after", update: str = "keep",
        dtype: Any = "float32", seed: Any = None,
    ):  # fmt: skip
        super().__init__(input_size, hidden_size, bias=bias, dtype=dtype, seed=seed, reset=reset, update=update)
