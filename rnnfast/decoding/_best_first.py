"""What a beam would find, with fewer steps of the model: beginnings are carried on in the order of their scores."""

from typing import Any

import numpy as np

from rnnfast.decoding._steps import Hypothesis, Limits, check_stop
from rnnfast.kernels._frontier import Frontier

Array = np.ndarray

# No limit of a length is greater.
_MOST = 2**62


def best_first(model: Any, batch: Any, beam_size: int, limits: Limits) -> list[list[Hypothesis]]:
    """The best hypothesis of each row among those that a beam finds without a length penalty.

    Meister et al. 2020 (arXiv:2007.03909): along a hypothesis scores only fall, so that the first one that ends is the
    best if the beginning with the highest score always goes on first. Of each length no more are carried on, and none
    that a beam would not. All rows advance together, each by one beginning at a time.

    Parameters
    ----------
    model
        `Steps` with `beginnings(state)`, what keeps the states of all beginnings: `add(state)`, of the rows in the
        order in which they were fed, and `take(numbers, rows) -> state`, of the numbers in which they were added, for
        rows of the batch in rising order, each time some of those of the time before.
    batch, beam_size, limits
        As of `rnnfast.decoding.beam_search`; with a stop token.
    """
    assert limits.stop is not None
    tokens, state = model.start(batch)
    kept, looked = model.beginnings(state), list[Any]()
    shortest, longest = min(limits.min_length, _MOST), min(limits.max_length, _MOST)
    frontier = Frontier(tokens, beam_size, limits.stop, shortest, longest)
    step = 0
    while len(frontier.rows):
        if step:
            state = kept.take(frontier.parents, frontier.rows)
        log_probs, state = model.step(frontier.tokens, state)
        check_stop(log_probs, limits)
        kept.add(state)
        looked.append(getattr(state, "weights", None))
        if not frontier.advance(log_probs):
            raise FloatingPointError(f"the model gave nan at step {step}")
        step += 1
    weights = None if not looked or looked[0] is None else np.concatenate(looked)
    return [_hypotheses(frontier, row, weights) for row in range(len(tokens))]


def _hypotheses(frontier: Frontier, row: int, weights: Array | None) -> list[Hypothesis]:
    """The best of a row, if there is one."""
    if (found := frontier.best(row)) is None:
        return []
    score, tokens, steps = found
    return [Hypothesis(tokens, score, score, None if weights is None or not len(steps) else weights[steps])]
