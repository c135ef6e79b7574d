"""What happens while a model is fitted, beside the fitting."""

from ._base import Callback, LambdaCallback
from .rates import LearningRateScheduler, ReduceOnPlateau
from .stopping import EarlyStopping, StopOnNaN, TimeLimit
from .writing import CSVLogger, ModelCheckpoint, PrintEpoch, ScalarWriter

__all__ = [
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "PrintEpoch",
    "ReduceOnPlateau",
    "ScalarWriter",
    "StopOnNaN",
    "TimeLimit",
]
