import io
import os
import pickle
import zipfile

import numpy as np
import pytest

from rnnfast.data import read_imdb, read_reuters

TRAIN = [
    [19, 15, 8, 9, 2, 3, 1],
    [24, 19],
    [15, 18, 29, 22, 19, 16, 17, 28],
    [24, 20, 1],
    [25, 17, 1, 23],
    [25, 6, 3, 26, 1, 16],
    [9],
]
TEST = [[13, 12, 1, 1], [1], [16, 19, 8, 18, 23, 12], [29, 24, 29, 12], [28, 19, 25, 20, 21, 12]]


def objects(texts, entry=list):
    array = np.empty(len(texts), dtype=object)
    for row, text in enumerate(texts):
        array[row] = entry(text)
    return array


def write(path, **arrays):
    np.savez(path, **arrays)
    return path


@pytest.fixture
def imdb(tmp_path):
    labels = {"y_train": np.arange(7), "y_test": np.arange(5) + 10}
    return write(tmp_path / "imdb.npz", x_train=objects(TRAIN), x_test=objects(TEST), **labels)


@pytest.fixture
def reuters(tmp_path):
    return write(tmp_path / "reuters.npz", x=objects(TRAIN), y=np.arange(7))


def lists(parts):
    return [[x, y.tolist()] for x, y in parts]


# Computed with keras.datasets.imdb.load_data and keras.datasets.reuters.load_data of Keras 3.15.1 on these files.
def test_keras_numbers_of_imdb(imdb):
    (x_train, y_train), (x_test, y_test) = read_imdb(imdb)
    assert x_train[:3] == [[1, 27, 22], [1, 27, 23, 4], [1, 22, 18, 11, 12, 5, 6, 4]]
    # Without num_words, Keras leaves out the largest number, 32 here, alone.
    assert x_train[4] == [1, 18, 21, 2, 25, 22, 19, 20, 31]
    assert x_test[1:3] == [[1, 2, 27, 2, 15], [1, 31, 22, 28, 23, 24, 15]]
    assert y_train.tolist() == [1, 3, 0, 6, 2, 4, 5]
    assert y_test.tolist() == [12, 13, 14, 11, 10]
    assert y_train.dtype == np.int64
    x = read_imdb(imdb, num_words=15)[0][0]
    assert x[:4] == [[1, 2, 2], [1, 2, 2, 4], [1, 2, 2, 11, 12, 5, 6, 4], [1, 12]]
    assert lists(read_imdb(imdb, num_words=15, skip_top=6, maxlen=6, seed=1)) == [
        [[[2, 12], [2, 2, 2], [2, 2, 2, 2, 2], [2, 2, 2, 2]], [6, 1, 4, 3]],
        [[[2, 2, 2, 2, 2], [2, 2], [2, 2, 2, 2, 2]], [13, 11, 10]],
    ]
    x = read_imdb(imdb, start_char=None, oov_char=None, num_words=20, index_from=0)[1][0]
    assert x == [[16, 19, 8, 18, 12], [12], [19, 12], [1], [13, 12, 1, 1]]
    x = read_imdb(imdb, start_char=None, num_words=12)[1][0]
    assert x == [[2, 2, 11, 2, 2, 2], [2, 2, 2, 2], [2, 2, 2, 2, 2, 2], [4], [2, 2, 4, 4]]


def test_keras_numbers_of_reuters(reuters):
    (x_train, y_train), (x_test, y_test) = read_reuters(reuters)
    assert y_train.tolist() == [1, 3, 0, 6, 2]
    assert x_test == [[1, 28, 20, 4, 26], [1, 28, 9, 6, 29, 4, 19]]
    assert y_test.tolist() == [4, 5]
    assert lists(read_reuters(reuters, num_words=15, test_split=0.4, skip_top=6, maxlen=6, seed=1)) == [
        [[[2, 12], [2, 2, 2]], [6, 1]],
        [[[2, 2, 2, 2, 2], [2, 2, 2, 2]], [4, 3]],
    ]
    assert len(x_train) == 5


@pytest.mark.parametrize("protocol", range(5))
@pytest.mark.parametrize("entry", [list, lambda text: np.array(text, dtype=">i2"), np.array])
def test_every_way_to_pickle_them(tmp_path, protocol, entry):
    # savez writes one protocol; the published files are older.
    path = tmp_path / "reuters.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for name, value in (("x", objects(TRAIN, entry)), ("y", objects([0] * 7, int))):
            file = io.BytesIO()
            np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": (7,)})
            pickle.dump(value, file, protocol=protocol)
            archive.writestr(f"{name}.npy", file.getvalue())
    (x, y), _ = read_reuters(path, start_char=None, index_from=0, num_words=99, test_split=0)
    assert sorted(x) == sorted(TRAIN)
    assert y.tolist() == [0] * 7


class Evil:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    "evil",
    [
        lambda path: Evil(os.mkdir, str(path)),
        lambda path: Evil(eval, f"__import__('os').mkdir({str(path)!r})"),
        lambda path: Evil(np.save, str(path), 1),
    ],
)
def test_no_code_is_run(tmp_path, evil):
    made = tmp_path / "made"
    path = write(tmp_path / "reuters.npz", x=np.array([evil(made), [1]], dtype=object), y=np.arange(2))
    with pytest.raises(ValueError, match=r"it wants to call .*; only lists, integers and arrays are read"):
        read_reuters(path)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": objects(TRAIN)}, "it holds no array 'y'"),
        ({"x": objects(TRAIN), "y": np.arange(3)}, "7 texts in 'x' and 3 labels in 'y'"),
        ({"x": objects([["a"]]), "y": np.arange(1)}, "'x' holds something else than lists of integers"),
        ({"x": objects([[1.5]]), "y": np.arange(1)}, "'x' holds something else than lists of integers"),
        ({"x": objects([[1.5]], np.array), "y": np.arange(1)}, "holds neither lists nor integers"),
        ({"x": objects([[[1]]], np.array), "y": np.arange(1)}, "not of one axis"),
        ({"x": objects(TRAIN), "y": np.ones(7)}, "'y' holds something else than lists of integers"),
    ],
)
def test_other_content(tmp_path, arrays, message):
    path = write(tmp_path / "reuters.npz", **arrays)
    with pytest.raises(ValueError, match=message) as caught:
        read_reuters(path)
    assert str(caught.value).startswith(str(path))


def test_damaged_files(tmp_path, imdb):
    whole = imdb.read_bytes()
    with zipfile.ZipFile(imdb) as archive:
        member = archive.read("x_train.npy")
    for cut in (0, 50, len(whole) // 2, len(whole) - 30):
        imdb.write_bytes(whole[:cut])
        with pytest.raises(ValueError, match="no npz archive, or damaged"):
            read_imdb(imdb)
    path = tmp_path / "reuters.npz"
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(200):
        broken = bytearray(member)
        broken[rng.integers(0, len(broken))] = rng.integers(0, 256)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x.npy", bytes(broken))
            file = io.BytesIO()
            np.save(file, np.arange(7))
            archive.writestr("y.npy", file.getvalue())
        try:
            read_reuters(path)
        except ValueError:
            refused += 1
    assert refused > 20


def test_kind_errors(tmp_path, imdb, reuters):
    with pytest.raises(FileNotFoundError, match=r"absent\.npz: no such file"):
        read_imdb(tmp_path / "absent.npz")
    with pytest.raises(ValueError, match="no text is shorter than maxlen=1"):
        read_imdb(imdb, maxlen=1)
    with pytest.raises(ValueError, match="test_split must lie between 0 and 1, got 2"):
        read_reuters(reuters, test_split=2)
