"""Networks made of layers."""

from rnnfast._lazy import attach

_names = {
    "rnnfast.models.sequential": ["Sequential"],
    "rnnfast.models.masked": ["MaskedSequential"],
    "rnnfast.models.graph": ["Graph"],
    "rnnfast.models.language_model": ["LanguageModel"],
    "rnnfast.models.seq2seq": ["Bridge", "Decoder", "Encoder", "Seq2Seq", "Source"],
    "rnnfast.models.estimators.anomaly": ["AnomalyDetector"],
    "rnnfast.models.estimators.backtest": ["Backtest", "seasonal_naive"],
    "rnnfast.models.estimators.captioner": ["Captioner"],
    "rnnfast.models.estimators.classifier": ["Classifier"],
    "rnnfast.models.estimators.forecaster": ["Forecaster"],
    "rnnfast.models.estimators.tagger": ["Tagger"],
    "rnnfast.models.estimators.translator": ["Translator"],
}
__all__, __getattr__, __dir__ = attach(__name__, _names)
