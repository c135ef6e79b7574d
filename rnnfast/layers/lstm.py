"""Long short-term memory."""

from collections.abc import Sequence
from typing import Any, Unpack

from rnnfast.layers._direction import check_forget_bias
from rnnfast.layers._options import ARGUMENTS, CELL, GATED, NAMES, GridOptions, cell_options, check_projection
from rnnfast.layers.recurrent import Recurrent


class LSTM(Recurrent):
    __doc__ = f"""i, f, o = σ(W x + R h + b), g = tanh(W x + R h + b), c' = f·c + i·g, h' = o·tanh(c') at every step
    (Hochreiter and Schmidhuber 1997; Gers, Schmidhuber and Cummins 2000). Gates are stacked in the order i f g o.
    Equations of all options: :func:`rnnfast.equations.lstm`.
{ARGUMENTS}    forget_bias : float
        The first value of the forget gate's bias.
    peephole : bool
        The gates see c, through a weight for each unit (Gers and Schmidhuber 2000).
    coupled : bool
        f = 1 - i: three gates, in the order i g o (Greff et al. 2017, "CIFG").
    proj_size : int
        Where not 0: h' = P (o·tanh(c')), so wide (Sak et al. 2014).
    cell_clip : float, optional
        c' is kept from -cell_clip to cell_clip.
    layer_norm : bool
        W x, R h and c, in tanh(c'), are normalised (Ba et al. 2016).
    output_activation : str or tuple, optional
        Of c'; as `activation`, which is the candidate's, unless given.
{GATED}{CELL}        A pair for zoneout is that of h and that of c.
{NAMES}    Peepholes are `weight_ch_l0` (3·H,), for i f o; a projection `weight_hr_l0` (P, H); norms have factors
    `norm_ih_l0`, `norm_hh_l0` (G·H,), `norm_c_l0` (H,) and the bias `bias_c_l0` (H,).

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
        peephole: bool = False,
        coupled: bool = False,
        proj_size: int = 0,
        activation: Any = "tanh",
        output_activation: Any = None,
        recurrent_activation: Any = "sigmoid",
        clip: float | None = None,
        cell_clip: float | None = None,
        layer_norm: bool = False,
        zoneout: Any = 0.0,
        recurrent_dropout: float = 0.0,
        **grid: Unpack[GridOptions],
    ):
        options = cell_options(
            peephole=peephole,
            coupled=coupled,
            activation=activation,
            output_activation=output_activation,
            recurrent_activation=recurrent_activation,
            clip=clip,
            cell_clip=cell_clip,
            layer_norm=layer_norm,
            zoneout=zoneout,
            recurrent_dropout=recurrent_dropout,
        )
        first = {"forget_bias": check_forget_bias(forget_bias), "proj_size": check_projection(proj_size)}
        super().__init__(input_size, hidden_size, num_layers, options, first, **grid)
