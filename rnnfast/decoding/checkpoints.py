"""One model of several files: the mean of their weights."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from rnnfast.layers._base import Layer
from rnnfast.training._shapes import shapes_of


def average_checkpoints(paths: Iterable[Any]) -> Layer:
    """The model whose every weight is the mean of those in model files: the last ones of a training, most often.

    It costs one model's time, where `Ensemble` costs that of all; it needs models that have learnt together (Vaswani et
    al. 2017, section 6.1), not such from different first weights.

    Parameters
    ----------
    paths : iterable of str or path
        Of files that `save` has written, all of one architecture.

    Returns
    -------
    Layer
        A new model; what is not trained, such as running statistics, is that of the last file.

    Raises
    ------
    ValueError
        When there are none, or they differ in their parameters.
    """
    from rnnfast import files

    total: dict[str, np.ndarray] = {}
    count, model, shapes = 0, None, None
    for path in paths:
        model = files.load(path)
        if shapes is not None and shapes != shapes_of(model):
            raise ValueError(f"{path}: its parameters are not those of the files before, names and shapes alike")
        shapes, count = shapes_of(model), count + 1
        for name, value in model.params.items():
            total[name] = total.get(name, 0.0) + np.asarray(value, np.float64)
    if model is None:
        raise ValueError("paths must name at least one model file")
    for name, value in total.items():
        model.params[name] = value / count
    return model
