"""From gradients to parameters: one fused pass over each stretch of memory, usually one for the whole model."""

import math
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from rnnfast import ops
from rnnfast.layers._base import Block, Layer, contiguous_runs, trained_parts


class Optimizer:
    """What optimizers share: the state beside the parameters, frozen parameters, and clipping by the global norm.

    Parameters
    ----------
    learning_rate : float
        May be set between steps.
    weight_decay : float
    clip_norm : float or None
        Gradients whose norm over the whole model is larger are scaled down to it (Pascanu et al. 2013, algorithm 1).

    Notes
    -----
    An optimizer belongs to the first model it steps.
    """

    _moments: ClassVar[tuple[str, ...]] = ()

    def __init__(self, learning_rate: float, weight_decay: float = 0.0, clip_norm: float | None = None):
        self.learning_rate = _number(learning_rate, "learning_rate")
        self.weight_decay = _number(weight_decay, "weight_decay")
        self.clip_norm = None if clip_norm is None else _number(clip_norm, "clip_norm")
        if clip_norm == 0:
            raise ValueError("clip_norm must be larger than 0, or None")
        self.steps = 0
        self._state: dict[str, np.ndarray] = {}
        self._blocks: list[Block] | None = None

    def step(self, model: Layer) -> float:
        """Move the parameters against the gradients, in place.

        Parameters
        ----------
        model : Layer
            A layer or model. Its frozen parameters stay as they are and do not count in the norm.

        Returns
        -------
        float
            The gradients' norm before clipping.

        Raises
        ------
        FloatingPointError
            When that norm is not finite; the parameters are left as they were.
        ValueError
            When the optimizer belongs to another model.
        """
        blocks = model.blocks()
        self._bind(blocks)
        runs = list(self._runs(blocks))
        norm = math.sqrt(sum(ops.sum_of_squares(grad) for _, grad, _ in runs))
        if not math.isfinite(norm):
            raise FloatingPointError(
                f"the gradients' norm is {norm}, parameters are left as they were: look for inf or nan in the data, "
                "or lower the learning rate"
            )
        scale = self.clip_norm / norm if self.clip_norm is not None and norm > self.clip_norm else 1.0
        self.steps += 1
        # Before, so that an interrupted step leaves nothing that was derived from older values; and after, for
        # what other threads derive meanwhile.
        _say_changed(blocks)
        for data, grad, moments in runs:
            self._update(data, grad, moments, scale)
        _say_changed(blocks)
        return norm

    def _update(self, data: np.ndarray, grad: np.ndarray, moments: list[np.ndarray], scale: float) -> None:
        raise NotImplementedError

    def _bind(self, blocks: list[Block]) -> None:
        if self._blocks is not None:
            if len(blocks) != len(self._blocks) or any(a is not b for a, b in zip(blocks, self._blocks, strict=True)):
                raise ValueError("this optimizer belongs to another model; make a new one")
            return
        size = sum(block.size for block in blocks)
        for name in self._moments:
            if name not in self._state:
                self._state[name] = np.zeros(size, blocks[0].dtype if blocks else np.float32)
            elif self._state[name].size != size:
                raise ValueError(f"the state of {size} parameters is wanted, got {self._state[name].size}")
        self._blocks = blocks

    def _runs(self, blocks: list[Block]) -> Iterator[tuple[np.ndarray, np.ndarray, list[np.ndarray]]]:
        start = 0
        for run, data, grad in contiguous_runs(blocks):
            for part in trained_parts(run):
                moments = [self._state[name][start + part.start : start + part.stop] for name in self._moments]
                yield data[part], grad[part], moments
            start += data.size

    def state(self) -> dict[str, Any]:
        """A copy of what the optimizer has gathered: `steps`, and flat arrays in the order of the model's blocks."""
        return {"steps": self.steps, **{name: array.copy() for name, array in self._state.items()}}

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from what `state()` gave, on this model or on a copy of it."""
        arrays = {name: np.array(array) for name, array in state.items() if name != "steps"}
        if arrays and set(arrays) != set(self._moments):
            raise ValueError(f"the state must hold {', '.join(self._moments) or 'no arrays'}, got {', '.join(arrays)}")
        self.steps, self._state, self._blocks = int(state["steps"]), arrays, None

    def __getstate__(self) -> dict[str, Any]:
        # A copy belongs to the next model it steps, which may be a copy too.
        return {**self.__dict__, "_blocks": None}


class SGD(Optimizer):
    """Stochastic gradient descent: v' = momentum v + g, p' = p - learning_rate v'.

    Parameters
    ----------
    learning_rate : float
    momentum : float
        In [0, 1); 0 keeps no velocity.
    nesterov : bool
        Steps by g + momentum v' (Sutskever et al. 2013, section 2).
    weight_decay : float
        Adds weight_decay p to g.
    clip_norm : float or None
        See `Optimizer`.
    """

    def __init__(
        self,
        learning_rate: float = 1e-2,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        clip_norm: float | None = None,
    ):
        super().__init__(learning_rate, weight_decay, clip_norm)
        self.momentum = _number(momentum, "momentum", below=1.0)
        self.nesterov = bool(nesterov)
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs a momentum larger than 0")
        if self.momentum:
            self._moments = ("velocity",)  # type: ignore[misc]

    def _update(self, data: np.ndarray, grad: np.ndarray, moments: list[np.ndarray], scale: float) -> None:
        ops.sgd_step(
            data,
            grad,
            moments[0] if moments else None,
            learning_rate=self.learning_rate,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            scale=scale,
            nesterov=self.nesterov,
        )


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015, algorithm 1): steps of one size whatever the gradients' scale.

    Parameters
    ----------
    learning_rate : float
    beta1, beta2 : float
        In [0, 1): how slowly the means of g and g² move.
    epsilon : float
        Added to the root of the mean of g².
    weight_decay : float
    clip_norm : float or None
        See `Optimizer`.
    decoupled : bool
        Decays the parameters themselves instead of adding to g: AdamW (Loshchilov and Hutter 2019, algorithm 2).
    """

    _moments = ("m", "v")

    def __init__(
        self,
        learning_rate: float = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
        clip_norm: float | None = None,
        *,
        decoupled: bool = False,
    ):
        super().__init__(learning_rate, weight_decay, clip_norm)
        self.beta1, self.beta2 = _number(beta1, "beta1", below=1.0), _number(beta2, "beta2", below=1.0)
        self.epsilon = _number(epsilon, "epsilon")
        self.decoupled = bool(decoupled)

    def _update(self, data: np.ndarray, grad: np.ndarray, moments: list[np.ndarray], scale: float) -> None:
        ops.adam_step(
            data,
            grad,
            *moments,
            learning_rate=self.learning_rate,
            beta1=self.beta1,
            beta2=self.beta2,
            epsilon=self.epsilon,
            weight_decay=self.weight_decay,
            step=self.steps,
            scale=scale,
            decoupled=self.decoupled,
        )


def _say_changed(blocks: list[Block]) -> None:
    for block in blocks:
        if not block.frozen:
            block.changed()


def _number(value: float, name: str, below: float = math.inf) -> float:
    if not 0 <= value < below:
        wanted = "at least 0" + (f" and less than {below:g}" if below < math.inf else " and finite")
        raise ValueError(f"{name} must be {wanted}, got {value!r}")
    return float(value)


def find_optimizer(optimizer: Any) -> Optimizer:
    """An optimizer by its name, or the optimizer itself."""
    if isinstance(optimizer, Optimizer):
        return optimizer
    if optimizer == "adam":
        return Adam()
    if optimizer == "sgd":
        return SGD()
    raise ValueError(f"optimizer must be an Optimizer, 'adam' or 'sgd', got {optimizer!r}")
