"""Sequences as what a model's network takes, and as what is shown of them."""

from typing import Any

import numpy as np

from rnnfast.models.estimators._sequences import SequenceEstimator


def encode(model: Any, x: Any) -> tuple[Any, list[str] | None]:
    """One sequence as the network takes it, and its tokens where it is a text or words.

    Raises
    ------
    TypeError
        For a text, where the model has no vocabulary.
    """
    if isinstance(model, SequenceEstimator):
        (values,) = model._encoded([x], None)
        words = model.vocabulary_
        return values, None if words is None else words.tokenize(x)
    if not isinstance(x, str):
        return x, None
    vocabulary = getattr(model, "vocabulary", None)
    if vocabulary is None:
        raise TypeError("this model has no vocabulary: it takes ids, not text")
    return np.asarray(vocabulary.encode(x)), list(x)
