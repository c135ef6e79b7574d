"""Estimators for scikit-learn: pipelines, searches and cross-validation over sequences.

They are scikit-learn's own kind (`BaseEstimator`) and need it: `pip install 'rnnfast[sklearn]'`. `rnnfast.Classifier`,
`rnnfast.Forecaster` and `rnnfast.Tagger` have the same verbs and need NumPy alone.
"""

from rnnfast._lazy import attach
from rnnfast.interop._extra import package

package("sklearn", "rnnfast.interop.sklearn")

_names = {
    "rnnfast.interop.sklearn.classifier": ["RNNClassifier"],
    "rnnfast.interop.sklearn.forecaster": ["RNNForecaster"],
    "rnnfast.interop.sklearn.parallel": ["predict_parallel"],
    "rnnfast.interop.sklearn.regressor": ["RNNRegressor"],
}
__all__, __getattr__, __dir__ = attach(__name__, _names)
