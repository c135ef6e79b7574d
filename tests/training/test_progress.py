from rnnfast.training.progress import progress_bar


def test_the_bar_shows_figures_and_speed(capsys):
    with progress_bar(20, "Epoch 1/2", unit="char") as show:
        show(15, {"loss": 1.23456})
        show(0, {"loss": 0.5, "val_loss": 2})
    shown = capsys.readouterr().err
    for wanted in ("Epoch 1/2:  75%", "15/20", "char/s", "loss=0.5", "val_loss=2"):
        assert wanted in shown


def test_large_counts_are_shortened_and_silence_is_kept(capsys):
    with progress_bar(465_000, "") as show:
        show(465_000, {})
    assert "465k/465k" in capsys.readouterr().err
    with progress_bar(5, "Epoch", verbose=False) as show:
        show(5, {"loss": 1})
    assert capsys.readouterr().err == ""
