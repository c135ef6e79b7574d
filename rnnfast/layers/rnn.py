"""The simple recurrent network."""

from collections.abc import Sequence
from typing import Unpack

from rnnfast.layers._options import ARGUMENTS, NAMES, GridOptions
from rnnfast.layers.recurrent import Recurrent


class RNN(Recurrent):
    __doc__ = f"""h' = f(W x + R h + b) at every step (Elman 1990), with f the activation.
{ARGUMENTS}    activation : "tanh", "relu" or "identity"
{NAMES}
    Examples
    --------
    >>> import numpy as np
    >>> layer = RNN(3, 4, seed=0)
    >>> y, h = layer(np.ones((2, 5, 3)))
    >>> y.shape, h.shape
    ((2, 5, 4), (1, 2, 4))
    """
    cell = "rnn"

    def __init__(
        self,
        input_size: int,
        hidden_size: int | Sequence[int],
        num_layers: int | None = None,
        *,
        activation: str = "tanh",
        **grid: Unpack[GridOptions],
    ):
        super().__init__(input_size, hidden_size, num_layers, {"activation": activation}, {}, **grid)
