"""`rnnfast train classify`, and `predict` and `evaluate` with what it writes."""

import csv
import io
import json

import numpy as np
import pytest
from cli_checks import one_line_error, output_of, rnnfast_command

import rnnfast as rf
from rnnfast.cli import main

TINY = ["--hidden", 8, "--epochs", 12, "--learning-rate", 0.02, "--batch-size", 8]


def write_csv(path, names, rows, delimiter=","):
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerows([names, *rows])
    path.write_text(text.getvalue(), encoding="utf-8")
    return path


def reviews(count, seed):
    rng = np.random.default_rng(seed)
    words = {"good": ["fine", "lovely", "great"], "bad": ["poor", "awful", "dull"]}
    labels = [("good", "bad")[number % 2] for number in range(count)]
    return [(label, f'The "film", was\n {rng.choice(words[label])}', number) for number, label in enumerate(labels)]


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    return write_csv(tmp_path_factory.mktemp("reviews") / "reviews.csv", ["stars", "review", "age"], reviews(60, 0))


@pytest.fixture(scope="module")
def model(texts):
    path = texts.with_name("reviews.safetensors")
    assert main(list(map(str, ["train", "classify", texts, "--label", "stars", "--output", path, *TINY]))) == 0
    return path


def test_training_says_what_it_did(texts, tmp_path, capsys):
    output = tmp_path / "model.safetensors"
    arguments = ["train", "classify", texts, "--text", "review", "--label", "stars", "--output", output, *TINY]
    text = output_of(arguments, capsys)
    assert text.startswith("60 sequences, 2 labels; 6 are held out\n")
    assert f"saved {output}, held-out accuracy 1.000 (6 of 6); always saying " in text
    said = json.loads(output_of([*arguments, "--json"], capsys))
    assert said["output"] == str(output)
    assert said["held_out"]["count"] == 6
    assert said["held_out"]["accuracy"] == 1.0
    assert 1 <= said["epochs"] <= 12


def test_predict_says_what_the_model_says(texts, model, tmp_path, capsys):
    new = write_csv(tmp_path / "new.tsv", ["review", "place"], [(text, "x") for _, text, _ in reviews(7, 5)], "\t")
    rows = list(csv.DictReader(io.StringIO(output_of(["predict", model, new], capsys))))
    assert [row["label"] for row in rows] == ["good", "bad"] * 3 + ["good"]
    shares = rf.Classifier.load(model).predict_proba([text for _, text, _ in reviews(7, 5)])
    assert [float(row["probability"]) for row in rows] == pytest.approx(shares.max(axis=1).tolist(), abs=1e-4)
    values = json.loads(output_of(["predict", model, new, "--json"], capsys))
    assert [value["label"] for value in values] == [row["label"] for row in rows]
    assert [value["probabilities"]["bad"] for value in values] == pytest.approx(shares[:, 0].tolist(), rel=1e-6)


def test_predictions_go_to_a_new_file_and_replace_none(texts, model, tmp_path, capsys):
    output = tmp_path / "out.csv"
    assert output_of(["predict", model, texts, "--output", output], capsys) == ""
    assert len(output.read_text().splitlines()) == 61
    before = output.read_bytes()
    assert "exists already" in one_line_error(["predict", model, texts, "--output", output], capsys)
    assert output.read_bytes() == before
    assert "no directory" in one_line_error(["predict", model, texts, "--output", tmp_path / "no" / "x"], capsys)


def test_evaluate(model, tmp_path, capsys):
    rows = reviews(10, 7)
    rows[0] = ("bad", *rows[0][1:])
    path = write_csv(tmp_path / "test.csv", ["stars", "review", "age"], rows)
    figures = json.loads(output_of(["evaluate", model, path, "--json"], capsys))
    assert (figures["count"], figures["accuracy"], figures["commonest"]) == (10, 0.9, "bad")
    assert figures["labels"]["bad"] == {"precision": 1.0, "recall": 5 / 6, "f1": 10 / 11, "count": 6}
    assert figures["labels"]["good"] == {"precision": 0.8, "recall": 1.0, "f1": 8 / 9, "count": 4}
    text = output_of(["evaluate", model, path], capsys)
    assert text.startswith("accuracy 0.900 (9 of 10); always saying 'bad' has 0.600\n")
    assert [line.split() for line in text.splitlines()][-2] == ["1.000", "0.833", "0.909", "6", "bad"]


