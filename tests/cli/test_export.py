"""`rnnfast export`."""

import json

import pytest
from cli_checks import one_line_error, output_of

import rnnfast as rf
from rnnfast.export import c_source


@pytest.fixture
def model_file(tmp_path):
    rf.Sequential(rf.GRU(3, 4, seed=0), rf.Last(), rf.Linear(4, 2, seed=0)).save(tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def test_c(tmp_path, capsys, model_file):
    output = tmp_path / "model.c"
    ask = ["export", "c", model_file, "--output", output, "--name", "sign"]
    found = json.loads(output_of([*ask, "--json"], capsys))
    assert output.read_text() == c_source(rf.load(model_file), name="sign")
    assert found == {"output": str(output), "format": "c", "bytes": output.stat().st_size}
    assert "exists already" in one_line_error(ask, capsys)
    assert output_of([*ask, "--force"], capsys) == f"wrote {output.stat().st_size:,} bytes to {output}\n"


def test_what_cannot_be_written_is_one_line(tmp_path, capsys, model_file):
    output = tmp_path / "model.c"
    assert "name must be letters" in one_line_error(
        ["export", "c", model_file, "--output", output, "--name", "a b"], capsys
    )
    both = tmp_path / "both.safetensors"
    rf.GRU(3, 4, bidirectional=True).save(both)
    assert "max_steps" in one_line_error(["export", "c", both, "--output", output], capsys)
    rf.Sequential(rf.GRU(3, 4), rf.MeanPool()).save(both)
    assert "layer 1 (MeanPool)" in one_line_error(["export", "c", both, "--output", output], capsys)
    both.write_text("nothing")
    assert "not a safetensors file" in one_line_error(["export", "c", both, "--output", output], capsys)
    assert "--output" in one_line_error(["export", "c", model_file], capsys)
    assert not output.exists()
