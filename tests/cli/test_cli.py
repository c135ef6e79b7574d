"""The command in processes of its own, as users call it."""

import argparse
import json
import math
import os
import re
import select
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from cli_checks import one_line_error, output_of, rnnfast_command

import rnnfast
from rnnfast.cli import _parser, main
from rnnfast.models.language_model import LanguageModel

TEXT = "the quick brown fox jumps over the lazy dog;\n"
TINY = ["--hidden", "8", "--epochs", "1", "--batch-size", "4"]


@pytest.fixture(scope="module")
def text_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("texts") / "fox.txt"
    path.write_text(TEXT * 20, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def model_file(text_file):
    path = text_file.with_name("fox.safetensors")
    done = rnnfast_command("train", "text", text_file, "--output", path, *TINY, "--seed", 3)
    assert done.returncode == 0, done.stderr
    assert "900 characters, 29 different ones; the last 90 are held out" in done.stdout
    assert f"saved {path}, validation perplexity " in done.stdout
    assert "char/s" in done.stderr
    return path


def test_help_and_version():
    done = rnnfast_command("--version")
    assert (done.returncode, done.stdout) == (0, f"rnnfast {rnnfast.__version__}\n")
    done = rnnfast_command("--help")
    assert done.returncode == 0
    for command in ("demo", "train", "predict", "evaluate", "generate", "inspect", "export", "info"):
        assert f"\n    {command}" in done.stdout


def test_help_imports_neither_numpy_nor_the_kernels():
    code = "import sys; from rnnfast.cli import main; main(['train', 'text', '--help']); print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.endswith("False\n")


def test_info(capsys):
    done = rnnfast_command("info")
    assert done.returncode == 0
    assert "NumPy" in done.stdout
    found = json.loads(output_of(["info", "--json"], capsys))
    assert found["rnnfast"] == rnnfast.__version__
    assert found["instruction_set"] in found["instruction_sets"]
    assert found["threads"] == rnnfast.get_num_threads()


def test_generate_repeats_with_a_seed(model_file):
    runs = [
        rnnfast_command("generate", model_file, "--prompt", "the q", "--length", 40, "--seed", seed)
        for seed in (1, 1, 2)
    ]
    assert [done.returncode for done in runs] == [0, 0, 0]
    assert runs[0].stdout == runs[1].stdout != runs[2].stdout
    assert runs[0].stdout.startswith("the q")
    assert len(runs[0].stdout) == len("the q") + 40 + 1


def test_generate_gives_what_the_model_gives(model_file, capsys):
    assert main(["generate", str(model_file), "--prompt", "dog", "--length", "30", "--temperature", "0"]) == 0
    expected = LanguageModel.load(model_file).generate("dog", 30, temperature=0.0)
    assert capsys.readouterr().out == f"dog{expected}\n"
    assert main(["generate", str(model_file), "--length", "5", "--temperature", "0"]) == 0
    assert capsys.readouterr().out == LanguageModel.load(model_file).generate("\n", 5, temperature=0.0) + "\n"


def test_generate_as_json(model_file, capsys):
    found = json.loads(output_of(["generate", model_file, "--prompt", "dog", "--temperature", "0", "--json"], capsys))
    assert found == {"prompt": "dog", "text": LanguageModel.load(model_file).generate("dog", 500, temperature=0.0)}


def every_command(parser, name="rnnfast"):
    inner = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not inner:
        yield name, parser
    for action in inner:
        for word, subparser in action.choices.items():
            yield from every_command(subparser, f"{name} {word}")


def test_help_of_every_command_has_an_example_of_it():
    commands = dict(every_command(_parser()))
    assert {"rnnfast demo", "rnnfast train text", "rnnfast convert", "rnnfast info"} <= set(commands)
    for name, parser in commands.items():
        assert re.search(rf"^(examples?: |  )([A-Z_]+=\w+ )?{name}\b", parser.epilog, re.MULTILINE), name
        assert name == "rnnfast demo" or any("--json" in action.option_strings for action in parser._actions), name


def test_generate_with_fewer_choices_and_an_end(model_file, capsys):
    model, ask = LanguageModel.load(model_file), ["generate", model_file, "--prompt", "dog", "--length", "30"]
    for options, given in (
        (["--top-k", "1"], {"top_k": 1}),
        (["--top-p", "0.4"], {"top_p": 0.4}),
        (["--stop", "e"], {"stop": "e"}),
    ):
        expected = model.generate("dog", 30, temperature=0.7, seed=4, **given)
        assert output_of([*ask, "--seed", "4", *options], capsys) == f"dog{expected}\n"
    assert "e" not in expected
    assert "--top-k" in one_line_error([*ask, "--top-k", "0"], capsys)
    assert "top_p" in one_line_error([*ask, "--top-p", "1.5"], capsys)


def test_evaluate_measures_perplexity(tmp_path, model_file, capsys):
    path = tmp_path / "other.txt"
    path.write_text("the dog; the Ω\n")
    perplexity = LanguageModel.load(model_file).evaluate("the dog; the Ω\n")
    figures = json.loads(output_of(["evaluate", model_file, path, "--json"], capsys))
    assert figures["perplexity"] == pytest.approx(perplexity, rel=1e-12)
    assert figures["bits_per_character"] == pytest.approx(math.log2(perplexity), rel=1e-12)
    assert (figures["characters"], figures["unknown_characters"]) == (15, 1)
    shown = f"15 characters, 1 of them unknown to the model: perplexity {perplexity:.3f}, "
    assert output_of(["evaluate", model_file, path], capsys).startswith(shown)
    path.write_text("t")
    assert "at least 2 tokens" in one_line_error(["evaluate", model_file, path], capsys)


def test_train_text_as_json(tmp_path, text_file, capsys):
    output = tmp_path / "model.safetensors"
    figures = json.loads(output_of(["train", "text", text_file, "--output", output, *TINY, "--json"], capsys))
    assert (figures["output"], figures["epochs"]) == (str(output), 1)
    held_out = (TEXT * 20)[-90:]
    assert figures["perplexity"] == pytest.approx(LanguageModel.load(output).evaluate(held_out), rel=1e-6)


def test_text_beyond_ascii_in_an_ascii_terminal(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("äöü€ " * 40, encoding="utf-8")
    output = tmp_path / "model.safetensors"
    plain = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    assert rnnfast_command("train", "text", path, "--output", output, *TINY, env=plain).returncode == 0
    done = rnnfast_command("generate", output, "--length", 10, env=plain)
    assert (done.returncode, len(done.stdout)) == (0, 11)


def test_several_files_and_cells(tmp_path, text_file, capsys):
    output = tmp_path / "model.safetensors"
    options = ["--cell", "lstm", "--layers", "2", "--dropout", "0.2", "--chunk", "9", "--threads", "1"]
    assert main(["train", "text", str(text_file), str(text_file), "--output", str(output), *TINY, *options]) == 0
    assert "1,801 characters" in capsys.readouterr().out
    model = LanguageModel.load(output)
    assert model.cell == "lstm"
    assert model.network.layers[1].num_layers == 2


def test_equal_seeds_write_equal_models(tmp_path, text_file):
    outputs = [tmp_path / name for name in ("a.safetensors", "b.safetensors")]
    for output in outputs:
        assert main(["train", "text", str(text_file), "--output", str(output), *TINY, "--seed", "5"]) == 0
    first, second = (LanguageModel.load(output).network.flat_data for output in outputs)
    assert np.array_equal(first, second)


def test_an_older_model_is_replaced_and_nothing_else_stays_behind(tmp_path, text_file, model_file):
    output = tmp_path / "model.safetensors"
    output.write_bytes(model_file.read_bytes())
    assert main(["train", "text", str(text_file), "--output", str(output), *TINY, "--seed", "9"]) == 0
    assert output.read_bytes() != model_file.read_bytes()
    assert list(tmp_path.iterdir()) == [output]
    LanguageModel.load(output)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"PK\x03\x04\0\0", "a binary file"),
        (b"caf\xe9 " * 30, "not UTF-8 text"),
        (b"too short", "too short: 9 characters, at least 20 are needed"),
    ],
)
def test_train_refuses_bad_texts(tmp_path, capsys, content, message):
    path, output = tmp_path / "text.txt", tmp_path / "model.safetensors"
    path.write_bytes(content)
    assert message in one_line_error(["train", "text", path, "--output", output], capsys)
    assert not output.exists()


