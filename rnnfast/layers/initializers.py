"""First values of weights. Each draws from a NumPy Generator in float64, so that every dtype starts alike."""

import numpy as np

from rnnfast.layers._block import is_planning


def _blank(*shape: int) -> np.ndarray:
    return np.broadcast_to(0.0, shape)


def glorot_uniform(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Uniform in ±sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010, equation 16).

    Parameters
    ----------
    rng : numpy.random.Generator
    shape : (int, int)
        (fan_out, fan_in).

    Returns
    -------
    numpy.ndarray
        float64 of that shape.
    """
    if is_planning():
        return _blank(*shape)
    limit = np.sqrt(6.0 / max(1, sum(shape)))
    return rng.uniform(-limit, limit, shape)


def orthogonal(rng: np.random.Generator, size: int) -> np.ndarray:
    """A random orthogonal matrix, uniform over all of them: keeps the length of what it multiplies.

    The Q of a Gaussian matrix's QR factors, columns signed by R's diagonal (Mezzadri 2007, section 5); used for
    recurrent weights since Saxe et al. 2014.

    Parameters
    ----------
    rng : numpy.random.Generator
    size : int

    Returns
    -------
    numpy.ndarray
        float64 (size, size).
    """
    if is_planning():
        return _blank(size, size)
    q, r = np.linalg.qr(rng.standard_normal((size, size)))
    return q * np.where(np.diagonal(r) < 0, -1.0, 1.0)


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Normal with mean 0 and variance 1, float64 of `shape`."""
    if is_planning():
        return _blank(*shape)
    return rng.standard_normal(shape)


def constant(value: float, *shape: int) -> np.ndarray:
    """One value everywhere, float64 of `shape`."""
    return np.broadcast_to(0.0 if is_planning() else value, shape)


def gates_glorot(rng: np.random.Generator, num_gates: int, hidden_size: int, input_size: int) -> np.ndarray:
    """Input weights (num_gates * hidden_size, input_size): each gate's block is Glorot uniform on its own."""
    if is_planning():
        return _blank(num_gates * hidden_size, input_size)
    return np.concatenate([glorot_uniform(rng, (hidden_size, input_size)) for _ in range(num_gates)])


def gates_orthogonal(rng: np.random.Generator, num_gates: int, hidden_size: int) -> np.ndarray:
    """Recurrent weights (num_gates * hidden_size, hidden_size): each gate's block is orthogonal on its own."""
    if is_planning():
        return _blank(num_gates * hidden_size, hidden_size)
    return np.concatenate([orthogonal(rng, hidden_size) for _ in range(num_gates)])


def lstm_bias(hidden_size: int, forget_bias: float = 1.0) -> np.ndarray:
    """LSTM bias (4 * hidden_size,), gates i f g o: zero, but the forget gate's, one since Jozefowicz et al. 2015."""
    if is_planning():
        return _blank(4 * hidden_size)
    bias = np.zeros(4 * hidden_size)
    bias[hidden_size : 2 * hidden_size] = forget_bias
    return bias
