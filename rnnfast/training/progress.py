"""The bar that training shows."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

_SECONDS = 0.1  # between two looks at figures that cost something to compute
Logs = Mapping[str, float]


@contextmanager
def progress_bar(
    total: int | None, title: str, *, unit: str = "seq", verbose: bool = True
) -> Iterator[Callable[[int, Logs | Callable[[], Logs]], None]]:
    """A bar with the speed and the time left, as a function of (how many more are done, figures to show).

    Parameters
    ----------
    total : int, optional
        How many there are of `unit`; None where nobody knows.
    title : str
        What stands before the bar.
    unit : str
    verbose : bool
        False shows nothing.
    """
    if not verbose:
        yield lambda done, logs: None
        return
    from tqdm.auto import tqdm  # type: ignore[import-untyped]

    unit_scale = total is not None and total >= 100_000
    with tqdm(total=total, desc=title, unit=unit, unit_scale=unit_scale) as bar:
        shown = 0.0

        def show(done: int, logs: Logs | Callable[[], Logs]) -> None:
            nonlocal shown
            now = time.monotonic()
            if not done or now - shown >= _SECONDS:
                shown = now
                figures = logs() if callable(logs) else logs
                bar.set_postfix({name: f"{value:.4g}" for name, value in figures.items()}, refresh=not done)
            bar.update(done)

        yield show
