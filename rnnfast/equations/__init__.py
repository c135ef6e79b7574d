"""The textbook: every cell with every option, one time step at a time, in plain NumPy.

In any floating dtype, and slow: clarity is all that it is for. It is what the compiled kernels and a student's own
cell are held against, and what computes under ``set_backend("numpy")``. `rnnfast.reference` has the plain cells with
their gradients, and is quick.
"""

from rnnfast.equations.cells import ACTIVATIONS, CELLS, activate, gru, indrnn, lstm, mgu, parameter_shapes, rnn
from rnnfast.equations.gradients import BACK
from rnnfast.equations.steps import run, step, trace

__all__ = [
    "ACTIVATIONS",
    "BACK",
    "CELLS",
    "activate",
    "gru",
    "indrnn",
    "lstm",
    "mgu",
    "parameter_shapes",
    "rnn",
    "run",
    "step",
    "trace",
]
