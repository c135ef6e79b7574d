import numpy as np
import pytest

from rnnfast.data import tasks


def test_sine():
    series = tasks.sine()
    np.testing.assert_array_equal(series, np.sin(np.linspace(0, 100, 1000)))
    noisy = tasks.sine(5000, noise=0.1, seed=4)
    assert np.std(noisy - tasks.sine(5000)) == pytest.approx(0.1, rel=0.05)
    np.testing.assert_array_equal(noisy, tasks.sine(5000, noise=0.1, seed=4))
    assert (noisy != tasks.sine(5000, noise=0.1, seed=5)).all()
    assert tasks.sine(0).shape == (0,)


def test_mackey_glass_is_exact_where_the_past_is_constant():
    # Until t = tau the delayed value is constant c: x = f / g + (c - f / g) exp(-g t) with f = b c / (1 + c ** p).
    series = tasks.mackey_glass(18, substeps=20)
    drive = 0.2 * 1.2 / (1 + 1.2**10) / 0.1
    exact = drive + (1.2 - drive) * np.exp(-0.1 * np.arange(18))
    np.testing.assert_allclose(series, exact, rtol=1e-10)


def test_mackey_glass_without_delay_effect_decays():
    series = tasks.mackey_glass(30, beta=0.0, gamma=0.3, start=2.0)
    np.testing.assert_allclose(series, 2 * np.exp(-0.3 * np.arange(30)), rtol=1e-7)


def test_mackey_glass_is_of_fourth_order():
    exact = tasks.mackey_glass(81, substeps=64)
    errors = [np.abs(tasks.mackey_glass(81, substeps=count) - exact).max() for count in (2, 4, 8)]
    assert 10 < errors[0] / errors[1] < 24
    assert 10 < errors[1] / errors[2] < 24
    assert errors[2] < 1e-6


def test_mackey_glass_is_chaotic_and_bounded():
    series = tasks.mackey_glass(600, discard=300)
    assert 0.2 < series.min() < 0.6
    assert 1.1 < series.max() < 1.5
    np.testing.assert_array_equal(series, tasks.mackey_glass(900)[300:])
    moved = tasks.mackey_glass(900, start=1.2 + 1e-6)[300:]
    assert np.abs(moved - series)[:50].max() < 1e-3
    assert np.abs(moved - series).max() > 1e-4
    np.testing.assert_allclose(tasks.mackey_glass(10, step=2.0, substeps=20), tasks.mackey_glass(20)[::2], rtol=1e-12)


def test_mackey_glass_noise_and_edges():
    noisy = tasks.mackey_glass(400, noise=0.05, seed=0)
    assert np.std(noisy - tasks.mackey_glass(400)) == pytest.approx(0.05, rel=0.1)
    np.testing.assert_array_equal(noisy, tasks.mackey_glass(400, noise=0.05, seed=0))
    assert tasks.mackey_glass(0).shape == (0,)
    assert tasks.mackey_glass(1).tolist() == [1.2]
    assert tasks.mackey_glass(5, tau=0.1).shape == (5,)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tasks.sine(-1), "size must be at least 0, got -1"),
        (lambda: tasks.sine(3, noise=-0.1), "noise must be at least 0 and finite, got -0.1"),
        (lambda: tasks.mackey_glass(3, tau=0.01), "tau must be at least one substep, 0.1, got 0.01"),
        (lambda: tasks.mackey_glass(3, step=0), "step must be positive"),
        (lambda: tasks.mackey_glass(3, substeps=0), "substeps must be at least 1"),
    ],
)
def test_kind_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
