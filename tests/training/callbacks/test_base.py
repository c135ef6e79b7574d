import inspect

import pytest
from callback_checks import data, small

import rnnfast.training as training
from rnnfast.training import Callback, LambdaCallback
from rnnfast.training._calls import _HOOKS


def test_the_base_has_every_hook_and_does_nothing():
    assert set(_HOOKS) <= set(vars(Callback))
    x, y = data()
    callback = Callback()
    plain, with_callback = small(), small()
    how = {"loss": "mse", "epochs": 2, "verbose": False, "seed": 0}
    plain.fit(x, y, **how)
    with_callback.fit(x, y, callbacks=[callback], **how)
    assert callback.run.model is with_callback
    assert callback.run.step == 2
    assert (plain.flat_data == with_callback.flat_data).all()
    assert callback.state() == {}


def test_functions_as_hooks():
    heard = []

    def note(name):
        return lambda *what: heard.append((name, *(each for each in what if isinstance(each, int))))

    x, y = data()
    callback = LambdaCallback(
        **{name: note(name) for name in _HOOKS if name != "on_epoch_end"},
        on_epoch_end=lambda epoch, logs: heard.append(("end of", epoch)) or epoch == 1,
    )
    small().fit(x, y, loss="mse", epochs=5, batch_size=20, callbacks=[callback], verbose=False)
    epoch = [("on_epoch_begin",), ("on_batch_end",)]
    assert heard == [("on_train_begin",), *epoch, ("end of", 0), *epoch, ("end of", 1), ("on_train_end",)]
    with pytest.raises(TypeError, match="on_batch_end must be a function, got 3"):
        LambdaCallback(on_batch_end=3)


def test_all_are_callbacks():
    from rnnfast.training import callbacks

    for name in callbacks.__all__:
        assert issubclass(getattr(training, name), Callback)
        assert inspect.getdoc(getattr(training, name))
