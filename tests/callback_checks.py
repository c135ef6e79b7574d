"""Runs for tests of callbacks."""

import json
from types import SimpleNamespace

import numpy as np

from rnnfast.layers import GRU, BatchNorm, Last, Linear
from rnnfast.models import Sequential
from rnnfast.training import SGD
from rnnfast.training.evaluate import Means


def small():
    return Sequential(GRU(2, 3, seed=0), Last(), BatchNorm(3), Linear(3, 1, seed=1))


def data(N=20):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((N, 4, 2)).astype(np.float32)
    return x, x.sum(axis=(1, 2))


def drive(callback, logs, model=None, rate=0.1, through=True):
    """Call a callback as a fit of these logs would, and say after which epoch it ended the fit, and the rates.

    Where `through`, a new fit goes on after each epoch with a state that went through JSON.
    """
    run = SimpleNamespace(model=model, optimizer=SGD(rate), epoch=0, step=0, stop=False)
    run.means, run.validates = Means({}), True
    callback.on_train_begin(run)
    rates = []
    for epoch, each in enumerate(logs):
        run.epoch = epoch
        callback.on_epoch_begin(run)
        rates.append(run.optimizer.learning_rate)
        run.step += 1
        callback.on_batch_end(run, each)
        ended = callback.on_epoch_end(epoch, dict(each))
        if ended or run.stop:
            break
        if through:
            state = json.loads(json.dumps(callback.state()))
            run.optimizer = SGD(77.0)
            callback.on_train_begin(run)
            run.optimizer = SGD(rates[-1] if "rate" not in state else 77.0)
            callback.load_state(state)
    callback.on_train_end(run)
    return epoch if ended or run.stop else None, rates
