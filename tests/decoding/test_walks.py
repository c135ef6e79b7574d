import numpy as np
import pytest
from seq2seq_checks import Table

from rnnfast.decoding import greedy, sample, stream_tokens
from rnnfast.models import LanguageModel


@pytest.mark.parametrize("stop", [1, None])
def test_greedy_takes_the_likeliest(stop):
    model = Table(5, stop, spread=2.0)
    for kind, found in zip(range(9), greedy(model, range(9), max_length=7), strict=True):
        tokens, total = [], 0.0
        while len(tokens) < 8 - (stop is None):
            log_probs = model.log_probs((kind, *tokens))
            token = int(log_probs.argmax()) if len(tokens) < 7 else stop
            tokens.append(token)
            total += log_probs[token]
            if token == stop:
                break
        assert found.tokens.tolist() == tokens[: len(tokens) - (stop is not None)]
        assert found.score == found.log_probability == pytest.approx(total, abs=1e-12)
        assert found.alignment is None


def test_lengths_are_kept():
    model = Table(3, 0)
    for write in (greedy, sample):
        found = [len(each.tokens) for each in write(model, range(30), min_length=2, max_length=4)]
        assert set(found) <= {2, 3, 4}
        assert len(set(found)) > 1
        assert [len(each.tokens) for each in write(model, range(5), max_length=0)] == [0] * 5
        assert write(model, []) == []


@pytest.mark.parametrize(
    ("how", "weigh"),
    [
        ({}, lambda p: p),
        ({"temperature": 0.5}, lambda p: p**2),
        ({"top_k": 2}, lambda p: np.where(p >= np.sort(p)[-2], p, 0)),
        ({"top_p": 0.5}, lambda p: np.where(p >= np.sort(p)[::-1][(np.sort(p)[::-1].cumsum() < 0.5).sum()], p, 0)),
        ({"temperature": 2.0, "top_k": 4, "top_p": 0.9}, None),
    ],
)
def test_draws_have_the_distribution(how, weigh):
    model = Table(6, None, seed=5)
    wanted = np.exp(model.log_probs((3,)))
    if weigh is not None:
        wanted = weigh(wanted)
    else:
        wanted = np.sqrt(wanted)
        order = np.argsort(-wanted)[:4]
        shares = wanted[order] / wanted[order].sum()
        kept = order[: (shares.cumsum() < 0.9).sum() + 1]
        wanted = np.where(np.isin(np.arange(6), kept), wanted, 0)
    wanted = wanted / wanted.sum()
    drawn = [int(each.tokens[0]) for each in sample(model, [3] * 2000, seed=1, max_length=1, **how)]
    found = np.bincount(drawn, minlength=6) / 2000
    assert np.abs(found - wanted).max() < 0.04
    assert (found[wanted == 0] == 0).all()


def test_a_row_depends_on_its_own_seed_alone():
    model = Table(8, 0)
    together = sample(model, [3, 4, 5], seed=[10, 11, 12], max_length=20)
    for kind, seed, row in zip([3, 4, 5], [10, 11, 12], together, strict=True):
        (alone,) = sample(model, [kind], seed=[seed], max_length=20)
        assert alone.tokens.tolist() == row.tokens.tolist()
    first, second = (sample(model, [3, 3], seed=0, max_length=20) for _ in range(2))
    assert [each.tokens.tolist() for each in first] == [each.tokens.tolist() for each in second]
    assert first[0].tokens.tolist() != first[1].tokens.tolist()
    cold = sample(model, range(5), temperature=0, max_length=9)
    assert [each.tokens.tolist() for each in cold] == [e.tokens.tolist() for e in greedy(model, range(5), max_length=9)]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"temperature": -1}, "temperature must be a finite number of at least 0"),
        ({"top_k": 0}, "top_k must be None or at least 1, got 0"),
        ({"top_p": 0.0}, "top_p must be more than 0"),
        ({"seed": [1]}, "one number for each row, got 1"),
        ({"min_length": 3, "max_length": 2}, "min_length must be at most"),
    ],
)
def test_arguments_out_of_range(how, message):
    with pytest.raises(ValueError, match=message):
        sample(Table(4, 0), [1, 2], **how)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_language_models(cell):
    model = LanguageModel(9, cell=cell, hidden_size=12, embedding_dim=5, num_layers=2, seed=0)
    prompts = [[3], [4, 1, 8], [2, 2]]
    for prompt, found in zip(prompts, greedy(model, prompts, max_length=6), strict=True):
        tokens = list(prompt)
        for _ in range(6):
            tokens.append(int(model.network([tokens])[0, -1].argmax()))
        assert found.tokens.tolist() == tokens[len(prompt) :]
        assert found.tokens.tolist() == model.generate(prompt, 6, temperature=0.0).tolist()
    assert {2} & {int(e) for each in greedy(model, prompts, stop=2, max_length=20) for e in each.tokens} == set()
    with pytest.raises(ValueError, match="prompt is empty"):
        greedy(model, [[1], []])


@pytest.mark.parametrize("how", [{}, {"temperature": 0.7, "top_k": 3, "seed": [4, 5, 6, 7, 8]}])
def test_tokens_come_one_by_one(how):
    model, kinds = Table(5, 1, spread=2.0), [0, 3, 3, 1, 8]
    steps = list(stream_tokens(model, kinds, max_length=6, **how))
    wanted = (sample if how else greedy)(model, kinds, max_length=6, **how)
    assert len(steps) == max(len(each.tokens) for each in wanted)
    for column, each in zip(np.stack(steps, axis=1), wanted, strict=True):
        assert column[: len(each.tokens)].tolist() == each.tokens.tolist()
        assert (column[len(each.tokens) :] == -1).all()
    seen = []
    model.step = lambda tokens, state, step=model.step: (seen.append(len(tokens)), step(tokens, state))[1]
    next(stream_tokens(model, kinds))
    assert seen == [5]
    with pytest.raises(ValueError, match="temperature"):
        stream_tokens(model, kinds, temperature=-1)
