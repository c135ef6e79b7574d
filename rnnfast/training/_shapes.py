"""Which parameters a model has, and how they differ from those of a state."""

from collections.abc import Mapping, Sequence

from rnnfast.layers._base import Layer

Shapes = dict[str, list[int]]


def shapes_of(model: Layer) -> Shapes:
    """The parameters' shapes by name, as JSON holds them."""
    return {name: list(block.shapes[inner]) for name, (block, inner) in model.slots().items()}


def check_shapes(model: Layer, saved: Mapping[str, Sequence[int]]) -> None:
    """Compare a model's parameters with those that a state was gathered for.

    Raises
    ------
    ValueError
        When a name or a shape differs.
    """
    here, there = shapes_of(model), {name: [int(n) for n in shape] for name, shape in saved.items()}
    for name in [*here, *there]:
        if here.get(name) != there.get(name):
            ours, theirs = (f"{has[name]}" if name in has else "not there" for has in (here, there))
            raise ValueError(f"the state is another model's: parameter {name!r} is {ours}, in the state {theirs}")
