"""An ONNX graph in the making."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from rnnfast.interop.onnx._file import onnx
from rnnfast.layers._base import Axis

Array = np.ndarray

OPSET, IR_VERSION = 17, 8


class Value(NamedTuple):
    """What a layer takes or gives: the name of it, its shape, and the name of its lengths where it has any."""

    name: str
    shape: tuple[Axis, ...]
    lengths: str | None = None


class Writer:
    """Nodes, weights, inputs and outputs, each under a name of its own.

    Parameters
    ----------
    stateful : bool
        Whether recurrent layers take and give their states.
    """

    def __init__(self, stateful: bool):
        self.stateful = stateful
        self.nodes: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        self._weights: dict[str, Any] = {}
        self._taken: set[str] = set()
        self._made: dict[Any, str] = {}

    def name(self, wanted: str) -> str:
        """A name that nothing has yet."""
        name, count = wanted, 2
        while name in self._taken:
            name, count = f"{wanted}_{count}", count + 1
        self._taken.add(name)
        return name

    def input(self, wanted: str, dtype: Any, shape: Sequence[Axis]) -> str:
        """Something that is fed to the model."""
        name = self.name(wanted)
        self.inputs.append(_described(name, dtype, shape))
        return name

    def output(self, name: str, wanted: str, dtype: Any, shape: Sequence[Axis]) -> None:
        """Make a value come out of the model."""
        given = self.name(wanted)
        self.nodes.append(onnx.helper.make_node("Identity", [name], [given]))
        self.outputs.append(_described(given, dtype, shape))

    def weight(self, array: Any, wanted: str) -> str:
        """An array of numbers that is a part of the model, as float32."""
        array = np.asarray(array, np.float32)
        name = self.name(wanted)
        self._weights[name] = onnx.numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def constant(self, value: Any, dtype: Any = np.int64) -> str:
        """A few numbers; equal ones are one."""
        array = np.array(value, dtype)
        key = array.tobytes(), array.shape, array.dtype.str
        if key not in self._made:
            self._made[key] = name = self.name(f"constant_{len(self._made)}")
            self._weights[name] = onnx.numpy_helper.from_array(array, name)
        return self._made[key]

    def add(self, op_type: str, inputs: Sequence[str], *, called: str | None = None, **attributes: Any) -> str:
        """A node with one output; the output's name."""
        return self.add_many(op_type, inputs, [op_type.lower()], called=called, **attributes)[0]

    def add_many(
        self,
        op_type: str,
        inputs: Sequence[str],
        wanted: Sequence[str],
        *,
        called: str | None = None,
        **attributes: Any,
    ) -> list[str]:
        """A node with several outputs; an empty name is none."""
        outputs = [self.name(f"{called}.{name}" if called else name) if name else "" for name in wanted]
        name = called or outputs[0]
        self.nodes.append(onnx.helper.make_node(op_type, list(inputs), outputs, name=name, **attributes))
        return outputs

    def once(self, op_type: str, inputs: Sequence[str], **attributes: Any) -> str:
        """As `add`, but the same node is made once."""
        key = op_type, tuple(inputs), tuple(sorted((name, str(value)) for name, value in attributes.items()))
        if key not in self._made:
            self._made[key] = self.add(op_type, inputs, **attributes)
        return self._made[key]

    def size(self, name: str, axis: int) -> str:
        """The size of an axis, as an array of one number."""
        return self.once("Gather", [self.once("Shape", [name]), self.constant([axis])])

    def valid(self, value: Value) -> str:
        """Which steps of x (B, T, ...) its sequences have, booleans (B, T)."""
        assert value.lengths is not None
        T = self.once("Squeeze", [self.size(value.name, 1)])
        steps = self.once("Range", [self.constant(0), T, self.constant(1)])
        return self.once("Less", [steps, self.once("Unsqueeze", [value.lengths, self.constant([1])])])

    def kept(self, value: Value, instead: float = 0.0) -> Value:
        """x (B, T, F) with another number at the steps that its sequences do not have."""
        if value.lengths is None:
            return value
        valid = self.once("Unsqueeze", [self.valid(value), self.constant([2])])
        return value._replace(name=self.add("Where", [valid, value.name, self.constant(instead, np.float32)]))

    def model(self, note: str) -> Any:
        """The finished model."""
        graph = onnx.helper.make_graph(
            self.nodes, "rnnfast", self.inputs, self.outputs, initializer=list(self._weights.values())
        )
        opsets = [onnx.helper.make_opsetid("", OPSET)]
        return onnx.helper.make_model(
            graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="rnnfast", doc_string=note
        )


def _described(name: str, dtype: Any, shape: Sequence[Axis]) -> Any:
    return onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)
