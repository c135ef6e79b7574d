"""torch.nn; it has no GRU with the reset before the product."""

from __future__ import annotations

from typing import Any

from rnnfast.cli._cases import CHECKED_STEPS, Array, Case, Contestant, Data, two_biases
from rnnfast.kernels._threads import get_num_threads


def contestant(case: Case, data: Data) -> Contestant | None:
    """A module in inference mode, or with autograd; the cell module for steps; packed sequences for ragged batches."""
    if case.cell == "gru_before":
        return None
    import torch

    torch.set_num_threads(get_num_threads())
    dtype, step = getattr(torch, case.dtype), case.mode == "step"
    name = {"rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}[case.kind]
    if step:
        module = getattr(torch.nn, name + "Cell")(case.I, case.H, dtype=dtype)
    else:
        module = getattr(torch.nn, name)(
            case.I, case.H, case.layers, batch_first=True, bidirectional=case.bidirectional, dtype=dtype
        )
    with torch.no_grad():
        for end in case.ends:
            direction = data.direction(end)
            biases = dict(zip(("bias_ih", "bias_hh"), two_biases(case, direction), strict=True))
            for key, value in ({k: direction[k] for k in ("weight_ih", "weight_hh")} | biases).items():
                getattr(module, key + (end if not step else "")).copy_(torch.from_numpy(value))
    x, dy = torch.from_numpy(data.x), torch.from_numpy(data.dy)
    if step:
        return _step(torch, module, x[:, 0].contiguous(), case.kind == "lstm")
    lengths = None if data.lengths is None else torch.from_numpy(data.lengths)
    utilities = torch.nn.utils.rnn

    def run() -> Any:
        if lengths is None:
            return module(x)[0]
        packed = utilities.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        return utilities.pad_packed_sequence(module(packed)[0], batch_first=True, total_length=case.T)[0]

    if case.mode == "forward":

        def forward() -> Any:
            with torch.inference_mode():
                return run()

        return Contestant(forward, lambda: {"y": forward().numpy()})
    x = x.clone().requires_grad_()
    names = [name for name, _ in module.named_parameters()]
    wanted = [x, *module.parameters()]

    def train() -> Any:
        y = run()
        return y, torch.autograd.grad(y, wanted, dy)

    def trained() -> dict[str, Array]:
        y, (dx, *rest) = train()
        grads = dict(zip(names, rest, strict=True))
        found = {"y": y.detach(), "dx": dx} | {key: grads[key] for key in grads if key.startswith("weight")}
        for end in case.ends:
            found["bias" + end] = grads["bias_ih" + end]
            if case.cell == "gru":
                found["bias_hn" + end] = grads["bias_hh" + end][2 * case.H :]
        return {key: tensor.numpy() for key, tensor in found.items()}

    return Contestant(train, trained)


def _step(torch: Any, cell: Any, x: Any, has_c: bool) -> Contestant:
    state: Any = None

    def step() -> Any:
        nonlocal state
        with torch.inference_mode():
            state = cell(x, state)
        return state[0] if has_c else state

    return Contestant(step, lambda: {"y": [step() for _ in range(CHECKED_STEPS)][-1][:, None].numpy()})
