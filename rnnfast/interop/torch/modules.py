"""PyTorch's recurrent modules, computed by rnnfast's kernels on a CPU, forward and backward."""

import copy
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.utils.rnn import PackedSequence

from rnnfast.interop.torch._packed import Padding
from rnnfast.interop.torch._weights import Weights, is_plain
from rnnfast.layers._key import Key
from rnnfast.layers.recurrent import Recurrent

Array = np.ndarray
_FLOATS = (torch.float32, torch.float64)


class Call(NamedTuple):
    """All of a call but its tensors."""

    layer: Recurrent
    time_major: bool
    padding: Padding | None
    key: Key | None  # of the dropout between layers, which there is in training alone

    @property
    def is_lstm(self) -> bool:
        """Whether the state is a pair."""
        return self.layer.cell == "lstm"

    def infer(self, x: Tensor, h: Tensor | None, c: Tensor | None) -> tuple[Tensor, ...]:
        """y and the final state."""
        if self.key is not None:
            return self.train(x, h, c)[0]
        array, state, options = self._arguments(x, h, c)
        return self._outputs(*self.layer(array, state, **options))

    def train(self, x: Tensor, h: Tensor | None, c: Tensor | None) -> tuple[tuple[Tensor, ...], Any]:
        """The same, and the layer's `backward`."""
        array, state, options = self._arguments(x, h, c)
        # Where nothing is dropped the key is not used; none at all would be drawn from the system's entropy.
        key = Key(0) if self.key is None else self.key
        (y, final), backward = self.layer.forward(array, state, rng=key, **options)
        return self._outputs(y, final), backward

    def _arguments(self, x: Tensor, h: Tensor | None, c: Tensor | None) -> tuple[Array, Any, dict[str, Any]]:
        given = [each.detach().numpy() for each in (h, c) if each is not None]
        state: Any = None if not given else tuple(given) if self.is_lstm else given[0]
        array = x.detach().numpy()
        if self.padding is None:
            return array, state, {"time_major": self.time_major}
        return self.padding.pad(array), state, {"lengths": self.padding.lengths}

    def _outputs(self, y: Array, final: Any) -> tuple[Tensor, ...]:
        if self.padding is not None:
            y = self.padding.pack(y)
        return tuple(map(torch.from_numpy, (y, *final) if self.is_lstm else (y, final)))

    def differentiate(self, backward: Any, dy: Tensor | None, dstate: Any, need_dx: bool) -> list[Tensor | None]:
        """Gradients of x, h, c and the parameters in their order."""
        array = None if dy is None else dy.detach().numpy()
        if self.padding is not None and array is not None:
            array = self.padding.pad(array)
        found: dict[str, Array] = {}
        dx, before = backward(array, dstate, found, need_dx)
        if dx is not None and self.padding is not None:
            dx = self.padding.pack(dx)
        arrays = [dx, *(before if self.is_lstm else (before, None)), *(found[name] for name in self.layer.block.names)]
        return [None if each is None else torch.from_numpy(each) for each in arrays]


class _Run(torch.autograd.Function):
    """(call, x, h, c, *weights) to y and the final state."""

    @staticmethod
    def forward(ctx: Any, call: Call, x: Tensor, h: Any, c: Any, *weights: Tensor) -> Any:  # type: ignore[override]
        outputs, ctx.backward_once = call.train(x, h, c)
        ctx.call, ctx.state_shapes = call, [each.shape for each in outputs[1:]]
        # The weights are saved for PyTorch's own check that they have not changed meanwhile.
        ctx.save_for_backward(x, h, c, *weights)
        ctx.set_materialize_grads(False)
        return outputs

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> Any:
        call: Call = ctx.call
        if not all(each is None or _has_memory(each) for each in gradients):
            raise RuntimeError(
                "rnnfast's recurrent modules take no batched gradients (is_grads_batched, vectorize): use torch.nn's "
                "where they are wanted, which rnnfast.interop.torch.restore(model) puts back"
            )
        x, h, c, *weights = ctx.saved_tensors
        backward, ctx.backward_once = ctx.backward_once, None
        if backward is None:  # a second time, with retain_graph=True: the first has used up what was saved
            backward = call.train(x, h, c)[1]
        dy, *after = gradients
        dstate: Any = None
        if any(each is not None for each in after):
            arrays = [
                np.zeros(shape, call.layer.block.dtype) if each is None else each.detach().numpy()
                for each, shape in zip(after, ctx.state_shapes, strict=True)
            ]
            dstate = tuple(arrays) if call.is_lstm else arrays[0]
        found = call.differentiate(backward, dy, dstate, ctx.needs_input_grad[1])
        needed = [g if need else None for g, need in zip(found, ctx.needs_input_grad[1:], strict=True)]
        if torch.is_grad_enabled():  # create_graph=True
            anchor = next(each for each in (x, h, c, *weights) if each is not None and each.requires_grad)
            needed = list(_NoSecond.apply(anchor, *needed))
        return None, *needed


class _NoSecond(torch.autograd.Function):
    """Gradients as they are, which refuse to be differentiated: they would be taken for constants otherwise."""

    @staticmethod
    def forward(ctx: Any, anchor: Tensor, *gradients: Tensor | None) -> Any:  # type: ignore[override]
        return tuple(None if each is None else each.view_as(each) for each in gradients)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> Any:
        raise RuntimeError(
            "rnnfast's recurrent modules have no second derivatives: use torch.nn's where they are wanted, which "
            "rnnfast.interop.torch.restore(model) puts back"
        )


