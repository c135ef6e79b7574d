"""What the tests of the equations share."""

from typing import Any

import numpy as np

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
