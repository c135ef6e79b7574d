"""rnnfast's layers from PyTorch's modules and state dicts."""

from collections.abc import Callable, Sequence
from typing import Any

from rnnfast.interop.torch._read import common_dtype, is_module, read_state_dict
from rnnfast.interop.torch._recurrent import read_recurrent, recurrent_prefixes
from rnnfast.layers import Activation, BatchNorm, Conv1D, Dropout, Embedding, Flatten, LayerNorm, Linear
from rnnfast.layers._base import Layer
from rnnfast.layers._block import lay_end_to_end, planned
from rnnfast.models.sequential import Sequential


def from_torch(
    source: Any,
    *,
    prefix: str | None = None,
    bias: bool | str = "double",
    activation: str | None = None,
    dtype: Any = None,
    **options: Any,
) -> Layer:
    """A layer or model with the weights of PyTorch's.

    Parameters
    ----------
    source : torch.nn.Module, state dict, path, or list
        - A module of torch.nn: RNN, LSTM, GRU and their cells, Linear, Embedding, LayerNorm, BatchNorm1d, Conv1d,
          Dropout, Flatten, activations. A Sequential or ModuleList of them becomes a `Sequential`.
        - A list of such modules, with layers of rnnfast between them, in the order of the computation: the parts of a
          model that has a `forward` of its own.
        - The state dict of a recurrent module, or the path of a safetensors file that holds one; PyTorch need not be
          installed. Sizes, directions and the cell follow from names and shapes.
    prefix : str, optional
        Which recurrent module of a state dict that has several: "encoder.rnn".
    bias : "double" or True
        Keep PyTorch's pair of biases, which trains as PyTorch's does and goes back exactly; or one bias, their sum.
    activation : "tanh" or "relu", optional
        Of an RNN in a state dict, which does not tell it; "tanh" unless given.
    dtype : str, optional
        "float32" or "float64"; what the weights have, half precision becoming float32, unless given.
    **options
        Further arguments of the layer of a state dict, such as dropout.

    Returns
    -------
    Layer
        It takes (B, T, I), as modules with batch_first=True do; `time_major=True` in the call of a recurrent layer is
        the other order. BatchNorm and Conv1D have the features last, PyTorch's have them before time.

    Raises
    ------
    TypeError
        For modules that have no counterpart, each by name.
    ValueError
        For options and state dicts that have none: names missing or unknown, shapes, mixed dtypes, damaged files.

    Examples
    --------
    >>> import numpy as np
    >>> state = {"rnn.weight_ih_l0": np.ones((12, 2)), "rnn.weight_hh_l0": np.ones((12, 4))}
    >>> from_torch(state, bias=True)
    GRU(input_size=2, hidden_size=4, num_layers=1, bias=False, bidirectional=False, dropout=0.0, dtype='float64', \
reset='after', update='keep')
    """
    if bias not in (True, "double"):
        raise ValueError(f"bias must be 'double' or True, got {bias!r}")
    if is_module(source) or isinstance(source, (list, tuple)):
        given = {**options, **({} if prefix is None else {"prefix": prefix})}
        given |= {} if activation is None else {"activation": activation}
        if given:
            raise TypeError(f"{', '.join(given)}: for state dicts; a module tells it itself")
        return _Conversion(bias, dtype).convert(source, "")
    arrays = read_state_dict(source)
    where = _prefix(recurrent_prefixes(arrays), prefix)
    names = [name for name in arrays if name.startswith(where)]
    names = [name for name in names if recurrent_prefixes([name]) == [where] or "." not in name[len(where) :]]
    own = {name[len(where) :]: arrays[name] for name in names}
    return read_recurrent(own, where, bias=bias, activation=activation, dtype=dtype, options=options)


def _prefix(found: list[str], prefix: str | None) -> str:
    if prefix is not None:
        where = prefix if prefix.endswith(".") or not prefix else prefix + "."
        if where not in found:
            raise ValueError(f"no recurrent module has the prefix {prefix!r}; there are {_named(found) or 'none'}")
        return where
    if not found:
        raise ValueError("there is no recurrent module in it: no name such as 'weight_ih_l0'")
    if len(found) > 1:
        raise ValueError(f"there are several recurrent modules in it: choose one with prefix=, of {_named(found)}")
    return found[0]


