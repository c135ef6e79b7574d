from collections import Counter, defaultdict

import numpy as np
import pytest

from rnnfast.data import NGram


class ByHand:
    """The recursion with dictionaries, one probability at a time."""

    def __init__(self, ids, num_tokens, order, scale):
        self.num_tokens, self.order, self.scale = num_tokens, order, scale
        self.followers = defaultdict(Counter)
        for place, token in enumerate(ids):
            for length in range(min(order - 1, place) + 1):
                self.followers[tuple(ids[place - length : place])][token] += 1

    def probability(self, token, context):
        lower = self.probability(token, context[1:]) if context else 1.0 / self.num_tokens
        counts = self.followers.get(tuple(context), Counter())
        total = counts.total() + self.scale * len(counts)
        return (counts[token] + self.scale * len(counts) * lower) / total if total else lower

    def perplexity(self, ids):
        logs = [
            np.log(self.probability(token, ids[max(0, place - self.order + 1) : place]))
            for place, token in enumerate(ids)
        ]
        return np.exp(-np.mean(logs[1:]))


def random_text(size, num_tokens, seed):
    rng = np.random.default_rng(seed)
    text = rng.integers(0, num_tokens, size)
    text[size // 2 :] = text[: size - size // 2]
    return text.tolist()


@pytest.mark.parametrize("order", [1, 2, 3, 5])
@pytest.mark.parametrize("scale", [1.0, 3.5])
def test_equals_brute_force(order, scale):
    training, held_out = random_text(300, 6, order), random_text(61, 9, 7)
    model, by_hand = NGram(training, 9, order=order, scale=scale), ByHand(training, 9, order, scale)
    assert model.perplexity(held_out) == pytest.approx(by_hand.perplexity(held_out), rel=1e-12)


@pytest.mark.parametrize("size", [1, 2, 4, 200])
def test_probabilities_sum_to_one_for_any_context(size):
    training = random_text(size, 7, size)
    model = NGram(training, 8, order=5)
    rng = np.random.default_rng(0)
    contexts = [[], training[-4:], training[:4], [7, 7, 7, 7], *(rng.integers(0, 8, n) for n in (1, 2, 3, 4, 9))]
    for context in contexts:
        distribution = model.distribution(context)
        assert distribution.shape == (8,)
        assert (distribution > 0).all()
        assert distribution.sum() == pytest.approx(1.0, rel=1e-12)


def test_textbook_example():
    # "a b a b a c": after a come b, b, c; T = 2. P(b) = (2 + 3/3) / (6 + 3) = 1/3, P(b|a) = (2 + 2/3) / (3 + 2).
    model = NGram([0, 1, 0, 1, 0, 2], 3, order=2)
    assert model.probabilities([0, 1]) == pytest.approx([4 / 9, 8 / 15])


def test_large_vocabularies_do_not_overflow():
    training = random_text(400, 5, 3)
    few, many = NGram(training, 5, order=6), NGram([t * 250_000_000 for t in training], 2**40, order=6)
    held_out = random_text(50, 5, 4)
    seen_often = np.array(few.probabilities(held_out)) > 0.5
    assert seen_often.any()
    assert many.probabilities([t * 250_000_000 for t in held_out])[seen_often] == pytest.approx(
        few.probabilities(held_out)[seen_often], rel=0.2
    )


def test_tuned_scale_is_the_best_on_the_end_of_the_training_part_alone():
    training = random_text(1000, 5, 11)
    tuned = NGram(training, 5, scale="tuned")
    scales = [1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0]
    slices = {scale: NGram(training[:900], 5, scale=scale).probabilities(training[900:]) for scale in scales}
    assert tuned.scale == max(scales, key=lambda scale: np.log(slices[scale]).sum())
    assert tuned.perplexity(training) == NGram(training, 5, scale=tuned.scale).perplexity(training)


def test_empty_context_and_short_sequences():
    model = NGram([0, 1, 1], 2)
    assert model.probabilities([]).shape == (0,)
    with pytest.raises(ValueError, match="at least 2 tokens, got 1"):
        model.perplexity([1])


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([], 3), {}, "at least one token"),
        (([0, 3], 3), {}, r"0\.\.2, got 0\.\.3"),
        (([-1, 0], 3), {}, "got -1"),
        (([0.5], 3), {}, "float64"),
        (([0, 1], 3), {"order": 0}, "order must be at least 1"),
        (([0, 1], 3), {"scale": 0.0}, "scale must be positive"),
        (([0, 1], 3), {"scale": float("nan")}, "scale must be positive"),
        (([0, 1], 3), {"scale": "best"}, "'tuned', got 'best'"),
    ],
)
def test_kind_errors(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        NGram(*arguments, **options)
