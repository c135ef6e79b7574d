import io
import json

import pytest
from cli_checks import one_line_error, output_of

from rnnfast import Translator
from rnnfast.cli import main

WORDS = ["ab", "ba", "abc", "cab", "bca", "cc", "a", "b", "acb", "bb", "bac", "cbaab"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("translate")
    pairs, model = folder / "pairs.tsv", folder / "m.safetensors"
    lines = [f"{word}\t{' '.join(word.upper())}" for word in WORDS] + ["", "cc\tC"]
    pairs.write_text("\r\n".join(lines) + "\n", "utf-8", newline="")
    arguments = ["--tokens", "characters", "--target-tokens", "space", "--hidden", 24, "--epochs", 60]
    options = [*arguments, "--batch-size", 4, "--held-out", 0, "--dropout", 0, "--learning-rate", 0.01]
    assert main(["train", "translate", str(pairs), "--output", str(model), *map(str, options)]) == 0
    return pairs, model


def translated(capsys, monkeypatch, text, *arguments):
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    return output_of(["translate", *arguments], capsys)


def test_lines_in_lines_out(trained, capsys, monkeypatch):
    text = "ab\n\nbca\r\ncab"
    for size in (1, 3):
        found = translated(capsys, monkeypatch, text, trained[1], "--batch-size", size)
        assert found == "A B\n\nB C A\nC A B\n"


def test_n_best_alignments_and_json(trained, capsys, monkeypatch):
    found = translated(capsys, monkeypatch, "cab\n\n", trained[1], "--n-best", 2, "--alignments")
    rows = [line.split("\t") for line in found.splitlines()]
    assert [row[0] for row in rows] == ["0", "0", "1"]
    assert float(rows[0][1]) > float(rows[1][1])
    assert rows[0][2] == "C A B"
    assert [place.split("-")[1] for place in rows[0][3].split()] == ["0", "1", "2"]
    wanted = Translator.load(trained[1]).write(["cab"], n_best=2)[0]
    told = json.loads(translated(capsys, monkeypatch, "cab\n", trained[1], "--n-best", 2, "--alignments", "--json"))
    assert told["source"] == "cab"
    assert [each["text"] for each in told["translations"]] == [each.text for each in wanted]
    assert [each["score"] for each in told["translations"]] == pytest.approx([each.score for each in wanted], abs=1e-5)
    assert len(told["translations"][0]["alignment"]) == 3
    assert float(rows[0][1]) == pytest.approx(wanted[0].score, abs=1e-4)


def test_evaluate(trained, capsys):
    pairs, model = trained
    found = json.loads(output_of(["evaluate", model, pairs, "--json"], capsys))
    assert found["sources"] == len(WORDS)
    assert found["exact_match"] == 1
    assert found["error_rate"] == 0
    assert found["bleu"] > 99
    assert "12 texts right, error rate 0.000" in output_of(["evaluate", model, pairs], capsys)


def test_what_is_held_out_is_measured(trained, capsys, tmp_path):
    model = tmp_path / "m.safetensors"
    arguments = [
        "--tokens",
        "characters",
        "--hidden",
        8,
        "--epochs",
        2,
        "--held-out",
        0.25,
        "--output",
        model,
        "--json",
    ]
    assert main(["train", "translate", str(trained[0]), *map(str, arguments)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["held_out"]["sources"] == 3
    assert 0 <= found["held_out"]["exact_match"] <= 1


def test_what_is_wrong_is_said_in_a_line(trained, capsys, tmp_path, monkeypatch):
    pairs, model = trained
    bad = tmp_path / "bad.tsv"
    bad.write_text("a\tb\nno tab\n", "utf-8")
    assert "line 2 must be source and target" in one_line_error(["train", "translate", bad], capsys)
    assert "too few sources" in one_line_error(["train", "translate", pairs, "--held-out", 0.01], capsys)
    assert "rnnfast translate" in one_line_error(["predict", model, pairs], capsys)
    assert "--n-best must be at most --beam, 2" in one_line_error(
        ["translate", model, "--beam", 2, "--n-best", 3], capsys
    )
    assert "no such file" in one_line_error(["translate", tmp_path / "none"], capsys)
    bad.write_text("\n\n", "utf-8")
    assert "it has no pairs" in one_line_error(["evaluate", model, bad], capsys)
