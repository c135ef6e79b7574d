import math

import numpy as np
import pytest

from rnnfast.training.metrics import bleu, cer, edit_distance, wer

rng = np.random.default_rng(0)


def test_edit_distance_by_hand():
    assert edit_distance("kitten", "sitting") == 3
    assert edit_distance(["a", "b"], ["b", "a", "b"]) == 1
    assert edit_distance("", "abc") == edit_distance("abc", "") == 3
    assert edit_distance([1, "x", (2, 3)], [1, "x", (2, 3)]) == 0


def test_rates_by_hand():
    assert wer("a b c", "a x c d") == 2 / 3
    assert wer(["a b c", "d"], ["a b c", ""]) == 1 / 4
    assert wer("  a   b\n", "a b") == 0.0
    assert wer("a", "b c d") == 3.0
    assert cer("a b", "ab") == 1 / 3
    assert cer(["abc", "é"], ["abd", "é"]) == 1 / 4
    assert math.isnan(wer("", " "))
    assert wer("", "a") == math.inf
    assert math.isnan(cer([], []))


@pytest.mark.parametrize("rate", [wer, cer])
def test_rates_refuse(rate):
    with pytest.raises(ValueError, match=f"{rate.__name__}: there are 2 references and 1 hypotheses"):
        rate(["a", "b"], ["a"])
    with pytest.raises(TypeError, match=f"{rate.__name__}: texts must be strings, got list"):
        rate([["a"]], [["a"]])


def by_definition(references, hypotheses, order=4):
    """BLEU as the paper's formulas and the doubling of what is missing say, in other words than the package's."""
    c = sum(len(h) for h in hypotheses)
    r = sum(
        min((abs(len(x) - len(h)), len(x)) for x in several)[1]
        for several, h in zip(references, hypotheses, strict=True)
    )
    product, halves, any_right = 1.0, 1.0, False
    for n in range(1, order + 1):
        right = whole = 0
        for several, hypothesis in zip(references, hypotheses, strict=True):
            grams = [tuple(hypothesis[i : i + n]) for i in range(len(hypothesis) - n + 1)]
            whole += len(grams)
            for gram in set(grams):
                most = max(sum(tuple(x[i : i + n]) == gram for i in range(len(x))) for x in several)
                right += min(grams.count(gram), most)
        if not whole:
            return 0.0
        any_right |= right > 0
        if not right:
            halves /= 2
        product *= (right or halves) / whole
    return 100 * product ** (1 / order) * (1.0 if c >= r else math.exp(1 - r / c)) if any_right else 0.0


def test_bleu_is_that_of_the_definition():
    seen = set()
    for size in (2, 3, 12):
        for sentences in (1, 4):
            for _ in range(8):
                hypotheses = [rng.integers(0, size, rng.integers(3, 12)).tolist() for _ in range(sentences)]
                references = [
                    [rng.integers(0, size, rng.integers(3, 12)).tolist() for _ in range(rng.integers(1, 4))]
                    for _ in range(sentences)
                ]
                wanted = by_definition(references, hypotheses)
                assert bleu(references, hypotheses) == pytest.approx(wanted, rel=1e-12)
                assert bleu(references, hypotheses, order=2) == pytest.approx(by_definition(references, hypotheses, 2))
                single = [several[0] for several in references]
                assert bleu(single, hypotheses) == pytest.approx(by_definition([[x] for x in single], hypotheses))
                seen.add(wanted > 0)
    assert seen == {True, False}


def test_bleu_by_hand():
    the = ["the"] * 7
    cat = ["the", "cat", "is", "on", "the", "mat"]
    # Two of seven are right, and then shares of 1/2, 1/4 and 1/8 of a right one.
    assert bleu([cat], [the]) == pytest.approx(100 * (2 / 7 * 0.5 / 6 * 0.25 / 5 * 0.125 / 4) ** 0.25)
    assert bleu([cat], [cat]) == pytest.approx(100.0)
    assert bleu([cat], [cat[:5]]) == pytest.approx(100 * math.exp(1 - 6 / 5))
    assert bleu([cat], [cat[:3]]) == 0.0
    assert bleu([cat], [["dog"] * 6]) == 0.0
    assert bleu([cat], [[]]) == 0.0
    assert bleu([], []) == 0.0
    assert bleu([[cat, the]], [cat]) == pytest.approx(100.0)
    assert bleu([np.arange(6)], [np.arange(6)]) == pytest.approx(100.0)


def test_bleu_refuses():
    with pytest.raises(ValueError, match="there are 1 references and 2 hypotheses"):
        bleu([["a"]], [["a"], ["b"]])
    with pytest.raises(TypeError, match="texts must be sequences of tokens, not strings"):
        bleu([["a b c d"]], ["a b c d"])
    with pytest.raises(TypeError, match="not strings"):
        bleu(["a b c d"], [["a", "b", "c", "d"]])
