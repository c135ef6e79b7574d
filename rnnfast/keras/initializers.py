"""Keras's initializers: how weights begin, in Keras's layout."""

from typing import Any

import numpy as np

from rnnfast.interop.keras._initializers import draw


class Initializer:
    """An initializer; called with a shape it gives an array.

    Parameters
    ----------
    **config
        Keras's arguments, among them `seed`.
    """

    def __init__(self, **config: Any):
        self._config = config

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return dict(self._config)

    def __call__(self, shape: Any, dtype: Any = "float32") -> np.ndarray:
        """First values of this shape."""
        from rnnfast.keras.layers import fresh_rng

        spec = {"class_name": type(self).__name__, "config": self._config}
        return np.asarray(draw(spec, tuple(shape), fresh_rng()), dtype or "float32")


class Zeros(Initializer):
    """0 everywhere."""


class Ones(Initializer):
    """1 everywhere."""


class Constant(Initializer):
    """One value everywhere."""

    def __init__(self, value: float = 0.0):
        super().__init__(value=value)


class Identity(Initializer):
    """Ones on the diagonal."""

    def __init__(self, gain: float = 1.0):
        super().__init__(gain=gain)


class Orthogonal(Initializer):
    """Orthonormal rows or columns."""

    def __init__(self, gain: float = 1.0, seed: Any = None):
        super().__init__(gain=gain, seed=seed)


class RandomUniform(Initializer):
    """Uniform from minval to maxval."""

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: Any = None):
        super().__init__(minval=minval, maxval=maxval, seed=seed)


class RandomNormal(Initializer):
    """Normal."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Any = None):
        super().__init__(mean=mean, stddev=stddev, seed=seed)


class TruncatedNormal(RandomNormal):
    """Normal, cut off at twice the deviation."""


class VarianceScaling(Initializer):
    """Of a variance that follows from the shape."""

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: Any = None,
    ):
        super().__init__(scale=scale, mode=mode, distribution=distribution, seed=seed)


class _Fixed(Initializer):
    def __init__(self, seed: Any = None):
        super().__init__(seed=seed)


class GlorotUniform(_Fixed):
    """Glorot and Bengio 2010."""


class GlorotNormal(_Fixed):
    """Glorot and Bengio 2010."""


class HeUniform(_Fixed):
    """He et al. 2015."""


class HeNormal(_Fixed):
    """He et al. 2015."""


class LecunUniform(_Fixed):
    """LeCun et al. 1998."""


class LecunNormal(_Fixed):
    """LeCun et al. 1998."""
