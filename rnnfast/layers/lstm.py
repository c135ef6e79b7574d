"""Long short-term memory."""

from collections.abc import Sequence
from typing import Unpack

from rnnfast.layers._direction import check_forget_bias
from rnnfast.layers._options import ARGUMENTS, NAMES, GridOptions
from rnnfast.layers.recurrent import Recurrent


class LSTM(Recurrent):
    __doc__ = f"""i, f, o = σ(W x + R h + b), g = tanh(W x + R h + b), c' = f·c + i·g, h' = o·tanh(c') at every step
    (Hochreiter and Schmidhuber 1997; Gers, Schmidhuber and Cummins 2000). Gates are stacked in the order i f g o.
{ARGUMENTS}    forget_bias : float
        The first value of the forget gate's bias.
{NAMES}
    Examples
    --------
    >>> import numpy as np
    >>> layer = LSTM(3, 4, bidirectional=True, seed=0)
    >>> y, (h, c) = layer(np.ones((2, 5, 3)), lengths=[5, 2])
    >>> y.shape, h.shape, float(y[1, 2:].sum())
    ((2, 5, 8), (2, 2, 4), 0.0)
    """
    cell = "lstm"

    def __init__(
        self,
        input_size: int,
        hidden_size: int | Sequence[int],
        num_layers: int | None = None,
        *,
        forget_bias: float = 1.0,
        **grid: Unpack[GridOptions],
    ):
        super().__init__(
            input_size, hidden_size, num_layers, {}, {"forget_bias": check_forget_bias(forget_bias)}, **grid
        )
