import os
import subprocess
import sys

import numpy as np
import pytest

import rnnfast
from rnnfast.kernels import _runtime


def shown(**variables):
    code = "import rnnfast; rnnfast.show_config()"
    environment = {**os.environ, **variables}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    return dict(line.split(maxsplit=1) for line in run.stdout.replace("instruction set", "instructions").splitlines())


@pytest.mark.parametrize("isa", _runtime.available_isas())
def test_it_tells_the_instruction_set(isa):
    found = shown(RNNFAST_ISA=isa)
    assert found["instructions"].startswith(f"{isa} (of ")
    assert isa in found["instructions"].split("of")[1]


def test_it_tells_versions_and_threads():
    found = shown(RNNFAST_NUM_THREADS="3")
    assert found["rnnfast"] == rnnfast.__version__
    assert found["NumPy"] == np.__version__
    assert found["Python"].startswith(".".join(map(str, sys.version_info[:3])))
    assert found["threads"] == "3"
