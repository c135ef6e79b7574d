import sys

import numpy as np
import pytest

import rnnfast as rf
from rnnfast import plotting
from rnnfast.plotting._figure import checked_tokens, visible


@pytest.fixture
def without_matplotlib(monkeypatch):
    for name in [each for each in sys.modules if each.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)


@pytest.mark.parametrize(
    "draw",
    [
        lambda: plotting.plot_history({"loss": [1.0]}),
        lambda: plotting.plot_forecast([1.0, 2.0], [2.0]),
        lambda: plotting.plot_confusion([[1]]),
        lambda: plotting.plot_gates((rf.RNN(2, 3), np.ones((4, 2)))),
        lambda: plotting.plot_states(np.ones((4, 2))),
        lambda: plotting.plot_state_path(np.ones((4, 2))),
        lambda: plotting.plot_gradient_norms(rf.RNN(2, 3), np.ones((4, 2))),
        lambda: plotting.plot_memorisation(rf.Sequential(rf.RNN(2, 3)), np.ones((4, 2))),
        lambda: plotting.plot_attention(np.ones((1, 1))),
    ],
)
def test_without_matplotlib_it_is_said_what_to_install(without_matplotlib, draw):
    with pytest.raises(ImportError, match=r"pip install 'rnnfast\[plot\]'"):
        draw()


def test_what_needs_no_matplotlib_works_without(without_matplotlib):
    model = rf.Sequential(rf.Embedding(5, 2), rf.GRU(2, 3), rf.Linear(3, 5))
    assert plotting.plot_unrolled(model).startswith("<svg")
    assert plotting.plot_architecture(model).startswith("<svg")
    assert plotting.neuron_text(model, [1, 2], 0, tokens="ab").startswith("<pre")
    assert plotting.memorisation(model, [1, 2]).shape == (2,)
    assert list(plotting.gate_report(model.layers[1], np.ones((2, 2)))) == ["l0"]


def test_every_public_name_is_there():
    assert len(plotting.__all__) == 16
    assert all(callable(getattr(plotting, name)) for name in plotting.__all__)


def test_tokens_as_labels():
    assert [visible(token) for token in ("a", " ", "a b", "\n", "\t", "\x1b", "$x$", 3)] == [
        *("a", "␣", "a␣b", "⏎", "⇥", "␛", r"\$x\$", "3")
    ]
    assert checked_tokens("ab", 2, "step") == ["a", "b"]
    with pytest.raises(ValueError, match="one label for each step, 3, got 2"):
        checked_tokens("ab", 3, "step")
