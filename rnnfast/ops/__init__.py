"""Functions on arrays over the compiled kernels: check, allocate, call."""

from rnnfast.kernels._crf import crf, crf_best_paths, crf_marginals, crf_viterbi
from rnnfast.kernels._ctc import ctc
from rnnfast.kernels._losses import binary_cross_entropy, cross_entropy, mse
from rnnfast.kernels._passes import accumulate, add_rows, dropout, sum_of_squares
from rnnfast.kernels._updates import update
from rnnfast.ops._arrays import as_array, sequence_lengths
from rnnfast.ops._variant import ACTIVATIONS, GATES, Variant, kind
from rnnfast.ops.linear import linear, linear_backward, pack_linear
from rnnfast.ops.recurrent import backward, forward, pack, state_pair
from rnnfast.ops.trace import trace

__all__ = [
    "ACTIVATIONS",
    "GATES",
    "Variant",
    "accumulate",
    "add_rows",
    "as_array",
    "backward",
    "binary_cross_entropy",
    "crf",
    "crf_best_paths",
    "crf_marginals",
    "crf_viterbi",
    "cross_entropy",
    "ctc",
    "dropout",
    "forward",
    "kind",
    "linear",
    "linear_backward",
    "mse",
    "pack",
    "pack_linear",
    "sequence_lengths",
    "state_pair",
    "sum_of_squares",
    "trace",
    "update",
]
