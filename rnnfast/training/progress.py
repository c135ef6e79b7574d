"""The bar that training shows."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress_bar(
    total: int, title: str, *, unit: str = "seq", verbose: bool = True
) -> Iterator[Callable[[int, dict[str, float]], None]]:
    """A bar with the speed, as a function of (how many more are done, figures to show).

    Parameters
    ----------
    total : int
        How many there are of `unit`.
    title : str
        What stands before the bar.
    unit : str
    verbose : bool
        False shows nothing.
    """
    if not verbose:
        yield lambda done, logs: None
        return
    from tqdm import tqdm  # type: ignore[import-untyped]

    with tqdm(total=total, desc=title, unit=unit, unit_scale=total >= 100_000) as bar:

        def show(done: int, logs: dict[str, float]) -> None:
            bar.set_postfix({name: f"{value:.4g}" for name, value in logs.items()}, refresh=not done)
            bar.update(done)

        yield show