def _named(prefixes: list[str]) -> str:
    return ", ".join(repr(prefix.removesuffix(".")) for prefix in prefixes)


def refuse(module: Any, **unlike: tuple[Any, Any]) -> None:
    """Raise for the first option whose value, the first of a pair, is not that which has a counterpart."""
    for name, (value, wanted) in unlike.items():
        if value != wanted:
            raise ValueError(
                f"{type(module).__name__}({name}={value!r}) has no counterpart in rnnfast; {name}={wanted!r} has"
            )


class _Conversion:
    """One call of `from_torch`: modules that stand at two places are one layer."""

    def __init__(self, bias: bool | str, dtype: Any):
        self.bias, self.dtype = bias, dtype
        self.made: dict[int, Layer] = {}
        self.tables: dict[int, Embedding] = {}

    def convert(self, source: Any, where: str) -> Layer:
        """The layer of one module, or the model of several; `where` is its name, for errors."""
        if isinstance(source, Layer):
            return source
        if isinstance(source, (list, tuple)):
            return self.chain(source, where)
        if not is_module(source):
            raise TypeError(f"{where or 'source'} must be a torch.nn.Module or a layer, got {type(source).__name__}")
        if id(source) in self.made:
            return self.made[id(source)]
        from torch import nn

        if type(source) in (nn.Sequential, nn.ModuleList):
            layer: Layer = self.chain(list(source), where)
        else:
            layer = self.one(source, where)
        self.made[id(source)] = layer
        return layer

    def chain(self, modules: Sequence[Any], where: str) -> Sequential:
        """One after the other."""
        inner = f"{where}." if where else ""
        return Sequential(*(self.convert(module, f"{inner}{i}") for i, module in enumerate(modules)))

    def one(self, module: Any, where: str) -> Layer:
        """The layer of a module that has no modules inside."""
        from torch import nn

        from rnnfast.interop.torch import modules as ours

        kind = type(module)
        name = kind.__name__
        known = kind in (getattr(nn, name, None), getattr(ours, name, None))
        place = f"module {where!r}: " if where else ""
        if not known or name not in {*_TABLE, *_RECURRENT}:
            raise TypeError(place + _unknown(kind, nn))
        try:
            arrays = dict(read_state_dict(module))
            dtype = common_dtype(arrays.items(), self.dtype)
            if name in _RECURRENT:
                layer = self.recurrent(module, arrays, dtype)
            else:
                with planned():
                    layer = _TABLE[name](module, dtype, self)
                self.fill(layer, arrays)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{place}{error}") from None
        self.freeze(layer, module)
        if isinstance(layer, Embedding):
            self.tables[id(module.weight)] = layer
        return layer

    def recurrent(self, module: Any, arrays: dict[str, Any], dtype: Any) -> Layer:
        """The layer of a recurrent module or a cell."""
        options = {}
        if getattr(module, "num_layers", 1) > 1:
            options["dropout"] = module.dropout
        activation = getattr(module, "nonlinearity", None)
        return read_recurrent(arrays, "", bias=self.bias, activation=activation, dtype=dtype, options=options)

    @staticmethod
    def fill(layer: Layer, arrays: dict[str, Any]) -> None:
        """Give a planned layer memory, and the numbers of its module; norms without weights keep theirs."""
        lay_end_to_end([block for block in layer.blocks() if block.planned])
        lay_end_to_end(layer.buffer_blocks())
        if isinstance(layer, (LayerNorm, BatchNorm)):
            first = {"weight": 1, "bias": 0}
            for name in first.keys() - arrays.keys():
                layer.params[name] = [first[name]] * layer.num_features
                layer.freeze(name)
        for name, (block, inner) in {**layer.slots(), **layer.buffer_slots()}.items():
            if name in arrays:
                block.set(inner, arrays[name])

    @staticmethod
    def freeze(layer: Layer, module: Any) -> None:
        """What asks for no gradient there learns nothing here; a sum of biases, where neither of them does."""
        given = {name: each.requires_grad for name, each in module.named_parameters(recurse=False)}
        for name in layer.params:
            own = "bias_hn" if name.startswith("bias_hn") else "bias"
            sources = [name] if name in given else [name.replace(own, both, 1) for both in ("bias_ih", "bias_hh")]
            if not any(given.get(source, True) for source in sources):
                layer.freeze(name)


