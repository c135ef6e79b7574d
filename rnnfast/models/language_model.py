"""Recurrent language models: one token after the other, the state carried on."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rnnfast import files
from rnnfast.data.streams import stream_batches
from rnnfast.data.vocabulary import Vocabulary
from rnnfast.decoding._steps import log_softmax, take_rows
from rnnfast.decoding.walks import check_sampling, draw
from rnnfast.layers import GRU, LSTM, RNN, Dropout, Embedding, Linear, _check
from rnnfast.layers._key import generator
from rnnfast.models._ragged import as_batch
from rnnfast.models.sequential import Sequential
from rnnfast.training import Adam, Callback, CrossEntropy, History
from rnnfast.training._examples import Batch
from rnnfast.training._sources import BatchSource
from rnnfast.training.evaluate import Means, evaluate_batches

_CELLS = {"lstm": LSTM, "gru": GRU, "rnn": RNN}
_EXTRA = "language_model"
_WARM_UP_STEPS = 100
_EVALUATION_CHUNK = 256


class LanguageModel:
    """Predict each token of a sequence from all that came before it.

        h_t = cell(E[w_t], h_{t-1})                       E is the embedding, the cell one or more recurrent layers
        P(w_{t+1} | w_1 ... w_t) = softmax(V h_t + b)

    Mikolov et al. 2010, "Recurrent neural network based language model". `fit` minimises the mean negative log
    probability by truncated back-propagation through time (Williams and Peng 1990): the text runs in parallel streams,
    gradients flow through `chunk` steps, and the state is carried from one chunk to the next. Perplexity is exp of
    that mean.

    Parameters
    ----------
    tokens : Vocabulary or int
        A vocabulary of characters: text goes in and out as str. Or a number of tokens: arrays of integers below it
        go in and out.
    cell : "lstm", "gru" or "rnn"
    hidden_size, embedding_dim, num_layers : int
    dropout : float
        Of every recurrent layer's output (Zaremba, Sutskever and Vinyals 2014, section 3.2).
    dtype : str
        "float32" or "float64".
    seed : None, int or numpy.random.Generator
        For the first weights.

    Attributes
    ----------
    network : Sequential
        Embedding, recurrent layers, dropout where there is any, linear output.
    vocabulary : Vocabulary or None
    num_tokens : int

    Examples
    --------
    >>> text = "abc" * 200
    >>> model = LanguageModel(Vocabulary(text), hidden_size=16, embedding_dim=8, seed=0)
    >>> history = model.fit(text, epochs=5, batch_size=4, chunk=10, learning_rate=0.03, seed=0, verbose=False)
    >>> model.generate("ab", 5, temperature=0.0)
    'cabca'
    """

    def __init__(
        self,
        tokens: Vocabulary | int,
        *,
        cell: str = "gru",
        hidden_size: int = 256,
        embedding_dim: int = 64,
        num_layers: int = 1,
        dropout: float = 0.0,
        dtype: str = "float32",
        seed: Any = None,
    ):
        if cell not in _CELLS:
            raise ValueError(f"cell must be one of {', '.join(map(repr, _CELLS))}, got {cell!r}")
        vocabulary = tokens if isinstance(tokens, Vocabulary) else None
        num_tokens = len(tokens) if isinstance(tokens, Vocabulary) else tokens
        rng = generator(seed)
        layers: list[Any] = [
            Embedding(num_tokens, embedding_dim, dtype=dtype, seed=rng),
            _CELLS[cell](embedding_dim, hidden_size, num_layers, dropout=dropout, dtype=dtype, seed=rng),
            Linear(hidden_size, num_tokens, dtype=dtype, seed=rng),
        ]
        if dropout:
            layers.insert(2, Dropout(dropout))
        self._set(Sequential(*layers), vocabulary)

    def _set(self, network: Sequential, vocabulary: Vocabulary | None) -> None:
        self.network = network
        self.vocabulary = vocabulary
        self.num_tokens: int = network.layers[0].num_embeddings  # type: ignore[attr-defined]

    @property
    def cell(self) -> str:
        """The kind of the recurrent layers: "lstm", "gru" or "rnn"."""
        return type(self.network.layers[1]).__name__.lower()

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments, by name, but for the seed; `deep` has no meaning here, scikit-learn gives it."""
        embedding, recurrent = self.network.layers[:2]
        return {
            "tokens": self.vocabulary or self.num_tokens,
            "cell": self.cell,
            "hidden_size": recurrent.hidden_size,  # type: ignore[attr-defined]
            "embedding_dim": embedding.embedding_dim,  # type: ignore[attr-defined]
            "num_layers": recurrent.num_layers,  # type: ignore[attr-defined]
            "dropout": recurrent.dropout,  # type: ignore[attr-defined]
            "dtype": str(recurrent.dtype),
        }

    def __repr__(self) -> str:
        return f"LanguageModel({self.num_tokens} tokens, {self.network!r})"

    def _ids(self, text: str | ArrayLike, unknown: str = "error") -> NDArray[np.integer]:
        if isinstance(text, str):
            if self.vocabulary is None:
                raise TypeError("this model has no vocabulary: it takes arrays of integers, not text")
            return self.vocabulary.encode(text, unknown=unknown)
        ids = np.asarray(text)
        if ids.ndim != 1 or (ids.dtype.kind not in "iu" and ids.size):
            raise ValueError(f"a text must be a str or a sequence of integers, got shape {ids.shape}, {ids.dtype}")
        if ids.size and not (ids.min() >= 0 and ids.max() < self.num_tokens):
            raise ValueError(f"tokens must be numbers from 0 to {self.num_tokens - 1}, got {ids.min()} to {ids.max()}")
        return ids.astype(np.int64)

    def fit(
        self,
        text: str | ArrayLike,
        held_out: str | ArrayLike | None = None,
        *,
        epochs: int = 6,
        batch_size: int = 16,
        chunk: int = 64,
        learning_rate: float = 5e-3,
        weight_decay: float = 0.1,
        clip_norm: float = 1.0,
        time_limit: float = math.inf,
        callbacks: Iterable[Callable[[int, dict[str, float]], Any]] = (),
        seed: Any = None,
        verbose: bool = True,
    ) -> History:
        """Train with AdamW; the learning rate rises during the first steps, then falls to zero as half a cosine.

        Parameters
        ----------
        text : str, or integers (N,)
        held_out : like text, optional
            Its perplexity is measured after each epoch; characters that the model does not know count as unknown.
        epochs : int
            Passes over the text.
        batch_size, chunk : int
            Parallel streams, and the number of steps that gradients flow through (see `rnnfast.data.stream_batches`).
        learning_rate : float
            The highest.
        weight_decay : float
            Times the learning rate, what each step takes off every parameter (Loshchilov and Hutter 2019).
        clip_norm : float
            Gradients with a larger norm are scaled down to it (Pascanu et al. 2013, algorithm 1).
        time_limit : float
            Seconds of training. Where they would run out first, the learning rate falls with the clock instead of
            with the steps, so that training ends both in time and well.
        callbacks : iterable
            Functions of (epoch, logs), called after each epoch, or others: see `Sequential.fit`. One that returns True
            ends the fit.
        seed : None, int or numpy.random.Generator
            For dropout.
        verbose : bool
            Whether to show a bar with loss, perplexities and characters per second.

        Returns
        -------
        History
            `loss` (mean over the epoch, in nats a token), `perplexity` (exp of it), `val_loss` and `val_perplexity`.
            Ctrl-C ends the fit, and the model keeps what it has learnt.

        Raises
        ------
        ValueError
            When the text is too short for that many streams, or has tokens that the model does not know.
        FloatingPointError
            When a gradient is not finite; the parameters are those before that step.
        """
        if not time_limit > 0:
            raise ValueError(f"time_limit must be larger than 0, got {time_limit}")
        epochs = _check.size(epochs, "epochs")
        ids = self._ids(text)
        held_out_ids = None if held_out is None else _long_enough(self._ids(held_out, unknown="zero"))
        stream_batches(ids, batch_size, chunk)  # complains of a text that is too short before a bar appears
        steps_an_epoch = math.ceil(math.ceil((len(ids) - 1) / batch_size) / chunk)
        pace = _Pace(learning_rate, epochs * steps_an_epoch, time_limit)
        return self.network.fit(
            _Text(ids, batch_size, chunk, pace.is_over),
            loss="cross_entropy",
            optimizer=Adam(learning_rate, weight_decay=weight_decay, clip_norm=clip_norm, decoupled=True),
            epochs=epochs,
            validation_data=None if held_out_ids is None else _Text(held_out_ids, 1, _EVALUATION_CHUNK),
            metrics=["perplexity"],
            callbacks=[pace, *callbacks],
            stateful=True,
            seed=generator(seed),
            verbose=verbose,
        )

    def evaluate(self, text: str | ArrayLike, *, batch_size: int = 1) -> float:
        """Perplexity of a text: exp of the mean negative log probability of every token but the first.

        Parameters
        ----------
        text : str, or integers (N,)
            At least two tokens; characters that the model does not know count as unknown.
        batch_size : int
            1 reads the text from end to end with one state carried all the way. More streams are faster, but each
            starts from a zero state, which costs a little at its beginning.

        Returns
        -------
        float
        """
        ids = _long_enough(self._ids(text, unknown="zero"))
        batches, means = _Text(ids, batch_size, _EVALUATION_CHUNK).epoch(np.random.default_rng(0)), Means({})
        evaluate_batches(self.network, batches, CrossEntropy(), means, carries=True)
        return math.exp(min(means.loss, 700.0))

    def generate(
        self,
        prompt: str | ArrayLike = "\n",
        length: int = 500,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float = 1.0,
        stop: str | ArrayLike | None = None,
        seed: Any = None,
    ) -> Any:
        """Continue a prompt, one token at a time.

        Parameters
        ----------
        prompt : str, or integers (N,)
            At least one token.
        length : int
            How many tokens to write.
        temperature : float
            Logits are divided by it: 1 samples from the model as it is, less is more careful, 0 always takes the
            likeliest token.
        top_k : int, optional
            Draw from the likeliest top_k tokens alone.
        top_p : float
            Then from the fewest likeliest tokens whose probabilities sum to at least top_p (see
            `rnnfast.decoding.sample`).
        stop : str, or integers (M,), optional
            Where these tokens have been written one after the other, writing ends; they are left out.
        seed : None, int or numpy.random.Generator

        Returns
        -------
        str or numpy.ndarray
            What follows the prompt, in the prompt's kind. The unknown character is never written.

        Raises
        ------
        ValueError
            When the prompt is empty or has unknown characters, or when another argument is out of range.
        """
        ids = self._ids(prompt)
        if not len(ids):
            raise ValueError("the prompt is empty; it needs at least one character")
        check_sampling(temperature, top_k, top_p)
        if length < 0:
            raise ValueError(f"length must be at least 0, got {length}")
        ending = [] if stop is None else self._ids(np.atleast_1d(stop) if not isinstance(stop, str) else stop).tolist()
        if stop is not None and not ending:
            raise ValueError("stop is empty; it needs at least one token")
        rng = generator(seed)
        # What is unknown has the first number.
        known = 0 if self.vocabulary is None else 1
        written: list[int] = []
        stream = self.network.stream()
        for token in ids:
            logits = stream(np.array([token]))
        while len(written) < length:
            written.append(known + self._choose(logits[:, known:], temperature, top_k, top_p, rng))
            if ending and written[-len(ending) :] == ending:
                del written[-len(ending) :]
                break
            logits = stream(np.array(written[-1:]))
        found = np.array(written, np.int64)
        return self.vocabulary.decode(found) if isinstance(prompt, str) and self.vocabulary else found

    @staticmethod
    def _choose(logits: NDArray, temperature: float, top_k: int | None, top_p: float, rng: np.random.Generator) -> int:
        if temperature == 0.0:
            return int(logits[0].argmax())
        return int(draw(logits, rng.random(1), temperature, top_k, top_p)[0])

    def start(self, batch: Iterable[str | ArrayLike]) -> tuple[NDArray, Any]:
        """Where a search begins (see `rnnfast.decoding`).

        Parameters
        ----------
        batch : iterable of str or of integers (N,)
            Prompts of at least one token each.

        Returns
        -------
        tokens : numpy.ndarray (B,)
            The last of each prompt, which is fed next.
        state : tuple
            After all before.
        """
        prompts = [self._ids(each) for each in batch]
        if not all(len(ids) for ids in prompts):
            raise ValueError("a prompt is empty; it needs at least one token")
        before, lengths = as_batch([ids[:-1] for ids in prompts])
        return np.array([ids[-1] for ids in prompts], np.int64), self.network.run(before, lengths=lengths)[1]

    def step(self, tokens: NDArray, state: Any) -> tuple[NDArray, Any]:
        """Log-probabilities (N, num_tokens) of what follows one more token of each row, and the state."""
        logits, state = self.network.run(tokens[:, None], state)
        return log_softmax(logits[:, 0]), state

    def reorder(self, state: Any, rows: NDArray) -> Any:
        """The state of chosen rows."""
        return take_rows(state, rows)

    def save(self, path: Any) -> None:
        """Write network and vocabulary to a safetensors file (see `rnnfast.files.save`)."""
        vocabulary = None if self.vocabulary is None else self.vocabulary.to_dict()
        files.save(self.network, path, extra={_EXTRA: {"vocabulary": vocabulary}})

    @classmethod
    def load(cls, path: Any) -> "LanguageModel":
        """Read a model that `save` wrote.

        Raises
        ------
        ValueError
            When the file is not a whole, sound language model; the message says what is wrong with it.
        OSError
            When the file cannot be read.
        """
        network, extra = files.load_with_extra(path)
        try:
            return cls._rebuild(network, extra)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None

    @classmethod
    def _rebuild(cls, network: Any, extra: dict[str, Any]) -> "LanguageModel":
        layers = network.layers if isinstance(network, Sequential) else ()
        kinds = [type(layer) for layer in layers if not isinstance(layer, Dropout)]
        if (
            _EXTRA not in extra
            or len(kinds) != 3
            or kinds[::2] != [Embedding, Linear]
            or kinds[1] not in _CELLS.values()
        ):
            raise ValueError("it is an rnnfast model, but not a language model")
        saved = extra[_EXTRA].get("vocabulary") if isinstance(extra[_EXTRA], dict) else None
        vocabulary = None if saved is None else Vocabulary.from_dict(saved)
        model = cls.__new__(cls)
        model._set(network, vocabulary)
        outputs: int = layers[-1].out_features  # type: ignore[attr-defined]
        sizes = {model.num_tokens, outputs, outputs if vocabulary is None else len(vocabulary)}
        if len(sizes) > 1:
            raise ValueError(f"its vocabulary and its layers differ in size: {sorted(sizes)}")
        return model


