"""What task models share: parameters that can be read and set, files, and the network inside."""

import contextlib
import inspect
from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np

from rnnfast import files
from rnnfast.data.words import WordVocabulary
from rnnfast.layers import GRU, LSTM, RNN
from rnnfast.layers._base import Layer
from rnnfast.models._network import Network
from rnnfast.models.sequential import Sequential
from rnnfast.training.history import History

CELLS = {"lstm": LSTM, "gru": GRU, "rnn": RNN}
_EXTRA = "estimator"


class Estimator:
    """A model whose constructor's arguments are its attributes; `fit` checks them and makes the network.

    Attributes
    ----------
    network : Sequential
        After `fit`.
    history_ : History
        Of the last fit.
    """

    network: Any
    history_: History

    # What every subclass's constructor takes.
    cell: str
    hidden_size: Any
    num_layers: int | None
    dropout: float
    recurrent_dropout: float
    dtype: str
    seed: Any

    _sklearn_type: str | None = None
    _network_type: type[Network] = Sequential

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments, by name.

        Parameters
        ----------
        deep : bool
            Without a meaning here; scikit-learn gives it.
        """
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def set_params(self, **params: Any) -> Self:
        """Set arguments of the constructor. Fit again afterwards: what was fitted belongs to those before.

        Raises
        ------
        ValueError
            When there is no argument of a name.
        """
        known = self.get_params()
        if wrong := [name for name in params if name not in known]:
            raise ValueError(f"{type(self).__name__} has no argument {wrong[0]!r}; it has {', '.join(known)}")
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        defaults = {name: repr(each.default) for name, each in inspect.signature(type(self)).parameters.items()}
        shown = {name: repr(value) for name, value in self.get_params().items()}
        changed = [f"{name}={value}" for name, value in shown.items() if value != defaults[name]]
        return f"{type(self).__name__}({', '.join(changed)})"

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn asks its estimators, for cross-validation and searches; nobody else calls this."""
        from sklearn.utils import ClassifierTags, Tags, TargetTags

        kind, tags = self._sklearn_type, ClassifierTags() if self._sklearn_type == "classifier" else None
        return Tags(estimator_type=kind, target_tags=TargetTags(required=kind is not None), classifier_tags=tags)

    def _recurrent(self, input_size: int, rng: np.random.Generator, **options: Any) -> Any:
        """The recurrent layers that the parameters ask for."""
        return recurrent_layers(self, input_size, rng, **options)

    def _train(self, layers: list[Layer], rng: np.random.Generator, x: Any, y: Any, how: dict[str, Any]) -> Self:
        """Make the network, and train it by `Sequential.fit`."""
        network = Sequential(*layers)
        self.history_ = network.fit(x, y, seed=rng, **how)
        self.network = network
        return self

    @contextlib.contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """A fit that fails leaves the estimator as it was."""
        before = dict(vars(self))
        try:
            yield
        except BaseException:
            self.__dict__ = before
            raise

    def _fitted(self) -> None:
        if getattr(self, "network", None) is None:
            raise ValueError(f"this {type(self).__name__} is not fitted yet: call fit first")

    def _state(self) -> dict[str, Any]:
        """What was learnt beside the network, as JSON can hold it."""
        raise NotImplementedError

    def _restore(self, state: dict[str, Any]) -> None:
        """Take up what `_state` gave; what does not fit the network is an error of any kind."""
        raise NotImplementedError

    def save(self, path: Any, *, extra: Mapping[str, Any] | None = None) -> None:
        """Write network, arguments and all that was learnt to a safetensors file (see `rnnfast.files.save`).

        A seed that is a Generator is not kept.

        Parameters
        ----------
        path : path
        extra : mapping, optional
            More to keep, as JSON can hold it: `rnnfast.files.load_with_extra` gives it back beside the network.

        Raises
        ------
        ValueError
            When nothing was fitted yet.
        TypeError
            When an argument or a label cannot be written as JSON.
        """
        self._fitted()
        params = {name: _to_json(value) for name, value in self.get_params().items()}
        kept = {"class": type(self).__name__, "params": params, "state": self._state()}
        files.save(self.network, path, extra={**(extra or {}), _EXTRA: kept})

    @classmethod
    def load(cls, path: Any) -> Self:
        """Read a model that `save` wrote.

        Raises
        ------
        ValueError
            When the file is not a whole, sound model of this kind; the message says what is wrong with it.
        OSError
            When the file cannot be read.
        """
        network, extra = files.load_with_extra(path)
        kept = extra.get(_EXTRA)
        kept = kept if isinstance(kept, dict) else {}
        found = kept.get("class")
        if found != cls.__name__ or not isinstance(network, cls._network_type):
            what = f"a {found}" if isinstance(found, str) else "a model without a task"
            raise ValueError(f"{path}: it is {what}, not a {cls.__name__}")
        try:
            model = cls(**{name: _from_json(value) for name, value in kept["params"].items()})
            model.network = network
            model._restore(kept["state"])
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise ValueError(f"{path}: the {cls.__name__} in it is damaged ({error})") from None
        return model


def recurrent_layers(model: Any, input_size: int, rng: np.random.Generator, **options: Any) -> Any:
    """The recurrent layers that an estimator's parameters ask for."""
    if model.cell not in CELLS:
        raise ValueError(f"cell must be one of {', '.join(map(repr, CELLS))}, got {model.cell!r}")
    return CELLS[model.cell](
        input_size,
        model.hidden_size,
        model.num_layers,
        dropout=model.dropout,
        recurrent_dropout=model.recurrent_dropout,
        dtype=model.dtype,
        seed=rng,
        **options,
    )


def _to_json(value: Any) -> Any:
    if isinstance(value, np.random.Generator):
        return None
    if callable(value):
        return "own"
    if isinstance(value, WordVocabulary):
        return {"vocabulary": value.to_dict()}
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    return value


def _from_json(value: Any) -> Any:
    return WordVocabulary.from_dict(value["vocabulary"]) if isinstance(value, dict) else value