def test_the_shortest_text(tmp_path):
    path, output = tmp_path / "text.txt", tmp_path / "model.safetensors"
    path.write_text("abcdefghijklmnopqrst")
    assert main(["train", "text", str(path), "--output", str(output), "--hidden", "4", "--epochs", "1"]) == 0
    LanguageModel.load(output)


def test_train_refuses_bad_paths(tmp_path, capsys, text_file):
    absent = tmp_path / "absent.txt"
    assert f"{absent}: no such file" in one_line_error(["train", "text", absent], capsys)
    assert "directory" in one_line_error(["train", "text", tmp_path], capsys)
    assert "is a directory" in one_line_error(["train", "text", text_file, "--output", tmp_path], capsys)
    lost = tmp_path / "no" / "model"
    assert "there is no directory" in one_line_error(["train", "text", text_file, "--output", lost], capsys)


def test_train_never_overwrites_what_is_no_model(capsys, text_file):
    before = text_file.read_bytes()
    line = one_line_error(["train", "text", text_file, "--output", text_file], capsys)
    assert "exists and is no rnnfast model, so it is not overwritten" in line
    assert text_file.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "text"], "FILE"),
        (["train"], "KIND"),
        ([], "COMMAND"),
        (["sing"], "'sing'"),
        (["demo", "--hidden", "0"], "--hidden: must be an integer of at least 1, got '0'"),
        (["demo", "--epochs", "many"], "--epochs: must be an integer"),
        (["demo", "--cell", "elman"], "'elman'"),
        (["demo", "--time-limit", "nan"], "--time-limit: must be a number of at least 1, got 'nan'"),
        (["demo", "--save", "/no/such/directory/model"], "there is no directory"),
        (["train", "text", "FILE", "--dropout", "1"], "at least 0 and below 1, got '1'"),
        (["train", "text", "FILE", "--learning-rate", "-1"], "--learning-rate"),
        (["train", "text", "FILE", "--seed", "-1"], "--seed"),
    ],
)
def test_bad_arguments(capsys, arguments, message):
    assert message in one_line_error(arguments, capsys)


