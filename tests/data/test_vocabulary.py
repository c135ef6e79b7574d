import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnfast.data import Vocabulary


@given(st.text(min_size=1))
def test_round_trip(text):
    vocabulary = Vocabulary(text)
    ids = vocabulary.encode(text)
    assert ids.dtype == np.int64
    assert ids.min() >= 1
    assert ids.max() == len(set(text)) == len(vocabulary) - 1
    assert vocabulary.decode(ids) == text


@given(st.text(min_size=1))
def test_json_round_trip(text):
    vocabulary = Vocabulary(text)
    again = Vocabulary.from_dict(json.loads(json.dumps(vocabulary.to_dict())))
    assert again == vocabulary
    assert hash(again) == hash(vocabulary)
    assert again.characters == "".join(sorted(set(text)))


def test_numbers_follow_code_points():
    vocabulary = Vocabulary("zebra€\U0001f600")
    assert vocabulary.characters == "aberz€\U0001f600"
    assert vocabulary.encode("a\U0001f600€b").tolist() == [1, 7, 6, 2]
    assert "€" in vocabulary
    assert "" not in vocabulary
    assert "ab" not in vocabulary
    assert vocabulary != Vocabulary("zebra")


def test_unknown_characters():
    vocabulary = Vocabulary("abc")
    assert vocabulary.encode("axbyc\udc80", unknown="zero").tolist() == [1, 0, 2, 0, 3, 0]
    assert vocabulary.decode([1, 0, 3]) == "a\N{REPLACEMENT CHARACTER}c"
    with pytest.raises(ValueError, match=r"'é' \(LATIN SMALL LETTER E WITH ACUTE\), '\\n' \(no name\)$"):
        vocabulary.encode("aéb\né")
    with pytest.raises(ValueError, match=r"unknown characters, .* and 2 more$"):
        vocabulary.encode("1234567")


def test_empty_text_and_ids():
    vocabulary = Vocabulary("abc")
    assert vocabulary.encode("").shape == (0,)
    assert vocabulary.decode([]) == ""


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Vocabulary(""), "at least one character"),
        (lambda: Vocabulary(["ab", "c"]), "single characters, got 'ab'"),
        (lambda: Vocabulary("ab").encode("a", unknown="skip"), "'error' or 'zero', got 'skip'"),
        (lambda: Vocabulary("ab").decode([3]), r"0\.\.2, got 3\.\.3"),
        (lambda: Vocabulary("ab").decode([-1]), r"got -1"),
        (lambda: Vocabulary("ab").decode([1.0]), "float64"),
        (lambda: Vocabulary.from_dict({"kind": "words"}), "not a saved vocabulary"),
        (lambda: Vocabulary.from_dict([]), "not a saved vocabulary"),
        (lambda: Vocabulary.from_dict({"kind": "characters", "characters": "ba"}), "damaged"),
        (lambda: Vocabulary.from_dict({"kind": "characters", "characters": 7}), "damaged"),
    ],
)
def test_kind_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
