import numpy as np
import pytest

from rnnfast.data import read_csv


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes(
        '\ufeffday, warm ,wind,"a, b"\r\nMon,1.5,-2e3,x\r\nTue,NA,0,"y\r\nz"\r\n\r\nWed, 7 ,?,"q""q"\r\n'.encode()
    )
    return path


def test_columns_by_name(table):
    found = read_csv(table, ["wind", "warm"])
    assert list(found) == ["wind", "warm"]
    np.testing.assert_array_equal(found["warm"], [1.5, np.nan, 7])
    np.testing.assert_array_equal(found["wind"], [-2000, 0, np.nan])
    assert found["warm"].dtype == np.float64
    assert read_csv(table, [], text=["a, b"]) == {"a, b": ["x", "y\nz", 'q"q']}


def test_all_columns(table):
    found = read_csv(table, text=["wind"])
    assert list(found) == ["day", "warm", "wind", "a, b"]
    assert found["day"] == ["Mon", "Tue", "Wed"]
    assert found["wind"] == ["-2e3", "0", "?"]
    np.testing.assert_array_equal(found["warm"], [1.5, np.nan, 7])


def test_other_delimiters_and_no_rows(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("a;b\n1;2\n-9;3\n", encoding="utf-8")
    found = read_csv(path, delimiter=";", missing=["-9"])
    np.testing.assert_array_equal(found["a"], [1, np.nan])
    path.write_text("a,b\n", encoding="utf-8")
    assert read_csv(path)["b"].shape == (0,)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a,b\n1,2\n", {"columns": ["c"]}, "it has no column 'c'; it has 'a', 'b'"),
        ("a,b\n1,2\n", {"text": ["c"]}, "it has no column 'c'"),
        ("a,b\n1,2\n3\n", {}, "line 3 has 1 fields, the first has 2"),
        ('a,b\n1,"2\n3"\n4,x\n', {"columns": ["b"]}, r"line 3: '2\\n3' in column 'b' is no number"),
        ("a,b\n1,2\n4,x\n", {"columns": ["a", "b"]}, "line 3: 'x' in column 'b' is no number"),
        ("a,a\n1,2\n", {}, "name occurs twice: 'a', 'a'"),
        ('a,b\n1,"2\n', {}, "line 2: unexpected end of data"),
        ("", {}, "the file is empty"),
    ],
)
def test_kind_errors(tmp_path, text, options, message):
    path = tmp_path / "table.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message) as caught:
        read_csv(path, **options)
    assert str(caught.value).startswith(str(path))
