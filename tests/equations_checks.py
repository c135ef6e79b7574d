"""What the tests of the equations and of the cells' options share."""

from typing import Any

import numpy as np
from checks import digest

from rnnfast import equations


def make(cell: str, B: int = 3, T: int = 6, I: int = 4, H: int = 5, **options: Any) -> tuple[dict, np.ndarray, Any]:  # noqa: E741
    """(params, x, state) of random numbers, none of them zero."""
    rng = np.random.default_rng([B, T, I, H])

    def draw(*shape):
        return rng.uniform(0.1, 1.0, shape) * rng.choice([-1.0, 1.0], shape)

    shapes = equations.parameter_shapes(cell, I, H, **options)
    params = {name: draw(*shape) / shape[-1] ** 0.5 for name, shape in shapes.items()}
    h = draw(B, options.get("proj_size") or H)
    return params, draw(B, T, I), (h, draw(B, H)) if cell == "lstm" else h


HARD = ("hard_sigmoid", 0.3, 0.45)
ACTIVATIONS = [
    "tanh",
    "relu",
    "sigmoid",
    "identity",
    "leaky_relu",
    ("leaky_relu", 0.3),
    "softsign",
    "elu",
    ("elu", 0.6),
]
ACTIVATIONS += ["hard_sigmoid", "hard_sigmoid_onnx", HARD]

OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "peephole": ("lstm", {"peephole": True}),
    "coupled": ("lstm", {"coupled": True}),
    "coupled peephole": ("lstm", {"coupled": True, "peephole": True}),
    "projection": ("lstm", {"proj_size": 3}),
    "projection, wider": ("lstm", {"proj_size": 11}),
    "clip": ("lstm", {"clip": 0.7}),
    "cell clip": ("lstm", {"cell_clip": 0.4}),
    "lstm activations": ("lstm", {"activation": "softsign", "output_activation": "elu", "recurrent_activation": HARD}),
    "lstm layer norm": ("lstm", {"layer_norm": True}),
    "lstm zoneout": ("lstm", {"zoneout": (0.3, 0.2)}),
    "lstm recurrent dropout": ("lstm", {"recurrent_dropout": 0.3}),
    "lstm all": (
        "lstm",
        {
            "peephole": True,
            "proj_size": 4,
            "clip": 1.5,
            "cell_clip": 0.9,
            "activation": "softsign",
            "recurrent_activation": HARD,
            "layer_norm": True,
            "zoneout": (0.2, 0.4),
            "recurrent_dropout": 0.25,
        },
    ),
    "coupled all": (
        "lstm",
        {
            "coupled": True,
            "peephole": True,
            "proj_size": 4,
            "clip": 1.5,
            "layer_norm": True,
            "zoneout": (0.2, 0.4),
            "recurrent_dropout": 0.25,
        },
    ),
    "gru clip": ("gru", {"clip": 0.65}),
    "gru activations": ("gru", {"activation": "softsign", "recurrent_activation": HARD}),
    "gru layer norm": ("gru", {"layer_norm": True}),
    "gru layer norm, new": ("gru", {"layer_norm": True, "update": "new"}),
    "gru zoneout": ("gru", {"zoneout": 0.3}),
    "gru recurrent dropout": ("gru", {"recurrent_dropout": 0.3}),
    "gru all": (
        "gru",
        {
            "clip": 1.2,
            "activation": ("elu", 0.7),
            "recurrent_activation": "hard_sigmoid",
            "layer_norm": True,
            "update": "new",
            "zoneout": 0.3,
            "recurrent_dropout": 0.3,
        },
    ),
    "gru before recurrent dropout": ("gru", {"reset": "before", "recurrent_dropout": 0.3}),
    "gru before all": (
        "gru",
        {
            "reset": "before",
            "update": "new",
            "clip": 0.9,
            "activation": "elu",
            "zoneout": 0.3,
            "recurrent_dropout": 0.3,
        },
    ),
    "mgu": ("mgu", {}),
    "mgu all": (
        "mgu",
        {"clip": 0.8, "activation": "elu", "recurrent_activation": HARD, "zoneout": 0.2, "recurrent_dropout": 0.3},
    ),
    "indrnn": ("indrnn", {"activation": "relu"}),
    "indrnn all": ("indrnn", {"activation": "elu", "clip": 1.1, "zoneout": 0.2, "recurrent_dropout": 0.3}),
    "rnn clip": ("rnn", {"clip": 0.5}),
    "rnn zoneout": ("rnn", {"zoneout": 0.4}),
    "rnn recurrent dropout": ("rnn", {"recurrent_dropout": 0.3}),
    **{f"rnn {name}": ("rnn", {"activation": name}) for name in ACTIVATIONS},
}
LENGTHS = [3, 0, 6, 1, 6]


def kernel_options(given: dict[str, Any]) -> dict[str, Any]:
    """What of a case goes to `ops` by keyword."""
    return {name: value for name, value in given.items() if name != "proj_size"}


def option_digest(ops: Any, name: str, dtype: Any, in_reverse: bool, B: int = 7, T: int = 5, H: int = 37) -> str:
    """A hash of all that inference and training give of a case; in reverse the batch is ragged."""
    cell, given = OPTIONS[name]
    params, x, state = make(cell, B=B, T=T, H=H, **given)
    params = {key: value.astype(dtype) for key, value in params.items()}
    how = {"lengths": [T, 0, 2, 1, T, 3, 2][:B], "reverse": True} if in_reverse else {}
    how |= kernel_options(given)
    y, _, _ = ops.forward(cell, params, x, state, **how)
    trained, final, saved = ops.forward(cell, params, x, state, save=True, noise=(5, 9), **how)
    dx, dinitial, grads = ops.backward(saved, np.cos(trained), final)
    states = [part for each in (final, dinitial) for part in (each if isinstance(each, tuple) else (each,))]
    return digest([y, trained, dx, *states, *(grads[key] for key in sorted(grads))])