@pytest.mark.parametrize("temperature", ["-1", "nan", "inf", "warm"])
def test_bad_temperatures(capsys, model_file, temperature):
    line = one_line_error(["generate", model_file, f"--temperature={temperature}"], capsys)
    assert f"--temperature: must be a number of at least 0, got '{temperature}'" in line


def test_generate_refuses_bad_prompts(capsys, model_file):
    line = one_line_error(["generate", model_file, "--prompt", "thé Qoga"], capsys)
    assert "'é' (LATIN SMALL LETTER E WITH ACUTE), 'Q' (LATIN CAPITAL LETTER Q)" in line
    assert "the prompt is empty" in one_line_error(["generate", model_file, "--prompt", ""], capsys)
    assert "--length" in one_line_error(["generate", model_file, "--length=-3"], capsys)


def test_generate_refuses_files_that_are_no_model(tmp_path, capsys, text_file, model_file):
    absent = tmp_path / "absent"
    assert f"{absent}: no such file" in one_line_error(["generate", absent], capsys)
    assert "directory" in one_line_error(["generate", tmp_path], capsys)
    assert f"{text_file}: " in one_line_error(["generate", text_file], capsys)
    broken = tmp_path / "broken.safetensors"
    for content in (b"", model_file.read_bytes()[:-10], model_file.read_bytes()[:100]):
        broken.write_bytes(content)
        assert f"{broken}: " in one_line_error(["generate", broken], capsys)
    rnnfast.save(rnnfast.Linear(2, 3), broken)
    assert "not a language model" in one_line_error(["generate", broken], capsys)
    LanguageModel(5, hidden_size=2).save(broken)
    assert "trained on numbers" in one_line_error(["generate", broken], capsys)


