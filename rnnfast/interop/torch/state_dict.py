"""State dicts from rnnfast's layers, and into them."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from rnnfast.interop._extra import package
from rnnfast.interop.torch._read import Arrays, is_module, read_state_dict
from rnnfast.interop.torch._recurrent import to_own, to_theirs
from rnnfast.layers import CRF, BatchNorm, Conv1D, Embedding, LayerNorm, Linear
from rnnfast.layers._base import Layer
from rnnfast.layers.cells import Cell
from rnnfast.layers.recurrent import Recurrent
from rnnfast.models.sequential import Sequential

_SAME = (Linear, Embedding, LayerNorm, BatchNorm, Conv1D)
# The package pytorch-crf's names, each of the same shape and meaning as ours.
_OF_CRF = {"start_transitions": "start", "end_transitions": "end", "transitions": "transition"}
_PLAIN = {"reset": "after", "update": "keep"}
# What changes training alone, and needs no counterpart where weights go.
_IN_TRAINING = ("recurrent_dropout",)


def to_torch_state_dict(model: Layer, *, prefix: str = "", names: Mapping[str, str] | None = None) -> Arrays:
    """A layer's or model's weights under PyTorch's names, as arrays of their own.

    Parameters
    ----------
    model : Layer
        Where it has one bias, that goes to `bias_ih`, and `bias_hh` is zero but for what a GRU adds within r.
    prefix : str
        Put before every name: "encoder".
    names : mapping of str to str, optional
        What the layers of a `Sequential` are called there, by their index: {"0": "embedding", "1": "rnn"}.

    Returns
    -------
    dict of str to ndarray
        For `module.load_state_dict({name: torch.from_numpy(array) ...})`, or `safetensors.numpy.save_file`.

    Raises
    ------
    TypeError, ValueError
        For layers and options that PyTorch does not have.

    Examples
    --------
    >>> from rnnfast.layers import GRU
    >>> {name: array.shape for name, array in to_torch_state_dict(GRU(2, 3), prefix="rnn").items()}
    {'rnn.weight_ih_l0': (9, 2), 'rnn.weight_hh_l0': (9, 3), 'rnn.bias_ih_l0': (9,), 'rnn.bias_hh_l0': (9,)}
    """
    found: Arrays = {}
    for where, layer in _leaves(model, prefix, names):
        found |= {where + name: array for name, array in _theirs(layer).items()}
    return found


def load_state_dict(model: Layer, source: Any, *, prefix: str = "", names: Mapping[str, str] | None = None) -> None:
    """Set the weights of a layer or model to those of a state dict: all of them, or none.

    Parameters
    ----------
    model : Layer
        Where it has one bias, that is the sum of the pair.
    source : torch.nn.Module, mapping of str to tensor or array_like, or path
        As of `from_torch`.
    prefix, names
        As of `to_torch_state_dict`.

    Raises
    ------
    ValueError, TypeError
        When names are missing, or unknown under the prefix, or a shape is another.
    """
    arrays = read_state_dict(source)
    found: list[tuple[Layer, Arrays]] = []
    used: set[str] = set()
    for where, layer in _leaves(model, prefix, names):
        wanted = {where + name: (name, array.shape) for name, array in _theirs(layer).items()}
        if missing := [name for name in wanted if name not in arrays]:
            raise ValueError(f"the state dict lacks {', '.join(map(repr, missing[:4]))}; it has {_some(arrays)}")
        own: Arrays = {}
        for whole, (name, shape) in wanted.items():
            own[name] = arrays[whole]
            if own[name].shape != shape:
                raise ValueError(f"tensor {whole!r} has shape {own[name].shape}, the {type(layer).__name__} {shape}")
        used |= wanted.keys()
        if isinstance(layer, (Recurrent, Cell)):
            own = to_own(own, _suffixes(layer), layer.bias, layer.cell)
        elif isinstance(layer, CRF):
            own = {_OF_CRF[name]: array for name, array in own.items()}
        found.append((layer, own))
    inside = _joined(prefix)
    if unknown := [name for name in arrays if name.startswith(inside) and name not in used]:
        raise ValueError(f"the state dict has {_some(unknown)}, which the {type(model).__name__} has not")
    for layer, own in found:
        layer.set_weights(own)


def load_into(module: Any, model: Layer) -> None:
    """Copy the weights of a layer or model into a live PyTorch module.

    Parameters
    ----------
    module : torch.nn.Module
        The counterpart, or a Sequential of the same layers: those with weights are paired in order.
    model : Layer

    Raises
    ------
    TypeError, ValueError
        When they do not fit; nothing is copied then.
    """
    torch = package("torch", "load_into")
    if not is_module(module):
        raise TypeError(f"module must be a torch.nn.Module, got {type(module).__name__}")
    ours = list({id(layer): layer for _, layer in _leaves(model, "", None)}.values())
    theirs = [each for each in module.modules() if list(each.parameters(recurse=False))]
    if len(ours) != len(theirs):
        raise ValueError(f"the module has {len(theirs)} modules with weights, the {type(model).__name__} {len(ours)}")
    states = []
    for layer, each in zip(ours, theirs, strict=True):
        new = _theirs(layer)
        old = {name: tuple(tensor.shape) for name, tensor in each.state_dict().items() if "num_batches" not in name}
        if {name: array.shape for name, array in new.items()} != old:
            raise ValueError(f"{each} does not fit {layer}: it has {_some(old)}, which should be {_some(new)}")
        states.append({name: torch.from_numpy(array) for name, array in new.items()})
    for each, state in zip(theirs, states, strict=True):
        each.load_state_dict(state, strict=False)


def _joined(prefix: str) -> str:
    return prefix if not prefix or prefix.endswith(".") else prefix + "."


def _some(names: Any) -> str:
    names = list(names)
    return ", ".join(map(repr, names[:4])) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _leaves(model: Layer, prefix: str, names: Mapping[str, str] | None) -> Iterator[tuple[str, Layer]]:
    """The layers that have weights, and what stands before their names."""
    if isinstance(model, Sequential):
        children = dict(model._children())
        if unknown := [name for name in names or {} if name not in children]:
            raise ValueError(f"names has {unknown[0]!r}; the layers are {', '.join(map(repr, children))}")
        for name, layer in children.items():
            yield from _leaves(layer, _joined(prefix) + (names or {}).get(name, name), None)
    elif names is not None:
        raise ValueError(f"names are for the layers of a Sequential, got a {type(model).__name__}")
    elif model.slots():
        yield _joined(prefix), model


def _suffixes(layer: Recurrent | Cell) -> list[str]:
    if isinstance(layer, Cell):
        return [""]
    ends = ("", "_reverse") if layer.bidirectional else ("",)
    return [f"_l{number}{end}" for number in range(layer.num_layers) for end in ends]


def _theirs(layer: Layer) -> Arrays:
    """A layer's weights by the names of its counterpart."""
    if isinstance(layer, _SAME):
        return {name: np.array(array) for name, array in {**layer.params, **layer.buffers}.items()}
    if isinstance(layer, CRF) and layer.boundaries:
        return {name: np.array(layer.params[own]) for name, own in _OF_CRF.items()}
    if not isinstance(layer, (Recurrent, Cell)) or layer.cell not in ("rnn", "lstm", "gru"):
        raise TypeError(f"{type(layer).__name__} has no counterpart in PyTorch that has its weights")
    odd = {name: value for name, value in layer.options.items() if name not in _IN_TRAINING}
    odd = {name: value for name, value in odd.items() if value != _PLAIN.get(name)}
    if layer.cell == "rnn" and odd.get("activation") in ("tanh", "relu"):
        del odd["activation"]
    if isinstance(layer, Recurrent):
        plain = {"reverse": False, "merge": "concat", "residual": False, "learned_state": False, "padding": "zeros"}
        odd |= {name: getattr(layer, name) for name, usual in plain.items() if getattr(layer, name) != usual}
        if len(set(layer.hidden_sizes)) > 1:
            odd["hidden_size"] = list(layer.hidden_sizes)
    if odd:
        shown = ", ".join(f"{name}={value!r}" for name, value in odd.items())
        raise ValueError(f"{type(layer).__name__}({shown}) has no counterpart in PyTorch")
    return to_theirs(layer.params, _suffixes(layer), layer.bias)
