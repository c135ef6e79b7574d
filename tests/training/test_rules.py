import numpy as np
import pytest

from rnnfast.layers import Embedding, Linear
from rnnfast.models import Sequential
from rnnfast.training._rules import check_rules, chosen


def model():
    words = Embedding(5, 3, seed=0)
    return Sequential(words, Linear(3, 4, seed=1), Linear(4, 3, seed=2), Linear(3, 5, tied=words))


def found(net, rules):
    names = {(id(block), inner): name for name, (block, inner) in net.slots().items()}
    return [(names[id(block), inner], rule) for block, inner, rule in chosen(net, rules, "rules")]


def test_patterns_choose_in_their_order():
    net = model()
    assert found(net, {"*.bias": abs, "[12].weight": min, "0.*": max, "1.*": len}) == [
        *(("1.bias", abs), ("2.bias", abs), ("3.bias", abs)),
        *(("1.weight", min), ("2.weight", min), ("0.weight", max), ("1.weight", len), ("1.bias", len)),
    ]
    assert found(net, None) == found(net, {}) == []


def test_tied_weights_are_chosen_once():
    assert found(model(), {"*.weight": abs}) == [("0.weight", abs), ("1.weight", abs), ("2.weight", abs)]


def test_frozen_parameters_are_left_out():
    net = model()
    net.freeze("0.*", "1.bias")
    assert found(net, {"*": abs}) == [(name, abs) for name in ("1.weight", "2.weight", "2.bias", "3.bias")]
    net.freeze()
    assert found(net, {"*": abs}) == []


@pytest.mark.parametrize(
    ("rules", "error", "message"),
    [
        ({"*": abs, "4.*": abs}, ValueError, r"rules: '4\.\*' fits no parameter; there are 0\.weight, 1\.weight"),
        ([abs], TypeError, "rules must be a mapping.*list"),
        ({"*": 0.01}, TypeError, r"rules must map str to callables, got '\*': 0\.01"),
        ({0: abs}, TypeError, "rules must map str to callables, got 0"),
    ],
)
def test_refusals(rules, error, message):
    with pytest.raises(error, match=message):
        list(chosen(model(), rules, "rules"))


def test_trying_rules_changes_nothing():
    net, seen = model(), []
    before = net.flat_data.copy()
    check_rules(net, {"*.bias": lambda bias: seen.append(bias.shape)}, "rules")
    assert seen == [(4,), (3,), (5,)]
    assert np.array_equal(net.flat_data, before)
