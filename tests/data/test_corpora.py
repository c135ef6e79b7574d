import errno
import sys
from pathlib import Path

import pytest

from rnnfast.data import hold_out, python_documentation, read_text


def test_python_documentation_is_the_same_each_time_and_long():
    text = python_documentation()
    assert text == python_documentation()
    assert len(text) > 400_000
    assert '"assert" statement' in text
    if sys.version_info[:2] == (3, 11):
        assert 460_000 < len(text) < 470_000


def test_read_text_joins_files_and_normalises_line_ends(tmp_path):
    (tmp_path / "a.txt").write_bytes("\ufeffGrüße\r\nzwei\rdrei".encode())
    (tmp_path / "b.txt").write_bytes("€\n".encode())
    assert read_text([tmp_path / "a.txt", str(tmp_path / "b.txt")]) == "Grüße\nzwei\ndrei\n€\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"text\0text", "binary file"),
        (b"caf\xe9", r"not UTF-8 text \(byte 3: "),
        (b"\xff\xfe", "not UTF-8"),
    ],
)
def test_bad_content(tmp_path, content, message):
    path = tmp_path / "text.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_text([path])
    assert str(caught.value).startswith(str(path))


def test_missing_file_and_directory(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.txt: no such file"):
        read_text([tmp_path / "absent.txt"])
    with pytest.raises(OSError, match=r"directory|cannot be read"):
        read_text([tmp_path])
    with pytest.raises(ValueError, match="no text file given"):
        read_text([])


def test_unreadable_file(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(OSError, match=r"secret\.txt: cannot be read \(Permission denied\)"):
        read_text([tmp_path / "secret.txt"])


def test_hold_out_takes_the_end():
    text = "".join(map(chr, range(97, 120)))
    training, held_out = hold_out(text)
    assert training + held_out == text
    assert len(held_out) == 2
    assert hold_out(list(range(10)), 0.35) == ([0, 1, 2, 3, 4, 5, 6], [7, 8, 9])
    with pytest.raises(ValueError, match="between 0 and 1, got 1"):
        hold_out(text, 1.0)
