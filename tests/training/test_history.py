from rnnfast.training import History


def test_history_is_a_dict_of_lists():
    history = History()
    assert repr(history) == "History(0 epochs)"
    history.add(0, {"loss": 2.0, "val_loss": 3.0})
    history.add(1, {"loss": 1.5, "val_loss": 2.5})
    assert history.epoch == [0, 1]
    assert history.history == {"loss": [2.0, 1.5], "val_loss": [3.0, 2.5]}
    assert repr(history) == "History(2 epochs: loss 1.5, val_loss 2.5)"
    assert not history.interrupted
