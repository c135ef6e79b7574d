import numpy as np
import pytest
from seq2seq_checks import Table

import rnnfast as rf
from rnnfast.decoding import Ensemble, beam_search, greedy, sample


def a_model(seed, cell=rf.GRU, size=5, **tokens):
    encoder = rf.Encoder(rf.Embedding(6, 3, seed=seed), cell(3, size, seed=seed + 1))
    look = rf.Attention(size, seed=seed)
    decoder = rf.Decoder(rf.Embedding(7, 4, seed=seed + 2), cell(4, size, seed=seed + 3), attention=look, **tokens)
    return rf.Seq2Seq(encoder, decoder)


@pytest.mark.parametrize("mean", ["arithmetic", "geometric"])
def test_probabilities_are_the_mean(mean):
    models = [Table(5, 1, seed=seed, spread=2.0) for seed in range(3)]
    together = Table(5, 1)

    def log_probs(history):
        each = np.array([model.log_probs(history) for model in models])
        total = np.exp(each).mean(axis=0) if mean == "arithmetic" else np.exp(each.mean(axis=0))
        return np.log(total / total.sum())

    together.log_probs = log_probs
    for search in (greedy, sample, beam_search):
        how = {"seed": 3} if search is sample else {}
        found, wanted = (
            search(each, range(6), max_length=5, **how) for each in (Ensemble(*models, mean=mean), together)
        )
        for row, other in zip(found, wanted, strict=True):
            a, b = (row[0], other[0]) if search is beam_search else (row, other)
            assert a.tokens.tolist() == b.tokens.tolist()
            assert a.score == pytest.approx(b.score, abs=1e-12)


def test_networks_of_other_cells_and_sizes():
    models = [a_model(1), a_model(2, rf.LSTM, 4)]
    sources = [[3, 4, 5], [2], [1, 1]]
    rows = beam_search(Ensemble(*models), sources, beam_size=4, n_best=2, max_length=5)
    for source, row in zip(sources, rows, strict=True):
        assert len(row) == 2
        for each in row:
            apart, looked = [], []
            for model in models:
                x, y, lengths = model.pairs([source], [each.tokens])
                found = model.decode(x, lengths=lengths)
                shares = np.exp(found.logits.astype(float))
                shares /= shares.sum(axis=-1, keepdims=True)
                apart.append(np.take_along_axis(shares, y[..., None], axis=2)[0, :, 0])
                looked.append(found.weights[0, :-1])
            assert each.score == pytest.approx(np.log(np.mean(apart, axis=0)).sum(), abs=1e-5)
            if len(each.tokens):
                assert each.alignment[:, : len(source)] == pytest.approx(np.mean(looked, axis=0), abs=1e-5)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="at least one model"):
        Ensemble()
    with pytest.raises(ValueError, match="'arithmetic' or 'geometric', got 'median'"):
        Ensemble(Table(4, 0), mean="median")
    with pytest.raises(ValueError, match="one stop token"):
        Ensemble(Table(4, 0), Table(4, 1))
    with pytest.raises(ValueError, match="one start token"):
        greedy(Ensemble(a_model(1), a_model(1, start=3)), [[1]])
    with pytest.raises(ValueError, match=r"equally many tokens, got \[4, 5\]"):
        greedy(Ensemble(Table(4, 0), Table(5, 0)), [1])
