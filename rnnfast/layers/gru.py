"""The gated recurrent unit."""

from collections.abc import Sequence
from typing import Unpack

from rnnfast.layers._options import ARGUMENTS, NAMES, GridOptions
from rnnfast.layers.recurrent import Recurrent


class GRU(Recurrent):
    __doc__ = f"""r, z = σ(W x + R h + b); with reset="after" n = tanh(W x + b + r·(R h + b_hn)), as in cuDNN, with
    reset="before" n = tanh(W x + R (r·h) + b) (Cho et al. 2014). With update="keep" h' = (1 - z)·n + z·h, with
    update="new" h' = (1 - z)·h + z·n (Chung et al. 2014). Gates are stacked in the order r z n.
{ARGUMENTS}    reset : "after" or "before"
    update : "keep" or "new"
{NAMES}    With reset="after" and bias=True there is `bias_hn_l0` (H,) too.

    Examples
    --------
    >>> import numpy as np
    >>> layer = GRU(3, 4, num_layers=2, seed=0)
    >>> y, h = layer(np.ones((2, 5, 3)))
    >>> y.shape, h.shape, layer.num_params
    ((2, 5, 4), (2, 2, 4), 212)
    """
    cell = "gru"

    def __init__(
        self,
        input_size: int,
        hidden_size: int | Sequence[int],
        num_layers: int | None = None,
        *,
        reset: str = "after",
        update: str = "keep",
        **grid: Unpack[GridOptions],
    ):
        super().__init__(input_size, hidden_size, num_layers, {"reset": reset, "update": update}, {}, **grid)
