"""What translator and captioner share: something is read, a text is written."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from rnnfast.data.words import END, START
from rnnfast.decoding import Restricted, beam_search, replace_unknown, stream_tokens
from rnnfast.layers import Attention, Dropout, Embedding, _check
from rnnfast.layers._base import Layer
from rnnfast.layers._key import generator
from rnnfast.models.estimators._base import Estimator
from rnnfast.models.estimators._words import Tokens, Words, listed
from rnnfast.models.seq2seq import Decoder, Encoder, Seq2Seq
from rnnfast.training.batching import Buckets
from rnnfast.training.losses import CrossEntropy
from rnnfast.training.metrics.text import bleu, edit_distance
from rnnfast.training.optimizers import Adam

Array = np.ndarray

METRICS = ("exact_match", "error_rate", "bleu")


class Written(NamedTuple):
    """A text that was written, and how."""

    text: str
    tokens: list[str]
    score: float
    """What texts are compared by: the log-probability over the length penalty."""
    alignment: Array | None
    """(T, S): where each token's step looked in the source; None without attention."""


class Writer(Estimator):
    """An estimator that writes texts; a subclass says what it reads.

    Attributes
    ----------
    network : Seq2Seq
    history_ : History
        Of the last fit.
    """

    _network_type = Seq2Seq

    network: Seq2Seq
    attention: str | None
    embedding_dim: int
    min_count: int
    label_smoothing: float

    _target: Words

    def _learn_sources(self, x: list[Any]) -> None:
        """Learn what sources are, from the training part."""
        raise NotImplementedError

    def _encode(self, x: list[Any]) -> list[Array]:
        """Sources as arrays (S_i,) of ids, (S_i, F), or (F,)."""
        raise NotImplementedError

    def _source_words(self, source: Any) -> list[str] | None:
        """The words of a source, that may be copied; None where it has none."""
        return None

    def _sources(self, x: Any) -> list[Any]:
        """Sources as a list, checked."""
        raise NotImplementedError

    def _reader(self, rng: np.random.Generator) -> tuple[Encoder, dict[str, Any]]:
        """The encoder, and what more the decoder takes."""
        raise NotImplementedError

    def _target_tokens(self) -> Tokens:
        """How targets become tokens."""
        raise NotImplementedError

    @property
    def vocabulary_(self) -> Any:
        """The tokens that it writes."""
        self._fitted()
        return self._target.vocabulary

    def fit(
        self,
        x: Any,
        y: Any,
        *,
        epochs: int = 20,
        batch_size: int = 64,
        optimizer: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        verbose: bool = False,
        **how: Any,
    ) -> Self:
        """Train a new network.

        Parameters
        ----------
        x : list
            Sources.
        y : list of str, or of lists of tokens
            What is to be written of each.
        epochs, batch_size : int
            A batch holds sources and targets of similar length.
        optimizer : str or Optimizer, optional
            None is Adam with a rate of 0.003 and gradients clipped to a norm of 1.
        validation_split : float
            The last part, held out; its words are not learnt.
        validation_data : tuple (x, y), optional
        verbose : bool
        **how
            Goes on to `Seq2Seq.fit`: callbacks, metrics, checkpoint, accumulate ...

        Returns
        -------
        The estimator itself.

        Raises
        ------
        TypeError, ValueError
            When x and y do not fit each other, or an argument is out of range.
        """
        x, y = self._sources(x), listed(y, "y")
        if len(x) != len(y) or not len(x):
            raise ValueError(f"x and y must be equally many, at least one, got {len(x)} and {len(y)}")
        share = _check.probability(validation_split, "validation_split")
        if share and validation_data is not None:
            raise ValueError("give validation_split or validation_data, not both")
        kept = len(x) - int(len(x) * share)
        if share:
            x, y, validation_data = x[:kept], y[:kept], (x[kept:], y[kept:])
        rng = generator(self.seed)
        with self._all_or_nothing():
            self._learn_sources(x)
            self._target = Words.learn(y, self._target_tokens(), _check.size(self.min_count, "min_count"), "y")
            network = self._build(rng)
            batches = self._batches(network, x, y, _check.size(batch_size, "batch_size"), rng)
            if validation_data is not None:
                if not isinstance(validation_data, tuple) or len(validation_data) != 2:
                    raise ValueError("validation_data must be a tuple (x, y)")
                others = self._sources(validation_data[0]), listed(validation_data[1], "y")
                how["validation_data"] = self._batches(network, *others, batch_size, None)
            how = {"loss": CrossEntropy(label_smoothing=self.label_smoothing), **how}
            optimizer = Adam(3e-3, clip_norm=1.0) if optimizer is None else optimizer
            self.history_ = network.fit(batches, optimizer=optimizer, epochs=epochs, verbose=verbose, seed=rng, **how)
            self.network = network
            return self

    def _build(self, rng: np.random.Generator) -> Seq2Seq:
        encoder, more = self._reader(rng)
        size = _check.size(self.hidden_size, "hidden_size")
        embedding = Embedding(len(self._target.vocabulary), self.embedding_dim, dtype=self.dtype, seed=rng)
        inputs = self.embedding_dim + (encoder.output_size if more.get("context") == "every" else 0)
        layers: list[Layer] = [self._recurrent(inputs, rng)]
        if self.dropout:
            layers.append(Dropout(self.dropout))
        if self.attention is not None:
            more["attention"] = Attention(size, encoder.output_size, kind=self.attention, dtype=self.dtype, seed=rng)
        vocabulary = self._target.vocabulary
        decoder = Decoder(
            embedding, *layers, dropout=self.dropout, start=vocabulary[START], stop=vocabulary[END], seed=rng, **more
        )
        return Seq2Seq(encoder, decoder, bridge="dense", seed=rng)

    def _batches(self, network: Seq2Seq, x: list[Any], y: list[Any], size: int, rng: Any) -> list[tuple[Any, ...]]:
        """Batches of similar length, in their form for `Seq2Seq.fit`."""
        if len(x) != len(y):
            raise ValueError(f"x and y must be equally many, got {len(x)} and {len(y)}")
        sources, targets = self._encode(x), self._target.encode(y)
        lengths = [len(source) * 1000 + len(target) for source, target in zip(sources, targets, strict=True)]
        return [
            network.pairs([sources[i] for i in rows], [targets[i] for i in rows])
            for rows in Buckets(size)(np.array(lengths, np.int64), rng)
        ]

    def write(
        self,
        x: Any,
        *,
        beam_size: int = 5,
        n_best: int = 1,
        batch_size: int = 64,
        max_length: int | None = None,
        replace_unknown_words: bool = True,
        banned: Sequence[str] = (),
        no_repeat: int = 0,
        prefixes: Sequence[Any] | None = None,
        **how: Any,
    ) -> list[list[Written]]:
        """The best texts for each source, with scores and alignments.

        Parameters
        ----------
        x : list
            Sources, as of `fit`.
        beam_size, n_best : int
            How many beginnings are carried on, and how many texts are given.
        batch_size : int
            How many sources at a time.
        max_length : int, optional
            Of tokens; None is twice the source's and ten, or 50 where that is more.
        replace_unknown_words : bool
            Whether an unknown word becomes the word of the source that its step looked at. Otherwise, and where there
            is no such word, it is not written.
        banned : sequence of str
            Tokens that are not written.
        no_repeat : int
            No sequence of so many tokens is written twice in a text; 0 allows all.
        prefixes : list of str, or of lists of tokens, optional
            How each text begins.
        **how
            As of `rnnfast.decoding.beam_search`: length_penalty, alpha, coverage_penalty, min_length, early_stopping.

        Returns
        -------
        list of list of Written
            For each source its texts, best first.
        """
        self._fitted()
        sources = self._sources(x)
        encoded = self._encode(sources)
        batch_size = _check.size(batch_size, "batch_size")
        if prefixes is not None and len(prefixes) != len(sources):
            raise ValueError(f"prefixes must be one for each source, {len(sources)}, got {len(prefixes)}")
        begins = None if prefixes is None else self._target.encode(listed(prefixes, "prefixes"))
        found: list[list[Written]] = [[] for _ in sources]
        order = sorted(range(len(sources)), key=lambda i: len(encoded[i]))
        for first in range(0, len(order), batch_size):
            rows = order[first : first + batch_size]
            copied = [self._source_words(sources[i]) if replace_unknown_words else None for i in rows]
            unknown = [self._target.unknown] if copied[0] is None or self.attention is None else []
            longest = max(50, 2 * len(encoded[rows[-1]]) + 10) if max_length is None else max_length
            model = Restricted(
                self.network,
                banned=[*self._target.unwritten, *(self._target.vocabulary[word] for word in [*banned, *unknown])],
                no_repeat=no_repeat,
                prefixes=None if begins is None else [begins[i] for i in rows],
            )
            batch = [encoded[i] for i in rows]
            best = beam_search(model, batch, beam_size=beam_size, n_best=n_best, max_length=longest, **how)
            for i, hypotheses, words in zip(rows, best, copied, strict=True):
                found[i] = [self._told(each, len(encoded[i]), words) for each in hypotheses]
        return found

    def _told(self, hypothesis: Any, length: int, source: list[str] | None) -> Written:
        tokens, alignment = self._target.words(hypothesis.tokens), hypothesis.alignment
        alignment = None if alignment is None else alignment[:, :length]
        if source is not None and alignment is not None:
            tokens = replace_unknown(tokens, alignment, source, unknown=self._target.unknown)
        return Written(self._target.join(tokens), tokens, hypothesis.score, alignment)

    def predict(self, x: Any, **how: Any) -> list[str]:
        """The best text for each source.

        Parameters
        ----------
        x : list
        **how
            As of `write`.
        """
        return [texts[0].text if texts else "" for texts in self.write(x, **how)]

    def stream(self, source: Any, *, max_length: int | None = None, **how: Any) -> Iterator[str]:
        """Give the tokens of one text as they are written.

        Parameters
        ----------
        source
            One source.
        max_length : int, optional
        **how
            As of `rnnfast.decoding.stream_tokens`: temperature, top_k, top_p, seed, min_length.
        """
        self._fitted()
        encoded = self._encode(self._sources([source]))
        longest = max(50, 2 * len(encoded[0]) + 10) if max_length is None else max_length
        banned = [*self._target.unwritten, self._target.vocabulary[self._target.unknown]]
        model = Restricted(self.network, banned=banned)
        for tokens in stream_tokens(model, encoded, max_length=longest, **how):
            yield self._target.words(tokens)[0]

    def log_probability(self, x: Any, y: Any, *, batch_size: int = 64) -> Array:
        """How likely given texts are: log P(y | x), float64 (N,).

        Parameters
        ----------
        x, y
            As of `fit`.
        batch_size : int
        """
        self._fitted()
        sources, targets = self._encode(self._sources(x)), self._target.encode(listed(y, "y"))
        if len(sources) != len(targets):
            raise ValueError(f"x and y must be equally many, got {len(sources)} and {len(targets)}")
        places = range(0, len(sources), _check.size(batch_size, "batch_size"))
        parts = [self.network.score(sources[i : i + batch_size], targets[i : i + batch_size]) for i in places]
        return np.concatenate(parts) if parts else np.zeros(0)

    def score(self, x: Any, y: Any, *, metric: str = "exact_match", **how: Any) -> float:
        """How well it writes.

        Parameters
        ----------
        x, y
            As of `fit`. A source that is there several times has several right texts: it is read once.
        metric : "exact_match", "error_rate" or "bleu"
            The share of sources whose text is one of the right ones; the edits to the nearest of them, in tokens, over
            its length, summed over all (of words the WER, of characters the CER); or BLEU of the tokens, 0 to 100.
        **how
            As of `write`.
        """
        if metric not in METRICS:
            raise ValueError(f"metric must be one of {', '.join(map(repr, METRICS))}, got {metric!r}")
        return self.measure(x, y, **how)[metric]

    def measure(self, x: Any, y: Any, **how: Any) -> dict[str, float]:
        """All metrics of `score` by name."""
        self._fitted()
        x, y = self._sources(x), listed(y, "y")
        if len(x) != len(y) or not len(x):
            raise ValueError(f"x and y must be equally many, at least one, got {len(x)} and {len(y)}")
        right: dict[Any, list[list[str]]] = {}
        first: dict[Any, Any] = {}
        for source, text in zip(x, y, strict=True):
            key = _key(source)
            first.setdefault(key, source)
            right.setdefault(key, []).append(self._target.cut(text))
        told = [texts[0].tokens if texts else [] for texts in self.write(list(first.values()), **how)]
        edits, length, exact = 0, 0, 0
        for tokens, references in zip(told, right.values(), strict=True):
            exact += tokens in references
            distance, size = min((edit_distance(reference, tokens), len(reference)) for reference in references)
            edits, length = edits + distance, length + size
        return {
            "exact_match": exact / len(told),
            "error_rate": edits / length if length else float(edits > 0),
            "bleu": bleu(list(right.values()), told),
        }

    def _state(self) -> dict[str, Any]:
        return {"target": self._target.to_json()}

    def _restore(self, state: dict[str, Any]) -> None:
        self._target = Words.from_json(state["target"])
        decoder = self.network.decoder
        vocabulary = self._target.vocabulary
        if decoder.embedding.num_embeddings != len(vocabulary) or (decoder.start, decoder.stop) != (
            vocabulary[START],
            vocabulary[END],
        ):
            raise ValueError("its layers and its vocabulary differ")


def _key(source: Any) -> Any:
    """What equal sources have in common."""
    if isinstance(source, (str, tuple)):
        return source
    return tuple(source) if isinstance(source, list) else (source.shape, source.tobytes())