def test_errors_of_a_process_are_one_line_and_code_2(tmp_path):
    done = rnnfast_command("train", "text", tmp_path / "absent.txt")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"rnnfast train text: error: {tmp_path / 'absent.txt'}: no such file\n"


def interrupt(process, ready):
    """Send Ctrl-C as soon as `ready(what standard error has shown)`; return output and errors, as bytes."""
    shown, end = b"", time.monotonic() + 60
    while not ready(shown):
        assert process.poll() is None, shown
        assert time.monotonic() < end, shown
        if select.select([process.stderr], [], [], 0.02)[0]:
            shown += os.read(process.stderr.fileno(), 1 << 16)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=60)
    return out.decode(), (shown + errors).decode()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send to one process")
@pytest.mark.parametrize("when", ["first epoch", "later"])
def test_ctrl_c_saves_the_model_so_far(tmp_path, when):
    path, output = tmp_path / "text.txt", tmp_path / "model.safetensors"
    path.write_text(TEXT * (20_000 if when == "first epoch" else 40))
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "rnnfast",
            "train",
            "text",
            path,
            "--output",
            output,
            "--hidden",
            "16",
            "--epochs",
            "9999",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        out, errors = interrupt(process, lambda shown: (b"Epoch 2/" if when == "later" else b"loss=") in shown)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
    if when == "later":
        assert "interrupted; measuring the model so far" in errors
        assert f"saved {output}, validation perplexity" in out
    else:
        assert f"interrupted in the first epoch; saved the model so far as {output}" in out
    assert len(LanguageModel.load(output).generate("the", 20, seed=0)) == 20
    assert sorted(tmp_path.iterdir()) == [output, path]


def test_demo(tmp_path):
    path = tmp_path / "demo.safetensors"
    done = rnnfast_command("demo", "--quick", "--hidden", 8, "--time-limit", 60, "--save", path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "val_perplexity=" in done.stderr
    rows = {line[:26].strip(): line[26:].split() for line in lines if "5-gram" in line or line.startswith("  GRU")}
    ours = float(rows["GRU"][0])
    assert ours == pytest.approx(16.5, rel=0.1)
    for name in ("5-gram, Witten-Bell", "5-gram, tuned"):
        assert float(rows[name][0]) == pytest.approx(3.6, abs=0.4)
        assert float(rows[name][2]) == pytest.approx(ours / float(rows[name][0]), abs=2e-3)
    timed = [line for line in lines if line.endswith("x")]
    assert [line.split(",")[0] for line in timed] == ["forward", "training step", "single step"]
    assert all(float(line.split()[-1].rstrip("x")) > 0 for line in timed)
    assert LanguageModel.load(path).network.layers[1].hidden_size == 8


def test_a_shell_asks_for_completions(tmp_path):
    pytest.importorskip("argcomplete")
    for line, wanted in (("rnnfast exp", "export"), ("rnnfast export c --max", "--max-steps")):
        answer = tmp_path / "answer"
        asking = {"COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE": "1"}
        rnnfast_command(env={**os.environ, **asking, "_ARGCOMPLETE_STDOUT_FILENAME": str(answer)})
        assert answer.read_text().strip() == wanted
