"""Texts as what a model takes."""

from typing import Any

import numpy as np


def encode(model: Any, text: Any) -> Any:
    """The ids of a text by the model's vocabulary; what is no text stays as it is.

    Raises
    ------
    TypeError
        For a text, where the model has no vocabulary.
    """
    if not isinstance(text, str):
        return text
    vocabulary = getattr(model, "vocabulary", None)
    if vocabulary is None:
        raise TypeError("this model has no vocabulary: it takes ids, not text")
    return np.asarray(vocabulary.encode(text))
