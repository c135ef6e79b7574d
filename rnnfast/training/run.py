"""A training run as it stands: all that the next step depends on."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from rnnfast.training._examples import Batch
from rnnfast.training._sources import Source
from rnnfast.training.constraints import Constraints
from rnnfast.training.evaluate import Means
from rnnfast.training.history import History
from rnnfast.training.losses import Loss
from rnnfast.training.optimizers import Optimizer
from rnnfast.training.regularizers import Penalties
from rnnfast.training.step import Step, add_gradients, update
from rnnfast.training.truncated import Window, windows


class Rules(NamedTuple):
    """What every step of a run obeys; each as of `rnnfast.training.fit.fit`."""

    loss: Loss
    tbptt: tuple[int, int] | None = None
    stateful: bool = False
    accumulate: int = 1
    regularizers: Penalties | None = None
    constraints: Constraints | None = None


class Run:
    """What callbacks see of a training run, and what a checkpoint holds of it.

    Attributes
    ----------
    model : Sequential, Graph or layer
    optimizer : Optimizer
    history : History
        Of the epochs that are finished.
    epoch : int
        The one that runs, from 0.
    batch : int
        Batches of this epoch that are done.
    window : int
        Windows of the next batch that are done, where time is truncated.
    step : int
        Updates of the parameters so far.
    norm : float
        The gradients' norm at the last update, before clipping.
    state
        The recurrent state to go on with.
    epoch_rng : mapping
        The random state from which the epoch's order was drawn.
    stop : bool
        Set it to end the run after this step.
    validates : bool
        Whether there are data to validate on.
    finished : bool
        Whether a callback has ended the run at the end of an epoch: then it is not gone on with.
    """

    def __init__(self, model: Any, optimizer: Optimizer, rules: Rules, means: Means, rng: np.random.Generator):
        self.model, self.optimizer, self.rules, self.means, self.rng = model, optimizer, rules, means, rng
        self.history = History()
        self.epoch = self.batch = self.window = self.step = self.position = 0
        self.stop = self.finished = self.validates = False
        self.norm = 0.0
        self.state: Any = None
        self.epoch_rng: Any = None
        self._gathered: Step | None = None  # of gradients that no update has used yet
        self._seen: list[tuple[Any, Any, Any, Any]] = []  # what they come from
        self._groups = 0

    @property
    def is_within(self) -> bool:
        """Whether the epoch has begun."""
        return bool(self.batch or self.window)

    @property
    def waits(self) -> bool:
        """Whether there are gradients that no update has used yet."""
        return self._gathered is not None

    def batches(self, source: Source) -> Iterator[Batch]:
        """What is left of the epoch, in the order that was drawn at its beginning."""
        if self.is_within:
            now, self.rng.bit_generator.state = self.rng.bit_generator.state, self.epoch_rng
            found = source.epoch(self.rng, skip=self.batch)
            self.rng.bit_generator.state = now
            return found
        self.epoch_rng = self.rng.bit_generator.state
        self.state = None
        return source.epoch(self.rng)

    def finish_epoch(self, logs: dict[str, float]) -> None:
        """Note an epoch and stand before the next."""
        self.history.add(self.epoch, logs)
        self.means.reset()
        self.epoch, self.batch, self.window = self.epoch + 1, 0, 0

    def train(self, batch: Batch, after: Callable[[], None]) -> None:
        """Train on a batch from the window at which the run stands; `after` is called after each update.

        Raises
        ------
        FloatingPointError
            When a gradient is not finite; the parameters are those before that step.
        """
        if not self.window:
            self.position = 0
            if not self.rules.stateful:
                self.state = None
        rules, pieces = self.rules, self._pieces(batch)
        if not pieces:
            self.batch += 1
        for at in range(self.window, len(pieces)):
            is_last = at + 1 == len(pieces)
            self._gather(batch, pieces[at], None if is_last else pieces[at + 1])
            self.window, self.batch = (0, self.batch + 1) if is_last else (at + 1, self.batch)
            self._groups += pieces[at].update
            if self._groups == rules.accumulate and pieces[at].update:
                self.update(after)
                if self.stop:
                    return

    def update(self, after: Callable[[], None]) -> None:
        """Move the parameters by the gradients that wait, if any do, and call `after` then.

        Raises
        ------
        FloatingPointError
            When a gradient is not finite; the parameters are those before that step.
        """
        found, self._gathered, self._groups = self._gathered, None, 0
        if found is None or not found.count:
            return
        rules = self.rules
        try:
            done = update(found, self.model, self.optimizer, rules.regularizers, rules.constraints, seen=self._seen)
        except FloatingPointError as error:
            raise FloatingPointError(f"epoch {self.epoch + 1}, step {self.step + 1}: {error}") from None
        self.means.add(done.loss_sum + done.penalty * done.count, done.count)
        self.norm = done.norm
        self.step += 1
        after()

    def _pieces(self, batch: Batch) -> list[Window]:
        if self.rules.tbptt is None:
            return [Window(0, -1, 0, True)]
        return windows(np.shape(batch.x)[1], *self.rules.tbptt)

    def _gather(self, batch: Batch, piece: Window, following: Window | None) -> None:
        """Add the gradients of one window of a batch to those that wait."""
        (x, y, lengths, weights), whole = batch[:4], piece.stop < 0
        if not whole:
            if piece.start > self.position:
                early = slice(self.position, piece.start)
                _, self.state = self.model.run(x[:, early], self.state, lengths=_between(lengths, early))
                self.position = piece.start
            part = slice(piece.start, piece.stop)
            x, y, lengths = np.asarray(x)[:, part], np.asarray(y)[:, part], _between(lengths, part)
            weights = weights[:, part] if weights is not None and np.ndim(weights) > 1 else weights
        if self._gathered is None:
            self.model.zero_grad()
            self._seen = []
        self._seen.append((x, self.state, lengths, y))
        found = add_gradients(
            self.model,
            x,
            y,
            self.rules.loss,
            lengths=lengths,
            weights=weights,
            state=self.state,
            rng=self.rng,
            watch=self.means.watch,
            counted=piece.counted - piece.start,
            earlier=0 if self._gathered is None else self._gathered.count,
        )
        self._gathered = found if self._gathered is None else _joined(self._gathered, found)
        if following is None or following.start == piece.stop:
            self.state, self.position = found.state, piece.stop


def _joined(one: Step, other: Step) -> Step:
    count = one.count + other.count
    penalty = (one.penalty * one.count + other.penalty * other.count) / count if count else 0.0
    return Step(one.loss_sum + other.loss_sum, count, other.state, 0.0, penalty)


def _between(lengths: Any, part: slice) -> Any:
    return None if lengths is None else np.clip(np.asarray(lengths) - part.start, 0, part.stop - part.start)
