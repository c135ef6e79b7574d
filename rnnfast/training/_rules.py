"""Rules for parameters, chosen by patterns of their names."""

from collections.abc import Callable, Iterator, Mapping

from rnnfast.layers._base import Block, Layer, matching


def chosen(model: Layer, rules: Mapping[str, Callable] | None, what: str) -> Iterator[tuple[Block, str, Callable]]:
    """The parameters that rules are for, in the rules' order; those that are frozen are left out.

    Parameters
    ----------
    model : Layer
    rules : mapping of str to callable, or None
        By patterns of parameters' names, with `*` for any text.
    what : str
        What the rules are called in an error.

    Yields
    ------
    block : Block
        Where a parameter lives.
    name : str
        What it is called there.
    rule : callable

    Raises
    ------
    TypeError
        For anything but a mapping of str to callables.
    ValueError
        When a pattern fits no parameter.
    """
    if rules is None:
        return
    if not isinstance(rules, Mapping):
        raise TypeError(f"{what} must be a mapping from patterns of parameters' names, got {type(rules).__name__}")
    slots = model.slots()
    for pattern, rule in rules.items():
        if not isinstance(pattern, str) or not callable(rule):
            raise TypeError(f"{what} must map str to callables, got {pattern!r}: {rule!r}")
        try:
            names = matching(pattern, slots)
        except ValueError as error:
            raise ValueError(f"{what}: {error}") from None
        for block, inner in (slots[name] for name in names):
            if inner not in block.frozen_names:
                yield block, inner, rule


def check_rules(model: Layer, rules: Mapping[str, Callable] | None, what: str) -> None:
    """Try each rule on the parameters it is for, and change nothing."""
    for block, inner, rule in chosen(model, rules, what):
        rule(block.array(inner))