def test_series_in_rows(tmp_path, capsys):
    rng = np.random.default_rng(0)
    rows = []
    for number in range(40):
        slope, steps = (1, -1)[number % 2], 3 + number % 3
        values = [f"{slope * step + rng.normal() / 9:.3f}" for step in range(steps)]
        rows.append([("1", "0")[number % 2], *values, *[""] * (5 - steps)])
    path = write_csv(tmp_path / "slopes.csv", ["label", *"abcde"], rows, ";")
    output = tmp_path / "model.safetensors"
    output_of(["train", "classify", path, "--output", output, *TINY], capsys)
    assert json.loads(output_of(["evaluate", output, path, "--json"], capsys))["accuracy"] == 1.0
    rows[3] = ["0", "1", "", "2", "", ""]
    gap = write_csv(tmp_path / "gap.csv", ["label", *"abcde"], rows)
    assert "row 4 has a gap" in one_line_error(["predict", output, gap], capsys)
    rows[3] = ["0", *[""] * 5]
    empty = write_csv(tmp_path / "empty.csv", ["label", *"abcde"], rows)
    assert "row 4 has no numbers" in one_line_error(["evaluate", output, empty], capsys)
    rows[3] = ["0", "high", "", "", "", ""]
    word = write_csv(tmp_path / "word.csv", ["label", *"abcde"], rows)
    assert "column 'a' does not hold numbers alone" in one_line_error(["predict", output, word], capsys)


def test_series_a_step_a_row(tmp_path, capsys):
    rows = []
    for number in range(24):
        for step in range(2 + number % 3):
            rows.append([f"p{number}", 60 + 40 * (number % 2) + step, 37 + step / 10, ("well", "ill")[number % 2]])
    names = ["patient", "pulse", "heat", "label"]
    path, output = write_csv(tmp_path / "wards.csv", names, rows), tmp_path / "model.safetensors"
    text = output_of(["train", "classify", path, "--series", "patient", "--output", output, *TINY], capsys)
    assert "24 sequences, 2 labels; 2 are held out" in text
    said = list(csv.DictReader(io.StringIO(output_of(["predict", output, path], capsys))))
    assert [row["patient"] for row in said] == [f"p{number}" for number in range(24)]
    assert [row["label"] for row in said] == ["well", "ill"] * 12
    rows[1][3] = "ill"
    mixed = write_csv(tmp_path / "mixed.csv", names, rows)
    assert "series 'p0' has rows of several labels" in one_line_error(["evaluate", output, mixed], capsys)
    rows[1][1] = "?"
    missing = write_csv(tmp_path / "missing.csv", names, rows)
    assert "row 2 has no number in column 'pulse'" in one_line_error(["predict", output, missing], capsys)


def test_nothing_held_out(texts, tmp_path, capsys):
    output = tmp_path / "model.safetensors"
    arguments = ["train", "classify", texts, "--label", "stars", "--held-out", 0, "--output", output, *TINY]
    assert output_of(arguments, capsys).splitlines()[-1] == f"saved {output}"


def test_ctrl_c_keeps_the_model_so_far(texts, tmp_path, monkeypatch, capsys):
    output, whole = tmp_path / "model.safetensors", rf.training.EarlyStopping.on_epoch_end

    def interrupted(self, epoch, logs):
        if epoch == 2:
            raise KeyboardInterrupt
        return whole(self, epoch, logs)

    monkeypatch.setattr(rf.training.EarlyStopping, "on_epoch_end", interrupted)
    text = output_of(["train", "classify", texts, "--label", "stars", "--output", output, *TINY], capsys)
    assert "whole epochs; this is the model so far\nsaved " in text
    assert rf.Classifier.load(output).predict(["fine"]).tolist() in (["good"], ["bad"])


def test_a_model_that_python_saved(tmp_path, texts, capsys):
    path = write_csv(tmp_path / "table.csv", ["text", "label"], [(text, label) for label, text, _ in reviews(20, 1)])
    output = tmp_path / "model.safetensors"
    rows = reviews(20, 1)
    estimator = rf.Classifier(hidden_size=4, seed=0).fit([row[1] for row in rows], [row[0] for row in rows], epochs=1)
    estimator.save(output)
    accuracy = estimator.score([row[1] for row in rows], [row[0] for row in rows])
    assert json.loads(output_of(["evaluate", output, path, "--json"], capsys))["accuracy"] == accuracy
    bare = write_csv(tmp_path / "bare.csv", ["text", "id"], [(row[1], row[2]) for row in rows])
    said = csv.DictReader(io.StringIO(output_of(["predict", output, bare], capsys)))
    assert [row["label"] for row in said] == estimator.predict([row[1] for row in rows]).tolist()
    numbers = write_csv(tmp_path / "numbers.csv", ["a", "b"], [(1, 2)])
    assert "x[0] must be a text" in one_line_error(["predict", output, numbers], capsys)


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("", [], "the file is empty"),
        ("text,label\n", [], "no rows below the columns' names, 'text', 'label'"),
        ("text,kind\na,b\n", [], "no column 'label'; its first line names 'text', 'kind' (choose with --label)"),
        ("text,label\na,b\n", ["--text", "words"], "no column 'words'; its first line names 'text', 'label'"),
        ("text,label\na,b\n", ["--series", "id"], "no column 'id'"),
        ("one,two,label\na,b,c\n", [], "columns 'one', 'two' hold text; choose one with --text"),
        ("label\na\n", [], "no column beside the label's"),
        ("text,label\na,b\nc\n", [], "line 3 has 1 fields, the first has 2"),
        ("text,label\na,b\nc,\n", [], "row 2 has no label"),
        ("text,label\na,b\nc,b\n", [], "all of column 'label' is 'b'; at least two labels are needed"),
        ("text,label\na,b\nc,d\n", [], "too few examples to hold some out"),
        ("text,text\na,b\n", [], "a column's name occurs twice"),
    ],
)
def test_bad_tables(tmp_path, capsys, content, options, message):
    path, output = tmp_path / "table.csv", tmp_path / "model.safetensors"
    path.write_text(content, encoding="utf-8")
    line = one_line_error(["train", "classify", path, *options, "--output", output], capsys)
    assert message in line
    assert str(path) in line or "too few" in line
    assert not output.exists()


