"""What a model may not write, and what it must."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from rnnfast.decoding._steps import Steps
from rnnfast.layers import _check
from rnnfast.layers._ragged import pad

Array = np.ndarray


class _State(NamedTuple):
    inner: Any
    fed: Array
    """(N, t): all tokens that were fed, the first one ahead of those that were written."""
    rows: Array
    """(N,): the row of the batch."""
    weights: Array | None


class _Beginnings:
    """The states of all beginnings, where what may be written does not depend on what was."""

    def __init__(self, inner: Any):
        self._inner = inner

    def add(self, state: _State) -> Array:
        return self._inner.add(state.inner)

    def take(self, places: Array, rows: Array) -> _State:
        return _State(self._inner.take(places, rows), np.zeros((len(rows), 0), np.int64), rows, None)


class Restricted:
    """A model that is kept from writing some tokens: `Steps` around `Steps`, for any search.

    What is forbidden has the log-probability -inf; the others keep theirs, so that scores stay comparable.

    Parameters
    ----------
    model : Steps
    banned : iterable of int
        Tokens that are never written.
    no_repeat : int
        No sequence of so many tokens is written twice in a row of the batch; 0 allows all (Paulus et al. 2018,
        section 2.5, with 3).
    prefixes : list of sequences of int, optional
        For each row of the batch, how it begins: these tokens are written whatever the model thinks of them, and count
        in its score.

    Examples
    --------
    >>> import rnnfast as rf
    >>> from rnnfast.decoding import Restricted, greedy
    >>> model = Restricted(rf.LanguageModel(10, seed=0), banned=[0, 1], no_repeat=1, prefixes=[[7, 7], []])
    >>> greedy(model, [[3], [4]], max_length=4)[0].tokens[:2].tolist()
    [7, 7]
    """

    def __init__(
        self,
        model: Steps,
        *,
        banned: Iterable[int] = (),
        no_repeat: int = 0,
        prefixes: Sequence[Sequence[int]] | None = None,
    ):
        self.model = model
        self.banned = np.array(list(banned), np.int64)
        self.no_repeat = 0 if no_repeat == 0 else _check.size(no_repeat, "no_repeat")
        self.prefixes = None if prefixes is None else pad([np.asarray(each, np.int64) for each in prefixes])
        for name, tokens in (("banned", self.banned), ("prefixes", () if self.prefixes is None else self.prefixes[0])):
            if np.min(tokens, initial=0) < 0:
                raise ValueError(f"{name} must hold tokens, none below 0")

    @property
    def stop(self) -> int | None:
        """The token that ends a target."""
        return getattr(self.model, "stop", None)

    @property
    def beginnings(self) -> Any:
        """As of the model; there is none where what may be written depends on what was."""
        found = getattr(self.model, "beginnings", None)
        if found is None or self.no_repeat or self.prefixes is not None:
            raise AttributeError("beginnings")
        return lambda state: _Beginnings(found(state.inner))

    def start(self, batch: Any) -> tuple[Array, Any]:
        """As the model's."""
        tokens, inner = self.model.start(batch)
        if self.prefixes is not None and len(self.prefixes[0]) != len(tokens):
            raise ValueError(f"prefixes must be one for each row, {len(tokens)}, got {len(self.prefixes[0])}")
        return tokens, _State(inner, np.zeros((len(tokens), 0), np.int64), np.arange(len(tokens)), None)

    def step(self, tokens: Array, state: Any) -> tuple[Array, Any]:
        """As the model's, -inf for what is forbidden."""
        log_probs, inner = self.model.step(tokens, state.inner)
        fed = np.concatenate([state.fed, tokens[:, None]], axis=1)
        size, place = log_probs.shape[1], fed.shape[1] - 1
        allowed = np.ones(log_probs.shape, bool)
        allowed[:, self._known(self.banned, size, "banned")] = False
        if 0 < self.no_repeat <= place:
            # What followed when the last tokens were written before.
            runs = sliding_window_view(fed[:, 1:], self.no_repeat, axis=1)
            last = fed[:, None, place - self.no_repeat + 2 :]
            rows, which = np.nonzero((runs[..., :-1] == last).all(axis=-1))
            allowed[rows, runs[rows, which, -1]] = False
        if self.prefixes is not None:
            prefixes, lengths = self.prefixes
            forced = np.flatnonzero(place < lengths[state.rows])
            allowed[forced] = False
            wanted = prefixes[state.rows[forced], place] if len(forced) else forced
            allowed[forced, self._known(wanted.astype(np.int64), size, "prefixes")] = True
        log_probs[~allowed] = -np.inf
        return log_probs, _State(inner, fed, state.rows, getattr(inner, "weights", None))

    @staticmethod
    def _known(tokens: Array, size: int, name: str) -> Array:
        if np.max(tokens, initial=0) >= size:
            raise ValueError(f"{name} must hold tokens from 0 to {size - 1}, got {tokens.max()}")
        return tokens

    def reorder(self, state: Any, rows: Array) -> Any:
        """The state of chosen rows."""
        return _State(self.model.reorder(state.inner, rows), state.fed[rows], state.rows[rows], None)
