"""The gated recurrent unit, and the minimal one."""

from collections.abc import Sequence
from typing import Any, Unpack

from rnnfast.layers._options import ARGUMENTS, CELL, GATED, NAMES, GridOptions, cell_options
from rnnfast.layers.recurrent import Recurrent


class GRU(Recurrent):
    __doc__ = f"""r, z = σ(W x + R h + b); with reset="after" n = tanh(W x + b + r·(R h + b_hn)), as in cuDNN, with
    reset="before" n = tanh(W x + R (r·h) + b) (Cho et al. 2014). With update="keep" h' = (1 - z)·n + z·h, with
    update="new" h' = (1 - z)·h + z·n (Chung et al. 2014). Gates are stacked in the order r z n.
    Equations of all options: :func:`rnnfast.equations.gru`.
{ARGUMENTS}    reset : "after" or "before"
    update : "keep" or "new"
    layer_norm : bool
        W x and R h are normalised, with reset="after" (Ba et al. 2016).
{GATED}{CELL}{NAMES}    With reset="after" and bias=True there is `bias_hn_l0` (H,) too; norms have factors
    `norm_ih_l0`, `norm_hh_l0` (G·H,).

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
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        clip: float | None = None,
        layer_norm: bool = False,
        zoneout: float = 0.0,
        recurrent_dropout: float = 0.0,
        **grid: Unpack[GridOptions],
    ):
        options = {"reset": reset, "update": update} | cell_options(
            activation=activation,
            recurrent_activation=recurrent_activation,
            clip=clip,
            layer_norm=layer_norm,
            zoneout=zoneout,
            recurrent_dropout=recurrent_dropout,
        )
        super().__init__(input_size, hidden_size, num_layers, options, {}, **grid)


class MGU(Recurrent):
    __doc__ = f"""f = σ(W x + R h + b), n = tanh(W x + R (f·h) + b), h' = (1 - f)·h + f·n at every step: the minimal
    gated unit (Zhou et al. 2016). Gates are stacked in the order f n.
{ARGUMENTS}{GATED}{CELL}{NAMES}
    Examples
    --------
    >>> layer = MGU(3, 4, seed=0)
    >>> layer.num_params
    64
    """
    cell = "mgu"

    def __init__(
        self,
        input_size: int,
        hidden_size: int | Sequence[int],
        num_layers: int | None = None,
        *,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        clip: float | None = None,
        zoneout: float = 0.0,
        recurrent_dropout: float = 0.0,
        **grid: Unpack[GridOptions],
    ):
        options = cell_options(
            activation=activation,
            recurrent_activation=recurrent_activation,
            clip=clip,
            zoneout=zoneout,
            recurrent_dropout=recurrent_dropout,
        )
        super().__init__(input_size, hidden_size, num_layers, options, {}, **grid)