def _unknown(kind: type, nn: Any) -> str:
    if kind.__module__.startswith("torch.nn."):
        known = ", ".join(sorted([*_RECURRENT, *_TABLE]))
        return f"torch.nn.{kind.__name__} has no counterpart in rnnfast; these have: {known}"
    return (
        f"{kind.__name__} has a forward of its own, which cannot be read. Convert its parts in their order: "
        "from_torch([model.embedding, model.rnn, rnnfast.Last(), model.linear])"
    )


def _linear(module: Any, dtype: Any, conversion: _Conversion) -> Layer:
    bias, table = module.bias is not None, conversion.tables.get(id(module.weight))
    return Linear(module.in_features, module.out_features, bias, tied=table, dtype=dtype)


def _embedding(module: Any, dtype: Any, conversion: _Conversion) -> Layer:
    refuse(module, max_norm=(module.max_norm, None), scale_grad_by_freq=(module.scale_grad_by_freq, False))
    return Embedding(module.num_embeddings, module.embedding_dim, padding_idx=module.padding_idx, dtype=dtype)


def _layer_norm(module: Any, dtype: Any, conversion: _Conversion) -> Layer:
    if len(module.normalized_shape) != 1:
        raise ValueError(f"LayerNorm({module.normalized_shape}) is over several axes, rnnfast's is over the last")
    return LayerNorm(module.normalized_shape[0], module.eps, dtype=dtype)


def _batch_norm(module: Any, dtype: Any, conversion: _Conversion) -> Layer:
    refuse(module, track_running_stats=(module.track_running_stats, True))
    if module.momentum is None:
        raise ValueError("BatchNorm1d(momentum=None), a mean over all batches, has no counterpart in rnnfast")
    return BatchNorm(module.num_features, module.momentum, module.eps, dtype=dtype)


def _conv(module: Any, dtype: Any, conversion: _Conversion) -> Layer:
    refuse(module, padding=(module.padding, (0,)), groups=(module.groups, 1))
    sizes = module.in_channels, module.out_channels, module.kernel_size[0]
    steps = {"stride": module.stride[0], "dilation": module.dilation[0]}
    return Conv1D(*sizes, **steps, causal=False, bias=module.bias is not None, dtype=dtype)


def _flatten(module: Any, dtype: Any, conversion: _Conversion) -> Layer:
    refuse(module, start_dim=(module.start_dim, 1), end_dim=(module.end_dim, -1))
    return Flatten()


def _softmax(module: Any, dtype: Any, conversion: _Conversion) -> Layer:
    if module.dim != -1:
        raise ValueError(
            f"Softmax(dim={module.dim}) is along an axis that need not be the last; where it is, write dim=-1, or "
            "put rnnfast.Activation('softmax') in its place"
        )
    return Activation("softmax")


def _gelu(module: Any, dtype: Any, conversion: _Conversion) -> Layer:
    refuse(module, approximate=(module.approximate, "tanh"))
    return Activation("gelu")


def _softplus(module: Any, dtype: Any, conversion: _Conversion) -> Layer:
    refuse(module, beta=(module.beta, 1))
    return Activation("softplus")


def _activation(make: Callable[[Any], Any]) -> Callable[[Any, Any, _Conversion], Layer]:
    return lambda module, dtype, conversion: Activation(make(module))


_RECURRENT = ("RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell")
_TABLE: dict[str, Callable[[Any, Any, _Conversion], Layer]] = {
    "Linear": _linear,
    "Embedding": _embedding,
    "LayerNorm": _layer_norm,
    "BatchNorm1d": _batch_norm,
    "Conv1d": _conv,
    "Dropout": lambda module, dtype, conversion: Dropout(module.p),
    "Flatten": _flatten,
    "Softmax": _softmax,
    "GELU": _gelu,
    "Softplus": _softplus,
    "Identity": _activation(lambda module: "identity"),
    "ReLU": _activation(lambda module: "relu"),
    "Tanh": _activation(lambda module: "tanh"),
    "Sigmoid": _activation(lambda module: "sigmoid"),
    "Softsign": _activation(lambda module: "softsign"),
    "Hardsigmoid": _activation(lambda module: "hard_sigmoid"),
    "SiLU": _activation(lambda module: "swish"),
    "LeakyReLU": _activation(lambda module: ("leaky_relu", module.negative_slope)),
    "ELU": _activation(lambda module: ("elu", module.alpha)),
}
