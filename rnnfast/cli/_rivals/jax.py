"""jax.jit of a scan over time, with the input product of all steps before it."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnfast.cli._cases import CHECKED_STEPS, Array, Case, Contestant, Data


def contestant(case: Case, data: Data) -> Contestant:
    """The forward pass, its vector-Jacobian product, or one step whose state is given up to the next."""
    import jax
    from jax import numpy as jnp

    jax.config.update("jax_enable_x64", case.dtype == "float64")
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    cell = _cell(jax, jnp, case.cell)
    # Transposed here, as a user's own parameters would be: the products then read rows.
    params = {name: jnp.asarray(value.T) for name, value in data.params.items()}
    x, dy = jnp.asarray(data.x.swapaxes(0, 1)), jnp.asarray(data.dy.swapaxes(0, 1))
    valid = None if data.lengths is None else jnp.arange(case.T)[:, None, None] < data.lengths[None, :, None]

    def zero() -> Any:
        return tuple(jnp.zeros((case.B, case.H), case.dtype) for _ in range(1 + (case.kind == "lstm")))

    def direction(params: dict[str, Any], end: str, x: Any) -> Any:
        weights = {name.removesuffix(end): value for name, value in params.items() if name.endswith(end)}

        def body(state: Any, given: Any) -> Any:
            gates, here = given
            new = cell(weights, gates, state)
            if here is None:
                return new, new[0]
            new = tuple(jnp.where(here, a, b) for a, b in zip(new, state, strict=True))
            return new, jnp.where(here, new[0], 0)

        gates = x @ weights["weight_ih"] + weights["bias"]
        return jax.lax.scan(body, zero(), (gates, valid), reverse=end.endswith("_reverse"))[1]

    def forward(params: dict[str, Any], x: Any) -> Any:
        for ends in case.stack:
            x = jnp.concatenate([direction(params, end, x) for end in ends], axis=2)
        return x

    if case.mode == "step":

        def one(params: dict[str, Any], x: Any, state: Any) -> Any:
            weights = {name.removesuffix("_l0"): value for name, value in params.items()}
            return cell(weights, x @ weights["weight_ih"] + weights["bias"], state)

        jitted, x0, state = jax.jit(one, donate_argnums=2), x[0], zero()

        def step() -> Any:
            nonlocal state
            state = jitted(params, x0, state)
            return state[0].block_until_ready()

        def steps() -> dict[str, Array]:
            for _ in range(CHECKED_STEPS):
                y = step()
            return {"y": np.array(y)[:, None]}

        return Contestant(step, steps)
    if case.mode == "forward":
        whole = jax.jit(forward)
        return Contestant(
            lambda: whole(params, x).block_until_ready(), lambda: {"y": np.asarray(whole(params, x)).swapaxes(0, 1)}
        )

    @jax.jit
    def both(params: dict[str, Any], x: Any, dy: Any) -> Any:
        y, pull = jax.vjp(forward, params, x)
        return y, *pull(dy)

    def trained() -> dict[str, Array]:
        y, grads, dx = both(params, x, dy)
        found = {name: np.asarray(value).T for name, value in grads.items()}
        return found | {"y": np.asarray(y).swapaxes(0, 1), "dx": np.asarray(dx).swapaxes(0, 1)}

    return Contestant(lambda: jax.block_until_ready(both(params, x, dy)), trained)


def _cell(jax: Any, jnp: Any, name: str) -> Any:
    """One step: weights, gates of the input and state to the new state."""
    sigmoid = jax.nn.sigmoid

    def rnn(w: Any, gates: Any, state: Any) -> Any:
        return (jnp.tanh(gates + state[0] @ w["weight_hh"]),)

    def lstm(w: Any, gates: Any, state: Any) -> Any:
        i, f, g, o = jnp.split(gates + state[0] @ w["weight_hh"], 4, axis=1)
        c = sigmoid(f) * state[1] + sigmoid(i) * jnp.tanh(g)
        return sigmoid(o) * jnp.tanh(c), c

    def gru(w: Any, gates: Any, state: Any) -> Any:
        (xr, xz, xn), (hr, hz, hn) = (jnp.split(a, 3, axis=1) for a in (gates, state[0] @ w["weight_hh"]))
        n = jnp.tanh(xn + sigmoid(xr + hr) * (hn + w["bias_hn"]))
        return (n + sigmoid(xz + hz) * (state[0] - n),)

    def gru_before(w: Any, gates: Any, state: Any) -> Any:
        h, H = state[0], state[0].shape[1]
        r, z = jnp.split(sigmoid(gates[:, : 2 * H] + h @ w["weight_hh"][:, : 2 * H]), 2, axis=1)
        n = jnp.tanh(gates[:, 2 * H :] + (r * h) @ w["weight_hh"][:, 2 * H :])
        return (n + z * (h - n),)

    return {"rnn": rnn, "lstm": lstm, "gru": gru, "gru_before": gru_before}[name]
