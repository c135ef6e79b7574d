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
from .entities import EntityF1
from .regression import MAE, MAPE, MASE, MSE, R2, RMSE, SMAPE
from .sequence import EditDistance, Perplexity
from .text import bleu, cer, edit_distance, wer

__all__ = [
    "AUC",
    "F1",
    "MAE",
    "MAPE",
    "MASE",
    "MSE",
    "R2",
    "RMSE",
    "SMAPE",
    "Accuracy",
    "BalancedAccuracy",
    "ConfusionMatrix",
    "EditDistance",
    "EntityF1",
    "Mean",
    "Metric",
    "Perplexity",
    "Precision",
    "Recall",
    "TopK",
    "accuracy",
    "bleu",
    "cer",
    "edit_distance",
    "find_metrics",
    "fresh",
    "wer",
]