def test_bad_files(tmp_path, texts, model, capsys):
    absent, binary = tmp_path / "absent.csv", tmp_path / "binary.csv"
    binary.write_bytes(b"\0\1\2")
    for arguments in (["train", "classify"], ["predict", model], ["evaluate", model]):
        assert f"{absent}: no such file" in one_line_error([*arguments, absent], capsys)
        assert "a binary file" in one_line_error([*arguments, binary], capsys)
        assert "is a directory" in one_line_error([*arguments, tmp_path], capsys)
    assert "not overwritten" in one_line_error(["train", "classify", texts, "--output", texts], capsys)
    other = write_csv(tmp_path / "other.csv", ["review", "stars"], [("fine", "good"), ("odd", "middling")])
    line = one_line_error(["evaluate", model, other], capsys)
    assert "the label 'middling' was not in the training data, which had 'bad', 'good'" in line
    bare = write_csv(tmp_path / "bare.csv", ["text", "stars"], [("fine", "good")])
    line = one_line_error(["predict", model, bare], capsys)
    assert "no column 'review'; its first line names 'text', 'stars' (the model was trained on it)" in line
    bare = write_csv(tmp_path / "bare.csv", ["review"], [("fine",)])
    assert "no column 'stars'" in one_line_error(["evaluate", model, bare], capsys)


def test_other_kinds_of_models(tmp_path, texts, model, capsys):
    path = tmp_path / "model.safetensors"
    rf.save(rf.Linear(2, 3, seed=0), path)
    for command in ("predict", "evaluate"):
        line = one_line_error([command, path, texts], capsys)
        assert f"{path}: its kind is Linear; this command takes LanguageModel, Classifier, Tagger, " in line
        assert f"{texts}: it is not a safetensors file" in one_line_error([command, texts, texts], capsys)
    rf.LanguageModel(5, hidden_size=2, seed=0).save(path)
    assert "rnnfast generate" in one_line_error(["predict", path, texts], capsys)
    assert "trained on numbers" in one_line_error(["evaluate", path, texts], capsys)
    assert "not a language model" in one_line_error(["generate", model], capsys)


DAMAGES = [{"label": 3, "text": "a"}, {"text": "a"}, ["label"], 7, {"label": "a", "steps": [1]}]


@pytest.mark.parametrize("columns", DAMAGES)
def test_damaged_columns(tmp_path, texts, model, columns, capsys):
    network, extra = rf.files.load_with_extra(model)
    path = tmp_path / "model.safetensors"
    rf.files.save(network, path, extra={**extra, "columns": columns})
    for command in ("predict", "evaluate"):
        assert "columns it was trained on is damaged" in one_line_error([command, path, texts], capsys)


def test_equal_seeds_write_equal_models(texts, tmp_path, capsys):
    outputs = [tmp_path / "a", tmp_path / "b"]
    for output in outputs:
        output_of(
            ["train", "classify", texts, "--label", "stars", "--output", output, *TINY[:2], "--epochs", 1], capsys
        )
    first, second = (rf.Classifier.load(output).network.flat_data for output in outputs)
    assert np.array_equal(first, second)


def test_in_a_process_of_its_own(texts, model):
    done = rnnfast_command("predict", model, texts)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("label,probability\ngood,")


@pytest.mark.parametrize(
    "command", ["train classify", "train tag", "train forecast", "train text", "predict", "inspect"]
)
def test_help_gives_examples(command, capsys):
    name = command.split()[0]
    assert f"\n  rnnfast {name} " in output_of([*command.split(), "--help"], capsys).replace("example: ", "\n  ")
