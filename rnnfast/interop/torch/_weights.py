"""A recurrent layer of rnnfast over the memory of a PyTorch module's parameters."""

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rnnfast.layers import GRU, LSTM, RNN
from rnnfast.layers._block import planned
from rnnfast.layers.recurrent import Recurrent

Array = np.ndarray
_PLAIN = (Tensor, torch.nn.Parameter)


def is_plain(tensor: Any, dtype: torch.dtype) -> bool:
    """Whether NumPy can have a tensor's memory, of this dtype."""
    return (
        type(tensor) in _PLAIN
        and tensor.dtype == dtype
        and tensor.device.type == "cpu"
        and tensor.layout == torch.strided
        and not tensor.is_neg()
    )


Arrays = dict[str, Array]


class BorrowedBlock:
    """What a layer sees of its parameters (`rnnfast.layers.Block`), over arrays that live elsewhere.

    It stands for one state of them: what has changed is a new one.
    """

    version = 0

    def __init__(self, arrays: Arrays):
        self.arrays = arrays
        self.shapes = {name: array.shape for name, array in arrays.items()}
        self.names = tuple(arrays)
        self.dtype = next(iter(arrays.values())).dtype

    def array(self, name: str) -> Array:
        """One parameter."""
        return self.arrays[name]


class Weights:
    """Keeps a module's parameters as the kernels take them, and notices when they have changed.

    A copy or a pickle of it is empty.
    """

    def __init__(self) -> None:
        # Each is assigned at once, so that another thread sees the old one or the new one, both of them whole.
        self._plan: tuple[Any, Recurrent] | None = None
        self._kept: tuple[Any, list[tuple[Array, Array]], list[Any], Recurrent] | None = None

    def __reduce__(self) -> Any:
        return Weights, ()

    def layer(self, module: Any, dropout: float) -> Recurrent | None:
        """The layer with the parameters as they are now; the one of the call before while they are the same.

        None where NumPy cannot have their memory.

        PyTorch counts the changes of a tensor, but not those made through `.data` or NumPy. Sums of the memory tell
        these.
        """
        tensors: list[Tensor] = module._flat_weights
        now: list[Any] = [(t.data_ptr(), 0 if t.is_inference() else t._version, t.shape, t.stride()) for t in tensors]
        now.append(dropout)
        kept = self._kept
        if kept is not None and kept[0] == now and kept[2] == _sums(kept[1]):
            return kept[3]
        if not all(is_plain(each, tensors[0].dtype) for each in tensors):
            return None
        # They hold the memory, so that no other tensor can come to lie there and be taken for one of these.
        arrays = [tensor.detach().numpy() for tensor in tensors]
        made = copy.copy(self._plan_of(module, dropout, arrays[0].dtype))
        made.block = BorrowedBlock(dict(zip(module._flat_weights_names, arrays, strict=True)))  # type: ignore[assignment]
        views = [_views(array) for array in arrays]
        self._kept = now, views, _sums(views), made
        return made

    def _plan_of(self, module: Any, dropout: float, dtype: np.dtype) -> Recurrent:
        """The layer without parameters."""
        sizes = module.input_size, module.hidden_size, module.num_layers
        options: dict[str, Any] = {"bias": "double" if module.bias else False, "bidirectional": module.bidirectional}
        options |= {"dropout": dropout, "dtype": dtype}
        cell: type[Recurrent] = LSTM if module.mode == "LSTM" else GRU if module.mode == "GRU" else RNN
        if cell is LSTM:
            options["proj_size"] = module.proj_size
        elif cell is RNN:
            options["activation"] = module.mode.removeprefix("RNN_").lower()
        plan = self._plan
        if plan is None or plan[0] != (cell, sizes, options):
            with planned():
                plan = self._plan = (cell, sizes, options), cell(*sizes, **options)
        return plan[1]


def _views(array: Array) -> tuple[Array, Array]:
    """All of the memory as whole numbers, the widest that fit, and some of the numbers."""
    if not array.flags.c_contiguous:
        return array, array
    flat = array.reshape(-1)
    return flat.view(np.uint32 if array.nbytes % 8 else np.uint64), flat[:: array.size // 256 + 1]


def _sums(views: list[tuple[Array, Array]]) -> list[Any]:
    # The words tell the slightest change; the numbers what adds up to nothing there, as when all signs turn.
    return [np.add.reduce(each) for pair in views for each in pair]
