"""Optimizers: from gradients to parameters in one fused pass over each stretch of memory, usually one for the model."""

from collections.abc import Callable
from typing import Any

from rnnfast.training.optimizers._base import Optimizer
from rnnfast.training.optimizers.adadelta import Adadelta
from rnnfast.training.optimizers.adagrad import Adagrad
from rnnfast.training.optimizers.adam import Adam, AdamW
from rnnfast.training.optimizers.adamax import Adamax
from rnnfast.training.optimizers.asgd import ASGD, NTASGD
from rnnfast.training.optimizers.lion import Lion
from rnnfast.training.optimizers.nadam import Nadam
from rnnfast.training.optimizers.radam import RAdam
from rnnfast.training.optimizers.rmsprop import RMSprop
from rnnfast.training.optimizers.rprop import Rprop
from rnnfast.training.optimizers.sgd import SGD

__all__ = [
    "ASGD",
    "NTASGD",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "Nadam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "find_optimizer",
]

_by_name: dict[str, Callable[[], Optimizer]] = {
    kind.__name__.lower(): kind
    for kind in (SGD, RMSprop, Adagrad, Adadelta, Adam, AdamW, Nadam, RAdam, Adamax, Lion, ASGD, NTASGD, Rprop)
}


def find_optimizer(optimizer: Any) -> Optimizer:
    """An optimizer by its name ("adam", "sgd", "rmsprop", ...: the class in lower case), or the optimizer itself.

    Raises
    ------
    ValueError
        For anything else.
    """
    if isinstance(optimizer, Optimizer):
        return optimizer
    if isinstance(optimizer, str) and optimizer.lower() in _by_name:
        return _by_name[optimizer.lower()]()
    raise ValueError(f"optimizer must be an Optimizer or one of {', '.join(map(repr, _by_name))}, got {optimizer!r}")
