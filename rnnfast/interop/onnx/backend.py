"""Any ONNX graph, run by the onnx package's reference evaluator with our kernels as its recurrent operators."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rnnfast.interop.onnx._file import all_nodes, onnx, read_model

# Only now, so that it is our message that says what to install.
from onnx.backend import base  # isort: skip
from rnnfast.interop.onnx._operators import Evaluator  # isort: skip

Array = np.ndarray

_ROOM = 1 << 26


class Prepared(base.BackendRep):
    """A model that is ready to run; :func:`prepare` makes it.

    Attributes
    ----------
    input_names, output_names : list of str
        What the model takes, but for what it has values of, and what it gives.
    """

    def __init__(self, model: Any):
        proto = read_model(model)
        for node in all_nodes(proto):
            for i, name in enumerate(node.output):
                if not name:  # what has no name would be taken for each input that is left out
                    node.output[i] = f"unused output {i} of {next(filter(None, node.output), '')}"
        try:
            self._evaluator = Evaluator(proto)
            self._evaluator.fold({}, room=_ROOM + 16 * proto.ByteSize())
        except NotImplementedError:
            raise
        except Exception as error:
            raise ValueError(f"this ONNX model cannot be run: {error}") from error
        stored = {tensor.name for tensor in proto.graph.initializer}
        self._types = {each.name: each.type for each in proto.graph.input}
        known = onnx.helper.get_all_tensor_dtypes()
        for name, each in self._types.items():
            if each.HasField("tensor_type") and each.tensor_type.elem_type not in known:
                raise ValueError(f"input {name!r:.80} has an unknown element type, {each.tensor_type.elem_type}")
        self._stored = stored & self._types.keys()
        self.input_names = [name for name in self._types if name not in stored]
        self.output_names = [each.name for each in proto.graph.output]

    def run(self, inputs: Any, **kwargs: Any) -> Any:
        """Run the model.

        Parameters
        ----------
        inputs : sequence, mapping by name, or ndarray
            One entry for each of `input_names`; a single array where there is one. Sizes may change from run to run.
            What is not an array takes the dtype that the model declares.

        Returns
        -------
        namedtuple
            One entry for each of `output_names`, which can be had by its name too: ``result["Y"]``.

        Raises
        ------
        ValueError, TypeError
            When an input is missing or unknown, or has another shape or dtype than the model declares.
        """
        feed = {name: _checked(name, value, self._types[name]) for name, value in self._named(inputs).items()}
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # as the other runtimes: the result tells
            results = self._evaluator.run(None, feed)
        return base.namedtupledict("Outputs", self.output_names)(*results)

    def _named(self, inputs: Any) -> dict[str, Any]:
        names = self.input_names
        if isinstance(inputs, Mapping):
            missing, unknown = [name for name in names if name not in inputs], set(inputs) - set(names) - self._stored
            if missing or unknown:
                raise ValueError(f"inputs must be {', '.join(names)}; got {', '.join(map(str, inputs)) or 'none'}")
            return dict(inputs)
        given = [inputs] if isinstance(inputs, np.ndarray) else list(inputs)
        if len(given) != len(names):
            raise ValueError(f"inputs must be {len(names)}, {', '.join(names)}, got {len(given)}")
        return dict(zip(names, given, strict=True))


def _checked(name: str, value: Any, declared: Any) -> Any:
    """An input as the model declares it, in memory that counts as changeable."""
    if not declared.HasField("tensor_type"):
        return value
    wanted = onnx.helper.tensor_dtype_to_np_dtype(declared.tensor_type.elem_type)
    array = value if isinstance(value, np.ndarray) else np.asarray(value, wanted)
    if array.dtype != wanted and wanted.kind != "O":
        raise TypeError(f"input {name!r} must have dtype {wanted}, got {array.dtype}")
    if declared.tensor_type.HasField("shape"):
        axes = [each.dim_value or each.dim_param or None for each in declared.tensor_type.shape.dim]
        fits = [not isinstance(axis, int) or axis == size for axis, size in zip(axes, array.shape, strict=False)]
        if len(axes) != array.ndim or not all(fits):
            shown = ", ".join("?" if axis is None else str(axis) for axis in axes)
            raise ValueError(f"input {name!r} must have shape ({shown}), got {array.shape}")
    return np.require(array, requirements=["C", "W"])  # C for Gather of onnx 1.17, which fails without


class Backend(base.Backend):
    """The standard interface of ONNX backends: `prepare`, `run_model`, `run_node`, `supports_device`."""

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether `device` is the CPU: "CPU", or "CPU:0"."""
        return device.partition(":")[0] == "CPU"

    @classmethod
    def is_compatible(cls, model: Any, device: str = "CPU", **kwargs: Any) -> bool:
        """Whether `prepare` takes the model."""
        try:
            cls.prepare(model, device)
        except (ValueError, TypeError, NotImplementedError):
            return False
        return True

    @classmethod
    def prepare(cls, model: Any, device: str = "CPU", **kwargs: Any) -> Prepared:
        """Make a model ready to run.

        Its RNN, GRU and LSTM nodes run in our kernels, with every attribute and in branches, loops and functions too;
        with an activation that the kernels do not have, in NumPy. All other operators are the onnx package's, in NumPy.
        Weights that do not change are packed once.

        Parameters
        ----------
        model : path, bytes or onnx.ModelProto
        device : str
            "CPU".

        Returns
        -------
        Prepared

        Raises
        ------
        ValueError
            When the model is not sound, or for another device.
        NotImplementedError
            For an operator that the onnx package does not know.

        Examples
        --------
        >>> import rnnfast as rf
        >>> from rnnfast.interop.onnx import prepare, to_onnx
        >>> lstm = rf.LSTM(3, 4, seed=0)
        >>> x = np.ones((2, 5, 3), np.float32)
        >>> bool(np.allclose(prepare(to_onnx(lstm)).run([x])["y"], lstm(x)[0]))
        True
        """
        if not cls.supports_device(device):
            raise ValueError(f"device must be 'CPU', got {device!r}")
        return Prepared(model)

    @classmethod
    def run_model(cls, model: Any, inputs: Any, device: str = "CPU", **kwargs: Any) -> Any:
        """`prepare` and run once."""
        return cls.prepare(model, device).run(inputs)

    @classmethod
    def run_node(
        cls,
        node: Any,
        inputs: Any,
        device: str = "CPU",
        outputs_info: Sequence[tuple[np.dtype, tuple[int, ...]]] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Run one operator.

        Parameters
        ----------
        node : onnx.NodeProto
        inputs : sequence of array_like, or mapping by name
            One entry for each input that the node names.

        Returns
        -------
        namedtuple
            One entry for each output of the node.
        """
        super().run_node(node, inputs, device, outputs_info, **kwargs)
        names = [name for name in node.input if name]
        feed = dict(inputs) if isinstance(inputs, Mapping) else dict(zip(names, inputs, strict=True))
        results = Evaluator(node).run(list(filter(None, node.output)), {k: np.array(v) for k, v in feed.items()})
        return base.namedtupledict("Outputs", list(filter(None, node.output)))(*results)


prepare = Backend.prepare
run_model = Backend.run_model
run_node = Backend.run_node
supports_device = Backend.supports_device
