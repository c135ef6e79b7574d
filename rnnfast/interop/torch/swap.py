"""Swapping the recurrent modules of an existing PyTorch model."""

from typing import TypeVar

from torch import nn

from rnnfast.interop.torch.modules import GRU, LSTM, RNN

Model = TypeVar("Model", bound=nn.Module)
_OURS: dict[type[nn.Module], type[nn.Module]] = {nn.LSTM: LSTM, nn.GRU: GRU, nn.RNN: RNN}
_THEIRS = {ours: theirs for theirs, ours in _OURS.items()}


def accelerate(model: Model) -> Model:
    """Let rnnfast compute the LSTMs, GRUs and RNNs of a PyTorch model, on a CPU.

    The modules stay the same objects, with their parameters, hooks and names; their class becomes that of this package.
    Subclasses of PyTorch's classes are left as they are, for they may have changed what is computed.

    Parameters
    ----------
    model : torch.nn.Module
        Changed in place.

    Returns
    -------
    torch.nn.Module
        The same model.

    Examples
    --------
    >>> import torch
    >>> model = accelerate(torch.nn.Sequential(torch.nn.LSTM(3, 4)))
    >>> type(model[0]).__module__
    'rnnfast.interop.torch.modules'
    >>> restore(model)[0]
    LSTM(3, 4)
    """
    return _swap(model, _OURS)


def restore(model: Model) -> Model:
    """Undo `accelerate`: before a model is scripted, pickled for others or given to code that asks for a class."""
    return _swap(model, _THEIRS)


def _swap(model: Model, classes: dict[type[nn.Module], type[nn.Module]]) -> Model:
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    for module in model.modules():
        if type(module) in classes:
            module.__class__ = classes[type(module)]
            module.__dict__.pop("_rnnfast", None)
    return model
