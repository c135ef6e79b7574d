"""What the examples print, in a short form."""

import importlib.util
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "examples"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the tests stand without the examples here")


def example(name):
    spec = importlib.util.spec_from_file_location(f"example_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_sine_forecast():
    error, r2, last, _, _ = example("sine_forecast").forecast(seed=0, epochs=4)
    assert error <= 0.0025 < last
    assert r2 >= 0.97


def test_digits():
    pytest.importorskip("sklearn", reason="reads scikit-learn's digits")
    accuracy, _ = example("digits").train(seed=0, epochs=6)
    assert accuracy >= 0.95


def test_japanese_vowels():
    pytest.importorskip("aeon", reason="reads JapaneseVowels as aeon ships it")
    accuracy, _ = example("japanese_vowels").train(seed=0, epochs=15)
    assert accuracy >= 0.93


def test_sunspots():
    pytest.importorskip("statsmodels", reason="reads statsmodels' sunspots")
    found = example("sunspots").backtest(seed=0, horizon=1, epochs=30, refit_every=None)
    assert found.skill > 0.3
    assert 0.65 < found.coverage < 0.95


@pytest.mark.parametrize("output", ["softmax", "crf"])
def test_names(output):
    accuracy, f1, _ = example("names").train(output, sentences=300, epochs=8)
    assert accuracy > 0.98
    assert f1 > 0.95


def test_long_memory():
    found, chance, batches = example("long_memory").train("adding", "gru", 15, batches=300, verbose=False)
    assert batches <= 300
    assert found < 0.1 * chance
