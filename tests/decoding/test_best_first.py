import numpy as np
import pytest
from seq2seq_checks import Table

import rnnfast as rf
from rnnfast.decoding import Restricted, beam_search


class Keeping(Table):
    """A table that keeps the states of all beginnings, and counts what it is asked."""

    asked = 0

    class Kept:
        def __init__(self):
            self.states = []

        def add(self, state):
            self.states += state
            return np.arange(len(self.states) - len(state), len(self.states))

        def take(self, places, rows):
            assert (np.diff(rows) > 0).all()
            return [self.states[place] for place in places]

    def beginnings(self, state):
        return self.Kept()

    def step(self, tokens, state):
        self.asked += len(tokens)
        return super().step(tokens, state)


class Plain:
    """A model that keeps nothing."""

    def __init__(self, model):
        self.start, self.step, self.reorder, self.stop = model.start, model.step, model.reorder, model.stop


@pytest.mark.parametrize("spread", [0.5, 2.0, 4.0])
@pytest.mark.parametrize("beam_size", [1, 2, 3, 5])
def test_it_finds_what_the_beam_finds(beam_size, spread):
    model, kinds = Keeping(5, 1, seed=3, spread=spread), [*range(12)]
    for how in ({"max_length": 6}, {"max_length": 5, "min_length": 3}, {"max_length": 0}):
        model.asked = 0
        found = beam_search(model, kinds, beam_size=beam_size, **how)
        asked, model.asked = model.asked, 0
        wanted = beam_search(Plain(model), kinds, beam_size=beam_size, **how)
        assert [row[0].tokens.tolist() for row in found] == [row[0].tokens.tolist() for row in wanted]
        assert [row[0].score for row in found] == [row[0].score for row in wanted]
        assert asked <= model.asked


def test_it_asks_less():
    model = Keeping(6, 0, seed=1, spread=4.0)
    beam_search(model, range(20), beam_size=5, max_length=8)
    asked, model.asked = model.asked, 0
    beam_search(Plain(model), range(20), beam_size=5, max_length=8)
    assert asked < 0.5 * model.asked


@pytest.mark.parametrize("how", [{}, {"input_feeding": True}, {"context": "every"}, {"attention": None}])
def test_networks(how):
    inputs = 4 + 10 * ("context" in how)
    cell = rf.GRU if "context" in how else rf.LSTM
    encoder = rf.Encoder(rf.Embedding(8, 3, seed=1), cell(3, 5, bidirectional=True, seed=2))
    look = {"attention": rf.Attention(6, 10, kind="general", seed=3), **how}
    width = inputs + 6 * ("input_feeding" in how)
    decoder = rf.Decoder(rf.Embedding(9, 4, seed=4), cell(width, 6, seed=5), seed=6, **look)
    model = rf.Seq2Seq(encoder, decoder, bridge="dense", seed=7)
    rng = np.random.default_rng(0)
    for name, value in model.params.items():
        model.params[name] = value + 0.5 * rng.standard_normal(value.shape)
    sources = [rng.integers(0, 8, length).tolist() for length in (4, 1, 6, 3, 3, 0, 5)]
    for size in (1, 4):
        found = beam_search(model, sources, beam_size=size, min_length=2, max_length=9)
        wanted = beam_search(Plain(model), sources, beam_size=size, min_length=2, max_length=9)
        for a, b in zip(found, wanted, strict=True):
            assert a[0].tokens.tolist() == b[0].tokens.tolist()
            assert a[0].score == pytest.approx(b[0].score, abs=1e-5)
            if look["attention"] is None or not len(b[0].tokens):
                assert a[0].alignment is None
            else:
                assert np.allclose(a[0].alignment, b[0].alignment, rtol=0, atol=1e-5)
    assert len({tuple(row[0].tokens.tolist()) for row in found}) > 2
    assert beam_search(model, []) == []


def test_what_is_no_model_is_refused():
    model = Keeping(3, 1)
    with pytest.raises(ValueError, match="stop must be a token from 0 to 2, got 7"):
        beam_search(model, [1], stop=7)
    model.log_probs = lambda history: np.full(3, np.nan)
    with pytest.raises(FloatingPointError, match="nan at step 0"):
        beam_search(model, [1])


def test_banned_tokens():
    model, kinds = Keeping(6, 0, seed=1, spread=3.0), range(15)
    found = beam_search(Restricted(model, banned=[2, 4]), kinds, max_length=7)
    asked, model.asked = model.asked, 0
    wanted = beam_search(Restricted(Plain(model), banned=[2, 4]), kinds, max_length=7)
    assert [row[0].tokens.tolist() for row in found] == [row[0].tokens.tolist() for row in wanted]
    assert [row[0].score for row in found] == [row[0].score for row in wanted]
    assert asked < 0.7 * model.asked
    assert not {2, 4} & {token for row in found for token in row[0].tokens.tolist()}
    for how in ({"no_repeat": 1}, {"prefixes": [[3]] * 15}):
        a, b = (beam_search(Restricted(each, **how), kinds, max_length=5) for each in (model, Plain(model)))
        assert [row[0].tokens.tolist() for row in a] == [row[0].tokens.tolist() for row in b]
