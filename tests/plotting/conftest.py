"""For tests of pictures."""

import pytest


@pytest.fixture
def plt():
    """matplotlib.pyplot, drawing into memory; what was drawn is drawn to the last sign, so that nothing warns later."""
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    yield plt
    for number in plt.get_fignums():
        plt.figure(number).canvas.draw()
    plt.close("all")
