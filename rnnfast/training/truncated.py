"""Truncated back-propagation through time: how a long sequence is cut, and how far gradients flow."""

from typing import Any, NamedTuple

from rnnfast.layers import _check


class Window(NamedTuple):
    """One piece of a sequence: forward and backward run over [start, stop), the loss counts from `counted` on."""

    start: int
    stop: int
    counted: int
    update: bool


def truncation(tbptt: Any) -> tuple[int, int] | None:
    """(k1, k2) of one number, of two, or None."""
    if tbptt is None:
        return None
    pair = tbptt if isinstance(tbptt, tuple) else (tbptt, tbptt)
    if len(pair) != 2:
        raise ValueError(f"tbptt must be a number of steps, or (k1, k2), got {tbptt!r}")
    return _check.size(pair[0], "tbptt"), _check.size(pair[1], "tbptt")


def windows(steps: int, k1: int, k2: int) -> list[Window]:
    """Cut a sequence for truncated back-propagation through time, BPTT(k2; k1).

    After every k1 steps the parameters are moved, by the gradient of the loss of these k1 steps with respect to the
    last k2 (Williams and Peng 1990, "An efficient gradient-based algorithm for on-line training of recurrent network
    trajectories"; Sutskever 2013, thesis, section 2.8.6). With k2 > k1, steps before those that count run once more;
    with k2 < k1, the k1 steps are cut into pieces of k2 across which values flow and gradients do not. With k2 >= T
    the gradients of all windows add up to the whole gradient.

    Parameters
    ----------
    steps : int
        T.
    k1, k2 : int
        At least 1.

    Returns
    -------
    list of Window
        In ascending order; each step counts in exactly one.

    Examples
    --------
    >>> [tuple(each) for each in windows(5, 2, 3)]
    [(0, 2, 0, True), (1, 4, 2, True), (2, 5, 4, True)]
    >>> [tuple(each) for each in windows(5, 3, 2)]
    [(0, 2, 0, False), (2, 3, 2, True), (3, 5, 3, True)]
    """
    found = []
    for first in range(0, steps, k1):
        last = min(first + k1, steps)
        if k2 >= k1:
            found.append(Window(max(0, last - k2), last, first, True))
            continue
        for start in range(first, last, k2):
            stop = min(start + k2, last)
            found.append(Window(start, stop, start, stop == last))
    return found
