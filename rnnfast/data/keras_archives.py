"""The `imdb.npz` and `reuters.npz` that Keras distributes, read from one's own disk.

Their reviews are Python lists, which NumPy keeps as pickles, and pickles may run code. The reader here executes
nothing: the few names that such a pickle of lists, integers and arrays mentions are bound to plain Python stand-ins,
which check what they are given; any other name is an error.
"""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

Part = tuple[list[list[int]], npt.NDArray[np.int64]]


def read_imdb(
    path: str | os.PathLike[str],
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int = 3,
) -> tuple[Part, Part]:
    """Read `imdb.npz`: 25,000 film reviews to train with and as many to test with, as numbers of words.

    The arguments mean what they mean in Keras's `keras.datasets.imdb.load_data`, and the results are the same, in the
    same order. Words are numbered by how often they occur, from 1; with the defaults 0 is left for padding, 1 begins
    each review, 2 stands for words left out, and the most frequent word is 4.

    Parameters
    ----------
    path : path
        Of the file; nothing is downloaded.
    num_words : int, optional
        Numbers from this on (after `index_from` was added) are left out. None: the largest number is the first that
        is left out, as in Keras.
    skip_top : int
        Numbers below this are left out.
    maxlen : int, optional
        Only reviews shorter than this are kept.
    seed : int
        Of the order of the reviews.
    start_char : int, optional
        What each review begins with. None: nothing, and `index_from` is still added.
    oov_char : int, optional
        What stands for a word left out. None: nothing.
    index_from : int
        Added to all word numbers.

    Returns
    -------
    (x_train, y_train), (x_test, y_test)
        Lists of lists of int, and int64 arrays: 1 for a positive review, 0 for a negative one.

    Raises
    ------
    OSError
        When the file cannot be read.
    ValueError
        When it is no such archive, is damaged, or holds anything but integers in lists; when no review is kept.
    """
    arrays = _read_archive(path, ("x_train", "y_train", "x_test", "y_test"))
    # The legacy generator gives the order that published results were obtained in.
    rng = np.random.RandomState(seed)
    x_train, y_train = _shuffled(arrays["x_train"], arrays["y_train"], rng)
    x_test, y_test = _shuffled(arrays["x_test"], arrays["y_test"], rng)
    x_train, y_train = _shorter(_begun(x_train, start_char, index_from), y_train, maxlen)
    x_test, y_test = _shorter(_begun(x_test, start_char, index_from), y_test, maxlen)
    x = _without_rare([*x_train, *x_test], num_words, skip_top, oov_char)
    return (x[: len(x_train)], y_train), (x[len(x_train) :], y_test)


def read_reuters(
    path: str | os.PathLike[str],
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    test_split: float = 0.2,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int = 3,
) -> tuple[Part, Part]:
    """Read `reuters.npz`: 11,228 newswires of 46 topics, as numbers of words.

    The arguments mean what they mean in Keras's `keras.datasets.reuters.load_data`, and the results are the same.

    Parameters
    ----------
    test_split : float
        Fraction of the newswires, the last after shuffling, that is returned as test part.
    path, num_words, skip_top, maxlen, seed, start_char, oov_char, index_from
        As in `read_imdb`.

    Returns
    -------
    (x_train, y_train), (x_test, y_test)
        Lists of lists of int, and int64 arrays of topics.

    Raises
    ------
    OSError, ValueError
        As in `read_imdb`.
    """
    if not 0 <= test_split <= 1:
        raise ValueError(f"test_split must lie between 0 and 1, got {test_split}")
    arrays = _read_archive(path, ("x", "y"))
    x, y = _shuffled(arrays["x"], arrays["y"], np.random.RandomState(seed))
    x, y = _shorter(_begun(x, start_char, index_from), y, maxlen)
    x = _without_rare(x, num_words, skip_top, oov_char)
    cut = int(len(x) * (1 - test_split))
    return (x[:cut], y[:cut]), (x[cut:], y[cut:])


def _shuffled(x: list[list[int]], y: npt.NDArray[np.int64], rng: np.random.RandomState) -> Part:
    order = np.arange(len(x))
    rng.shuffle(order)
    return [x[row] for row in order], y[order]


def _begun(x: list[list[int]], start_char: int | None, index_from: int) -> list[list[int]]:
    first = [] if start_char is None else [start_char]
    return [first + [word + index_from for word in review] for review in x]


