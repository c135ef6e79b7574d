"""`rnnfast train tag`, and `predict` and `evaluate` with what it writes."""

import json

import numpy as np
import pytest
from cli_checks import one_line_error, output_of

import rnnfast as rf
from rnnfast.cli import main

TINY = ["--hidden", 8, "--epochs", 10, "--learning-rate", 0.03, "--batch-size", 8]


def sentences(count, seed):
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        who, where = rng.choice(["Ann", "Bob", "Eve"]), rng.choice(["Rome", "Oslo"])
        found.append([(who, "B-PER"), ("visits", "O"), (where, "B-LOC"), ("City", "I-LOC"), *[("!", "O")] * (_ % 2)])
    return found


def write_conll(path, rows):
    path.write_text("\n".join("".join(f"{word} x {tag}\n" for word, tag in row) for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    return write_conll(tmp_path_factory.mktemp("names") / "names.conll", sentences(50, 0))


@pytest.fixture(scope="module")
def model(names):
    path = names.with_name("names.safetensors")
    assert main(list(map(str, ["train", "tag", names, "--output", path, *TINY]))) == 0
    return path


def test_training_says_what_it_did(names, tmp_path, capsys):
    output = tmp_path / "model.safetensors"
    text = output_of(["train", "tag", names, "--output", output, "--softmax", "--cell", "lstm", *TINY], capsys)
    assert text.startswith("50 sentences, 225 words, 4 tags; 5 are held out\n")
    assert f"saved {output}, held-out accuracy 1.000 of " in text
    assert text.endswith("F1 of entities 1.000\n")
    assert rf.Tagger.load(output).get_params()["output"] == "softmax"


def test_predict_writes_words_and_tags(model, tmp_path, capsys):
    rows = sentences(3, 4)
    words = tmp_path / "words.txt"
    words.write_text("\n".join("".join(f"{word}\n" for word, _ in row) for row in rows))
    expected = "\n".join("".join(f"{word} {tag}\n" for word, tag in row) for row in rows)
    assert output_of(["predict", model, words], capsys) == expected
    values = json.loads(output_of(["predict", model, words, "--json"], capsys))
    assert values[1] == {"words": [word for word, _ in rows[1]], "tags": [tag for _, tag in rows[1]]}


def test_evaluate(model, tmp_path, capsys):
    rows = sentences(4, 8)
    rows[0][3] = ("City", "O")
    figures = json.loads(output_of(["evaluate", model, write_conll(tmp_path / "t", rows), "--json"], capsys))
    # One place of the four sentences' is wrong, and of eight entities on each side seven.
    assert figures == {"sentences": 4, "words": 18, "accuracy": 17 / 18, "entity_f1": 7 / 8}


def test_conllu_and_parts_of_speech(tmp_path, capsys):
    sentence = "# text\n1-2\tthe dog\t_\t_\n1\tthe\tthe\tDET\n2\tdog\tdog\tNOUN\n3\tbarks\tbark\tVERB\n\n"
    path, output = tmp_path / "dogs.conllu", tmp_path / "model.safetensors"
    path.write_text(sentence * 20)
    text = output_of(["train", "tag", path, "--output", output, *TINY], capsys)
    assert text.startswith("20 sentences, 60 words, 3 tags; 2 are held out\n")
    assert text.endswith("held-out accuracy 1.000 of 6 words\n")
    assert output_of(["predict", output, path], capsys).startswith("the DET\ndog NOUN\nbarks VERB\n\nthe DET\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"\n\n", "it has no words"),
        (b"\0\1", "a binary file"),
        (b"Ann\nsleeps\n", "words and tags are the same column"),
        (b"Ann B-PER\nsleeps\n", "line 2 has 1 columns, the lines before have 2"),
        (b"Ann B-PER\n\nsleeps O\n", "too few examples to hold some out"),
    ],
)
def test_bad_files(tmp_path, capsys, content, message):
    path, output = tmp_path / "file.conll", tmp_path / "model.safetensors"
    path.write_bytes(content)
    assert message in one_line_error(["train", "tag", path, "--output", output], capsys)
    assert not output.exists()


def test_refusals(tmp_path, names, model, capsys):
    assert "it has 3 columns" in one_line_error(["train", "tag", names, "--tag-column", 5], capsys)
    other = write_conll(tmp_path / "other.conll", [[("Ann", "B-ORG")]])
    line = one_line_error(["evaluate", model, other], capsys)
    assert "the label 'B-ORG' was not in the training data, which had 'B-LOC', 'B-PER', 'I-LOC', 'O'" in line
    empty = tmp_path / "empty.conll"
    empty.write_text("\n")
    assert "no words" in one_line_error(["predict", model, empty], capsys)
