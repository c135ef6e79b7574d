"""Looking into a stack of recurrent layers: its plan, gates and states, and norms of gradients."""

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from rnnfast import ops
from rnnfast.kernels._memory import empty

if TYPE_CHECKING:
    from rnnfast.layers.explain import Plan
    from rnnfast.layers.recurrent import Recurrent

Array = np.ndarray


class Inside:
    """What a recurrent layer tells of itself."""

    def explain(self, batch_size: int, seq_len: int, lengths: Any = None) -> "Plan":
        """What a call will do and take: kernel, instruction set, arithmetic, threads, bytes. Print it for a table.

        Parameters
        ----------
        batch_size, seq_len : int
        lengths : array_like of int (B,), optional

        Returns
        -------
        Plan
        """
        from rnnfast.layers.explain import plan

        return plan(cast("Recurrent", self), batch_size, seq_len, lengths)

    def trace(self, x: Any, state: Any = None, *, lengths: Any = None) -> dict[str, dict[str, Array]]:
        """Inference that keeps everything: every gate, what enters it, and every state, of every layer.

        Parameters
        ----------
        x, state, lengths
            As for a call; x is (B, T, I) or (T, I).

        Returns
        -------
        dict of str to dict of str to ndarray (B, T, H)
            By the ending of the parameters' names ("l0", "l0_reverse", "l1" ...) and the names of the equations: "i",
            "f", "g", "o" of an LSTM, "r", "z", "n" of a GRU; "a_i" ..., what enters each activation ("a" of an RNN);
            "h", and "c" of an LSTM. Zero beyond each sequence's end.

        Examples
        --------
        >>> import rnnfast as rf
        >>> traced = rf.GRU(3, 4, seed=0).trace([[0, 1, 2], [3, 4, 5]])
        >>> sorted(traced["l0"]), traced["l0"]["z"].shape
        (['a_n', 'a_r', 'a_z', 'h', 'n', 'r', 'z'], (2, 4))
        """
        layer = cast("Recurrent", self)
        x, unbatched = _entered(layer, x)
        (B, T, _), dtype, block = x.shape, layer.block.dtype, layer.block
        ends = None if lengths is None else ops.sequence_lengths(lengths, (T,) if unbatched else (B, T))
        given, _ = layer._given(state, B, unbatched)
        _, final = layer._form.room(B, dtype)
        found = {}
        for level in layer._levels:
            for i, direction in enumerate(level.directions):
                traced = ops.trace(
                    direction.cell,
                    direction.weights(block),
                    x,
                    given[level.at][i],
                    lengths=ends,
                    reverse=direction.reverse,
                    **direction.options,
                )
                found[direction.suffix[1:]] = {name: array[0] if unbatched else array for name, array in traced.items()}
            if level is not layer._levels[-1]:
                y = empty((B, T, level.output_size), dtype)
                level.forward(block, layer._cache_packed, x, y, given[level.at], final[level.at], ends, None)
                x = y
        return found

    def gradient_norms(
        self, x: Any, dy: Any, state: Any = None, dstate: Any = None, *, lengths: Any = None, rng: Any = None
    ) -> dict[str, Array]:
        """How much of a gradient reaches each state: the norm of dL/dh_t, of every layer.

        Parameters
        ----------
        x, state, lengths, rng
            As for `forward`; x is (B, T, I) or (T, I).
        dy, dstate
            As for `backward`, whose gradients are not kept.

        Returns
        -------
        dict of str to float64 ndarray (B, T)
            By the ending of the parameters' names; zero beyond each sequence's end.
        """
        layer = cast("Recurrent", self)
        entered, unbatched = _entered(layer, x)
        norms = [np.zeros((entered.shape[1], entered.shape[0])) for _ in layer._directions]
        _, backward = layer.forward(x, state, lengths=lengths, rng=rng)
        backward(dy, dstate, {}, False, norms=norms)
        return {
            direction.suffix[1:]: array[:, 0] if unbatched else array.T
            for direction, array in zip(layer._directions, norms, strict=True)
        }


def _entered(layer: "Recurrent", x: Any) -> tuple[Array, bool]:
    x = np.asarray(x)
    if x.ndim not in (2, 3) or x.shape[-1] != layer.input_size:
        raise ValueError(f"x must have shape (B, T, {layer.input_size}) or (T, {layer.input_size}), got {x.shape}")
    return (x, False) if x.ndim == 3 else (x[None], True)
