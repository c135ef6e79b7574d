"""What layers add to the loss besides their outputs: penalties on activities."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_gathered: ContextVar[list[float] | None] = ContextVar("gathered", default=None)


@contextmanager
def penalties() -> Iterator[list[float]]:
    """Inside, `forward` of layers in this thread adds the penalties that its `backward` differentiates to the list."""
    found: list[float] = []
    token = _gathered.set(found)
    try:
        yield found
    finally:
        _gathered.reset(token)


def add_penalty(penalty: float) -> None:
    """Say that a penalty is part of the loss; nobody may be listening."""
    found = _gathered.get()
    if found is not None:
        found.append(penalty)
