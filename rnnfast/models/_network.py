"""What models made of layers share: one flat buffer of parameters, their names, and the verbs."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from rnnfast.layers._base import Layer
from rnnfast.layers._block import Block, contiguous_runs, lay_end_to_end, unique_blocks
from rnnfast.training import evaluate as _evaluate
from rnnfast.training import fit as _fit
from rnnfast.training import online as _online
from rnnfast.training.losses import find_loss
from rnnfast.training.metrics import find_metrics
from rnnfast.training.optimizers import find_optimizer

Slots = dict[str, tuple[Block, str]]


class Network(Layer):
    """A layer made of layers; a subclass says by what names in `_children`, and by what plan in `plan`."""

    loss: Any = None
    optimizer: Any = None
    metrics: Any = ()
    # Which layers there are never changes, and so neither does what follows of it.
    _cache_blocks: list[Block] | None = None
    _cache_slots: Slots | None = None
    _cache_names: list[tuple[int, dict[str, str]]] | None = None

    def _children(self) -> list[tuple[str, Layer]]:
        """Names and layers in order; a layer used twice comes twice."""
        raise NotImplementedError

    def plan(self, describe: Callable[[Layer], dict[str, Any]]) -> dict[str, Any]:
        """The config as JSON can hold it; `describe` gives the plan of a layer inside."""
        raise NotImplementedError

    @classmethod
    def from_plan(cls, config: dict[str, Any], rebuild: Callable[[Any], Layer]) -> "Network":
        """The model of such a config; `rebuild` gives the layer of a plan.

        Raises
        ------
        ValueError, TypeError
            When the config is malformed.
        """
        raise NotImplementedError

    def _lay_out(self) -> None:
        """Move all parameters into one flat buffer."""
        if len({layer.dtype for _, layer in self._children() if layer.dtype is not None}) > 1:
            found = ", ".join(f"{name} {type(layer).__name__} {layer.dtype}" for name, layer in self._children())
            raise ValueError(f"all layers of a model must have one dtype, got {found}")
        lay_end_to_end(self.blocks())

    def config(self) -> dict[str, Any]:
        """The plans of the layers."""
        from rnnfast.models._architecture import describe

        return describe(self)["config"]

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        lay_end_to_end(self.blocks())

    def blocks(self) -> list[Block]:
        """The parameter blocks in order, each once."""
        if self._cache_blocks is None:
            self._cache_blocks = unique_blocks(block for _, layer in self._children() for block in layer.blocks())
        return self._cache_blocks.copy()

    def slots(self) -> dict[str, tuple[Block, str]]:
        """Where each parameter lives, by name; a layer used twice goes by its first name."""
        if self._cache_slots is None:
            self._cache_slots = _by_place((name, layer.slots()) for name, layer in self._children())
        return self._cache_slots

    def buffer_slots(self) -> dict[str, tuple[Block, str]]:
        """Where each buffer lives, by name."""
        return _by_place((name, layer.buffer_slots()) for name, layer in self._children())

    @property
    def flat_data(self) -> np.ndarray:
        """All parameters as one 1-D array. Whoever writes to it calls `changed()` on every block."""
        return self._flat(1)

    @property
    def flat_grad(self) -> np.ndarray:
        """All gradients as one 1-D array."""
        return self._flat(2)

    def _flat(self, which: int) -> np.ndarray:
        runs = list(contiguous_runs(self.blocks()))
        if not runs:
            return np.zeros(0, np.float32)
        if len(runs) > 1:
            raise RuntimeError("a layer of this model has moved to another model: there is no one flat buffer")
        return runs[0][which]  # type: ignore[return-value]

    def _by_name(self, found: dict[int, dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """Gradients of each layer object, by the names that the model gives them."""
        if self._cache_names is None:
            names = {slot: name for name, slot in self.slots().items()}
            self._cache_names = [
                (id(layer), {inner: names[slot] for inner, slot in layer.slots().items()})
                for layer in dict.fromkeys(layer for _, layer in self._children())
            ]
        total: dict[str, np.ndarray] = {}
        for which, named in self._cache_names:
            gradients = found[which]
            for inner, name in named.items():
                if inner in gradients:
                    total[name] = total[name] + gradients[inner] if name in total else gradients[inner]
        return total

    def compile(self, optimizer: Any = "adam", loss: Any = None, metrics: Iterable[Any] = ()) -> None:
        """Say what `fit`, `evaluate` and `train_on_batch` take where they are not told; Keras's verb.

        Parameters
        ----------
        optimizer, loss, metrics
            As of `fit`.
        """
        find_metrics(metrics)
        self.optimizer, self.metrics = find_optimizer(optimizer), metrics
        self.loss = None if loss is None else find_loss(loss)

    fit = _fit.fit
    partial_fit = _online.partial_fit
    train_on_batch = _online.train_on_batch
    evaluate = _evaluate.evaluate
    predict = _evaluate.predict


def _by_place(slots: Iterable[tuple[str, Slots]]) -> Slots:
    found: dict[tuple[Block, str], str] = {}
    for prefix, named in slots:
        for name, slot in named.items():
            found.setdefault(slot, f"{prefix}.{name}")
    return {name: slot for slot, name in found.items()}