def _shorter(x: list[list[int]], y: npt.NDArray[np.int64], maxlen: int | None) -> Part:
    if not maxlen:
        return x, y
    kept = [row for row, review in enumerate(x) if len(review) < maxlen]
    if not kept:
        raise ValueError(f"no text is shorter than maxlen={maxlen}")
    return [x[row] for row in kept], y[kept]


def _without_rare(x: list[list[int]], num_words: int | None, skip_top: int, oov_char: int | None) -> list[list[int]]:
    limit = num_words or max((max(review, default=0) for review in x), default=0)
    if oov_char is None:
        return [[word for word in review if skip_top <= word < limit] for review in x]
    return [[word if skip_top <= word < limit else oov_char for word in review] for review in x]


def _read_archive(path: str | os.PathLike[str], names: tuple[str, ...]) -> dict[str, Any]:
    """The arrays by name: texts as lists of lists of int, labels as int64 arrays."""
    path = Path(path)
    found: dict[str, Any] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            if missing := [name for name in names if f"{name}.npy" not in archive.namelist()]:
                raise ValueError(f"it holds no array {missing[0]!r}")
            for name in names:
                with archive.open(f"{name}.npy") as file:
                    found[name] = _read_member(file, name)  # type: ignore[arg-type]
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such file") from None
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path}: it is no npz archive, or damaged ({error})") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    for texts, labels in zip(names[::2], names[1::2], strict=True):
        if len(found[texts]) != len(found[labels]):
            raise ValueError(
                f"{path}: it holds {len(found[texts])} texts in {texts!r} and {len(found[labels])} labels in {labels!r}"
            )
    return found


def _read_member(file: BinaryIO, name: str) -> Any:
    try:
        value = _read_values(file)
    except zipfile.BadZipFile:
        raise
    except ValueError as error:
        raise ValueError(f"{name!r}: {error}") from None
    # A damaged header or pickle may raise nearly anything.
    except Exception as error:
        raise ValueError(f"{name!r} is damaged: {error}") from None
    if name.startswith("y"):
        return np.array(_integers(value, name), dtype=np.int64)
    if not isinstance(value, list):
        raise ValueError(f"{name!r} holds a {type(value).__name__}, a list was expected")
    return [_integers(_as_list(each), name) for each in value]


def _read_values(file: BinaryIO) -> Any:
    version = np.lib.format.read_magic(file)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    _, _, dtype = read_header(file)
    if dtype.hasobject:
        return _as_list(_Unpickler(file).load())
    return np.frombuffer(file.read(), dtype=dtype).tolist()


def _integers(value: Any, name: str) -> list[int]:
    if not isinstance(value, list) or not all(type(number) is int for number in value):
        raise ValueError(f"{name!r} holds something else than lists of integers")
    return value


def _as_list(value: Any) -> Any:
    return value.values if isinstance(value, _Array) else value


class _Array:
    """Stands for a pickled NumPy array of one axis, of lists or of integers."""

    values: list[Any]

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, _, content = state
        if not isinstance(dtype, _Dtype) or not isinstance(shape, tuple) or len(shape) != 1:
            raise ValueError("an array in it is not of one axis")
        if dtype.code[:1] == "O" and isinstance(content, list):
            self.values = content
        elif dtype.code in ("i1", "i2", "i4", "i8", "u1", "u2", "u4") and isinstance(content, bytes):
            self.values = np.frombuffer(content, dtype=dtype.order + dtype.code).tolist()
        else:
            raise ValueError("an array in it holds neither lists nor integers")
        if (len(self.values),) != shape:
            raise ValueError("an array in it has another size than its shape says")


class _Dtype:
    """Stands for a pickled NumPy dtype."""

    order = "<"

    def __init__(self, code: Any, *_: Any) -> None:
        self.code = str(code)

    def __setstate__(self, state: Any) -> None:
        self.order = ">" if state[1] == ">" else "<"


def _empty_array(*_: Any) -> _Array:
    return _Array()


def _encode(text: Any, encoding: Any) -> bytes:
    """How old pickles keep bytes."""
    if not isinstance(text, str) or encoding != "latin1":
        raise ValueError("bytes in it are not encoded as pickles do")
    return text.encode("latin1")


_STAND_INS = {
    ("numpy.core.multiarray", "_reconstruct"): _empty_array,
    ("numpy._core.multiarray", "_reconstruct"): _empty_array,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _encode,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _STAND_INS[module, name]
        except KeyError:
            raise ValueError(f"it wants to call {module}.{name}; only lists, integers and arrays are read") from None
