"""Loop and Scan for the onnx package's reference evaluator, whose own leave out a part of what ONNX asks of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx.reference.op_run import OpRun

Array = np.ndarray


class _WithBody(OpRun):
    op_domain = ""
    # What OpRun makes of the attribute of this name: the graph, and how to run it.
    body: Any
    _run_body: Any

    def need_context(self) -> bool:
        """True: the body may take any value that was made before."""
        return True

    def _turn(self, context: Any, values: Sequence[Any], attributes: Any) -> list[Any]:
        """What the body gives."""
        feed = {**(context or {}), **dict(zip(self.body.input_names, values, strict=True))}
        return list(self._run_body(feed, attributes=attributes))

    def _stacked(self, parts: list[Array], output: int, axis: int = 0) -> Array:
        """What each turn gave, along a new axis."""
        if parts:
            return np.stack(parts, axis)
        kind = self.body.output_types[output].tensor_type
        shape = [each.dim_value for each in kind.shape.dim]
        shape.insert(axis if axis >= 0 else len(shape) + 1 + axis, 0)
        return np.zeros(shape, onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type or onnx.TensorProto.FLOAT))


class Loop(_WithBody):
    """Turns while the condition holds, at most so many; what is left out sets no limit."""

    def _run(self, M: Any, cond: Any, *carried: Any, context: Any = None, attributes: Any = None, **_: Any) -> Any:
        values, count = list(carried), 0
        gathered: list[list[Array]] = [[] for _ in self.body.output_names[1 + len(values) :]]
        most = None if M is None else int(np.asarray(M).item())
        more = cond is None or bool(np.asarray(cond).item())
        while more and (most is None or count < most):
            given = self._turn(context, [np.array(count, np.int64), np.array(more), *values], attributes)
            more, values = bool(np.asarray(given[0]).item()), given[1 : 1 + len(values)]
            for parts, part in zip(gathered, given[1 + len(values) :], strict=True):
                parts.append(part)
            count += 1
        found = [self._stacked(parts, 1 + len(values) + i) for i, parts in enumerate(gathered)]
        return (*values, *found)


class Scan(_WithBody):
    """One turn for each slice of its inputs, forward or backward along any axis."""

    def _run(self, *inputs: Any, context: Any = None, attributes: Any = None, **options: Any) -> Any:
        if self.run_params["opsets"].get("", 9) < 9:
            raise NotImplementedError("Scan is known as it is since opset 9; this model asks for an older one")
        count = options["num_scan_inputs"]
        values, scanned = list(inputs[: len(inputs) - count]), inputs[len(inputs) - count :]
        outputs = len(self.body.output_names) - len(values)
        axes = options.get("scan_input_axes") or [0] * count
        backward = options.get("scan_input_directions") or [0] * count
        sizes = {array.shape[axis] for array, axis in zip(scanned, axes, strict=True)}
        if len(sizes) != 1:
            raise ValueError(f"Scan {self.onnx_node.name!r:.80}: its inputs have different lengths, {sorted(sizes)}")
        (turns,) = sizes
        gathered: list[list[Array]] = [[] for _ in range(outputs)]
        for turn in range(turns):
            places = [turns - 1 - turn if back else turn for back in backward]
            slices = [array.take(at, axis) for array, at, axis in zip(scanned, places, axes, strict=True)]
            given = self._turn(context, [*values, *slices], attributes)
            values = given[: len(values)]
            for parts, part in zip(gathered, given[len(values) :], strict=True):
                parts.append(part)
        axes = options.get("scan_output_axes") or [0] * outputs
        backward = options.get("scan_output_directions") or [0] * outputs
        found = [
            self._stacked(parts[::-1] if back else parts, len(values) + i, axis)
            for i, (parts, axis, back) in enumerate(zip(gathered, axes, backward, strict=True))
        ]
        return (*values, *found)