def _has_memory(tensor: Tensor) -> bool:
    try:
        tensor.data_ptr()
    except RuntimeError:
        return False
    return True


def _functorch() -> bool:
    active = getattr(torch._C, "_are_functorch_transforms_active", None)
    return active is not None and active()


class _Fast(nn.RNNBase):
    """What the three modules share: `forward`. Whatever it does not compute goes to PyTorch's own."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        """`output, h_n` of `input, hx`, with `h_n` a pair in an LSTM: shapes and packed sequences as PyTorch's."""
        self._update_flat_weights()  # type: ignore[operator]
        batch_sizes = sorted_indices = unsorted_indices = padding = None
        x = input
        if isinstance(input, PackedSequence):
            x, batch_sizes, sorted_indices, unsorted_indices = input
        state = hx if self.mode == "LSTM" else None if hx is None else (hx,)
        if not self._ours(x, state, batch_sizes):
            return super().forward(input, hx)
        dropout = self.dropout if self.training and self.num_layers > 1 else 0.0
        layer = self._weights().layer(self, dropout)
        if layer is None:
            return super().forward(input, hx)
        if batch_sizes is not None:
            padding = Padding(batch_sizes.numpy())
            if state is not None and sorted_indices is not None:
                state = [each.index_select(1, sorted_indices) for each in state]
        h, c, *_ = (None, None) if state is None else (*state, None)
        key = Key(torch.randint(1 << 62, ()).item()) if dropout else None
        call = Call(layer, not self.batch_first, padding, key)
        weights = self._flat_weights
        if torch.is_grad_enabled() and any(each is not None and each.requires_grad for each in (x, h, c, *weights)):
            y, *final = _Run.apply(call, x, h, c, *weights)
        else:
            y, *final = call.infer(x, h, c)
        if batch_sizes is not None:
            y = PackedSequence(y, batch_sizes, sorted_indices, unsorted_indices)
            if unsorted_indices is not None:
                final = [each.index_select(1, unsorted_indices) for each in final]
        return y, tuple(final) if self.mode == "LSTM" else final[0]

    def __prepare_scriptable__(self) -> Any:
        """What `torch.jit.script` compiles: PyTorch's own module, with the same parameters."""
        theirs = copy.copy(self)
        theirs.__class__ = getattr(nn, type(self).__name__)
        return theirs

    def _weights(self) -> Weights:
        found = self.__dict__.get("_rnnfast")
        if found is None:
            found = self.__dict__["_rnnfast"] = Weights()
        return found

    def _ours(self, x: Any, state: Any, batch_sizes: Any) -> bool:
        """Whether this is a call that rnnfast computes: not under a tracer, not one that PyTorch refuses."""
        if torch.compiler.is_compiling() or torch.jit.is_tracing() or torch.is_autocast_enabled("cpu"):
            return False
        if _functorch() or getattr(forward_ad, "_current_level", -1) >= 0:
            return False
        weights: list[Any] = self._flat_weights
        if not is_plain(x, weights[0].dtype) or x.dtype not in _FLOATS:
            return False
        if x.dim() not in ((2,) if batch_sizes is not None else (2, 3)) or x.shape[-1] != self.input_size:
            return False
        if not x.numel() or (self.training and self.dropout == 1):
            return False
        if state is None:
            return True
        if batch_sizes is not None:
            rows = [int(batch_sizes[0])]
        else:
            rows = [] if x.dim() == 2 else [x.shape[0 if self.batch_first else 1]]
        layers = self.num_layers * (2 if self.bidirectional else 1)
        widths = (self.proj_size or self.hidden_size, self.hidden_size)[: 2 if self.mode == "LSTM" else 1]
        return (
            isinstance(state, (tuple, list))
            and len(state) == len(widths)
            and all(
                is_plain(each, x.dtype) and [*each.shape] == [layers, *rows, width]
                for each, width in zip(state, widths, strict=True)
            )
        )


class LSTM(_Fast, nn.LSTM):
    """`torch.nn.LSTM`, computed by rnnfast: same arguments, parameters, state dict, results and gradients.

    On CPU tensors of float32 and float64. Other dtypes and devices, autocast, tracers and functional transforms get
    PyTorch's own computation; so does what PyTorch refuses. Tensors are read and written in place, packed weights kept
    while nobody changes the parameters, and nothing is saved where no gradient is wanted. Dropout between layers is
    drawn from PyTorch's generator, by masks of our own.

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size, device, dtype
        As of `torch.nn.LSTM`.

    Raises
    ------
    RuntimeError
        In backward, where second derivatives or batched gradients are asked for.

    Examples
    --------
    >>> layer = LSTM(3, 4, num_layers=2, batch_first=True)
    >>> y, (h, c) = layer(torch.ones(2, 5, 3))
    >>> y.sum().backward()
    >>> y.shape, layer.weight_hh_l1.grad.shape
    (torch.Size([2, 5, 4]), torch.Size([16, 4]))
    """


class GRU(_Fast, nn.GRU):
    """`torch.nn.GRU`, computed by rnnfast: same arguments, parameters, state dict, results and gradients.

    What it computes, and what it leaves to PyTorch: see `LSTM`.
    """


class RNN(_Fast, nn.RNN):
    """`torch.nn.RNN`, computed by rnnfast: same arguments, parameters, state dict, results and gradients.

    What it computes, and what it leaves to PyTorch: see `LSTM`.
    """
