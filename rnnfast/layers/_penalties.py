"""What layers add to the loss besides their outputs: penalties on activities."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Gathered(list[float]):
    """Penalties, and the share of this batch in the mean whose gradient is taken: 1 but where batches add up."""

    share = 1.0


_gathered: ContextVar[Gathered | None] = ContextVar("gathered", default=None)


@contextmanager
def penalties() -> Iterator[Gathered]:
    """Inside, `forward` of layers in this thread adds the penalties that its `backward` differentiates to the list."""
    found = Gathered()
    token = _gathered.set(found)
    try:
        yield found
    finally:
        _gathered.reset(token)


def add_penalty(penalty: float) -> Gathered:
    """Say that a penalty is part of the loss; nobody may be listening. What it is gathered in tells its share."""
    found = _gathered.get()
    if found is None:
        found = Gathered()
    found.append(penalty)
    return found
