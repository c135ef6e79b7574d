"""What training reports beside the loss."""

from ._base import Mean, Metric
from ._find import find_metrics, fresh
from .classification import (
    AUC,
    F1,
    Accuracy,
    BalancedAccuracy,
    ConfusionMatrix,
    Precision,
    Recall,
    TopK,
    accuracy,
)

__all__ = [
    "AUC",
    "F1",
    "Accuracy",
    "BalancedAccuracy",
    "ConfusionMatrix",
    "Mean",
    "Metric",
    "Precision",
    "Recall",
    "TopK",
    "accuracy",
    "find_metrics",
    "fresh",
]
