"""The recurrent nodes of an ONNX model as layers of ours."""

from typing import Any

import numpy as np

from rnnfast.interop.onnx import _node
from rnnfast.interop.onnx._file import read_model
from rnnfast.interop.onnx._node import RecurrentNode
from rnnfast.interop.onnx._walk import Found, Walk
from rnnfast.layers import GRU, LSTM, RNN

Array = np.ndarray

_LAYERS = {"rnn": RNN, "gru": GRU, "lstm": LSTM}
_INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
_SCALES = ("W_scale", "W_zero_point", "R_scale", "R_zero_point")  # of a quantized LSTM


def layers_of(model: Any, *, dtype: Any = None) -> dict[str, Any]:
    """The RNN, GRU and LSTM nodes of an ONNX model as trainable layers.

    A node is looked for in branches, loops and functions too, and its weights may be initializers, constants, or what
    is cut out of them and put together again, as exporters do. An LSTM whose weights ONNX Runtime has quantized
    (`DynamicQuantizeLSTM`) has them as real numbers again.

    Parameters
    ----------
    model : path, bytes or onnx.ModelProto
        Data outside the file is read where it lies in the file's own folder.
    dtype : "float32" or "float64", optional
        Of the layers. None: float64 where a node's weights are, else float32, half precision too.

    Returns
    -------
    dict of str to RNN, GRU or LSTM
        In the order of the graph, by the nodes' names; the name of the first output stands for one that is missing. A
        layer has one level, in one direction or both, and takes (B, T, I) whatever the node's `layout`. The pair of
        biases is kept as ``bias="double"`` unless the second is zero.

    Raises
    ------
    ValueError, TypeError
        When the model is not sound, a node's weights are not known before the model runs, or a node has what no layer
        has: an activation of its own for each direction, Softplus, ThresholdedRelu, ScaledTanh, Affine. Those nodes
        run all the same: see :func:`prepare`.

    Notes
    -----
    A layer returns its initial state for a sequence of length 0, where ONNX Runtime returns zeros.

    Examples
    --------
    >>> import rnnfast as rf
    >>> from rnnfast.interop.onnx import layers_of, to_onnx
    >>> model = rf.Sequential(rf.Embedding(10, 3), rf.GRU(3, 4, bidirectional=True), rf.Last(), rf.Linear(8, 2))
    >>> layers_of(to_onnx(model))
    {'1.l0': GRU(input_size=3, hidden_size=4, num_layers=1, bias=True, bidirectional=True, dropout=0.0, dtype='float32', reset='after', update='keep')}
    """  # noqa: E501 - a layer's own form
    layers: dict[str, Any] = {}
    for found in Walk(read_model(model), _node.OPERATORS):
        name = plain = found.node.name or next(filter(None, found.node.output), found.node.op_type)
        count = 2
        while name in layers:
            name, count = f"{plain}_{count}", count + 1
        layers[name] = _layer(found, f"{found.node.op_type} {name!r:.80}", dtype)
    return layers


def _layer(found: Found, where: str, dtype: Any) -> Any:
    node = _node.read(found.node.op_type, found.attributes, where)
    inputs = dict(zip((*_INPUTS, *_SCALES) if node.cell == "lstm" else _INPUTS[:6], found.inputs, strict=False))
    names = ("W", "R", "B", "P", *(_SCALES if "W_scale" in inputs else ()))
    weights: list[Any] = [inputs.get(name) for name in names]
    for name, array in zip(names, weights, strict=True):
        if array is True or (array is None and name in ("W", "R")):
            raise ValueError(f"{where}: {name} is {'fed to' if array else 'missing from'} the model, not a part of it")
    weights = list(_node.whole(tuple(weights), where))
    input_size, hidden_size = node.check(*weights)
    options = node.options(0, weights[3] is not None)
    if options is None or len({*node.functions}) > 1:
        shown = [" ".join(map(str, (each.name, *each.numbers))) for one in node.functions for each in one]
        raise ValueError(f"{where}: no layer has these activations in these directions: {', '.join(shown)}")
    wide = any(array is not None and array.dtype == np.float64 for array in weights)
    dtype = np.dtype(dtype or ("float64" if wide else "float32"))
    weights = [None if array is None else array.astype(dtype) for array in weights]
    directions = [node.ours(*weights, direction=d) for d in range(len(node.directions))]
    bias: bool | str = weights[2] is not None
    if bias and any(_second(node, params).any() for params in directions):
        bias = "double"
    layer = _LAYERS[node.cell](
        input_size,
        hidden_size,
        bias=bias,
        bidirectional=len(node.directions) == 2,
        reverse=node.directions == (True,),
        dtype=dtype,
        **options,
    )
    for d, params in enumerate(directions):
        for name, array in (params if bias == "double" else node.one_bias(params)).items():
            layer.params[f"{name}_l0{'_reverse' if d else ''}"] = array
    return layer


def _second(node: RecurrentNode, params: dict[str, Array]) -> Array:
    """What is not in the first bias, and has no place of its own in a layer with one."""
    second = params["bias_hh"]
    return second[: second.size // 3 * 2] if node.reset_after else second
