"""First values of weights. Each draws from a NumPy Generator in float64, so that every dtype starts alike.

`irnn` and `chrono` give the recurrent layers and cells other first values than their own.
"""

from typing import Any

import numpy as np

from rnnfast.layers._block import is_planning
from rnnfast.layers._key import generator


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


def uniform(rng: np.random.Generator, low: float, high: float, shape: tuple[int, ...]) -> np.ndarray:
    """Uniform from `low` to `high`, float64 of `shape`."""
    return _blank(*shape) if is_planning() else rng.uniform(low, high, shape)


def orthogonal(rng: np.random.Generator, size: int, columns: int | None = None) -> np.ndarray:
    """A random orthogonal matrix, uniform over all of them: keeps the length of what it multiplies.

    The Q of a Gaussian matrix's QR factors, columns signed by R's diagonal (Mezzadri 2007, section 5); used for
    recurrent weights since Saxe et al. 2014.

    Parameters
    ----------
    rng : numpy.random.Generator
    size : int
    columns : int, optional
        As many as rows unless given; the rows, or the columns where they are fewer, are then orthonormal.

    Returns
    -------
    numpy.ndarray
        float64 (size, columns).
    """
    columns = size if columns is None else columns
    if is_planning():
        return _blank(size, columns)
    if columns > size:
        return orthogonal(rng, columns, size).T
    q, r = np.linalg.qr(rng.standard_normal((size, columns)))
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


def gates_orthogonal(
    rng: np.random.Generator, num_gates: int, hidden_size: int, columns: int | None = None
) -> np.ndarray:
    """Recurrent weights (num_gates * hidden_size, columns): each gate's block is orthogonal on its own."""
    if is_planning():
        return _blank(num_gates * hidden_size, columns or hidden_size)
    return np.concatenate([orthogonal(rng, hidden_size, columns) for _ in range(num_gates)])


def lstm_bias(hidden_size: int, forget_bias: float = 1.0, coupled: bool = False) -> np.ndarray:
    """LSTM bias, gates i f g o: zero, but the forget gate's, one since Jozefowicz et al. 2015.

    Where f = 1 - i there are the gates i g o, and the input gate's bias is the opposite.
    """
    if is_planning():
        return _blank((3 if coupled else 4) * hidden_size)
    bias = np.zeros((3 if coupled else 4, hidden_size))
    bias[0 if coupled else 1] = -forget_bias if coupled else forget_bias
    return bias.reshape(-1)


def irnn(layer: Any, seed: Any = None, *, scale: float = 1.0) -> None:
    """Begin as a sum over time: identity recurrent matrices, small input weights, zero biases.

    With ``activation="relu"`` the network keeps what it has seen until it learns otherwise (Le, Jaitly and Hinton 2015,
    arXiv:1504.00941, section 2).

    Parameters
    ----------
    layer : RNN or RNNCell
    seed : None, int or numpy.random.Generator
        For the input weights, normal with mean 0 and deviation 0.001.
    scale : float
        Of the identity; below one the network forgets.

    Raises
    ------
    TypeError
        For a layer with gates.

    Examples
    --------
    >>> import rnnfast as rf
    >>> layer = rf.RNN(2, 3, activation="relu")
    >>> irnn(layer, seed=0)
    >>> layer.params["weight_hh_l0"].tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    rng = generator(seed)
    for direction in _directions(layer, "irnn", ("rnn",)):
        for name, shape in direction.shapes().items():
            if name.startswith("weight_ih"):
                layer.params[name] = 1e-3 * rng.standard_normal(shape)
            elif name.startswith("weight_hh"):
                layer.params[name] = scale * np.eye(direction.hidden_size)
            elif name.startswith("bias"):
                layer.params[name] = np.zeros(shape)


def chrono(layer: Any, max_steps: int, seed: Any = None) -> None:
    """Biases that let each unit remember for a time of its own, from 1 to `max_steps` steps, evenly drawn.

    The LSTM's forget gate gets log u, its input gate -log u, with u uniform in [1, max_steps - 1] (Tallec and Ollivier
    2018, arXiv:1804.11188). The GRU's update gate gets log u, as it keeps the state where it is open; with
    ``update="new"`` -log u.

    Parameters
    ----------
    layer : LSTM, GRU, LSTMCell or GRUCell
        With biases; the other gates keep theirs.
    max_steps : int
        The longest dependency expected, at least 2: often the length of the sequences.
    seed : None, int or numpy.random.Generator

    Raises
    ------
    TypeError, ValueError
        For a layer that has no gates, or no biases.

    Examples
    --------
    >>> import rnnfast as rf
    >>> layer = rf.LSTM(2, 3)
    >>> chrono(layer, 100, seed=0)
    >>> i, f, g, o = layer.params["bias_l0"].reshape(4, 3)
    >>> bool((i == -f).all()), bool((f >= 0).all()), bool((np.exp(f) < 99).all())
    (True, True, True)
    """
    if not isinstance(max_steps, (int, np.integer)) or max_steps < 2:
        raise ValueError(f"max_steps must be a whole number of at least 2, got {max_steps!r}")
    rng = generator(seed)
    for direction in _directions(layer, "chrono", ("lstm", "gru")):
        if not direction.bias:
            raise ValueError("chrono sets biases, and this layer has bias=False")
        H, double = direction.hidden_size, direction.bias == "double"
        time = np.log(rng.uniform(1.0, max_steps - 1.0, H))
        if direction.cell == "gru" and direction.options.get("update") == "new":
            time = -time
        blocks = {1: time} if direction.cell == "gru" else {0: -time, 1: time}
        if direction.variant.coupled:
            del blocks[1]
        for name in (
            [f"bias_ih{direction.suffix}", f"bias_hh{direction.suffix}"] if double else ["bias" + direction.suffix]
        ):
            bias = np.array(layer.params[name])
            for gate, value in blocks.items():
                bias[gate * H : gate * H + H] = 0 if name.startswith("bias_hh") else value
            layer.params[name] = bias


def _directions(layer: Any, what: str, cells: tuple[str, ...]) -> list[Any]:
    """The directions of a recurrent layer or cell of one of some kinds."""
    found = getattr(layer, "_directions", None) or [getattr(layer, "_direction", None)]
    if found[0] is None or found[0].cell not in cells:
        raise TypeError(f"{what} is for {' and '.join(map(str.upper, cells))} layers, got {type(layer).__name__}")
    return found
