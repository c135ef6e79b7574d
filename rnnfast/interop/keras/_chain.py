"""Keras layers one after another, made into one model of ours."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from rnnfast.interop.keras._kinds import Built, Config, Shape, Weight, build, find_kind
from rnnfast.layers import Activation
from rnnfast.models import MaskedSequential, Sequential


class Chain(NamedTuple):
    """The model, and for each Keras layer its config and what it became."""

    model: Sequential
    configs: list[Config]
    built: list[Built]

    def weights(self) -> list[Weight]:
        """Keras's variables, in Keras's order."""
        return [weight for each in self.built for weight in each.weights]


def join(configs: Sequence[Config], built: Sequence[Built]) -> Chain:
    """The model of layers that have been built.

    Parameters
    ----------
    configs : list of Config
    built : list of Built

    Raises
    ------
    ValueError
        When two layers do not fit each other.
    """
    layers: list[Any] = []
    masks: dict[int, float] = {}
    for each in built:
        if each.mask is not None:
            # The same value twice is one mask: a padded step is all that value.
            masks[len(layers)] = each.mask
        layers += each.layers
    if len(layers) in masks or not layers:
        layers.append(Activation("identity"))
    model = MaskedSequential(*layers, masks=masks) if masks else Sequential(*layers)
    return Chain(model, list(configs), list(built))


def chain(configs: Sequence[Config], shape: Shape) -> Chain:
    """The model of Keras layers, the first of which takes arrays of this shape (without the batch)."""
    built: list[Built] = []
    for config in configs:
        built.append(build(config, shape))
        shape = built[-1].shape
    return join(configs, built)


def configs_of(plans: Sequence[tuple[str, dict[str, Any]]], old: bool, dtype: str) -> list[Config]:
    """Checked configs of (class, config) pairs."""
    found: list[Config] = []
    for kind, values in plans:
        place = f"layer {values.get('name', len(found))!r:.60} ({kind})"
        found.append(Config(find_kind(kind, place), values, old, place, dtype))
    return found
