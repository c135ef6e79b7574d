"""What a call of a recurrent layer will do and take, before it is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rnnfast import ops
from rnnfast._backend import require_compiled
from rnnfast.kernels import _gradients, _recurrent, _runtime
from rnnfast.kernels._threads import get_num_threads
from rnnfast.layers import _check
from rnnfast.layers._options import segment_of

if TYPE_CHECKING:
    from rnnfast.layers.recurrent import Recurrent


@dataclass(frozen=True)
class Plan:
    """What one call will do. All sizes are in bytes; print it for a table.

    Attributes
    ----------
    cell : str
        The cell and its variant.
    dtype, instruction_set : str
    steps : int
        Steps of all sequences: the sum of their lengths.
    operations : float
        Floating-point operations of the matrix products of one inference; training has three times as many, four times
        with `segment`.
    threads : int
        Set by `rnnfast.set_num_threads`.
    row_slices, unit_slices : int
        Into how many parts a time loop divides the rows of the batch, and the units: as many threads as their product.
    side_by_side : bool
        Whether the two directions run at the same time.
    segment : int
        The steps that `backward` runs again at once, where the layer's `recompute` says so and there are more; else 0.
    parameters : int
    packed_inference, packed_training : int
        The packed copy of the weights that is kept while they do not change.
    output : int
        y, for the caller.
    inference : int
        Workspace of a call, freed when it returns: it does not grow with the number of steps, but for what a
        stack hands from layer to layer.
    training : int
        What `forward` keeps for `backward`, x and y not counted.
    backward : int
        Workspace of `backward`, beside the gradients that it returns.
    """

    cell: str
    dtype: str
    instruction_set: str
    steps: int
    operations: float
    threads: int
    row_slices: int
    unit_slices: int
    side_by_side: bool
    segment: int
    parameters: int
    packed_inference: int
    packed_training: int
    output: int
    inference: int
    training: int
    backward: int

    def __str__(self) -> str:
        training = 4 if self.segment else 3
        again = f", segments of {self.segment} steps run again" if self.segment else ""
        beside = ", directions side by side" if self.side_by_side else ""
        rows = [
            ("kernel", f"{self.cell}, {self.dtype}, {self.instruction_set}"),
            ("steps", f"{self.steps:,}"),
            ("arithmetic", f"{self.operations / 1e6:,.1f} Mflop, in training {training * self.operations / 1e6:,.1f}"),
            ("threads", f"{self.row_slices} x {self.unit_slices} (rows x units) of {self.threads}{beside}"),
            ("parameters", _bytes(self.parameters)),
            ("packed", f"{_bytes(self.packed_inference)}, for training {_bytes(self.packed_training)}"),
            ("output", _bytes(self.output)),
            ("inference", f"{_bytes(self.inference)} while it runs"),
            ("training", f"{_bytes(self.training)} from forward to backward{again}"),
            ("backward", f"{_bytes(self.backward)} while it runs"),
        ]
        return "\n".join(f"{name:<12}{value}" for name, value in rows)


def plan(layer: Recurrent, batch_size: int, seq_len: int, lengths: Any = None) -> Plan:
    """See `Recurrent.explain`."""
    require_compiled("explain")
    B, T = _check.size(batch_size, "batch_size"), _check.size(seq_len, "seq_len")
    ends = None if lengths is None else ops.sequence_lengths(lengths, (B, T))
    D, size = 1 + layer.bidirectional, layer.block.dtype.itemsize
    segment = segment_of(layer.recompute, T)
    outputs = [B * T * level.output_size * size for level in layer._levels]
    packed_inference = packed_training = scratch = saved = backward = 0
    work, first, beside = 0.0, dict[str, int](), False
    for direction in layer._directions:
        weights = direction.weights(layer.block)
        packed: Any = ops.pack(layer.cell, weights, **direction.options, training=True)
        inference = _recurrent.explain(packed, B, T, ends, False)
        training = _recurrent.explain(packed, B, T, ends, True, segment)
        if not first:
            first, beside = training, D == 2 and _recurrent.worth_side_by_side(packed, B, T)
        packed_training += packed.nbytes
        packed_inference += ops.pack(layer.cell, weights, **direction.options).nbytes
        saved += training["saved"]
        scratch = max(scratch, inference["scratch"])
        backward = max(backward, training["scratch"], _gradients.explain(packed, B, T, ends, segment))
        work += float(training["operations"])
    together = 2 if beside else 1
    around = [sum(level.numbers(B, T)[i] for level in layer._levels) * size for i in (0, 1)]
    between = around[0] + max((sum(outputs[max(i - 1, 0) : i + 1]) for i in range(len(outputs) - 1)), default=0)
    return Plan(
        cell=" ".join([layer.cell, *(f"{name}={value}" for name, value in layer.options.items())]),
        dtype=str(layer.block.dtype),
        instruction_set=_runtime.isa(),
        steps=first["steps"],
        operations=work * first["steps"],
        threads=get_num_threads(),
        row_slices=first["row_slices"],
        unit_slices=first["unit_slices"],
        side_by_side=beside,
        segment=segment if segment < first["longest"] else 0,
        parameters=layer.block.data.nbytes,
        packed_inference=packed_inference,
        packed_training=packed_training,
        output=outputs[-1] * (2 if layer.merge is None else 1),
        inference=scratch * together + between,
        training=saved + sum(outputs[:-1]) + around[1],
        backward=backward * together,
    )


def _bytes(count: float) -> str:
    """Bytes as a person reads them."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.3g} GiB"
