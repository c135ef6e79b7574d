import pytest

from rnnfast.data import read_parallel


@pytest.fixture
def files(tmp_path):
    first, second = tmp_path / "a.txt", tmp_path / "b.txt"
    first.write_bytes("one\r\n\r\n two\u2028three \r\nfour\r\n".encode())
    second.write_text("uno\n\ndos\n\n", encoding="utf-8")
    return first, second


def test_columns(tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_text("7\tgo\tve\tnote\n\n8\t stop \tpara\n", encoding="utf-8")
    assert read_parallel(path, columns=(1, 2)) == (["go", "stop"], ["ve", "para"])
    assert read_parallel(path, columns=(2, 1)) == (["ve", "para"], ["go", "stop"])
    path.write_text("a ||| b\n", encoding="utf-8")
    assert read_parallel(path, separator="|||") == (["a"], ["b"])


def test_two_files(files):
    assert read_parallel(*files) == (["one", "two\u2028three", "four"], ["uno", "dos", ""])


def test_kind_errors(tmp_path, files):
    first, second = files
    second.write_text("uno\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"a\.txt has 4 lines, .*b\.txt has 1$"):
        read_parallel(first, second)
    with pytest.raises(ValueError, match=r"b\.txt: line 1 has 1 columns, 2 were expected, with '\\t' between them"):
        read_parallel(second)
    with pytest.raises(ValueError, match="must not be negative"):
        read_parallel(second, columns=(0, -1))
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_parallel(tmp_path / "absent")
