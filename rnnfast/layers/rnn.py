"""The simple recurrent network, and the one of independent units."""

from collections.abc import Sequence
from typing import Any, Unpack

from rnnfast.layers._options import ARGUMENTS, CELL, NAMES, GridOptions, cell_options
from rnnfast.layers.recurrent import Recurrent


class RNN(Recurrent):
    __doc__ = f"""h' = f(W x + R h + b) at every step (Elman 1990), with f the activation.
{ARGUMENTS}{CELL}{NAMES}
    Examples
    --------
    >>> import numpy as np
    >>> layer = RNN(3, 4, seed=0)
    >>> y, h = layer(np.ones((2, 5, 3)))
    >>> y.shape, h.shape
    ((2, 5, 4), (1, 2, 4))
    """
    cell = "rnn"
    usual_activation = "tanh"

    def __init__(
        self,
        input_size: int,
        hidden_size: int | Sequence[int],
        num_layers: int | None = None,
        *,
        activation: Any = None,
        clip: float | None = None,
        zoneout: float = 0.0,
        recurrent_dropout: float = 0.0,
        **grid: Unpack[GridOptions],
    ):
        activation = self.usual_activation if activation is None else activation
        options = {"activation": tuple(activation) if isinstance(activation, list) else activation}
        options |= cell_options(clip=clip, zoneout=zoneout, recurrent_dropout=recurrent_dropout)
        super().__init__(input_size, hidden_size, num_layers, options, {}, **grid)


class IndRNN(RNN):
    __doc__ = f"""h' = f(W x + u·h + b) at every step, with one number u for each unit, which sees its own past alone
    (Li et al. 2018). Stack two at least; f is "relu" unless told.
{ARGUMENTS}{CELL}{NAMES}    Here `weight_hh_l0`, u, is (H,), at first uniform from 0 to 1.

    Examples
    --------
    >>> layer = IndRNN(3, 4, num_layers=2, seed=0)
    >>> layer.num_params
    44
    """
    cell = "indrnn"
    usual_activation = "relu"
