"""How tests call the command, and what its refusals have in common."""

import subprocess
import sys

from rnnfast.cli import main


def rnnfast_command(*arguments, **options):
    command = [sys.executable, "-m", "rnnfast", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, check=False, **options)


def one_line_error(arguments, capsys):
    """Run in this process, assert that it refuses in one line, and return that line."""
    assert main([str(argument) for argument in arguments]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert shown.err.startswith("rnnfast")
    assert "error: " in shown.err
    assert "Traceback" not in shown.err
    return shown.err


def output_of(arguments, capsys):
    """Run in this process, assert that all went well, and return what stands on standard output."""
    assert main([str(argument) for argument in arguments]) == 0, capsys.readouterr().err
    return capsys.readouterr().out
