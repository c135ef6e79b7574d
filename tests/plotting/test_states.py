import numpy as np
import pytest

import rnnfast as rf
from rnnfast.plotting import plot_state_path, plot_states
from rnnfast.plotting.states import principal_components

RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 9, 2))


def test_a_heat_map_of_a_trace_or_an_array(plt):
    layer = rf.LSTM(2, 4, seed=0)
    trace = layer.trace(X)
    ax = plot_states(trace, state="c", sequence=1, labels="abcdefghi")
    np.testing.assert_array_equal(ax.images[0].get_array(), trace["l0"]["c"][1].T)
    assert ax.get_title() == "state c, l0"
    y, _ = layer(X)
    ax = plot_states(y, units=[2])
    np.testing.assert_array_equal(ax.images[0].get_array(), y[0].T[[2]])
    with pytest.raises(ValueError, match="no 'z'"):
        plot_states(trace, state="z")
    with pytest.raises(ValueError, match=r"\(B, T, H\) or \(T, H\)"):
        plot_states(np.ones(3))


def test_principal_components_find_the_plane():
    angle = np.linspace(0, 5, 40)
    plane = np.stack([3 * np.cos(angle), np.sin(angle)], axis=1)
    basis = np.linalg.qr(RNG.normal(size=(6, 2)))[0]
    places, shares = principal_components(plane @ basis.T + 7)
    assert sum(shares) == pytest.approx(1)
    # Distances within the plane are kept.
    centred = plane - plane.mean(axis=0)
    np.testing.assert_allclose(np.linalg.norm(places, axis=1), np.linalg.norm(centred, axis=1), atol=1e-12)
    assert places[:, 0].var() / places.var(axis=0).sum() == pytest.approx(shares[0])
    assert abs(np.corrcoef(places.T)[0, 1]) < 1e-12


def test_principal_components_of_next_to_nothing():
    places, shares = principal_components(np.ones((5, 3)))
    np.testing.assert_array_equal(places, np.zeros((5, 2)))
    assert shares == (0, 0)
    places, shares = principal_components(np.array([[1.0], [3.0]]))
    np.testing.assert_allclose(places, [[-1, 0], [1, 0]], atol=1e-15)
    assert shares == (1, 0)


def test_the_path(plt):
    trace = rf.GRU(2, 5, seed=0).trace(X)
    ax = plot_state_path(trace, sequence=1, labels="abcdefghi")
    places, shares = principal_components(trace["l0"]["h"][1])
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), places)
    np.testing.assert_array_equal(ax.collections[0].get_array(), range(9))
    assert [text.get_text() for text in ax.texts] == list("abcdefghi")
    assert ax.get_xlabel() == f"component 1 ({shares[0]:.0%} of the variance)"