class _Pace(Callback):
    """How far training has come, by steps or by the clock, and the learning rate that belongs there."""

    def __init__(self, highest: float, steps: int, seconds: float):
        self._highest, self._steps, self._seconds = highest, steps, seconds
        self._warm_up = min(_WARM_UP_STEPS, max(1, steps // 10))
        self._step, self._start = 0, time.monotonic()

    def learning_rate(self) -> float:
        """The rate of the next step."""
        progress = min(1.0, max(self._step / self._steps, (time.monotonic() - self._start) / self._seconds))
        self._step += 1
        return self._highest * min(1.0, self._step / self._warm_up) * 0.5 * (1.0 + math.cos(math.pi * progress))

    def is_over(self) -> bool:
        """Whether the time has run out."""
        return time.monotonic() - self._start >= self._seconds

    def on_train_begin(self, run: Any) -> None:
        run.optimizer.learning_rate = self.learning_rate()

    def on_batch_end(self, run: Any, logs: Mapping[str, float]) -> None:
        run.optimizer.learning_rate = self.learning_rate()

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> bool:
        return self.is_over()


class _Text(BatchSource):
    """A text in parallel streams, counted in tokens; where time runs out within an epoch, the epoch ends."""

    unit = "char"

    def __init__(
        self, ids: NDArray[np.integer], batch_size: int, chunk: int, is_over: Callable[[], bool] = lambda: False
    ):
        super().__init__(lambda: stream_batches(ids, batch_size, chunk), None, False, None)
        self.sequences, self._is_over = len(ids) - 1, is_over

    def epoch(self, rng: np.random.Generator, skip: int = 0) -> Iterator[Batch]:
        for batch in super().epoch(rng, skip):
            yield batch._replace(count=batch.x.size if batch.lengths is None else int(batch.lengths.sum()))
            if self._is_over():
                return


def _long_enough(ids: NDArray) -> NDArray:
    if len(ids) < 2:
        raise ValueError(f"a text to measure must have at least 2 tokens, got {len(ids)}")
    return ids
