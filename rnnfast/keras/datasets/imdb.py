"""`rnnfast.data.read_imdb` under Keras's name."""

from typing import Any

from rnnfast.data import read_imdb
from rnnfast.keras.datasets._where import find


def load_data(path: str = "imdb.npz", num_words: int | None = None, skip_top: int = 0, **more: Any) -> Any:
    """The texts as lists of word numbers, and their labels: ``(x_train, y_train), (x_test, y_test)``.

    Parameters
    ----------
    path : str
        Of `imdb.npz`, or its name in `~/.keras/datasets`.
    num_words, skip_top, **more
        As of `rnnfast.data.read_imdb`, and of Keras's function of this name.

    Raises
    ------
    FileNotFoundError
        When there is no such file: nothing is downloaded.
    """
    return read_imdb(find(path), num_words, skip_top, **more)
